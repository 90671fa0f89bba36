"""Volume rendering of radiance fields on the CPU (Max 1995; Mildenhall et al., ECCV 2020).

Empty cells are skipped and rays end where nothing behind can be seen, as in instant-ngp (Müller et al.
2022). Rays go in waves of `WAVE` places; each wave is one batch for the planes and the density's network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.renderers.march import (
    BLOCK,
    blend,
    blend_backward,
    enter_box,
    march,
    pool_cells,
    see_through,
    shoot,
    still_alive,
)
from clay4d.scenes import Cameras
from clay4d.scenes.fields.kplanes import direction_harmonics
from clay4d.scenes.fields.scene import FieldScene

WAVE = 8
"""Places that a ray takes before it is asked whether it goes on."""
OPAQUE = 7.0
"""Optical depth behind which nothing is seen: a thousandth passes."""
CLEAR = 1e-4
"""Optical depth of a step below which there is nothing at a place."""
RAYS = 1 << 15
"""Rays drawn at once: bounds the memory of a picture."""


@dataclass(frozen=True)
class Rays:
    """R rays in the axes of a field's box, whose sides lie at −1 and 1; depths are metres still."""

    origins: Float[np.ndarray, "R 3"]
    directions: Float[np.ndarray, "R 3"]
    """Of a metre's length in the world."""
    looks: Float[Tensor, "R 3"]
    """Unit vectors in the world."""
    times: Float[np.ndarray, " R"]
    """−1 at the scene's start to 1 at its end."""
    cosines: Float[np.ndarray, " R"]
    """Camera z of a metre along the ray."""


@dataclass(frozen=True)
class Places:
    """M places on rays, those of one ray in order, and what the field's planes hold there."""

    points: Float[np.ndarray, "M 4"]
    rays: Int[np.ndarray, " M"]
    depths: Float[np.ndarray, " M"]
    """Metres along the ray."""
    features: Float[np.ndarray, "M F"]


def rays_through(
    scene: FieldScene, cameras: Cameras, which: Int[Tensor, " R"], xy: Float[Tensor, "R 2"]
) -> Rays:
    """Rays through places of pictures: camera number and pixel coordinates, centres at 0.5.

    >>> from clay4d.scenes.fields.kplanes import KPlanes
    >>> from clay4d.scenes.fields.scene import all_occupied
    >>> field = KPlanes(resolution=8, time_resolution=2, levels=1)
    >>> scene = FieldScene(field, torch.tensor([[-1.0, -1, 2], [1, 1, 4]]), all_occupied(2, 4))
    >>> K = torch.tensor([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]])
    >>> cameras = Cameras(torch.eye(4)[None], K[None], 8, 8, torch.zeros(1))
    >>> rays_through(scene, cameras, torch.zeros(1).long(), torch.full((1, 2), 4.0)).origins.tolist()
    [[0.0, 0.0, -3.0]]
    """
    low, high = scene.bounds
    half = (high - low) / 2
    R = len(which)
    directions, looks, origins = (np.empty((R, 3), np.float32) for _ in range(3))
    cosines = np.empty(R, np.float32)
    inside = ((cameras.centres - low) / half - 1).float().contiguous().numpy()
    shoot(
        cameras.viewmats.float().contiguous().numpy(), cameras.Ks.float().contiguous().numpy(),
        inside, which.numpy(), xy.float().contiguous().numpy(), half.numpy(),
        directions, looks, cosines, origins,
    )  # fmt: skip
    shares = torch.tensor([scene.share(float(t)) for t in cameras.times])
    times = (2 * shares[which] - 1).float().numpy()
    return Rays(origins, directions, torch.from_numpy(looks), times, cosines)


@torch.no_grad()
def find_places(
    scene: FieldScene, rays: Rays, *, jitter: np.ndarray[Any, Any] | None = None, near: float = 0.0
) -> Places:
    """The places of rays that can be seen: in occupied cells, in front of what is opaque.

    Args:
        jitter: how far each ray's lattice is shifted, as a share of a step; half a step by default.
        near: nothing is nearer than this along the ray, metres.
    """
    R, step = len(rays.origins), np.float32(scene.step)
    starts, ends = np.empty(R, np.float32), np.empty(R, np.float32)
    enter_box(rays.origins, rays.directions, np.float32(near), starts, ends)
    starts += step * (np.float32(0.5) if jitter is None else jitter.astype(np.float32))
    alive, taken, passed = np.arange(R), np.zeros(R, np.int64), np.zeros(R, np.float32)
    blocks = _blocks(scene.occupied)
    parts: list[tuple[Any, ...]] = []
    while len(alive):
        most = WAVE * len(alive)
        points, which = np.empty((most, 4), np.float32), np.empty(most, np.int64)
        depths = np.empty(most, np.float32)
        count = march(
            alive, rays.origins, rays.directions, starts, ends, rays.times, scene.occupied,
            blocks, step, WAVE, taken, points, which, depths,
        )  # fmt: skip
        parts.append(_seen(scene, points[:count], which[:count], depths[:count], passed))
        alive = alive[: still_alive(alive, taken, passed, np.float32(OPAQUE))]
    points, which, depths, features = (np.concatenate(column) for column in zip(*parts))
    return Places(points, which, depths, features)


def _blocks(occupied: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which blocks of cells hold something; made anew for each call, since the cells change in place."""
    count = -(-occupied.shape[1] // BLOCK)
    blocks = np.empty((len(occupied), count, count, count), np.uint8)
    pool_cells(occupied, blocks)
    return blocks


def _seen(scene: FieldScene, points: Any, rays: Any, depths: Any, passed: Any) -> tuple[Any, ...]:
    """The places of a wave that can be seen, and their features; `passed` grows by their density."""
    features, density = scene.field.find_density(points)
    depth = density * np.float32(scene.step / scene.extent)
    kept = np.empty(len(points), np.bool_)
    seen = see_through(depth, rays, passed, np.float32(CLEAR), np.float32(OPAQUE), kept)
    found = (points, rays, depths, features)
    return found if seen == len(points) else tuple(part[kept] for part in found)


class Blend(torch.autograd.Function):
    """Sums along rays: of values by their weights [R, D], and what passes [R]."""

    @staticmethod
    def forward(
        ctx: Any, depth: Float[Tensor, " M"], values: Float[Tensor, "M D"],
        rays: Int[np.ndarray, " M"], count: int,
    ) -> tuple[Float[Tensor, "R D"], Float[Tensor, " R"]]:  # fmt: skip
        ctx.depth, ctx.values = depth.detach().numpy(), values.detach().contiguous().numpy()
        ctx.rays = rays
        ctx.out = np.zeros((count, values.shape[1]), np.float32)
        ctx.left = np.ones(count, np.float32)
        blend(ctx.depth, ctx.values, rays, ctx.out, ctx.left)
        return torch.from_numpy(ctx.out), torch.from_numpy(ctx.left)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        g_depth, g_values = np.empty_like(ctx.depth), np.empty_like(ctx.values)
        blend_backward(
            ctx.depth, ctx.values, ctx.rays, ctx.out, ctx.left,
            above[0].contiguous().numpy(), above[1].contiguous().numpy(), g_depth, g_values,
        )  # fmt: skip
        return torch.from_numpy(g_depth), torch.from_numpy(g_values), None, None


def shade_places(
    scene: FieldScene, rays: Rays, places: Places, features: Float[Tensor, "M F"]
) -> tuple[Float[Tensor, " M"], Float[Tensor, "M 3"]]:
    """Optical depth and colour of each place, with gradients to the features and the networks."""
    density, geometry = scene.field.density(features)
    harmonics = direction_harmonics(rays.looks)[torch.from_numpy(places.rays)]
    return density * (scene.step / scene.extent), scene.field.colours(geometry, harmonics)


@torch.no_grad()
def draw_field(
    scene: FieldScene, cameras: Cameras, *, background: Float[Tensor, " 3"], near: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Images [C, H, W, 3], alphas and expected camera z [C, H, W, 1] of a field, each at its time."""
    size = (cameras.height, cameras.width)
    out = torch.empty(len(cameras), size[0] * size[1], 5)
    rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    xy = torch.stack([columns.reshape(-1), rows.reshape(-1)], 1)
    for c in range(len(cameras)):
        for part in torch.arange(len(xy)).split(RAYS):
            which = torch.full((len(part),), c)
            rays = rays_through(scene, cameras, which, xy[part])
            places = find_places(scene, rays, near=near)
            features = torch.from_numpy(places.features)
            depth, colours = shade_places(scene, rays, places, features)
            z = torch.from_numpy(places.depths * rays.cosines[places.rays])
            values = torch.cat([colours, z[:, None]], 1)
            summed, left = Blend.apply(depth, values, places.rays, len(part))
            out[c, part, :3] = summed[:, :3] + left[:, None] * background
            out[c, part, 3] = 1 - left
            out[c, part, 4] = summed[:, 3] / (1 - left).clamp_min(1e-8)
    images, alphas, depths = out.reshape(len(cameras), *size, 5).split([3, 1, 1], -1)
    return images.contiguous(), alphas.contiguous(), depths.contiguous()
