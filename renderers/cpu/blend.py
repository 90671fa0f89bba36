"""Front-to-back alpha blending of tile lists, and its gradient (Kerbl et al. 2023, gsplat 1.5.3's rules).

A tile's state is flat float32 arrays of 256, which LLVM turns into vectors. Transmittance carries the
stopping rule: it turns negative in a pixel that has stopped, which makes every later alpha there 0.

The backward pass goes front to back again: what lies behind a Gaussian is the final image less what
came so far, so nothing is stored per pixel. Each (tile, Gaussian) pair writes its own row of gradients
and a sum over the pairs of each Gaussian follows: no atomics, the same bits at any thread count.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from clay4d.jit import device, float_from_bits, inlined, kernel
from clay4d.renderers.cpu.tiles import SLACK, TILE

PIXELS = TILE * TILE
GEOMETRY = 8
"""Columns of a gradient row before the channels: opacity, conic (3), mean2d (2), |mean2d| (2)."""
OPACITY, CONIC, MEAN, COVAR, REACH, COLOR = 0, 1, 4, 6, 9, 10  # where they begin in a packed row
LINE = 16  # float32 in a cache line


@inlined
def _exp(x):  # type: ignore[no-untyped-def]
    """e^x for x ≤ 0 as 2^i·2^f; the polynomial for 2^f, fitted to least relative error, is 8e-8 off.

    Below 2^-64 it stays there: such an alpha changes nothing, and smaller ones times an opacity would be
    denormal numbers, which take a processor a hundred times as long.
    """
    y = max(x * np.float32(1.44269504), np.float32(-64.0))
    whole = np.floor(y)
    f = np.float32(y - whole)
    p = np.float32(1.8671301e-3)
    p = p * f + np.float32(9.0170303e-3)
    p = p * f + np.float32(5.5799913e-2)
    p = p * f + np.float32(2.4016445e-1)
    p = p * f + np.float32(6.9315131e-1)
    p = p * f + np.float32(1.0)
    return p * float_from_bits((np.int32(whole) + np.int32(127)) << np.int32(23))


@device
def _weights(T, weight, px, py, low, high, mx, my, a, b, c, opacity, max_alpha, alpha_min, t_min):  # type: ignore[no-untyped-def]
    """weight = alpha·T of one Gaussian in pixels low…high, and T moved past it."""
    for i in range(np.uint64(low), np.uint64(high)):
        dx = px[i] - mx
        dy = py[i] - my
        sigma = np.float32(0.5) * (a * dx * dx + c * dy * dy) + b * dx * dy
        alpha = min(max_alpha, opacity * _exp(-sigma))
        alpha = alpha if alpha >= alpha_min else np.float32(0)
        alpha = alpha if sigma >= 0 else np.float32(0)
        t = T[i]
        after = t * (np.float32(1) - alpha)
        going = after > t_min
        weight[i] = alpha * t if going else np.float32(0)
        T[i] = after if going else -abs(t)


@device
def _add(acc, start, weight, low, high, value):  # type: ignore[no-untyped-def]
    for i in range(np.uint64(low), np.uint64(high)):
        acc[np.uint64(start) + i] += weight[i] * value


@device
def _add_rgb(red, green, blue, weight, low, high, r, g, b):  # type: ignore[no-untyped-def]
    for i in range(np.uint64(low), np.uint64(high)):
        w = weight[i]
        red[i] += w * r
        green[i] += w * g
        blue[i] += w * b


@device
def _largest(values):  # type: ignore[no-untyped-def]
    top = np.float32(-1)
    for i in range(values.size):
        top = max(top, values[i])
    return top


@inlined
def _interleaved(k, count, threads):  # type: ignore[no-untyped-def]
    """Spread tiles over threads: prange hands out contiguous runs, and busy tiles are neighbours."""
    run = (count + threads - 1) // threads
    return (k % run) * threads + k // run


@inlined
def _pixel_rows(packed, e, x0, y0):  # type: ignore[no-untyped-def]
    """Rows of the tile at (x0, y0) that the ellipse meets within the tile's columns."""
    xx = packed[e, COVAR]
    xy = packed[e, COVAR + 1]
    yy = packed[e, COVAR + 2]
    reach = packed[e, REACH]
    slack = np.float32(SLACK)
    side = np.float32(math.sqrt(reach * xx))
    left = max(x0 + np.float32(0.5) - packed[e, MEAN] - slack, -side)
    right = min(x0 + np.float32(TILE - 0.5) - packed[e, MEAN] + slack, side)
    bottom = np.float32(math.sqrt(reach * yy))
    top = -bottom
    at = xy / yy * bottom
    slope = xy / xx
    spread = max(yy - xy * slope, np.float32(0))
    if at < left or at > right:
        x = min(max(at, left), right)
        bottom = slope * x + math.sqrt(max(reach - x * x / xx, np.float32(0)) * spread)
    if -at < left or -at > right:
        x = min(max(-at, left), right)
        top = slope * x - math.sqrt(max(reach - x * x / xx, np.float32(0)) * spread)
    # Rounding grows with the size of the ellipse, so the slack does too.
    slack += np.float32(1e-5) * (side + abs(bottom) + abs(top)) * np.float32(10)
    offset = packed[e, MEAN + 1] - y0 - np.float32(0.5)
    first = max(math.ceil(max(top + offset - slack, np.float32(-1))), 0)
    last = min(math.floor(min(bottom + offset + slack, np.float32(TILE))), TILE - 1)
    return first, last + 1


@kernel
def pack(means2d, conics, covars2d, reaches, colors, opacities):  # type: ignore[no-untyped-def]
    """What blending reads of each entry in one row, since a tile's entries lie anywhere in memory."""
    entries, D = colors.shape
    packed = np.zeros((entries, (COLOR + D + LINE - 1) // LINE * LINE), np.float32)
    for e in numba.prange(entries):
        packed[e, OPACITY] = opacities[e]
        for k in range(3):
            packed[e, CONIC + k] = conics[e, k]
            packed[e, COVAR + k] = covars2d[e, k]
        packed[e, MEAN] = means2d[e, 0]
        packed[e, MEAN + 1] = means2d[e, 1]
        packed[e, REACH] = reaches[e]
        for d in range(D):
            packed[e, COLOR + d] = colors[e, d]
    return packed


@kernel
def forward(  # type: ignore[no-untyped-def]
    tile_starts, ids, packed, backgrounds,
    images, width, height, max_alpha, alpha_min, t_min, threads,
):  # fmt: skip
    """Image [I,H,W,D], final transmittance [I,H,W], rows touched and last pair used of each tile."""
    D = backgrounds.shape[1]
    columns = (width + TILE - 1) // TILE
    rows = (height + TILE - 1) // TILE
    tiles = images * rows * columns
    image = np.empty((images, height, width, D), np.float32)
    transmittance = np.empty((images, height, width), np.float32)
    touched = np.empty((ids.size, 2), np.uint8)
    ends = np.empty(tiles, np.int32)
    rounded = (tiles + threads - 1) // threads * threads
    for k in numba.prange(rounded):
        tile = _interleaved(k, rounded, threads)
        if tile >= tiles:
            continue
        n = tile // (rows * columns)
        y0 = tile // columns % rows * TILE
        x0 = tile % columns * TILE
        T = np.ones(PIXELS, np.float32)
        weight = np.empty(PIXELS, np.float32)
        acc = np.zeros(max(D, 1) * PIXELS, np.float32)
        px = np.empty(PIXELS, np.float32)
        py = np.empty(PIXELS, np.float32)
        for i in range(PIXELS):
            px[i] = x0 + i % TILE + np.float32(0.5)
            py[i] = y0 + i // TILE + np.float32(0.5)
            if x0 + i % TILE >= width or y0 + i // TILE >= height:
                T[i] = -1
        end = tile_starts[tile + 1]
        red, green, blue = acc, acc, acc
        if D == 3:
            red, green, blue = acc[:PIXELS], acc[PIXELS : 2 * PIXELS], acc[2 * PIXELS :]
        for pair in range(tile_starts[tile], tile_starts[tile + 1]):
            if (pair - tile_starts[tile]) % 16 == 15 and _largest(T) < 0:
                end = pair
                break
            e = ids[pair]
            first, last = _pixel_rows(packed, e, np.float32(x0), np.float32(y0))
            touched[pair, 0] = first
            touched[pair, 1] = max(last, first)
            if last <= first:
                continue
            low, high = first * TILE, last * TILE
            _weights(
                T, weight, px, py, low, high, packed[e, MEAN], packed[e, MEAN + 1],
                packed[e, CONIC], packed[e, CONIC + 1], packed[e, CONIC + 2], packed[e, OPACITY],
                max_alpha, alpha_min, t_min,
            )  # fmt: skip
            if D == 3:
                _add_rgb(
                    red, green, blue, weight, low, high,
                    packed[e, COLOR], packed[e, COLOR + 1], packed[e, COLOR + 2],
                )  # fmt: skip
            else:
                for d in range(D):
                    _add(acc, d * PIXELS, weight, low, high, packed[e, COLOR + d])
        ends[tile] = end
        for y in range(min(TILE, height - y0)):
            for x in range(min(TILE, width - x0)):
                i = y * TILE + x
                t = abs(T[i])
                transmittance[n, y0 + y, x0 + x] = t
                for d in range(D):
                    image[n, y0 + y, x0 + x, d] = acc[d * PIXELS + i] + t * backgrounds[n, d]
    return image, transmittance, touched, ends


@device
def _dot(cd, grads, start, low, high, value):  # type: ignore[no-untyped-def]
    for i in range(np.uint64(low), np.uint64(high)):
        cd[i] += grads[np.uint64(start) + i] * value


@device
def _dot_rgb(cd, red, green, blue, low, high, r, g, b):  # type: ignore[no-untyped-def]
    for i in range(np.uint64(low), np.uint64(high)):
        cd[i] = red[i] * r + green[i] * g + blue[i] * b


@device
def _sum(weight, grads, start, low, high):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        total += weight[i] * grads[np.uint64(start) + i]
    return total


@device
def _sum_rgb(weight, red, green, blue, low, high):  # type: ignore[no-untyped-def]
    r = g = b = np.float32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        w = weight[i]
        r += w * red[i]
        g += w * green[i]
        b += w * blue[i]
    return r, g, b


@device
def _moments(  # type: ignore[no-untyped-def]
    T, behind, cd, weight, px, py, low, high, mx, my, a, b, c, opacity, max_alpha, alpha_min, t_min
):
    """Sums over pixels of v, v·d and v·d·dᵀ, where v = ∂loss/∂alpha · alpha and d = pixel − mean."""
    v0 = vx = vy = vxx = vxy = vyy = np.float32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        dx = px[i] - mx
        dy = py[i] - my
        sigma = np.float32(0.5) * (a * dx * dx + c * dy * dy) + b * dx * dy
        raw = opacity * _exp(-sigma)
        alpha = min(max_alpha, raw)
        alpha = alpha if alpha >= alpha_min else np.float32(0)
        alpha = alpha if sigma >= 0 else np.float32(0)
        t = T[i]
        one = np.float32(1) - alpha
        after = t * one
        going = after > t_min
        alpha = alpha if going else np.float32(0)
        w = alpha * t
        weight[i] = w
        rest = behind[i] - w * cd[i]
        behind[i] = rest
        v = (t * cd[i] - rest / one) * alpha
        v = v if raw <= max_alpha else np.float32(0)
        T[i] = after if going else -abs(t)
        v0 += v
        vx += v * dx
        vy += v * dy
        vxx += v * dx * dx
        vxy += v * dx * dy
        vyy += v * dy * dy
        cd[i] = v
    return v0, vx, vy, vxx, vxy, vyy


@device
def _absolute(v, px, py, low, high, mx, my, a, b, c):  # type: ignore[no-untyped-def]
    """Sums over pixels of |∂loss/∂mean2d|."""
    ax = ay = np.float32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        dx = px[i] - mx
        dy = py[i] - my
        ax += abs(v[i] * (a * dx + b * dy))
        ay += abs(v[i] * (b * dx + c * dy))
    return ax, ay


@kernel
def backward(  # type: ignore[no-untyped-def]
    tile_starts, ids, touched, ends, packed, image, transmittance, g_image, g_alpha,
    max_alpha, alpha_min, t_min, absolute, threads,
):  # fmt: skip
    """Gradient rows of all pairs: opacity, conic (3), mean2d (2), |mean2d| (2), then channels."""
    images, height, width, D = image.shape
    columns = (width + TILE - 1) // TILE
    rows = (height + TILE - 1) // TILE
    tiles = images * rows * columns
    out = np.zeros((ids.size, GEOMETRY + D), np.float32)
    rounded = (tiles + threads - 1) // threads * threads
    for k in numba.prange(rounded):
        tile = _interleaved(k, rounded, threads)
        if tile >= tiles or tile_starts[tile] == ends[tile]:
            continue
        n = tile // (rows * columns)
        y0 = tile // columns % rows * TILE
        x0 = tile % columns * TILE
        T = np.full(PIXELS, np.float32(-1))
        behind = np.zeros(PIXELS, np.float32)
        weight = np.empty(PIXELS, np.float32)
        cd = np.zeros(PIXELS, np.float32)
        grads = np.zeros(max(D, 1) * PIXELS, np.float32)
        px = np.empty(PIXELS, np.float32)
        py = np.empty(PIXELS, np.float32)
        for i in range(PIXELS):
            px[i] = x0 + i % TILE + np.float32(0.5)
            py[i] = y0 + i // TILE + np.float32(0.5)
        for y in range(min(TILE, height - y0)):
            for x in range(min(TILE, width - x0)):
                i = y * TILE + x
                T[i] = 1
                total = -transmittance[n, y0 + y, x0 + x] * g_alpha[n, y0 + y, x0 + x]
                for d in range(D):
                    g = g_image[n, y0 + y, x0 + x, d]
                    grads[d * PIXELS + i] = g
                    total += g * image[n, y0 + y, x0 + x, d]
                behind[i] = total
        red, green, blue = grads, grads, grads
        if D == 3:
            red, green, blue = grads[:PIXELS], grads[PIXELS : 2 * PIXELS], grads[2 * PIXELS :]
        for pair in range(tile_starts[tile], ends[tile]):
            low, high = np.int64(touched[pair, 0]) * TILE, np.int64(touched[pair, 1]) * TILE
            if high <= low:
                continue
            e = ids[pair]
            if D == 3:
                _dot_rgb(
                    cd, red, green, blue, low, high,
                    packed[e, COLOR], packed[e, COLOR + 1], packed[e, COLOR + 2],
                )  # fmt: skip
            else:
                cd[low:high] = 0
                for d in range(D):
                    _dot(cd, grads, d * PIXELS, low, high, packed[e, COLOR + d])
            mx, my = packed[e, MEAN], packed[e, MEAN + 1]
            a, b, c = packed[e, CONIC], packed[e, CONIC + 1], packed[e, CONIC + 2]
            v0, vx, vy, vxx, vxy, vyy = _moments(
                T, behind, cd, weight, px, py, low, high, mx, my, a, b, c,
                packed[e, OPACITY], max_alpha, alpha_min, t_min,
            )  # fmt: skip
            out[pair, 0] = v0 / packed[e, OPACITY]
            out[pair, 1] = np.float32(-0.5) * vxx
            out[pair, 2] = -vxy
            out[pair, 3] = np.float32(-0.5) * vyy
            out[pair, 4] = a * vx + b * vy
            out[pair, 5] = b * vx + c * vy
            if absolute:
                ax, ay = _absolute(cd, px, py, low, high, mx, my, a, b, c)
                out[pair, 6] = ax
                out[pair, 7] = ay
            if D == 3:
                r, g, bl = _sum_rgb(weight, red, green, blue, low, high)
                out[pair, GEOMETRY] = r
                out[pair, GEOMETRY + 1] = g
                out[pair, GEOMETRY + 2] = bl
            else:
                for d in range(D):
                    out[pair, GEOMETRY + d] = _sum(weight, grads, d * PIXELS, low, high)
    return out


@kernel
def gather(entry_starts, slots, rows):  # type: ignore[no-untyped-def]
    """Sum the rows of each entry's pairs, in the order of its pairs."""
    entries = entry_starts.size - 1
    width = rows.shape[1]
    opacities = np.zeros(entries, np.float32)
    conics = np.zeros((entries, 3), np.float32)
    means2d = np.zeros((entries, 2), np.float32)
    absolute = np.zeros((entries, 2), np.float32)
    colors = np.zeros((entries, width - GEOMETRY), np.float32)
    for e in numba.prange(entries):
        for p in range(entry_starts[e], entry_starts[e + 1]):
            slot = slots[p]
            opacities[e] += rows[slot, 0]
            for k in range(3):
                conics[e, k] += rows[slot, 1 + k]
            for k in range(2):
                means2d[e, k] += rows[slot, 4 + k]
                absolute[e, k] += rows[slot, 6 + k]
            for k in range(width - GEOMETRY):
                colors[e, k] += rows[slot, GEOMETRY + k]
    return opacities, conics, means2d, absolute, colors
