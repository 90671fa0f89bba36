"""Numba kernels of field training: occupancy that follows the density, and the planes' regularisers."""

from __future__ import annotations

import numpy as np

from clay4d.jit import device, inlined

F32 = np.float32


@inlined
def _cell(x, grid):  # type: ignore[no-untyped-def]
    return min(max(np.int64(np.floor((x + F32(1)) * F32(0.5) * F32(grid))), 0), grid - 1)


@device
def note_depths(points, depth, grid):  # type: ignore[no-untyped-def]
    """Raise cells of grid [B, G, G, G] to the optical depth of a step found at points [M, 4] in them."""
    bins, cells = grid.shape[0], grid.shape[1]
    for i in range(len(points)):
        t, x = _cell(points[i, 3], bins), _cell(points[i, 0], cells)
        y, z = _cell(points[i, 1], cells), _cell(points[i, 2], cells)
        grid[t, x, y, z] = max(grid[t, x, y, z], depth[i])


@device
def fade(grid, share, least, occupied):  # type: ignore[no-untyped-def]
    """Bring all cells of a flat grid down to a share of themselves; mark those that keep `least`."""
    for i in range(grid.size):
        value = grid[i] * share
        grid[i] = value
        occupied[i] = value >= least


@device
def smooth_space(plane, grad, weight):  # type: ignore[no-untyped-def]
    """Add the gradient of weight · Σ of squared differences of neighbours in plane [rows, columns, F]
    along its columns; gives the sum."""
    rows, columns, F = plane.shape
    total = 0.0
    for r in range(rows):
        for c in range(columns - 1):
            part = 0.0
            for k in range(F):
                d = plane[r, c + 1, k] - plane[r, c, k]
                part += d * d
                move = F32(2) * weight * d
                grad[r, c + 1, k] += move
                grad[r, c, k] -= move
            total += part
    return total * weight


@device
def smooth_rows(plane, grad, weight):  # type: ignore[no-untyped-def]
    """As `smooth_space`, along the rows."""
    rows, columns, F = plane.shape
    total = 0.0
    for r in range(rows - 1):
        for c in range(columns):
            part = 0.0
            for k in range(F):
                d = plane[r + 1, c, k] - plane[r, c, k]
                part += d * d
                move = F32(2) * weight * d
                grad[r + 1, c, k] += move
                grad[r, c, k] -= move
            total += part
    return total * weight


@device
def smooth_time(plane, grad, bend, pull):  # type: ignore[no-untyped-def]
    """Add the gradient of bend · Σ of squared second differences along the rows, which are moments, and of
    pull · Σ |1 − value|; gives both sums."""
    rows, columns, F = plane.shape
    total = 0.0
    for r in range(rows):
        for c in range(columns):
            part = 0.0
            for k in range(F):
                off = plane[r, c, k] - F32(1)
                part += pull * abs(off)
                if off != F32(0):
                    grad[r, c, k] += pull if off > F32(0) else -pull
            total += part
            if r == 0 or r == rows - 1:
                continue
            part = 0.0
            for k in range(F):
                d = plane[r + 1, c, k] - F32(2) * plane[r, c, k] + plane[r - 1, c, k]
                part += d * d
                move = F32(2) * bend * d
                grad[r + 1, c, k] += move
                grad[r, c, k] -= F32(2) * move
                grad[r - 1, c, k] += move
            total += bend * part
    return total
