"""Bilinear look-ups in the six planes of a HexPlane level, and their gradient, as Numba kernels.

All points of a call have one time, so that the three planes with time shrink to lines first. A point's
feature is the product of what it finds in three planes and on three lines. Torch's `grid_sample` walks
channel by channel; here the channels of a cell lie side by side and are read as one vector.

The gradient of a plane is a sum over points. Each plane has one task, which takes the points in order,
so the bits do not depend on threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.jit import device, kernel

CHUNKS = 32
F32 = np.float32
PAIRS = ((0, 1), (0, 2), (1, 2))
"""Axes of the planes of space: columns by the first, rows by the second."""


@dataclass(frozen=True)
class Levels:
    """How the planes of all levels lie in one array: level by level, planes of space, then of time.

    >>> Levels((2, 4), 3, 5).size == 5 * 3 * (2 * 2 + 3 * 2 + 4 * 4 + 3 * 4)
    True
    """

    cells: tuple[int, ...]
    """Cells along each axis of space, for each level."""
    moments: int
    """Cells along time."""
    features: int
    """Channels of a cell."""

    @property
    def size(self) -> int:
        """Numbers in all planes."""
        return sum(3 * self.features * c * (c + self.moments) for c in self.cells)

    def split(self, flat: Any) -> list[tuple[Any, Any]]:
        """Views of a flat tensor or array: planes [3, c, c, F] and [3, moments, c, F], by level."""
        found, start = [], 0
        for c in self.cells:
            middle = start + 3 * c * c * self.features
            end = middle + 3 * self.moments * c * self.features
            space = flat[start:middle].reshape(3, c, c, self.features)
            found.append((space, flat[middle:end].reshape(3, self.moments, c, self.features)))
            start = end
        return found

    def row(self, time: float) -> tuple[int, np.float32]:
        """The row of the planes of time below a time, and the share of the row above it."""
        place = min(max(time, 0.0), 1.0) * (self.moments - 1)
        low = min(int(place), self.moments - 2)
        return low, F32(place - low)


@device
def _cell(x, cells):  # type: ignore[no-untyped-def]
    """The cell below x, from −1 to 1, and the share of the one above; outside, the border's."""
    place = (x + np.float32(1)) * np.float32(0.5) * np.float32(cells - 1)
    place = min(max(place, np.float32(0)), np.float32(cells - 1))
    low = min(int(place), cells - 2)
    return np.uint64(low), np.float32(place - np.float32(low))


@device
def _find(point, space, lines, found):  # type: ignore[no-untyped-def]
    """Write what a point finds in each plane and on each line to found [6, F]."""
    c, F = space.shape[1], np.uint64(space.shape[3])
    x, fx = _cell(point[0], c)
    y, fy = _cell(point[1], c)
    z, fz = _cell(point[2], c)
    one = np.uint64(1)
    for p in range(3):
        col, f, row, g = x, fx, y, fy
        if p == 1:
            row, g = z, fz
        elif p == 2:
            col, f, row, g = y, fy, z, fz
        a, b = (1 - f) * (1 - g), f * (1 - g)
        d, e = (1 - f) * g, f * g
        plane = space[p]
        for k in range(np.uint64(0), F):
            found[p, k] = (
                a * plane[row, col, k]
                + b * plane[row, col + one, k]
                + d * plane[row + one, col, k]
                + e * plane[row + one, col + one, k]
            )
    for p in range(3):
        col, f = x, fx
        if p == 1:
            col, f = y, fy
        elif p == 2:
            col, f = z, fz
        line = lines[p]
        for k in range(np.uint64(0), F):
            found[3 + p, k] = (1 - f) * line[col, k] + f * line[col + one, k]


@kernel
def look_up(points, space, lines, out, first):  # type: ignore[no-untyped-def]
    """Write products [N, F] of all look-ups to the columns of out from `first` on."""
    N, F = len(points), space.shape[3]
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        found = np.empty((6, F), np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            _find(points[n], space, lines, found)
            for k in range(F):
                pair = found[0, k] * found[1, k] * found[2, k]
                out[n, first + k] = pair * found[3, k] * found[4, k] * found[5, k]


@kernel
def slopes(points, space, lines, g_out, first):  # type: ignore[no-untyped-def]
    """Gradients [6, N, F] of what each point finds."""
    N, F = len(points), space.shape[3]
    g = np.empty((6, N, F), np.float32)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        found = np.empty((6, F), np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            _find(points[n], space, lines, found)
            for k in range(F):
                a, b, c = found[0, k], found[1, k], found[2, k]
                d, e, f = found[3, k], found[4, k], found[5, k]
                abc, de, up = a * b * c, d * e, g_out[n, first + k]
                later = up * de * f
                g[0, n, k], g[1, n, k], g[2, n, k] = later * b * c, later * a * c, later * a * b
                early = up * abc
                g[3, n, k], g[4, n, k], g[5, n, k] = early * e * f, early * d * f, early * de
    return g


@kernel
def scatter(points, g, g_space, g_lines):  # type: ignore[no-untyped-def]
    """Add the gradients [6, N, F] to the planes and lines, each by one task and in the points' order."""
    N, c, F = len(points), g_space.shape[1], np.uint64(g_space.shape[3])
    one = np.uint64(1)
    for p in numba.prange(6):
        axis = p - 3 if p >= 3 else (1 if p == 2 else 0)
        other = 1 if p == 0 else 2
        for n in range(N):
            col, f = _cell(points[n, axis], c)
            if p >= 3:
                for k in range(np.uint64(0), F):
                    g_lines[axis, col, k] += (1 - f) * g[p, n, k]
                    g_lines[axis, col + one, k] += f * g[p, n, k]
            else:
                row, h = _cell(points[n, other], c)
                u, v = (1 - f) * (1 - h), f * (1 - h)
                w, x = (1 - f) * h, f * h
                for k in range(np.uint64(0), F):
                    g_space[p, row, col, k] += u * g[p, n, k]
                    g_space[p, row, col + one, k] += v * g[p, n, k]
                    g_space[p, row + one, col, k] += w * g[p, n, k]
                    g_space[p, row + one, col + one, k] += x * g[p, n, k]


class LookUp(torch.autograd.Function):
    """Features of points at a time, level by level; only the planes get a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        points: Float[Tensor, "N 3"],
        planes: Float[Tensor, " P"],
        levels: Levels,
        time: float,
    ) -> Float[Tensor, "N F"]:
        xyz, flat = (x.detach().contiguous().numpy() for x in (points, planes))
        out = np.empty((len(xyz), levels.features * len(levels.cells)), np.float32)
        row, share = levels.row(time)
        ctx.kept = []
        for i, (space, moments) in enumerate(levels.split(flat)):
            lines = (1 - share) * moments[:, row] + share * moments[:, row + 1]
            look_up(xyz, space, lines, out, i * levels.features)
            ctx.kept.append((space, lines))
        ctx.points, ctx.levels, ctx.time, ctx.size = xyz, levels, time, len(flat)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        levels, grad = ctx.levels, np.zeros(ctx.size, np.float32)
        row, share = levels.row(ctx.time)
        above = g_out.contiguous().numpy()
        for i, (g_space, g_moments) in enumerate(levels.split(grad)):
            space, lines = ctx.kept[i]
            g = slopes(ctx.points, space, lines, above, i * levels.features)
            g_lines = np.zeros_like(lines)
            scatter(ctx.points, g, g_space, g_lines)
            g_moments[:, row] += (1 - share) * g_lines
            g_moments[:, row + 1] += share * g_lines
        return None, torch.from_numpy(grad), None, None
