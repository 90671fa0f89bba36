"""A scene at evenly spaced moments, one of them in memory at a time, as the player keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes import Scene
from clay4d.scenes.exchange.clay4d_file import morton_order
from clay4d.scenes.quaternions import conjugate, multiply, normalise

UNSEEN = 1 / 255
"""Opacity below which no renderer draws a Gaussian."""
PER_SECOND = 25
FEWEST, MOST = 50, 300
"""Moments that are kept if nobody says how many: 25 a second within these bounds."""
PASSES = 3
"""How often a scene is gone through: what there is, which ways it moves, how much of each is in every path."""
Progress = Callable[[Iterable[Any]], Iterable[Any]]


def moments_of(duration: float, frames: int | None) -> int:
    """How many moments are kept.

    Raises:
        ValueError: fewer than two of a scene that moves, or more than a thousand.

    >>> moments_of(0.0, None), moments_of(1.0, None), moments_of(4.0, None)
    (1, 50, 100)
    """
    if duration <= 0:
        return 1
    if frames is None:
        return min(max(round(PER_SECOND * duration), FEWEST), MOST)
    if not 2 <= frames <= 1000:
        raise ValueError(f"frames got {frames}; expected 2 to 1000.")
    return frames


class Moments:
    """A scene at `count` times from its start to its end, without what is never seen.

    Each iteration asks the scene for its moments anew, so that memory does not grow with their number.

    Args:
        progress: wraps what counts the moments of all `PASSES`, as `rich.progress.track` does.

    Raises:
        ValueError: Gaussians that change their number, values that are not finite, nothing to see.

    >>> from clay4d.scenes import Gaussians
    >>> class Slide:
    ...     duration, background = 1.0, (0.0, 0.0, 0.0)
    ...     def at(self, time):
    ...         return Gaussians.from_points(torch.full((2, 3), time), torch.ones(2, 3))
    >>> [now["means"].mean().item() for now in Moments(Slide(), 3)]
    [0.0, 0.5, 1.0]
    """

    def __init__(self, scene: Scene, count: int, *, progress: Progress = iter) -> None:
        self.scene, self.count = scene, count
        self._ticks = iter(progress(range(PASSES * count)))
        means: dict[str, _Mean] = {}
        highest, middle = torch.zeros(1), torch.zeros(1)
        for i, now in enumerate(self._each()):
            for name, value in now.items():
                means.setdefault(name, _Mean(value)).add(value)
            highest = torch.maximum(highest, now["opacities"][:, 0])
            middle = now["turns"] if i == count // 2 else middle
        visible = (highest >= UNSEEN).nonzero()[:, 0]
        if not len(visible):
            raise ValueError("scene got no Gaussian of an opacity of 1/255 or more; expected some.")
        self.order = visible[morton_order(means["means"].value[visible].float())]
        """Which of the scene's Gaussians are kept, N, one beside the other."""
        self.quats: Float[Tensor, "N 4"] = middle[self.order]
        """Unit rotations at the moment in the middle, wxyz."""
        self.moving = [name for name, mean in means.items() if mean.changes]
        """Names of what changes over time."""
        self.means = {name: mean.value[self.order] for name, mean in means.items()}
        """Of each thing its mean over time [N, C], float64."""

    def __iter__(self) -> Iterator[dict[str, Float[Tensor, "N C"]]]:
        """What moves, at one moment after another.

        `turns` are rotations of the world that carry the Gaussians there from the moment in the middle, of one
        sign over time.
        """
        back = conjugate(self.quats)
        for now in self._each():
            moved = {name: now[name][self.order] for name in self.moving}
            if "turns" in moved:
                moved["turns"] = multiply(moved["turns"], back)
            yield moved

    def finish(self) -> None:
        """Say that the progress has come to its end, however many passes were needed."""
        for _ in self._ticks:
            pass

    def _each(self) -> Iterator[dict[str, Tensor]]:
        """All Gaussians at one moment after another; their rotations as `turns`, of one sign over time."""
        first: dict[str, Tensor] = {}
        before = None
        for i in range(self.count):
            next(self._ticks, None)
            time = self.scene.duration * i / max(self.count - 1, 1)
            with torch.no_grad():
                now = self.scene.at(time).tensors()
            now = {name: value.detach().float().cpu() for name, value in now.items()}
            first = first or now
            for name, value in now.items():
                _check(name, value, first[name], i)
            turns = normalise(now["quats"])
            if before is not None:
                turns *= torch.where((turns * before).sum(-1, keepdim=True) < 0, -1.0, 1.0)
            before = turns
            yield {
                "means": now["means"], "turns": turns,
                "log_scales": now["scales"].clamp_min(1e-9).log(), "opacities": now["opacities"][:, None],
                "colours": now["sh"][:, 0], "harmonics": now["sh"][:, 1:].flatten(1),
            }  # fmt: skip


class _Mean:
    """A mean over moments, added one by one; as long as nothing changes, the first itself."""

    def __init__(self, first: Tensor) -> None:
        self._first, self._count = first, 0
        self._sum: Tensor | None = None

    def add(self, value: Tensor) -> None:
        if self._sum is None and not torch.equal(value, self._first):
            self._sum = self._first.double() * self._count
        if self._sum is not None:
            self._sum += value
        self._count += 1

    @property
    def changes(self) -> bool:
        return self._sum is not None

    @property
    def value(self) -> Tensor:
        return self._first.double() if self._sum is None else self._sum / self._count


def _check(name: str, value: Tensor, first: Tensor, i: int) -> None:
    """Refuse values of another shape than those of the first moment, and what is not finite."""
    if value.shape != first.shape:
        raise ValueError(
            f"{name} got {len(value)} Gaussians at moment {i} and {len(first)} before; expected a "
            "scene that keeps its Gaussians, not a sequence of files. Export one moment, or a run."
        )
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} got NaN or infinity; expected finite values. Train again.")
