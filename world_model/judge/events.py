"""What happens in a generated scene, in the words of the worlds' scripts, from its shapes and paths.

Shapes are the canonical Gaussians' middles with a radius each; things touch where these nearly meet.
Frames are a twelfth of a second apart, so a touch between two frames is told if the nearer one is close.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clay4d.scenes.quaternions import rotate
from clay4d.world_model.decoders.gaussians import GaussianDecoder
from clay4d.world_model.slots import Slots
from clay4d.world_model.worlds.format import WorldEvent
from clay4d.world_model.worlds.script import STILL

NEAR = 0.03
"""Metres between surfaces below which things touch."""
EDGE = 1.5
"""Standard deviations from a Gaussian's middle at which a shape is seen to end."""
SOLID = 0.3
"""Opacity from which a Gaussian counts as part of a shape."""


@torch.no_grad()
def touch_script(
    decoder: GaussianDecoder, slots: Slots, words: Sequence[str], *, fps: float = 12.0
) -> tuple[WorldEvent, ...]:
    """First touches and stops in one scene, in order of time; what touches at the start is not told.

    Args:
        slots: of one world. words: what each present slot is called, such as "the red ball".

    Raises:
        ValueError: more than one world, or fewer words than slots.
    """
    if len(slots) != 1 or len(words) < int(slots.present.sum()):
        raise ValueError(
            f"slots got {len(slots)} worlds and {len(words)} words for {int(slots.present.sum())} "
            "things; expected one world and a word for each thing."
        )
    there = [k for k in range(slots.present.shape[1]) if bool(slots.present[0, k])]
    named = dict(zip(there, words))
    clouds = {k: _cloud(decoder, slots, k) for k in there}
    path = slots.positions[0]
    events: list[tuple[float, str]] = []
    for a in there:
        points, radii = clouds[a]
        floor = (points[..., 2] - radii).amin(1) < NEAR
        _first(events, floor, f"{named[a]} lands on the floor", fps)
        for b in there:
            if a < b:
                met = _apart(clouds[a], clouds[b]) < NEAR
                _first(events, met, _told(path, a, b, met, named), fps)
        stopped = _stop(path[:, a], fps)
        if stopped is not None:
            events.append((stopped, f"{named[a]} stops"))
    return tuple(WorldEvent(round(t, 2), w) for t, w in sorted(events))


def _cloud(decoder: GaussianDecoder, slots: Slots, k: int) -> tuple[Tensor, Tensor]:
    """Points [T, G, 3] and radii [G] of a thing's solid Gaussians."""
    shape = decoder.objects(slots.looks[:, k : k + 1])
    solid = shape.opacities[0] >= min(SOLID, float(shape.opacities.max()))
    means, radii = shape.means[0, solid], EDGE * shape.scales[0, solid].mean(-1)
    turn = slots.quats[0, :, k, None].expand(-1, len(means), -1)
    return rotate(turn, means.expand(len(turn), -1, -1)) + slots.positions[0, :, k, None], radii


def _apart(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Float[Tensor, " T"]:
    away = torch.cdist(first[0], second[0])
    return (away - first[1][:, None] - second[1]).flatten(1).amin(1)


def _first(
    events: list[tuple[float, str]], met: Bool[Tensor, " T"], words: str, fps: float
) -> None:
    if bool(met.any()) and not bool(met[0]):
        events.append((int(met.float().argmax()) / fps, words))


def _told(
    path: Float[Tensor, "T B 3"], a: int, b: int, met: Bool[Tensor, " T"], named: dict[int, str]
) -> str:
    """The faster one hits the other, or lands on it if it comes from above."""
    frame = max(int(met.float().argmax()), 1)
    speed = (path[frame] - path[frame - 1]).norm(dim=-1)
    if speed[b] > speed[a]:
        a, b = b, a
    line = path[frame - 1, a] - path[frame - 1, b]
    above = float(line[2]) > 0.8 * float(line.norm())
    return f"{named[a]} {'lands on' if above else 'hits'} {named[b]}"


def _stop(own: Float[Tensor, "T 3"], fps: float) -> float | None:
    """When a thing that moved comes to rest for the rest of the scene."""
    speed = (own[1:] - own[:-1]).norm(dim=-1) * fps
    moving = torch.nonzero(speed >= 3 * STILL)
    if (
        not len(moving)
        or int(moving[-1]) >= len(speed) - 2
        or float((own - own[0]).norm(dim=-1).max()) < 0.05
    ):
        return None
    return (int(moving[-1]) + 1) / fps
