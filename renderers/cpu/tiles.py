"""Which Gaussian touches which tile, front to back: depth sort and exact tile lists.

A tile list holds only Gaussians whose ellipse {alpha ≥ 1/255} meets the pixel rows of the tile within
its columns; the test is exact up to a slack of a hundredth of a pixel, which only costs time, since
blending decides each pixel anyway.

Entries are (image, Gaussian) pairs, ordered by image; `offsets` [images+1] says where each image starts.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from clay4d.jit import bits_from_float, device, inlined, kernel

TILE = 16
SLACK = 0.01


@device
def _sort_by_depth(order, keys, other_order, other_keys):  # type: ignore[no-untyped-def]
    """Stable radix sort of entries by the bits of their depths: ties stay in index order."""
    counts = np.zeros((3, 2049), np.int32)
    for key in keys:
        for k in range(3):
            counts[k, ((key >> (11 * k)) & 2047) + 1] += 1
    for k in range(3):
        for digit in range(2048):
            counts[k, digit + 1] += counts[k, digit]
        for i in range(keys.size):
            digit = (keys[i] >> (11 * k)) & 2047
            place = counts[k, digit]
            counts[k, digit] = place + 1
            other_keys[place] = keys[i]
            other_order[place] = order[i]
        order, other_order = other_order, order
        keys, other_keys = other_keys, keys
    # Three passes end in the other arrays.
    other_order[:] = order


@inlined
def _columns(reach, xx, xy, yy, low, high):  # type: ignore[no-untyped-def]
    """Leftmost and rightmost x of the ellipse within low ≤ y ≤ high, all relative to its centre.

    The ellipse is dᵀ Σ⁻¹ d ≤ reach. At height y its chord is centred at (xy/yy)·y.
    """
    top = math.sqrt(reach * yy)
    low = max(low, -top)
    high = min(high, top)
    right = math.sqrt(reach * xx)
    at = xy / xx * right
    spread = max(xx - xy * xy / yy, 0.0)
    slope = xy / yy
    left = -right
    if not low <= at <= high:
        y = min(max(at, low), high)
        right = slope * y + math.sqrt(max(reach - y * y / yy, 0.0) * spread)
    if not low <= -at <= high:
        y = min(max(-at, low), high)
        left = slope * y - math.sqrt(max(reach - y * y / yy, 0.0) * spread)
    return left, right


@inlined
def _tile_row(means2d, covars2d, reaches, e, row, width):  # type: ignore[no-untyped-def]
    """First and one-past-last tile column that the Gaussian touches in a row of tiles."""
    xx = np.float64(covars2d[e, 0])
    xy = np.float64(covars2d[e, 1])
    yy = np.float64(covars2d[e, 2])
    x = np.float64(means2d[e, 0])
    low = row * TILE + 0.5 - means2d[e, 1] - SLACK
    high = low + (TILE - 1) + 2 * SLACK
    left, right = _columns(np.float64(reaches[e]), xx, xy, yy, low, high)
    first = max(math.ceil(max(x + left - 0.5 - SLACK, -1.0)), 0)
    last = min(math.floor(min(x + right - 0.5 + SLACK, width + 1.0)), width - 1)
    if last < first:
        return 0, 0
    return first // TILE, last // TILE + 1


@inlined
def _row_range(means2d, covars2d, reaches, e, rows, height):  # type: ignore[no-untyped-def]
    """First and one-past-last row of tiles that the Gaussian can touch."""
    reach = math.sqrt(np.float64(reaches[e]) * covars2d[e, 2])
    y = np.float64(means2d[e, 1])
    first = max(math.ceil(max(y - reach - 0.5 - SLACK, -1.0)), 0)
    last = min(math.floor(min(y + reach - 0.5 + SLACK, height + 1.0)), height - 1)
    if last < first:
        return 0, 0
    return first // TILE, last // TILE + 1


@kernel
def measure(means2d, covars2d, opacities, radii, width, height):  # type: ignore[no-untyped-def]
    """Each entry's reach, and the rows of tiles that it can touch: the first, and how many."""
    entries = opacities.size
    rows = (height + TILE - 1) // TILE
    reaches = np.zeros(entries, np.float32)
    tops = np.zeros(entries, np.int32)
    counts = np.zeros(entries, np.int32)
    for e in numba.prange(entries):
        if radii[e, 0] > 0 and opacities[e] >= np.float32(1.0 / 255.0):
            reaches[e] = 2 * math.log(opacities[e] * np.float32(255))
            top, bottom = _row_range(means2d, covars2d, reaches, e, rows, height)
            tops[e] = top
            counts[e] = bottom - top
    return reaches, tops, counts


@kernel
def spread(means2d, covars2d, reaches, tops, span_starts, width):  # type: ignore[no-untyped-def]
    """The span of tiles, first and one past last, of each entry in each of its rows, and their sum."""
    entries = reaches.size
    spans = np.empty((span_starts[entries], 2), np.int32)
    per_entry = np.zeros(entries, np.int32)
    for e in numba.prange(entries):
        for k in range(span_starts[e], span_starts[e + 1]):
            row = tops[e] + k - span_starts[e]
            left, right = _tile_row(means2d, covars2d, reaches, e, row, width)
            spans[k, 0] = left
            spans[k, 1] = right
            per_entry[e] += right - left
    return spans, per_entry


@kernel
def sort(offsets, depths, counts):  # type: ignore[no-untyped-def]
    """Entries of each image that can touch a row of tiles, front to back, and how many they are."""
    images = offsets.size - 1
    order = np.empty(depths.size, np.int32)
    other_order = np.empty(depths.size, np.int32)
    keys = np.empty(depths.size, np.int32)
    other_keys = np.empty(depths.size, np.int32)
    visible = np.zeros(images, np.int64)
    for image in numba.prange(images):
        start = offsets[image]
        end = start
        for e in range(start, offsets[image + 1]):
            if counts[e] > 0:
                keys[end] = bits_from_float(depths[e])
                order[end] = e
                end += 1
        visible[image] = end - start
        _sort_by_depth(
            order[start:end], keys[start:end], other_order[start:end], other_keys[start:end]
        )
    return order, visible


@kernel
def fill(offsets, order, visible, tops, span_starts, spans, width, height, entry_starts):  # type: ignore[no-untyped-def]
    """Tile lists: where each tile's begins, entry of each pair by tile and depth, pairs of each entry."""
    images = offsets.size - 1
    columns = (width + TILE - 1) // TILE
    rows = (height + TILE - 1) // TILE
    tiles = rows * columns
    starts = np.zeros(images * tiles + 1, np.int64)
    for image in numba.prange(images):
        counts = starts[image * tiles + 1 : (image + 1) * tiles + 1]
        for e in range(offsets[image], offsets[image + 1]):
            for k in range(span_starts[e], span_starts[e + 1]):
                row = tops[e] + k - span_starts[e]
                for column in range(spans[k, 0], spans[k, 1]):
                    counts[row * columns + column] += 1
    for tile in range(images * tiles):
        starts[tile + 1] += starts[tile]
    ids = np.empty(starts[images * tiles], np.int32)
    slots = np.empty(starts[images * tiles], np.int32)
    for image in numba.prange(images):
        cursor = starts[image * tiles : (image + 1) * tiles].copy()
        for i in range(offsets[image], offsets[image] + visible[image]):
            e = order[i]
            slot = entry_starts[e]
            for k in range(span_starts[e], span_starts[e + 1]):
                row = tops[e] + k - span_starts[e]
                for column in range(spans[k, 0], spans[k, 1]):
                    pair = cursor[row * columns + column]
                    cursor[row * columns + column] = pair + 1
                    ids[pair] = e
                    slots[slot] = pair
                    slot += 1
    return starts, ids, slots
