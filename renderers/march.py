"""Kernels of volume rendering: rays through a grid of occupied cells, and the sums along them.

A ray takes places on a lattice of equal steps from where it enters the box and jumps over empty cells, and
over empty blocks of `BLOCK`³ of them at once. Rays go in waves of a few places each, so that those that have
come to an end take no more.
"""

from __future__ import annotations

import numpy as np

from clay4d.jit import device, inlined

F32 = np.float32
BLOCK = 4
"""Cells along each side of a block."""


@inlined
def _cell(x, grid):  # type: ignore[no-untyped-def]
    return min(max(np.int64(np.floor((x + F32(1)) * F32(0.5) * F32(grid))), 0), grid - 1)


@inlined
def _exit(x, dx, low, high, grid):  # type: ignore[no-untyped-def]
    """How much further along the ray cells from `low` to `high` end on one axis."""
    if abs(dx) < F32(1e-12):
        return F32(1e30)
    wall = F32(2) * F32(high if dx > 0 else low) / F32(grid) - F32(1)
    return max((wall - x) / dx, F32(0))


@device
def pool_cells(occupied, blocks):  # type: ignore[no-untyped-def]
    """Mark in blocks [B, ⌈G / BLOCK⌉³] those in which any cell of occupied [B, G, G, G] is marked."""
    grid, count = occupied.shape[1], blocks.shape[1]
    rows = np.empty(grid, np.uint8)
    for b in range(len(occupied)):
        for i in range(count):
            for j in range(count):
                rows[:] = 0
                for p in range(i * BLOCK, min((i + 1) * BLOCK, grid)):
                    for q in range(j * BLOCK, min((j + 1) * BLOCK, grid)):
                        row = occupied[b, p, q]
                        for m in range(grid):
                            rows[m] |= row[m]
                for k in range(count):
                    found = np.uint8(0)
                    for m in range(k * BLOCK, min((k + 1) * BLOCK, grid)):
                        found |= rows[m]
                    blocks[b, i, j, k] = found


@device
def shoot(viewmats, Ks, centres, which, xy, half, directions, looks, cosines, origins):  # type: ignore[no-untyped-def]
    """Rays through pixel coordinates xy [R, 2] of cameras `which`; see `volume.Rays`.

    `centres` are the cameras' in the box's axes, `half` the box's half sides.
    """
    for n in range(len(which)):
        c = which[n]
        K, R = Ks[c], viewmats[c]
        x, y = (xy[n, 0] - K[0, 2]) / K[0, 0], (xy[n, 1] - K[1, 2]) / K[1, 1]
        cosine = F32(1) / np.sqrt(x * x + y * y + F32(1))
        cosines[n] = cosine
        for a in range(3):
            look = (x * R[0, a] + y * R[1, a] + R[2, a]) * cosine
            looks[n, a], directions[n, a], origins[n, a] = look, look / half[a], centres[c, a]


@device
def enter_box(origins, directions, near, starts, ends):  # type: ignore[no-untyped-def]
    """Where rays enter and leave the box from −1 to 1, not nearer than `near`; the end is below the
    start for those that miss it."""
    for n in range(len(origins)):
        low, high = near, F32(1e30)
        for a in range(3):
            o, d = origins[n, a], directions[n, a]
            if abs(d) < F32(1e-12):
                if abs(o) > F32(1):
                    high = F32(-1)
                continue
            first, second = (F32(-1) - o) / d, (F32(1) - o) / d
            low = max(low, min(first, second))
            high = min(high, max(first, second))
        starts[n], ends[n] = low, high


@device
def march(  # type: ignore[no-untyped-def]
    alive,
    origins,
    directions,
    starts,
    ends,
    times,
    occupied,
    blocks,
    step,
    wave,
    taken,
    points,
    rays,
    depths,
):
    """Write the next places of each ray that is alive, `wave` at the most; gives how many in all.

    `taken` holds each ray's next place on its lattice and is −1 once it has left the box; points are
    [x, y, z, t] from −1 to 1, depths how far along the ray. `blocks` is what `pool_cells` makes of occupied.
    """
    grid, bins = occupied.shape[1], occupied.shape[0]
    total = 0
    for n in alive:
        k, left = taken[n], wave
        moment = min(max(np.int64((times[n] + F32(1)) * F32(0.5) * F32(bins)), 0), bins - 1)
        cells, pools = occupied[moment], blocks[moment]
        dx, dy, dz = directions[n, 0], directions[n, 1], directions[n, 2]
        while left > 0:
            t = starts[n] + F32(k) * step
            if not t < ends[n]:
                k = -1
                break
            x, y, z = origins[n, 0] + t * dx, origins[n, 1] + t * dy, origins[n, 2] + t * dz
            i, j, m = _cell(x, grid), _cell(y, grid), _cell(z, grid)
            if cells[i, j, m]:
                points[total, 0], points[total, 1], points[total, 2] = x, y, z
                points[total, 3], rays[total], depths[total] = times[n], n, t
                total += 1
                left -= 1
                k += 1
                continue
            side = 1
            if not pools[i // BLOCK, j // BLOCK, m // BLOCK]:
                i, j, m, side = i // BLOCK * BLOCK, j // BLOCK * BLOCK, m // BLOCK * BLOCK, BLOCK
            further = min(
                _exit(x, dx, i, min(i + side, grid), grid),
                _exit(y, dy, j, min(j + side, grid), grid),
                _exit(z, dz, m, min(m + side, grid), grid),
            )
            k += 1 + np.int64(further / step)
        taken[n] = k
    return total


@device
def see_through(depth, rays, passed, least, most, kept):  # type: ignore[no-untyped-def]
    """Add each place's optical depth to its ray's `passed`; mark those of `least` that are still seen.

    Gives how many are.
    """
    count = 0
    for i in range(len(depth)):
        n = rays[i]
        kept[i] = passed[n] < most and depth[i] >= least
        if kept[i]:
            passed[n] += depth[i]
            count += 1
    return count


@device
def still_alive(alive, taken, passed, most):  # type: ignore[no-untyped-def]
    """Bring rays that go on to the front of `alive`; gives how many do."""
    count = 0
    for n in alive:
        if taken[n] >= 0 and passed[n] < most:
            alive[count] = n
            count += 1
    return count


@device
def blend(depth, values, rays, out, left):  # type: ignore[no-untyped-def]
    """Front to back: add values [M, D] to their rays' out [R, D] by their weights; `left` is what passes.

    The places of a ray must come in order; those of others may lie between.
    """
    for i in range(len(depth)):
        n = rays[i]
        passes = np.exp(-depth[i])
        weight = left[n] * (F32(1) - passes)
        for c in range(values.shape[1]):
            out[n, c] += weight * values[i, c]
        left[n] *= passes


@device
def blend_backward(depth, values, rays, out, left, g_out, g_left, g_depth, g_values):  # type: ignore[no-untyped-def]
    """Gradients of `blend`, front to back again: what is behind a place is the whole less what is before."""
    so_far = np.zeros_like(out)
    passed = np.ones(len(left), np.float32)
    for i in range(len(depth)):
        n = rays[i]
        passes = np.exp(-depth[i])
        weight = passed[n] * (F32(1) - passes)
        after = passed[n] * passes
        slope = -g_left[n] * left[n]
        for c in range(values.shape[1]):
            so_far[n, c] += weight * values[i, c]
            g_values[i, c] = weight * g_out[n, c]
            slope += g_out[n, c] * (after * values[i, c] - (out[n, c] - so_far[n, c]))
        g_depth[i] = slope
        passed[n] = after
