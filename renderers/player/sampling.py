"""A scene at evenly spaced moments, as the player keeps it: what stands still once, what moves often."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.scenes import Gaussians, Scene
from clay4d.scenes.exchange.clay4d_file import morton_order
from clay4d.scenes.quaternions import conjugate, multiply, normalise

UNSEEN = 1 / 255
"""Opacity below which no renderer draws a Gaussian."""
PER_SECOND = 25
FEWEST, MOST = 50, 300
"""Moments that are kept if nobody says how many: 25 a second within these bounds."""
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Sampled:
    """T moments of N Gaussians; a first size of 1 instead of T where nothing changes."""

    means: Float[Tensor, "T N 3"]
    quats: Float[Tensor, "N 4"]
    """Unit rotations at the moment in the middle, wxyz."""
    turns: Float[Tensor, "T N 4"]
    """Rotations of the world that carry the Gaussians there to each moment, of one sign over time."""
    log_scales: Float[Tensor, "T N 3"]
    opacities: Float[Tensor, "T N 1"]
    sh: Float[Tensor, "T N K 3"]
    order: Int[Tensor, " N"]
    """Which of the scene's Gaussians these are."""


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


@torch.no_grad()
def sampled(scene: Scene, moments: int, *, progress: Progress = iter) -> Sampled:
    """A scene at `moments` times from its start to its end, without what is never seen.

    Raises:
        ValueError: Gaussians that change their number, values that are not finite, nothing to see.

    >>> class Still:
    ...     duration, background = 0.0, (0.0, 0.0, 0.0)
    ...     def at(self, time):
    ...         return Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> sampled(Still(), 1).means.shape
    torch.Size([1, 2, 3])
    """
    kept: dict[str, list[Tensor]] = {k: [] for k in Gaussians.__dataclass_fields__}
    for i in progress(range(moments)):
        time = scene.duration * i / max(moments - 1, 1)
        for name, value in scene.at(time).tensors().items():
            _keep(kept[name], value.detach().float().cpu(), i, name)
    # Each step lets go of what the one before it held: there are many moments.
    stacked = {name: torch.stack(kept.pop(name)) for name in list(kept)}
    for name, value in stacked.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} got NaN or infinity; expected finite values. Train again.")
    visible = (stacked["opacities"].amax(0) >= UNSEEN).nonzero()[:, 0]
    if not len(visible):
        raise ValueError("scene got no Gaussian of an opacity of 1/255 or more; expected some.")
    order = visible[morton_order(stacked["means"].mean(0)[visible])]
    parts = {name: stacked.pop(name)[:, order] for name in list(stacked)}
    quats, turns = _turns(parts.pop("quats"))
    return Sampled(
        parts["means"], quats, turns, parts["scales"].clamp_min(1e-9).log(),
        parts["opacities"][..., None], parts["sh"], order,
    )  # fmt: skip


def _keep(values: list[Tensor], value: Tensor, i: int, name: str) -> None:
    """Append a moment's values; one entry stands for all moments as long as nothing changes."""
    if values and values[0].shape != value.shape:
        raise ValueError(
            f"{name} got {len(value)} Gaussians at moment {i} and {len(values[0])} before; expected a "
            "scene that keeps its Gaussians, not a sequence of files. Export one moment, or a run."
        )
    if len(values) == 1 and i > 0:
        if torch.equal(values[0], value):
            return
        values.extend(values[:1] * (i - 1))
    values.append(value)


def _turns(quats: Float[Tensor, "T N 4"]) -> tuple[Tensor, Tensor]:
    """The rotations in the middle, and those of the world from there to each moment."""
    unit = normalise(quats)
    middle = len(unit) // 2
    here = unit[middle].clone()  # on its own: `unit` can go
    turns = multiply(unit, conjugate(here).expand_as(unit))
    del unit
    for order in (range(middle + 1, len(turns)), range(middle - 1, -1, -1)):
        for i in order:
            before = turns[i - 1] if i > middle else turns[i + 1]
            turns[i] *= torch.where((turns[i] * before).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    still = torch.zeros_like(turns[:1])
    still[..., 0] = 1
    return here, still if len(turns) == 1 or (turns - still).abs().max() < 1e-6 else turns
