"""Look-ups of points with times of their own in the planes of a K-Planes level, and their gradient.

A level has three planes of space [3, c, c, F] (xy, xz, yz) and three with time [3, moments, c, F] (xt, yt,
zt). A point's feature is the product of what it finds by bilinear interpolation in all six (Fridovich-Keil
et al., CVPR 2023). The channels of a cell lie side by side and are read as vectors, where torch's
`grid_sample` walks channel by channel.

Levels are independent of each other: each is one task of the gradient, which takes the points in order, so
the bits do not depend on threads.
"""

from __future__ import annotations

import numba
import numpy as np

from clay4d.jit import device, inlined, kernel
from clay4d.scenes.fields.vectors import LANES, multiply_planes, spread_planes

CHUNKS = 32


@inlined
def _cell(x, cells):  # type: ignore[no-untyped-def]
    """The cell below x, from −1 to 1, and the share of the one above; outside, the border's."""
    place = (x + np.float32(1)) * np.float32(0.5) * np.float32(cells - 1)
    place = min(max(place, np.float32(0)), np.float32(cells - 1))
    low = min(np.int64(place), cells - 2)
    return low, place - np.float32(low)


@device
def _plane(places, weights, p, start, row, F, fx, fy):  # type: ignore[no-untyped-def]
    """The four corners of plane p: where they begin, and their shares."""
    places[4 * p], weights[4 * p] = start, (1 - fx) * (1 - fy)
    places[4 * p + 1], weights[4 * p + 1] = start + F, fx * (1 - fy)
    places[4 * p + 2], weights[4 * p + 2] = start + row, (1 - fx) * fy
    places[4 * p + 3], weights[4 * p + 3] = start + row + F, fx * fy


@device
def _corners(point, first, c, moments, F, places, weights):  # type: ignore[no-untyped-def]
    """Corners of a point in the six planes of the level that begins at `first`."""
    x, fx = _cell(point[0], c)
    y, fy = _cell(point[1], c)
    z, fz = _cell(point[2], c)
    t, ft = _cell(point[3], moments)
    row, space, time = c * F, c * c * F, moments * c * F
    late = first + 3 * space
    _plane(places, weights, 0, first + y * row + x * F, row, F, fx, fy)
    _plane(places, weights, 1, first + space + z * row + x * F, row, F, fx, fz)
    _plane(places, weights, 2, first + 2 * space + z * row + y * F, row, F, fy, fz)
    _plane(places, weights, 3, late + t * row + x * F, row, F, fx, ft)
    _plane(places, weights, 4, late + time + t * row + y * F, row, F, fy, ft)
    _plane(places, weights, 5, late + 2 * time + t * row + z * F, row, F, fz, ft)


@device
def look_up_rows(  # type: ignore[no-untyped-def]
    points, low, high, flat, firsts, cells, moments, F, out, places, weights
):
    """As `look_up`, of points from `low` to `high`; room for 24 places and weights is given."""
    for level in range(len(cells)):
        first, c = firsts[level], cells[level]
        for n in range(low, high):
            _corners(points[n], first, c, moments, F, places, weights)
            for k in range(0, F, LANES):
                multiply_planes(flat, places, weights, k, out[n], level * F)


@kernel
def look_up(points, flat, firsts, cells, moments, F, out):  # type: ignore[no-untyped-def]
    """Write what points [N, 4], −1 to 1, find in all levels to out [N, levels · F]."""
    N = len(points)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        low, high = chunk * size, min((chunk + 1) * size, N)
        places, weights = np.empty(24, np.int64), np.empty(24, np.float32)
        look_up_rows(points, low, high, flat, firsts, cells, moments, F, out, places, weights)


@device
def _scatter(points, flat, first, c, moments, F, above, column, grad):  # type: ignore[no-untyped-def]
    places, weights = np.empty(24, np.int64), np.empty(24, np.float32)
    for n in range(len(points)):
        _corners(points[n], first, c, moments, F, places, weights)
        for k in range(0, F, LANES):
            spread_planes(flat, places, weights, k, above[n], column, grad)


@kernel
def scatter(points, flat, firsts, cells, moments, F, above, grad):  # type: ignore[no-untyped-def]
    """Add to grad what the features' gradient above [N, levels · F] gives to all planes."""
    for level in numba.prange(len(cells)):
        _scatter(points, flat, firsts[level], cells[level], moments, F, above, level * F, grad)
