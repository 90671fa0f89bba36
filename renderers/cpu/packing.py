"""What blending reads of each Gaussian side by side in memory, and which pixel rows of a tile one meets."""

from __future__ import annotations

import math

import numba
import numpy as np

from clay4d.jit import inlined, kernel
from clay4d.renderers.cpu.tiles import SLACK, TILE

LANES = 8
"""Columns of half a tile."""
OPACITY, CONIC, MEAN, SHAPE, COLOR = 0, 1, 4, 6, 13  # where they begin in a packed row
LINE = 16  # float32 in a cache line


@inlined
def _ellipse(covars2d, reaches, e):  # type: ignore[no-untyped-def]
    """Half its width and height, x of its lowest point, slope and spread of its chords, reach, 1/Σxx."""
    xx = covars2d[e, 0]
    xy = covars2d[e, 1]
    yy = covars2d[e, 2]
    reach = reaches[e]
    side = np.float32(math.sqrt(reach * xx))
    bottom = np.float32(math.sqrt(reach * yy))
    slope = xy / xx
    spread = max(yy - xy * slope, np.float32(0))
    return side, bottom, xy / yy * bottom, slope, spread, reach, np.float32(1) / xx


@inlined
def pixel_rows(packed, e, mx, my, x0, y0):  # type: ignore[no-untyped-def]
    """First and one-past-last row of the half of a tile at (x0, y0) that the ellipse meets in its columns."""
    side = packed[e, SHAPE]
    bottom = packed[e, SHAPE + 1]
    at = packed[e, SHAPE + 2]
    slope = packed[e, SHAPE + 3]
    spread = packed[e, SHAPE + 4]
    reach = packed[e, SHAPE + 5]
    inverse = packed[e, SHAPE + 6]
    slack = np.float32(SLACK)
    near = slack + np.float32(1e-6) * side
    left = max(x0 + np.float32(0.5) - mx - near, -side)
    right = min(x0 + np.float32(LANES - 0.5) - mx + near, side)
    if left > right:
        return 0, 0
    top = -bottom
    if at < left or at > right:
        x = min(max(at, left), right)
        bottom = slope * x + np.float32(
            math.sqrt(max(reach - x * x * inverse, np.float32(0)) * spread)
        )
    if -at < left or -at > right:
        x = min(max(-at, left), right)
        top = slope * x - np.float32(
            math.sqrt(max(reach - x * x * inverse, np.float32(0)) * spread)
        )
    # Rounding grows with the size of the ellipse, so the slack does too.
    slack += np.float32(1e-5) * (side + abs(bottom) + abs(top)) * np.float32(10)
    offset = my - y0 - np.float32(0.5)
    first = max(math.ceil(max(top + offset - slack, np.float32(-1))), 0)
    last = min(math.floor(min(bottom + offset + slack, np.float32(TILE))), TILE - 1)
    return first, max(last + 1, first)


@kernel
def pack(means2d, conics, covars2d, reaches, colors, opacities):  # type: ignore[no-untyped-def]
    """What blending reads of each entry in one row, since a tile's entries lie anywhere in memory."""
    entries, D = colors.shape
    packed = np.zeros((entries, (COLOR + D + LINE - 1) // LINE * LINE), np.float32)
    for e in numba.prange(entries):
        packed[e, OPACITY] = opacities[e]
        for k in range(3):
            packed[e, CONIC + k] = conics[e, k]
        packed[e, MEAN] = means2d[e, 0]
        packed[e, MEAN + 1] = means2d[e, 1]
        if reaches[e] > 0:
            shape = _ellipse(covars2d, reaches, e)
            for k in range(7):
                packed[e, SHAPE + k] = shape[k]
        for d in range(D):
            packed[e, COLOR + d] = colors[e, d]
    return packed
