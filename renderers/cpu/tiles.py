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
def _sort_by_depth(order, depths, count, scratch, counts):  # type: ignore[no-untyped-def]
    """Stable radix sort of order[:count] by depth: ties stay in index order."""
    source, target = order, scratch
    for shift in (0, 11, 22):
        counts[:] = 0
        for i in range(count):
            key = (bits_from_float(depths[source[i]]) >> shift) & 2047
            counts[key + 1] += 1
        for k in range(2048):
            counts[k + 1] += counts[k]
        for i in range(count):
            key = (bits_from_float(depths[source[i]]) >> shift) & 2047
            target[counts[key]] = source[i]
            counts[key] += 1
        source, target = target, source
    # Three passes end in the scratch array.
    for i in range(count):
        order[i] = source[i]


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
def sort_and_count(  # type: ignore[no-untyped-def]
    offsets, means2d, depths, covars2d, opacities, radii, width, height
):
    """Visible entries of each image front to back, their reach, and how many each tile gets."""
    images = offsets.size - 1
    entries = depths.size
    columns = (width + TILE - 1) // TILE
    rows = (height + TILE - 1) // TILE
    order = np.empty(entries, np.int32)
    scratch = np.empty(entries, np.int32)
    reaches = np.zeros(entries, np.float32)
    visible = np.zeros(images, np.int64)
    per_entry = np.zeros(entries, np.int32)
    per_tile = np.zeros((images, rows * columns), np.int32)
    for image in numba.prange(images):
        start = offsets[image]
        count = 0
        for e in range(start, offsets[image + 1]):
            if radii[e, 0] > 0 and opacities[e] >= np.float32(1.0 / 255.0):
                reaches[e] = 2 * math.log(opacities[e] * np.float32(255))
                order[start + count] = e
                count += 1
        visible[image] = count
        counts = np.zeros(2049, np.int32)
        _sort_by_depth(order[start:], depths, count, scratch[start:], counts)
        for i in range(start, start + count):
            e = order[i]
            total = 0
            top, bottom = _row_range(means2d, covars2d, reaches, e, rows, height)
            for row in range(top, bottom):
                left, right = _tile_row(means2d, covars2d, reaches, e, row, width)
                for column in range(left, right):
                    per_tile[image, row * columns + column] += 1
                total += right - left
            per_entry[e] = total
    return order, visible, reaches, per_entry, per_tile


@kernel
def fill(  # type: ignore[no-untyped-def]
    offsets, order, visible, reaches, means2d, covars2d, width, height, tile_starts, entry_starts
):
    """Tile lists: entry of each pair, by tile and depth, and the pairs of each entry."""
    images = offsets.size - 1
    columns = (width + TILE - 1) // TILE
    rows = (height + TILE - 1) // TILE
    pairs = tile_starts[tile_starts.size - 1]
    ids = np.empty(pairs, np.int32)
    slots = np.empty(pairs, np.int32)
    for image in numba.prange(images):
        first_tile = image * rows * columns
        cursor = tile_starts[first_tile : first_tile + rows * columns].copy()
        for i in range(offsets[image], offsets[image] + visible[image]):
            e = order[i]
            slot = entry_starts[e]
            top, bottom = _row_range(means2d, covars2d, reaches, e, rows, height)
            for row in range(top, bottom):
                left, right = _tile_row(means2d, covars2d, reaches, e, row, width)
                for column in range(left, right):
                    tile = row * columns + column
                    pair = cursor[tile]
                    cursor[tile] = pair + 1
                    ids[pair] = e
                    slots[slot] = pair
                    slot += 1
    return ids, slots
