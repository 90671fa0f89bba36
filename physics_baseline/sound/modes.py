"""How a free elastic body vibrates: its tones and their shapes, by Ritz's method.

Displacements are sums of products of Legendre polynomials of x, y and z up to degree 7 together, which
is the method of resonant ultrasound spectroscopy (Visscher, Migliori, Bell and Reinert, JASA 1991) with a
better conditioned basis. Integrals are by quadratures that are exact for these polynomials on boxes,
cylinders, balls and tetrahedra. Tones are the exact ones from above: on a ball, whose tones Lamb (1882)
found in closed form, the lowest ten are within 0.1 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.polynomial import legendre
from scipy.linalg import eigh

DEGREE = 7
KEPT = 40
"""Tones kept of a body at the most, from the lowest."""
ALIKE = 1.003
"""Tones nearer to each other than this count as one of several shapes (a ball's come in groups)."""
MOST_FACES = 60
"""A mesh with more triangles vibrates as the box around it does."""
Shape = tuple[str, tuple[float, ...]]


@dataclass(frozen=True)
class Modes:
    """K vibrations of a body of one shape, in units of its size and of its shear waves' speed."""

    tones: Float[np.ndarray, " K"]
    """ω·L/c, rising: L is the largest half extent, c the speed of shear waves."""
    shapes: Float[np.ndarray, "3 B K"]
    """Coefficients of the displacement along x, y, z; ∫|φ|² over the body is its volume."""
    middle: Float[np.ndarray, " 3"]
    """Of the body's extents in its own axes, metres."""
    half: Float[np.ndarray, " 3"]
    """Half extents, metres."""

    def frequencies(self, speed: float) -> Float[np.ndarray, " K"]:
        """Hertz, for shear waves of that speed, metres per second."""
        hertz: Float[np.ndarray, " K"] = self.tones * speed / (2 * np.pi * self.half.max())
        return hertz

    def gains(
        self, place: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]
    ) -> Float[np.ndarray, " K"]:
        """How far each shape goes along a direction at a place, both in the body's axes; 0 or more.

        Shapes of one tone are taken together, since only their sum of squares means anything.
        """
        local = np.clip((place - self.middle) / self.half, -1, 1)
        value, _ = _basis(local[None], DEGREE)
        along = np.einsum("i,b,ibk->k", direction, value[0], self.shapes)
        groups = np.concatenate([[0], np.cumsum(self.tones[1:] > ALIKE * self.tones[:-1])])
        first = np.unique(groups, return_index=True)[1]
        out = np.zeros_like(along)
        out[first] = np.sqrt(np.add.reduceat(along**2, first))
        gains: Float[np.ndarray, " K"] = out
        return gains


def body_modes(body: Any, poisson_ratio: float) -> Modes:
    """The vibrations of a rigid body of the spec, cloth and soft bodies excluded.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> body_modes(Sphere(name="a"), 0.25).tones[:3].round(2).tolist()  # torsion, five ways
    [2.5, 2.5, 2.5]
    """
    middle, half = _extents(body)
    tones, shapes = _solve(_shape(body, middle, half), round(poisson_ratio, 4))
    return Modes(tones, shapes, middle, half)


def _extents(body: Any) -> tuple[np.ndarray, np.ndarray]:
    if body.kind == "mesh":
        points = np.array(body.vertices, float)
        low, high = points.min(0), points.max(0)
        return (low + high) / 2, (high - low) / 2
    if body.kind == "box":
        half = np.array(body.size, float) / 2
    elif body.kind == "sphere":
        half = np.full(3, body.radius, float)
    else:
        caps = body.radius if body.kind == "capsule" else 0.0
        half = np.array([body.radius, body.radius, body.height / 2 + caps], float)
    return np.zeros(3), half


def _shape(body: Any, middle: np.ndarray, half: np.ndarray) -> Shape:
    """What its vibrations depend on, but for its size: a key that can be looked up again."""
    if body.kind == "mesh" and len(body.faces) <= MOST_FACES:
        points = (np.array(body.vertices, float) - middle) / half
        corners = points[np.array(body.faces)].ravel()
        ratios = [*(half / half.max()), *corners]
    else:
        ratios = [*(half / half.max())]
    kind = "box" if body.kind == "mesh" and len(body.faces) > MOST_FACES else body.kind
    return kind, tuple(round(float(r), 6) for r in ratios)


@lru_cache(maxsize=256)
def _solve(shape: Shape, poisson_ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Tones and shapes for shear waves of speed 1 and a largest half extent of 1."""
    half = np.array(shape[1][:3])
    points, weights = _quadrature(shape, half)
    value, slope = _basis(points, DEGREE)
    slope /= half[:, None, None]
    mass = np.einsum("q,qa,qb->ab", weights, value, value, optimize=True)
    pairs = [[(s * weights[:, None]).T @ t for t in slope] for s in slope]
    first = 2 * poisson_ratio / (1 - 2 * poisson_ratio)
    count, trace = len(mass), pairs[0][0] + pairs[1][1] + pairs[2][2]
    stiff = np.zeros((3, count, 3, count))
    for i in range(3):
        for j in range(3):
            stiff[i, :, j] = first * pairs[i][j] + pairs[j][i] + (trace if i == j else 0.0)
    whole = np.kron(np.eye(3), mass)
    last = min(3 * count, 6 + KEPT) - 1
    squares, vectors = eigh(stiff.reshape(3 * count, -1), whole, subset_by_index=[6, last])
    tones = np.sqrt(np.maximum(squares, 0))
    # The last group may go on beyond what was asked for, and means something only as a whole.
    whole_groups = int(np.flatnonzero(tones[1:] > ALIKE * tones[:-1]).max(initial=0)) + 1
    tones, vectors = tones[:whole_groups], vectors[:, :whole_groups] * np.sqrt(weights.sum())
    return tones, vectors.reshape(3, count, -1)


def _basis(points: Float[np.ndarray, "Q 3"], degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Products of Legendre polynomials [Q, B] at places within −1 to 1, and their slopes [3, Q, B]."""
    powers = _powers(degree)
    line = legendre.legvander(points, degree)
    down = np.stack([np.pad(legendre.legder(row), (0, 1)) for row in np.eye(degree + 1)], 1)
    steep = line @ down[: degree + 1]
    flat = [line[:, k][:, powers[:, k]] for k in range(3)]
    tilted = [steep[:, k][:, powers[:, k]] for k in range(3)]
    value = flat[0] * flat[1] * flat[2]
    slope = np.stack(
        [
            tilted[0] * flat[1] * flat[2],
            flat[0] * tilted[1] * flat[2],
            flat[0] * flat[1] * tilted[2],
        ]
    )
    return value, slope


@lru_cache(maxsize=4)
def _powers(degree: int) -> Int[np.ndarray, "B 3"]:
    steps = range(degree + 1)
    kept = [(a, b, c) for a in steps for b in steps for c in steps if a + b + c <= degree]
    return np.array(kept)


def _gauss(count: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    x, w = legendre.leggauss(count)
    return (x + 1) / 2 * (high - low) + low, w / 2 * (high - low)


def _quadrature(shape: Shape, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places within −1 to 1 and weights (of the true volume), exact for degree 2·DEGREE."""
    n = DEGREE + 1
    kind = shape[0]
    if kind == "mesh":
        places, weights = _tetrahedra(np.array(shape[1][3:]).reshape(-1, 3, 3), n)
    elif kind == "box":
        x, w = _gauss(n, -1, 1)
        places, weights = _product((x, x, x), (w, w, w))
    elif kind == "sphere":
        places, weights = _ball(n, -1, 1)
    elif kind == "cylinder":
        places, weights = _disc_times(_gauss(n, -1, 1), n)
    else:
        # Of a capsule in units of its half extents the cylinder ends at ±middle.
        cap = half[0] / half[2]
        end = 1 - cap
        bottom, top = _ball(n, -1, 0), _ball(n, 0, 1)
        parts = [_disc_times(_gauss(n, -end, end), n)] if end > 1e-6 else []
        for (p, w), side in ((bottom, -1), (top, 1)):
            parts.append((p * (1, 1, cap) + (0, 0, side * end), w * cap))
        places = np.concatenate([p for p, _ in parts])
        weights = np.concatenate([w for _, w in parts])
    return places, weights * half.prod()


def _product(axes: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    w = np.einsum("a,b,c->abc", *weights).ravel()
    return grid, w


def _disc_times(along: tuple[np.ndarray, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc of radius 1 times a line."""
    square, ws = _gauss(n, 0, 1)  # r dr = d(r²)/2
    angles = 2 * n
    turn = 2 * np.pi * (np.arange(angles) + 0.5) / angles
    grid, w = _product((np.sqrt(square), turn, along[0]), (ws / 2, np.full(angles, 2 * np.pi / angles), along[1]))  # fmt: skip
    r, a, z = grid.T
    return np.stack([r * np.cos(a), r * np.sin(a), z], 1), w


def _ball(n: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """A ball of radius 1 between two cosines of the angle from +z."""
    radius, wr = _gauss(n + 1, 0, 1)
    cosine, wc = _gauss(n, low, high)
    angles = 2 * n
    turn = 2 * np.pi * (np.arange(angles) + 0.5) / angles
    grid, w = _product((radius, turn, cosine), (wr * radius**2, np.full(angles, 2 * np.pi / angles), wc))  # fmt: skip
    r, a, c = grid.T
    flat = r * np.sqrt(1 - c**2)
    return np.stack([flat * np.cos(a), flat * np.sin(a), r * c], 1), w


def _tetrahedra(corners: Float[np.ndarray, "F 3 3"], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Between the origin and each triangle, by a product rule in collapsed axes; volumes have signs."""
    u, wu = _gauss(n + 1, 0, 1)
    v, wv = _gauss(n, 0, 1)
    t, wt = _gauss(n, 0, 1)
    grid, w = _product((u, v, t), (wu * u**2, wv * v, wt))
    s, a, b = grid.T
    shares = np.stack([s * (1 - a), s * a * (1 - b), s * a * b], 1)
    places = np.einsum("qk,fki->fqi", shares, corners).reshape(-1, 3)
    volumes = np.linalg.det(corners)
    return places, (volumes[:, None] * w[None]).ravel()
