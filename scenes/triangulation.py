"""Where rays meet: points from their sightings in pictures of known pose.

The first guess is the rays' least-squares meeting point, refined by Gauss-Newton on the reprojection
error as in Hartley and Zisserman, Multiple View Geometry (2004), chapter 12, robust by Cauchy weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from clay4d.scenes.cameras import Cameras

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

ERROR = 1.0
"""Largest median reprojection error of a point, pixels; single sightings may be off by twice that."""
PARALLAX = 2.0
"""Smallest angle between the outermost rays of a point, degrees."""


@dataclass(frozen=True)
class Sightings:
    """Where points were seen.

    >>> len(Sightings(np.zeros(2, int), np.arange(2), np.zeros((2, 2))).keep(np.array([True, False])))
    1
    """

    point: Int[np.ndarray, " O"]
    """Which point, from 0."""
    view: Int[np.ndarray, " O"]
    """Which picture."""
    xy: Float[np.ndarray, "O 2"]
    """Pixels, the first pixel's centre at (0.5, 0.5)."""

    def __len__(self) -> int:
        return len(self.point)

    def keep(self, chosen: Bool[np.ndarray, " O"]) -> Sightings:
        """Only the chosen sightings; points keep their numbers."""
        return Sightings(self.point[chosen], self.view[chosen], self.xy[chosen])


def projections(cameras: Cameras) -> Float[np.ndarray, "C 3 4"]:
    """K [R | t] of each camera as float64: world metres to homogeneous pixels.

    >>> import torch
    >>> one = Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8, torch.zeros(1))
    >>> projections(one)[0].tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """
    P: Array = cameras.Ks.double().numpy() @ cameras.viewmats[:, :3].double().numpy()
    return P


def pixel_to_world(P: Float[np.ndarray, "C 3 4"]) -> Float[np.ndarray, "C 3 4"]:
    """For each camera [A | c]: pixel (x, y) at depth z is the world point A (x, y, 1) z + c.

    >>> pixel_to_world(np.eye(3, 4)[None])[0, :, 3].tolist()
    [0.0, 0.0, 0.0]
    """
    inverse = np.linalg.inv(P[:, :, :3])
    centres = -inverse @ P[:, :, 3:]
    return np.concatenate([inverse, centres], 2) + 0.0  # no minus zeros


def fundamental(
    from_: Float[np.ndarray, "3 4"], to: Float[np.ndarray, "3 4"]
) -> Float[np.ndarray, "3 3"]:
    """F that takes a pixel of the camera `from_` to its epipolar line in the camera `to`.

    >>> fundamental(np.eye(3, 4), np.eye(3, 4, k=0) + np.eye(3, 4, k=3)).round(3).tolist()[1]
    [0.0, 0.0, -1.0]
    """
    back = pixel_to_world(from_[None])[0]
    e = to[:, :3] @ back[:, 3] + to[:, 3]
    cross = np.array([[0, -e[2], e[1]], [e[2], 0, -e[0]], [-e[1], e[0], 0]])
    F: Array = cross @ to[:, :3] @ back[:, :3]
    return F


def project(
    P: Float[np.ndarray, "3 4"], xyz: Float[np.ndarray, "N 3"]
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, " N"]]:
    """Pixels and depths in metres of points in one camera; pixels mean nothing where depth ≤ 0.

    >>> project(np.eye(3, 4), np.array([[1.0, 2.0, 2.0]]))[0].tolist()
    [[0.5, 1.0]]
    """
    h = xyz @ P[:, :3].T + P[:, 3]
    depth = h[:, 2]
    return h[:, :2] / np.where(np.abs(depth) < 1e-9, 1e-9, depth)[:, None], depth


def _sum(values: Array, point: Ints, count: int) -> Array:
    """Sums over the sightings of each point, in their order."""
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    sums = [np.bincount(point, flat[:, k], minlength=count) for k in range(flat.shape[1])]
    return np.stack(sums, 1).astype(np.float64).reshape(count, *values.shape[1:])


def _solve(A: Array, b: Array) -> Array:
    return np.linalg.solve(A, b[..., None])[..., 0].astype(np.float64)


def _rays(P: Array, seen: Sightings) -> tuple[Array, Array]:
    """Camera centre and unit direction of each sighting."""
    back = pixel_to_world(P)[seen.view]
    rays = np.einsum("oij,oj->oi", back[:, :, :3], np.column_stack([seen.xy, np.ones(len(seen))]))
    return back[:, :, 3], rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _residuals(P: Array, xyz: Array, seen: Sightings) -> tuple[Array, Array, Array]:
    """Reprojection errors [O, 2] in pixels, their derivatives by xyz [O, 2, 3], and depths [O]."""
    M = P[seen.view]
    h = np.einsum("oij,oj->oi", M[:, :, :3], xyz[seen.point]) + M[:, :, 3]
    depth = np.where(np.abs(h[:, 2]) < 1e-9, 1e-9, h[:, 2])
    uv = h[:, :2] / depth[:, None]
    slope = (M[:, :2, :3] - uv[:, :, None] * M[:, 2:, :3]) / depth[:, None, None]
    return uv - seen.xy, slope, h[:, 2]


def solve_points(
    P: Float[np.ndarray, "C 3 4"], seen: Sightings, count: int, *, rounds: int = 12
) -> Float[np.ndarray, "N 3"]:
    """The `count` points in metres that best explain their sightings, robust to a few false ones.

    >>> P = np.stack([np.eye(3, 4), np.eye(3, 4)])
    >>> P[1, 0, 3] = -1.0
    >>> two = Sightings(np.zeros(2, int), np.arange(2), np.array([[0.0, 0], [-0.5, 0]]))
    >>> (solve_points(P, two, 1).round(6) + 0.0).tolist()
    [[0.0, 0.0, 2.0]]
    """
    centres, rays = _rays(P, seen)
    across = np.eye(3) - rays[:, :, None] * rays[:, None]
    damp = np.eye(3) * 1e-9
    A = _sum(across, seen.point, count) + damp
    b = _sum(np.einsum("oij,oj->oi", across, centres), seen.point, count)
    xyz = _solve(A, b)
    for _ in range(rounds):
        error, slope, _ = _residuals(P, xyz, seen)
        weight = 1 / (1 + (error**2).sum(1) / ERROR**2)
        A = _sum(np.einsum("o,oki,okj->oij", weight, slope, slope), seen.point, count)
        b = _sum(np.einsum("o,oki,ok->oi", weight, slope, error), seen.point, count)
        A = A + damp + 1e-4 * np.einsum("nii,ij->nij", A, np.eye(3))
        xyz = xyz - _solve(A, b)
    return xyz


def parallax(P: Float[np.ndarray, "C 3 4"], seen: Sightings, count: int) -> Float[np.ndarray, " N"]:
    """Twice each point's largest angle between a ray and the mean ray, degrees; 0 where unseen.

    >>> parallax(np.eye(3, 4)[None], Sightings(np.zeros(1, int), np.zeros(1, int), np.ones((1, 2))), 1)
    array([0.])
    """
    _, rays = _rays(P, seen)
    mean = _sum(rays, seen.point, count)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    chord = np.linalg.norm(rays - mean[seen.point], axis=1)  # exact at small angles, unlike arccos
    widest = np.zeros(count)
    np.maximum.at(widest, seen.point, 2 * np.arcsin(np.clip(chord / 2, 0, 1)))
    degrees: Array = np.degrees(2 * widest).round(6)
    return degrees


def medians(
    values: Float[np.ndarray, "O D"], group: Int[np.ndarray, " O"], count: int
) -> Float[np.ndarray, "N D"]:
    """Lower median of each group's values, channel by channel; NaN for a group without any.

    >>> medians(np.array([[1.0], [5.0], [2.0]]), np.zeros(3, int), 2)[:, 0].tolist()
    [2.0, nan]
    """
    result = np.full((count, values.shape[1]), np.nan)
    number = np.bincount(group, minlength=count)
    first = np.concatenate([[0], np.cumsum(number)[:-1]])
    filled = np.flatnonzero(number)
    for k in range(values.shape[1]):
        order = np.lexsort((values[:, k], group))
        result[filled, k] = values[order, k][first[filled] + (number[filled] - 1) // 2]
    return result


def believable(
    P: Float[np.ndarray, "C 3 4"], seen: Sightings, count: int, *, least: int
) -> tuple[Float[np.ndarray, "Q 3"], Float[np.ndarray, " Q"], Int[np.ndarray, " Q"]]:
    """Points that hold: where they are in metres, median pixel errors, and their old numbers.

    Sightings behind the camera or off by more than 2 px are dropped and the rest is solved again; a
    point must keep `least` of them, a median error below 1 px and 2° between its outermost rays.

    >>> believable(np.eye(3, 4)[None], Sightings(np.zeros(1, int), np.zeros(1, int), np.ones((1, 2))),
    ...     1, least=2)[0].shape
    (0, 3)
    """
    xyz = solve_points(P, seen, count)
    for _ in range(2):
        error, _, depth = _residuals(P, xyz, seen)
        seen = seen.keep((np.linalg.norm(error, axis=1) < 2 * ERROR) & (depth > 0))
        xyz = solve_points(P, seen, count)
    size = np.linalg.norm(_residuals(P, xyz, seen)[0], axis=1)
    number = np.bincount(seen.point, minlength=count)
    median = medians(size[:, None], seen.point, count)[:, 0]
    good = (number >= least) & (median < ERROR) & (parallax(P, seen, count) > PARALLAX)
    chosen = np.flatnonzero(good & np.isfinite(xyz).all(1))
    return xyz[chosen], median[chosen], chosen
