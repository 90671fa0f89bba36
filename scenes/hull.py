"""The visual hull (Laurentini, PAMI 1994): the most that can fill the silhouettes in all pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numba
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from clay4d.jit import kernel

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

COARSE = 4
"""Fine cubes along a coarse one, which is tried first."""
MISSES = 0.1
"""Share of the pictures that may hold no silhouette where one is expected: masks have holes."""


@kernel
def _carve(
    distance: Any, P: Any, focal: Any, low: Any, size: float, slack: float, least: int,
    parent: Any, full: Any,
) -> None:  # fmt: skip
    """Marks the cubes of `size` whose centres fall within `slack` cubes of enough silhouettes.

    `distance` [C, H, W] are pixels to the silhouette; `parent` marks cubes `COARSE` times as large.
    """
    cameras, height, width = distance.shape
    nx, ny, nz = full.shape
    for slab in numba.prange(nx):
        ix = np.int64(slab)
        for iy in range(ny):
            for iz in range(nz):
                full[ix, iy, iz] = 0
                if not parent[ix // COARSE, iy // COARSE, iz // COARSE]:
                    continue
                x = low[0] + (ix + 0.5) * size
                y = low[1] + (iy + 0.5) * size
                z = low[2] + (iz + 0.5) * size
                sees, misses = 0, 0
                for c in range(cameras):
                    Q = P[c]
                    w = Q[2, 0] * x + Q[2, 1] * y + Q[2, 2] * z + Q[2, 3]
                    if w <= 1e-6:
                        continue
                    u = (Q[0, 0] * x + Q[0, 1] * y + Q[0, 2] * z + Q[0, 3]) / w
                    v = (Q[1, 0] * x + Q[1, 1] * y + Q[1, 2] * z + Q[1, 3]) / w
                    if not (u >= 0 and v >= 0 and u < width and v < height):
                        continue
                    sees += 1
                    if distance[c, int(v), int(u)] > slack * size * focal[c] / w:
                        misses += 1
                if sees >= least and misses <= MISSES * sees:
                    full[ix, iy, iz] = 1


def visual_hull(
    masks: UInt8[np.ndarray, "C H W"],
    P: Float[np.ndarray, "C 3 4"],
    low: Float[np.ndarray, " 3"],
    high: Float[np.ndarray, " 3"],
    *,
    size: float,
    least: int = 4,
) -> Float[np.ndarray, "N 3"]:
    """Centres in metres of the cubes of edge `size` on the hull's surface, within a box.

    A cube counts where at least `least` pictures could see it and a tenth of them at most shows
    background there. `masks` are 0 to 255, silhouettes above 127.

    >>> visual_hull(np.zeros((1, 4, 4), np.uint8), np.eye(3, 4)[None], np.zeros(3), np.ones(3),
    ...     size=0.5).shape
    (0, 3)
    """
    distance = np.stack([_distance(mask > 127) for mask in masks])
    focal = np.linalg.norm(np.cross(P[:, 0, :3], P[:, 2, :3]), axis=1)
    blocks = np.maximum(np.ceil((high - low) / (size * COARSE)).astype(np.int64), 1)
    everywhere = np.ones(tuple(-(-blocks // COARSE)), np.uint8)
    coarse = np.zeros(tuple(blocks), np.uint8)
    full = np.zeros(tuple(blocks * COARSE), np.uint8)
    low = np.asarray(low, np.float64)
    # Half a diagonal reaches the farthest corner; a pixel is added for the rounding to pixels.
    _carve(distance - 1, P, focal, low, size * COARSE, 0.87, 0, everywhere, coarse)
    _carve(distance, P, focal, low, size, 0.3, least, coarse, full)
    inner = np.zeros_like(full)
    inner[1:-1, 1:-1, 1:-1] = (
        full[:-2, 1:-1, 1:-1] & full[2:, 1:-1, 1:-1] & full[1:-1, :-2, 1:-1]
        & full[1:-1, 2:, 1:-1] & full[1:-1, 1:-1, :-2] & full[1:-1, 1:-1, 2:]
    )  # fmt: skip
    centres: Array = low + (np.argwhere((full == 1) & (inner == 0)) + 0.5) * size
    return centres


def _distance(mask: NDArray[np.bool_]) -> Floats:
    """Pixels to the nearest pixel of the mask; very far where it is empty."""
    if not mask.any():
        return np.full(mask.shape, 1e6, np.float32)
    far = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far, np.float32)


@kernel
def _splat(uv: Any, z: Any, radius: Any, nearest: Any) -> None:
    """Depth of the nearest of some square splats in each pixel; pictures are independent."""
    for picture in numba.prange(uv.shape[0]):
        c = np.int64(picture)
        height, width = nearest.shape[1], nearest.shape[2]
        for i in range(uv.shape[1]):
            if z[c, i] <= 1e-6:
                continue
            r = radius[c, i]
            if not (abs(uv[c, i, 0]) < 1e6 and abs(uv[c, i, 1]) < 1e6):
                continue
            x0, x1 = int(np.floor(uv[c, i, 0] - r)), int(np.floor(uv[c, i, 0] + r))
            y0, y1 = int(np.floor(uv[c, i, 1] - r)), int(np.floor(uv[c, i, 1] + r))
            for y in range(max(0, y0), min(height, y1 + 1)):
                for x in range(max(0, x0), min(width, x1 + 1)):
                    if z[c, i] < nearest[c, y, x]:
                        nearest[c, y, x] = z[c, i]


def splat_depths(
    xyz: Float[np.ndarray, "N 3"],
    P: Float[np.ndarray, "C 3 4"],
    height: int,
    width: int,
    *,
    size: float,
) -> Float[np.ndarray, "C H W"]:
    """Depth in metres of the nearest point in each pixel, points drawn `size` wide; infinite if none.

    >>> splat_depths(np.array([[1.0, 1.0, 2.0]]), np.eye(3, 4)[None], 2, 2, size=0.1)[0, 0, 0]
    np.float32(2.0)
    """
    h = np.einsum("cij,nj->cni", P[:, :, :3], xyz) + P[:, None, :, 3]
    z = h[..., 2]
    safe = np.where(np.abs(z) < 1e-9, 1e-9, z)
    focal = np.linalg.norm(np.cross(P[:, 0, :3], P[:, 2, :3]), axis=1)
    radius = np.clip(0.5 * size * focal[:, None] / safe, 0, 16)
    nearest = np.full((len(P), height, width), np.inf, np.float32)
    _splat(h[..., :2] / safe[..., None], z, radius, nearest)
    return nearest
