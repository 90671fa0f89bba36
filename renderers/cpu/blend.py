"""Front-to-back alpha blending of tile lists, and its gradient (Kerbl et al. 2023, gsplat 1.5.3's rules).

A tile's state is flat float32 arrays of 256, which LLVM turns into vectors. Transmittance carries the
stopping rule: it turns negative in a pixel that has stopped, which makes every later alpha there 0.

The backward pass goes front to back again: what lies behind a Gaussian is the final image less what
came so far, so nothing is stored per pixel. Each (tile, Gaussian) pair writes its own row of gradients
and a sum over the pairs of each Gaussian follows: no atomics, the same bits at any thread count.
"""

from __future__ import annotations

import numba
import numpy as np

from clay4d.jit import device, inlined, kernel
from clay4d.kernel_maths import exp_below
from clay4d.renderers.cpu.packing import COLOR, CONIC, LANES, MEAN, OPACITY, pixel_rows
from clay4d.renderers.cpu.tiles import TILE

PIXELS = TILE * TILE
HALF = LANES * TILE
"""A tile's state is its left half and then its right half, LANES pixels of each row side by side."""
GEOMETRY = 8
"""Columns of a gradient row before the channels: opacity, conic (3), mean2d (2), |mean2d| (2)."""
PX, PY, RED, GREEN, BLUE, BEHIND, V = (np.uint64(k * PIXELS) for k in range(1, 8))
"""Where the parts of a tile's state begin, after its transmittance."""


@inlined
def _alpha(dx, dy, a, b, c, opacity, max_alpha, alpha_min):  # type: ignore[no-untyped-def]
    """A Gaussian's alpha at an offset from its centre, before and after the bounds of alpha."""
    sigma = np.float32(0.5) * (a * dx * dx + c * dy * dy) + b * dx * dy
    raw = opacity * exp_below(-sigma)
    alpha = min(max_alpha, raw)
    alpha = alpha if alpha >= alpha_min else np.float32(0)
    alpha = alpha if sigma >= 0 else np.float32(0)
    return raw, alpha


@device
def _weights(T, weight, px, py, low, high, mx, my, a, b, c, opacity, max_alpha, alpha_min, t_min):  # type: ignore[no-untyped-def]
    """weight = alpha·T of one Gaussian in pixels low…high, and T moved past it."""
    for i in range(np.uint64(low), np.uint64(high)):
        dx = px[i] - mx
        dy = py[i] - my
        _, alpha = _alpha(dx, dy, a, b, c, opacity, max_alpha, alpha_min)
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
def _blend_rgb(  # type: ignore[no-untyped-def]
    state, low, high, mx, my, a, b, c, opacity, red, green, blue, max_alpha, alpha_min, t_min
):
    """`_weights` and `_add` of three colours in one loop.

    One array holds all that the loop reads and writes: LLVM sees that its parts lie apart, and need not
    ask at each call.
    """
    for i in range(np.uint64(low), np.uint64(high)):
        dx = state[i + PX] - mx
        dy = state[i + PY] - my
        _, alpha = _alpha(dx, dy, a, b, c, opacity, max_alpha, alpha_min)
        t = state[i]
        after = t * (np.float32(1) - alpha)
        going = after > t_min
        weight = alpha * t if going else np.float32(0)
        state[i] = after if going else -abs(t)
        state[i + RED] += weight * red
        state[i + GREEN] += weight * green
        state[i + BLUE] += weight * blue


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
def _at(y, x):  # type: ignore[no-untyped-def]
    """Where a tile's state has the pixel in row y and column x of it."""
    return x // LANES * HALF + y * LANES + x % LANES


@device
def _place(state, x0, y0):  # type: ignore[no-untyped-def]
    """Write where the tile's pixels have their centres."""
    for y in range(TILE):
        for x in range(TILE):
            i = np.uint64(_at(y, x))
            state[i + PX] = x0 + x + np.float32(0.5)
            state[i + PY] = y0 + y + np.float32(0.5)


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
    touched = np.empty((ids.size, 4), np.uint8)
    ends = np.empty(tiles, np.int32)
    rounded = (tiles + threads - 1) // threads * threads
    for k in numba.prange(rounded):
        tile = _interleaved(k, rounded, threads)
        if tile >= tiles:
            continue
        n = tile // (rows * columns)
        y0 = tile // columns % rows * TILE
        x0 = tile % columns * TILE
        state = np.zeros(6 * PIXELS, np.float32)
        T, px, py = state[:PIXELS], state[PX:PY], state[PY:RED]
        T[:] = -1
        weight = np.empty(PIXELS, np.float32)
        acc = state[RED:] if D == 3 else np.zeros(max(D, 1) * PIXELS, np.float32)
        _place(state, x0, y0)
        for y in range(min(TILE, height - y0)):
            for x in range(min(TILE, width - x0)):
                T[_at(y, x)] = 1
        end = tile_starts[tile + 1]
        for pair in range(tile_starts[tile], tile_starts[tile + 1]):
            if (pair - tile_starts[tile]) % 16 == 15 and _largest(T) < 0:
                end = pair
                break
            e = ids[pair]
            mx, my = packed[e, MEAN], packed[e, MEAN + 1]
            for half in range(2):
                left = np.float32(x0 + half * LANES)
                first, last = pixel_rows(packed, e, mx, my, left, np.float32(y0))
                touched[pair, 2 * half] = first
                touched[pair, 2 * half + 1] = last
                if last <= first:
                    continue
                low, high = half * HALF + first * LANES, half * HALF + last * LANES
                a, b, c = packed[e, CONIC], packed[e, CONIC + 1], packed[e, CONIC + 2]
                opacity = packed[e, OPACITY]
                if D == 3:
                    _blend_rgb(
                        state, low, high, mx, my, a, b, c, opacity,
                        packed[e, COLOR], packed[e, COLOR + 1], packed[e, COLOR + 2],
                        max_alpha, alpha_min, t_min,
                    )  # fmt: skip
                    continue
                _weights(
                    T, weight, px, py, low, high, mx, my, a, b, c, opacity,
                    max_alpha, alpha_min, t_min,
                )  # fmt: skip
                for d in range(D):
                    _add(acc, d * PIXELS, weight, low, high, packed[e, COLOR + d])
        ends[tile] = end
        for y in range(min(TILE, height - y0)):
            for x in range(min(TILE, width - x0)):
                i = _at(y, x)
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
def _sum(weight, grads, start, low, high):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        total += weight[i] * grads[np.uint64(start) + i]
    return total


@device
def _moments(  # type: ignore[no-untyped-def]
    T, behind, cd, weight, px, py, low, high, mx, my, a, b, c, opacity, max_alpha, alpha_min, t_min
):
    """Sums over pixels of v, v·d and v·d·dᵀ, where v = ∂loss/∂alpha · alpha and d = pixel − mean."""
    v0 = vx = vy = vxx = vxy = vyy = np.float32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        dx = px[i] - mx
        dy = py[i] - my
        raw, alpha = _alpha(dx, dy, a, b, c, opacity, max_alpha, alpha_min)
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
def _gradient_rgb(  # type: ignore[no-untyped-def]
    state, low, high, mx, my, a, b, c, opacity, red, green, blue, max_alpha, alpha_min, t_min
):
    """`_moments` of three colours, which also gives their gradients, in one loop over one array."""
    v0 = vx = vy = vxx = vxy = vyy = g_red = g_green = g_blue = np.float32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        dx = state[i + PX] - mx
        dy = state[i + PY] - my
        raw, alpha = _alpha(dx, dy, a, b, c, opacity, max_alpha, alpha_min)
        t = state[i]
        one = np.float32(1) - alpha
        after = t * one
        going = after > t_min
        alpha = alpha if going else np.float32(0)
        w = alpha * t
        by_red, by_green, by_blue = state[i + RED], state[i + GREEN], state[i + BLUE]
        by_color = by_red * red + by_green * green + by_blue * blue
        rest = state[i + BEHIND] - w * by_color
        state[i + BEHIND] = rest
        v = (t * by_color - rest / one) * alpha
        v = v if raw <= max_alpha else np.float32(0)
        state[i] = after if going else -abs(t)
        state[i + V] = v
        v0 += v
        vx += v * dx
        vy += v * dy
        vxx += v * dx * dx
        vxy += v * dx * dy
        vyy += v * dy * dy
        g_red += w * by_red
        g_green += w * by_green
        g_blue += w * by_blue
    return v0, vx, vy, vxx, vxy, vyy, g_red, g_green, g_blue


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
        state = np.zeros(8 * PIXELS, np.float32)
        T, px, py, behind = state[:PIXELS], state[PX:PY], state[PY:RED], state[BEHIND:V]
        T[:] = -1
        weight = np.empty(PIXELS, np.float32)
        grads = state[RED:BEHIND] if D == 3 else np.zeros(max(D, 1) * PIXELS, np.float32)
        cd = state[V:]
        _place(state, x0, y0)
        for y in range(min(TILE, height - y0)):
            for x in range(min(TILE, width - x0)):
                i = _at(y, x)
                T[i] = 1
                total = -transmittance[n, y0 + y, x0 + x] * g_alpha[n, y0 + y, x0 + x]
                for d in range(D):
                    g = g_image[n, y0 + y, x0 + x, d]
                    grads[d * PIXELS + i] = g
                    total += g * image[n, y0 + y, x0 + x, d]
                behind[i] = total
        for pair in range(tile_starts[tile], ends[tile]):
            e = ids[pair]
            mx, my = packed[e, MEAN], packed[e, MEAN + 1]
            a, b, c = packed[e, CONIC], packed[e, CONIC + 1], packed[e, CONIC + 2]
            for half in range(2):
                low = half * HALF + np.int64(touched[pair, 2 * half]) * LANES
                high = half * HALF + np.int64(touched[pair, 2 * half + 1]) * LANES
                if high <= low:
                    continue
                opacity = packed[e, OPACITY]
                if D == 3:
                    v0, vx, vy, vxx, vxy, vyy, red, green, blue = _gradient_rgb(
                        state, low, high, mx, my, a, b, c, opacity,
                        packed[e, COLOR], packed[e, COLOR + 1], packed[e, COLOR + 2],
                        max_alpha, alpha_min, t_min,
                    )  # fmt: skip
                    out[pair, GEOMETRY] += red
                    out[pair, GEOMETRY + 1] += green
                    out[pair, GEOMETRY + 2] += blue
                else:
                    cd[low:high] = 0
                    for d in range(D):
                        _dot(cd, grads, d * PIXELS, low, high, packed[e, COLOR + d])
                    v0, vx, vy, vxx, vxy, vyy = _moments(
                        T, behind, cd, weight, px, py, low, high, mx, my, a, b, c,
                        opacity, max_alpha, alpha_min, t_min,
                    )  # fmt: skip
                    for d in range(D):
                        out[pair, GEOMETRY + d] += _sum(weight, grads, d * PIXELS, low, high)
                out[pair, 0] += v0 / opacity
                out[pair, 1] -= np.float32(0.5) * vxx
                out[pair, 2] -= vxy
                out[pair, 3] -= np.float32(0.5) * vyy
                out[pair, 4] += a * vx + b * vy
                out[pair, 5] += b * vx + c * vy
                if absolute:
                    ax, ay = _absolute(cd, px, py, low, high, mx, my, a, b, c)
                    out[pair, 6] += ax
                    out[pair, 7] += ay
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
