"""Volume rendering of things that are radiance fields, each in a frame of its own.

Rays take their places in the things' bounding spheres only, evenly from where they enter to where they
leave, and all places of a ray are blended in the order of their depth (Max 1995; Mildenhall et al., ECCV
2020, equation 3). Differentiable, for training; `draw_objects` is the same without gradients for scenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clay4d.scenes import Cameras
from clay4d.scenes.fields.base import Corner
from clay4d.scenes.fields.objects import (
    BOUND,
    ObjectField,
    ObjectFields,
    PosedObjects,
    inside_box,
    radii,
)
from clay4d.scenes.quaternions import conjugate, rotate
from clay4d.scenes.rays import pixel_rays

RAYS = 1 << 12
"""Rays drawn at once: bounds the memory of a picture."""


@dataclass(frozen=True)
class Seen:
    """What things put along rays, without what is behind them."""

    colours: Float[Tensor, "*batch R 3"]
    """sRGB times how much is covered."""
    alphas: Float[Tensor, "*batch R"]
    depths: Float[Tensor, "*batch R"]
    """Metres along the ray times how much is covered."""


@dataclass(frozen=True)
class _Ways:
    """Q passages of rays through spheres, each in the thing's frame and radii."""

    hit: Bool[Tensor, "*batch R O"]
    starts: Float[Tensor, "Q 3"]
    ways: Float[Tensor, "Q 3"]
    radii: Float[Tensor, " Q"]
    codes: Float[Tensor, "Q D"]
    along: Float[Tensor, "Q S"]
    """Middles of each passage's even parts."""
    steps: Float[Tensor, " Q"]
    """Length of a part."""


def see_objects(
    field: ObjectField,
    looks: Float[Tensor, "*batch O A"],
    positions: Float[Tensor, "*batch O 3"],
    quats: Float[Tensor, "*batch O 4"],
    origins: Float[Tensor, "*batch 3"],
    rays: Float[Tensor, "*batch R 3"],
    *,
    present: Bool[Tensor, "*batch O"] | None = None,
    near: float = 0.0,
    bounds: tuple[Corner, Corner] | None = None,
) -> Seen:
    """What things show along rays of unit length; leading dimensions may be 1 where all share a value.

    Args:
        present: which things there are; all by default.
        near: nothing is nearer than this along the ray, metres.
        bounds: nothing is outside this box.

    >>> from clay4d.scenes.fields import FieldSize
    >>> field = ObjectField(FieldSize(), looks=4)
    >>> one, ahead = torch.zeros(1, 4), torch.tensor([[0.0, 0, 1], [1, 0, 0]])
    >>> turn = torch.tensor([[1.0, 0, 0, 0]])
    >>> see_objects(field, one, torch.tensor([[0.0, 0, 5]]), turn, torch.zeros(3), ahead).alphas.gt(0.9).tolist()
    [True, False]
    """
    ways = _enter(field, looks, positions, quats, origins, rays, present, near)
    points = ways.starts[:, None] + ways.along[..., None] * ways.ways[:, None]
    density, colour = field(points, ways.codes[:, None])
    covers, depth = density * ways.steps[:, None], ways.along * ways.radii[:, None]
    if bounds is not None:
        shape = (*ways.hit.shape, 3)
        eye = origins[..., None, None, :].expand(shape)[ways.hit]
        world = (
            eye[:, None] + depth[..., None] * rays[..., None, :].expand(shape)[ways.hit][:, None]
        )
        covers = covers * inside_box(world, bounds)
    return _blend(ways.hit, covers, colour, depth)


def _enter(
    field: ObjectField, looks: Tensor, positions: Tensor, quats: Tensor, origins: Tensor, rays: Tensor,
    present: Tensor | None, near: float,
) -> _Ways:  # fmt: skip
    """Where which rays enter and leave which spheres."""
    away = (origins[..., None, :] - positions)[..., None, :, :]
    shape = torch.broadcast_shapes(rays[..., None, :].shape, away.shape)
    back, size = conjugate(quats)[..., None, :, :], radii(looks)[..., None, :]
    start = (rotate(back, away) / size[..., None]).expand(shape)
    way = rotate(back, rays[..., None, :].expand(shape))
    middle = -(start * way).sum(-1)
    square = BOUND**2 - (start + middle[..., None] * way).square().sum(-1)
    half = square.clamp_min(1e-6).sqrt()
    low, high = torch.maximum(middle - half, near / size), middle + half
    hit = (square > 0) & (high > low)
    if present is not None:
        hit = hit & present[..., None, :]
    count = field.size.samples
    first, length = low[hit], (high - low)[hit] / count
    along = first[:, None] + length[:, None] * (torch.arange(count) + 0.5)
    codes = field.codes(looks)[..., None, :, :]
    codes = codes.expand(*shape[:-1], codes.shape[-1])
    return _Ways(hit, start[hit], way[hit], size.expand(hit.shape)[hit], codes[hit], along, length)


def _blend(hit: Tensor, covers: Tensor, colours: Tensor, depths: Tensor) -> Seen:
    """Sums along each ray of its places on all passages, the nearest first.

    Optical depths, colours and depths of the passages' places, [Q, S] and [Q, S, 3], go to the rays that
    `hit` [*batch, R, O] says. Each place covers 1 − e^−(its optical depth) of what is behind it.
    """
    chosen = hit[..., None].expand(*hit.shape, covers.shape[-1])

    def spread(values: Tensor, else_: float) -> Tensor:
        full = values.new_full(chosen.shape, else_).masked_scatter(chosen, values)
        return full.flatten(-2)

    depth = spread(depths, torch.inf)
    order = depth.argsort(-1)
    cover = spread(covers, 0.0).gather(-1, order)
    through = torch.exp(-(cover.cumsum(-1) - cover))
    weight = through * (1 - torch.exp(-cover))
    # Back to the places' own order: three colours need not be sorted for one weight.
    weight = torch.zeros_like(weight).scatter(-1, order, weight)
    shown = torch.stack([(weight * spread(colours[..., c], 0.0)).sum(-1) for c in range(3)], -1)
    far = (weight * depth.nan_to_num(posinf=0.0)).sum(-1)
    return Seen(shown, weight.sum(-1), far)


@torch.no_grad()
def draw_objects(
    scene: ObjectFields,
    cameras: Cameras,
    behind: tuple[Tensor, Tensor, Tensor],
    *,
    near: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Images [C, H, W, 3], alphas and expected camera z [C, H, W, 1] of things before a stage.

    Args:
        behind: the same of the stage, over the background.
    """
    size = (cameras.height, cameras.width)
    rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    xy = torch.stack([columns.reshape(-1), rows.reshape(-1)], 1)
    out = [part.reshape(len(cameras), len(xy), -1).clone() for part in behind]
    for c in range(len(cameras)):
        posed = scene.at(float(cameras.times[c]))
        rays = pixel_rays(xy, cameras.viewmats[c], cameras.Ks[c])
        cosines = rays @ cameras.viewmats[c, 2, :3]
        origin = cameras.centres[c]
        for part in _near_things(posed, origin, rays).split(RAYS):
            seen = see_objects(
                scene.field, scene.looks, posed.positions, posed.quats, origin, rays[part],
                near=near, bounds=scene.bounds,
            )  # fmt: skip
            _lay_over([rows[c] for rows in out], part, seen, cosines[part])
    images, alphas, depths = (rows.reshape(len(cameras), *size, -1) for rows in out)
    return images, alphas, depths


def _near_things(posed: PosedObjects, origin: Tensor, rays: Float[Tensor, "R 3"]) -> Tensor:
    """Which rays come into any thing's sphere."""
    away = posed.positions - origin
    along = rays @ away.T
    square = away.square().sum(1) - along.square()
    reach = (BOUND * radii(posed.scene.looks)).square()
    return ((square < reach) & (along > -reach.sqrt())).any(1).nonzero()[:, 0]


def _lay_over(rows: Any, part: Tensor, seen: Seen, cosines: Tensor) -> None:
    """Lay what is seen along rays over rows of images [P, 3], alphas and depths [P, 1]."""
    images, alphas, depths = rows
    left = (1 - seen.alphas)[:, None]
    images[part] = seen.colours + left * images[part]
    covered = left * alphas[part]
    alphas[part] = seen.alphas[:, None] + covered
    far = (seen.depths * cosines)[:, None] + covered * depths[part]
    depths[part] = far / alphas[part].clamp_min(1e-8)
