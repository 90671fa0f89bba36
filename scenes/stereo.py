"""Dense points from posed pictures, for scenes with too little texture for features.

Each picture's depth comes from a plane sweep against its neighbours. Where several pictures agree,
depth is believed; between such places it is interpolated over a Delaunay triangulation in the
picture. Inverse depth is linear on planes, so bare walls and floors come out flat, and a guess that
is wrong differs from picture to picture: again only what several agree on is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError, cKDTree

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.stereo_kernels import aggregate, agree, paint, sweep
from clay4d.scenes.triangulation import pixel_to_world, project, projections

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sweep:
    """How depth is searched."""

    planes: int = 128
    """Depths tried, even in inverse depth."""
    sources: int = 6
    """Neighbours that each picture is compared with."""
    best: int = 3
    """Of these the most alike count, since others may be hidden."""
    radius: int = 3
    """Half a window, pixels."""
    noise: float = 6.0
    """Variance of grey values, in 1/255 squared, below which a window has no texture."""
    small: float = 0.05
    """Cost of a step to the next plane from pixel to pixel."""
    large: float = 0.4
    """Cost of a jump."""
    alike: float = 0.6
    """Least correlation of a depth that is believed."""
    share: float = 0.02
    """Depths agree within this share."""
    pixels: float = 1.5
    """Points agree within this many pixels."""


def rank_neighbours(cameras: Cameras) -> Ints:
    """For each camera all others [C, C − 1], first those that likely see the same things.

    Judged by distance, as a share of the cameras' spread, and by angle between the axes.

    >>> import torch
    >>> two = Cameras(torch.eye(4).repeat(2, 1, 1), torch.eye(3).repeat(2, 1, 1), 8, 8, torch.zeros(2))
    >>> rank_neighbours(two).tolist()
    [[1], [0]]
    """
    centres = cameras.centres.double().numpy()
    axes = cameras.viewmats[:, 2, :3].double().numpy()
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    angle = np.arccos(np.clip(axes @ axes.T, -1, 1))
    cost = apart / max(float(np.median(apart)), 1e-9) + angle / np.radians(30)
    np.fill_diagonal(cost, np.inf)
    return np.argsort(cost, axis=1, kind="stable")[:, :-1].astype(np.int64)


def _homographies(cameras: Cameras, r: int, sources: Ints, inverse: Array) -> Floats:
    """Reference pixels to source pixels on each fronto-parallel plane: [D, S, 3, 3]."""
    K, V = cameras.Ks.double().numpy(), cameras.viewmats.double().numpy()
    relative = V[sources] @ np.linalg.inv(V[r])
    M = np.repeat(relative[None, :, :3, :3], len(inverse), 0)
    M[..., 2] += relative[None, :, :3, 3] * inverse[:, None, None]
    H: Floats = (K[sources] @ M @ np.linalg.inv(K[r])).astype(np.float32)
    return H


def _range(P: Array, xyz: Array, width: int, height: int) -> tuple[float, float] | None:
    """Inverse depths of the nearest and farthest known point in a picture, with some room."""
    uv, z = project(P, xyz)
    inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < width) & (uv[:, 1] < height)
    if inside.sum() < 8:
        return None
    near, far = np.quantile(z[inside], [0.01, 0.99])
    return 1 / (1.25 * far), 1 / (0.8 * near)


def sweep_depths(
    greys: Float[np.ndarray, "C H W"],
    cameras: Cameras,
    xyz: Float[np.ndarray, "P 3"],
    *,
    how: Sweep = Sweep(),
) -> Float[np.ndarray, "C H W"]:
    """Inverse depth in 1/metres of each picture, 0 where nothing is alike enough.

    `greys` are 0 to 1; `xyz` are some known points in metres, which tell where to search.

    >>> import torch
    >>> one = Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8, torch.zeros(1))
    >>> float(sweep_depths(np.zeros((1, 8, 8), np.float32), one, np.zeros((0, 3))).max())
    0.0
    """
    n, height, width = greys.shape
    ranks, P = rank_neighbours(cameras)[:, : how.sources], projections(cameras)
    result = np.zeros((n, height, width), np.float32)
    cost = np.empty((height, width, how.planes), np.float32)
    total = np.empty_like(cost)
    window, floor = (2 * how.radius + 1, 2 * how.radius + 1), np.float32(how.noise / 255**2)
    centred = np.ascontiguousarray(greys - 0.5, np.float32)  # running sums lose less
    for r in range(n):
        found = _range(P[r], xyz, width, height)
        if found is None or not ranks.shape[1]:
            continue
        inverse = np.linspace(found[0], found[1], how.planes)
        mean = cv2.boxFilter(centred[r], -1, window)
        square = cv2.boxFilter(centred[r] ** 2, -1, window)
        spread = ((square - mean**2 + floor) * window[0] ** 2).astype(np.float32)
        H = _homographies(cameras, r, ranks[r], inverse)
        best = min(how.best, ranks.shape[1])
        sweep(centred[r], mean, spread, centred[ranks[r]], H, how.radius, floor, best, cost)
        aggregate(cost, np.float32(how.small), np.float32(how.large), total)
        result[r] = _winner(cost, total, inverse, how)
    return result


def _winner(cost: Floats, total: Floats, inverse: Array, how: Sweep) -> Floats:
    """The cheapest plane of each pixel, refined by a parabola; 0 where it is not alike enough."""
    i = total.argmin(-1)[..., None]
    low, mid, high = (
        np.take_along_axis(total, np.clip(i + k, 0, how.planes - 1), -1)[..., 0] for k in (-1, 0, 1)
    )
    bend = low + high - 2 * mid
    off = np.clip((low - high) / np.maximum(2 * bend, 1e-6), -0.5, 0.5)
    off[(bend <= 0) | (i[..., 0] == 0) | (i[..., 0] == how.planes - 1)] = 0
    depth = inverse[0] + (i[..., 0] + off) * (inverse[1] - inverse[0])
    alike = 1 - np.take_along_axis(cost, i, -1)[..., 0] >= how.alike
    inside = np.zeros(alike.shape, bool)
    edge = how.radius
    inside[edge:-edge, edge:-edge] = True
    return np.where(alike & inside, depth, 0).astype(np.float32)


def agreement(
    inverse: Float[np.ndarray, "C H W"], P: Float[np.ndarray, "C 3 4"], *, how: Sweep = Sweep()
) -> tuple[Float[np.ndarray, "C H W 3"], UInt8[np.ndarray, "C H W"]]:
    """Mean points in metres over the depth maps that agree, and how many others agree.

    >>> agreement(np.ones((1, 2, 2), np.float32), np.eye(3, 4)[None])[1].max()
    np.uint8(0)
    """
    xyz = np.zeros((*inverse.shape, 3), np.float32)
    count = np.zeros(inverse.shape, np.uint8)
    agree(inverse, pixel_to_world(P), P, how.share, how.pixels, xyz, count)
    return xyz, count


def thin(xyz: Float[np.ndarray, "N 3"], size: float) -> Ints:
    """Which points to keep so that each cube of `size` metres has one: the first.

    >>> thin(np.array([[0.1, 0, 0], [0.2, 0, 0], [1.5, 0, 0]]), 1.0).tolist()
    [0, 2]
    """
    cell = np.floor(np.asarray(xyz, np.float64) / size).astype(np.int64)
    cell -= cell.min(0, initial=0)
    span = cell.max(0, initial=0) + 1
    key = (cell[:, 0] * span[1] + cell[:, 1]) * span[2] + cell[:, 2]
    return np.sort(np.unique(key, return_index=True)[1]).astype(np.int64)


def _cells(uv: Array, value: Array, size: float) -> Ints:
    """One entry of each square of `size` pixels: the lower median by value."""
    cell = np.floor(uv / size).astype(np.int64)
    cell -= cell.min(0, initial=0)
    key = cell[:, 1] * (cell[:, 0].max(initial=0) + 1) + cell[:, 0]
    order = np.lexsort((value, key))
    _, first, number = np.unique(key[order], return_index=True, return_counts=True)
    chosen: Ints = order[first + (number - 1) // 2].astype(np.int64)
    return chosen


def _fill(known: Floats, xyz: Array, P: Array) -> Floats:
    """Inverse depth of one picture between what it knows itself and what others know of it."""
    height, width = known.shape
    y, x = np.nonzero(known)
    own: Array = np.column_stack([x, y]).astype(np.float64) + 0.5
    depth: Array = known[y, x].astype(np.float64)
    chosen = _cells(own, depth, 4)
    own, depth = own[chosen], depth[chosen]
    near = cv2.dilate((known > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    uv, z = project(P, xyz)
    frame = np.array([width, height])
    # Points out of the frame hold the edges; too far out, perspective makes them worthless.
    there = (z > 0.1 * np.median(z)) & (np.abs(uv - frame / 2) < 1.5 * frame).all(1)
    uv, z = uv[there], z[there]
    i, j = np.clip(np.floor(uv).astype(np.int64), 0, frame - 1).T
    inside = (uv >= 0).all(1) & (uv < frame).all(1)
    free = ~(inside & near[j, i])
    uv, other = uv[free], 1 / z[free]
    chosen = _cells(uv, other, 8)
    places = np.concatenate([own, uv[chosen]])
    values = np.concatenate([depth, other[chosen]])
    image = np.zeros((height, width))
    try:
        corners = Delaunay(places).simplices
    except (QhullError, ValueError):  # too few, or all on one line
        return known
    paint(places[corners], values[corners], image)
    return np.where(known > 0, known, image).astype(np.float32)


def dense_points(
    greys: Float[np.ndarray, "C H W"],
    cameras: Cameras,
    sparse: Float[np.ndarray, "P 3"],
    *,
    how: Sweep = Sweep(),
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "C H W"]]:
    """Points in metres on all surfaces that several pictures agree on, and inverse depth maps.

    `greys` are 0 to 1; `sparse` are points known already, which tell where to search.

    >>> import torch
    >>> one = Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8, torch.zeros(1))
    >>> dense_points(np.zeros((1, 8, 8), np.float32), one, np.zeros((0, 3)))[0].shape
    (0, 3)
    """
    P = projections(cameras)
    least = min(4, max(1, (len(cameras) - 1) // 2))
    swept = sweep_depths(greys, cameras, sparse, how=how)
    xyz, count = agreement(swept, P, how=how)
    known = np.where(count >= least, swept, np.float32(0))
    sure = np.concatenate([xyz[count >= least].astype(np.float64), sparse])
    if len(sure) < 8:
        return sure, known
    extent = float(
        np.linalg.norm(np.quantile(sure, 0.95, axis=0) - np.quantile(sure, 0.05, axis=0))
    )
    sure = sure[thin(sure, extent / 200)]
    sure = sure[sociable(sure)]
    filled = np.stack([_fill(known[c], sure, P[c]) for c in range(len(P))])
    xyz, count = agreement(filled, P, how=how)
    filled[count < least] = 0
    return xyz[count >= least].astype(np.float64), filled


def sociable(xyz: Float[np.ndarray, "N 3"], *, others: int = 5, times: float = 5.0) -> Ints:
    """Which points have `others` others within `times` the usual distance to that many.

    >>> sociable(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [90, 0, 0]]), others=1).tolist()
    [0, 1, 2]
    """
    if len(xyz) <= others:
        return np.arange(len(xyz))
    far = cKDTree(xyz).query(xyz, k=others + 1, workers=1)[0][:, -1]
    return np.flatnonzero(far <= times * np.median(far)).astype(np.int64)
