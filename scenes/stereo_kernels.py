"""Kernels of dense stereo: plane sweep, semi-global matching, agreement of depth maps.

Plane sweep after Collins (CVPR 1996) with zero-mean normalised cross correlation, which a camera's
gain and offset do not change; semi-global matching after Hirschmüller (PAMI 2008).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from clay4d.jit import device, kernel


@device
def _slide(sums: Any, column: Any, radius: int) -> None:
    """Sums over 2 radius + 1 neighbours along a row of column sums."""
    width = column.shape[0]
    total = np.float32(0)
    for x in range(2 * radius):
        total += column[x]
    for x in range(radius, width - radius):
        total += column[x + radius]
        sums[x] = total
        total -= column[x - radius]


@device
def _add(column: Any, a: Any, b: Any, sign: float) -> None:
    """Adds (or with sign −1 takes away) the products of two rows."""
    for x in range(column.shape[0]):
        column[x] += sign * a[x] * b[x]


@device
def _warp(image: Any, H: Any, warped: Any, valid: Any) -> None:
    """The picture seen through homography H (pixel centres at 0.5): values, and 1 where inside."""
    height, width = image.shape
    high, wide = warped.shape
    for y in range(high):
        py = np.float32(y + 0.5)
        a0, b0, c0 = H[0, 1] * py + H[0, 2], H[1, 1] * py + H[1, 2], H[2, 1] * py + H[2, 2]
        for x in range(wide):
            px = np.float32(x + 0.5)
            w = H[2, 0] * px + c0
            u = (H[0, 0] * px + a0) / w - np.float32(0.5)
            v = (H[1, 0] * px + b0) / w - np.float32(0.5)
            value, inside = np.float32(0), np.uint8(0)
            if w > 0 and u >= 0 and v >= 0 and u < width - 1 and v < height - 1:
                i, j = np.int32(u), np.int32(v)
                a, b = u - np.float32(i), v - np.float32(j)
                top = image[j, i] + a * (image[j, i + 1] - image[j, i])
                low = image[j + 1, i] + a * (image[j + 1, i + 1] - image[j + 1, i])
                value, inside = top + b * (low - top), np.uint8(1)
            warped[y, x], valid[y, x] = value, inside


@device
def _row(out: Any, r: Any, rr: Any, s: Any, ss: Any, rs: Any, share: float, floor: float) -> None:
    """ZNCC along one row: `r` holds the reference's window means and `rr` its spreads."""
    for x in range(out.shape[0]):
        spread = rr[x] * (ss[x] - s[x] * s[x] * share + floor)
        out[x] = (rs[x] - r[x] * s[x]) / np.sqrt(max(spread, np.float32(1e-12)))


@device
def _zncc(
    reference: Any, mean: Any, spread: Any, warped: Any, radius: int, floor: float, out: Any
) -> None:
    """Zero-mean normalised cross correlation over (2 radius + 1)² windows, inside the frame."""
    height, width = warped.shape
    ones = np.ones(width, np.float32)
    c0, c1, c2 = (
        np.zeros(width, np.float32),
        np.zeros(width, np.float32),
        np.zeros(width, np.float32),
    )
    s, ss, rs = (
        np.zeros(width, np.float32),
        np.zeros(width, np.float32),
        np.zeros(width, np.float32),
    )
    share = np.float32(1) / np.float32((2 * radius + 1) ** 2)
    for y in range(height):
        for sign, row in ((1, y), (-1, y - 2 * radius - 1)):
            if row >= 0:
                a, b, f = reference[row], warped[row], np.float32(sign)
                _add(c0, b, ones, f)
                _add(c1, b, b, f)
                _add(c2, a, b, f)
        if y >= 2 * radius:
            _slide(s, c0, radius)
            _slide(ss, c1, radius)
            _slide(rs, c2, radius)
            i = y - radius
            _row(out[i], mean[i], spread[i], s, ss, rs, share, np.float32(floor) / share)


@device
def _best(score: Any, valid: Any, radius: int, top: Any) -> None:
    """Sorts each pixel's score into the `top` highest so far, where the window was inside."""
    height, width = score.shape
    for y in range(radius, height - radius):
        for x in range(radius, width - radius):
            # A homography keeps windows convex: inside at four corners is inside all over.
            inside = valid[y - radius, x - radius] & valid[y - radius, x + radius]
            inside &= valid[y + radius, x - radius] & valid[y + radius, x + radius]
            new = score[y, x] if inside else np.float32(-1)
            for b in range(top.shape[0]):
                high = max(new, top[b, y, x])
                new = min(new, top[b, y, x])
                top[b, y, x] = high


@kernel
def sweep(
    reference: Any, mean: Any, spread: Any, sources: Any, homographies: Any, radius: int,
    floor: float, best: int, out: Any,
) -> None:  # fmt: skip
    """Costs [H, W, D]: 1 − mean of the `best` highest ZNCC over the sources, 1 where none sees it.

    `mean` and `spread` are the reference's window means and summed squares about them plus floor;
    `homographies` [D, S, 3, 3] take reference pixels to source pixels on each plane; `floor` is
    added to variances, so that noise on a plain wall correlates with nothing.
    """
    planes, count = homographies.shape[0], homographies.shape[1]
    height, width = reference.shape
    for d in numba.prange(planes):
        warped, score = np.empty_like(reference), np.empty_like(reference)
        valid = np.empty((height, width), np.uint8)
        top = np.full((best, height, width), np.float32(-1))
        for k in range(count):
            _warp(sources[k], homographies[d, k], warped, valid)
            _zncc(reference, mean, spread, warped, radius, floor, score)
            _best(score, valid, radius, top)
        for y in range(height):
            for x in range(width):
                total, number = np.float32(0), 0
                for b in range(best):
                    if top[b, y, x] > -1:
                        total += top[b, y, x]
                        number += 1
                out[y, x, d] = 1 - total / number if number else np.float32(1)


@device
def _along(
    cost: Any, total: Any, y: int, x: int, dy: int, dx: int, small: float, large: float
) -> None:
    """One path of semi-global matching from (y, x) in direction (dy, dx), added to `total`."""
    height, width, planes = cost.shape
    last, now = np.zeros(planes, np.float32), np.zeros(planes, np.float32)
    low, first = np.float32(0), True
    while 0 <= y < height and 0 <= x < width:
        least = np.float32(1e9)
        for d in range(planes):
            step = last[d]
            if not first:
                step = min(step, low + large)
                if d > 0:
                    step = min(step, last[d - 1] + small)
                if d < planes - 1:
                    step = min(step, last[d + 1] + small)
            now[d] = cost[y, x, d] + step - low
            total[y, x, d] += now[d]
            least = min(least, now[d])
        last, now, low, first = now, last, least, False
        y, x = y + dy, x + dx


@kernel
def aggregate(cost: Any, small: float, large: float, total: Any) -> None:
    """Semi-global matching (Hirschmüller, PAMI 2008) over eight directions, summed into `total`."""
    height, width, planes = cost.shape
    total[:] = 0
    # Paths of one direction never meet, so they may run at once; directions run one after another.
    for k in range(8):
        dy = (0, 0, 1, -1, 1, 1, -1, -1)[k]
        dx = (1, -1, 0, 0, 1, -1, 1, -1)[k]
        starts = height + width
        for start in numba.prange(starts):
            i = np.int64(start)
            if i < height:
                if dx != 0:
                    _along(cost, total, i, 0 if dx > 0 else width - 1, dy, dx, small, large)
            else:
                x = i - height
                corner = (dx > 0 and x == 0) or (dx < 0 and x == width - 1)
                if dy != 0 and not corner:
                    _along(cost, total, 0 if dy > 0 else height - 1, x, dy, dx, small, large)


@device
def _to_world(A: Any, i: int, j: int, depth: float) -> tuple[float, float, float]:
    """The world point at `depth` behind the centre of pixel column i, row j."""
    x, y = i + 0.5, j + 0.5
    return (
        (A[0, 0] * x + A[0, 1] * y + A[0, 2]) * depth + A[0, 3],
        (A[1, 0] * x + A[1, 1] * y + A[1, 2]) * depth + A[1, 3],
        (A[2, 0] * x + A[2, 1] * y + A[2, 2]) * depth + A[2, 3],
    )


@device
def _to_pixel(Q: Any, a: float, b: float, c: float) -> tuple[float, float, float]:
    """Pixel and depth of a world point; (−1, −1) behind the camera."""
    w = Q[2, 0] * a + Q[2, 1] * b + Q[2, 2] * c + Q[2, 3]
    if w <= 1e-6:
        return -1.0, -1.0, w
    u = (Q[0, 0] * a + Q[0, 1] * b + Q[0, 2] * c + Q[0, 3]) / w
    v = (Q[1, 0] * a + Q[1, 1] * b + Q[1, 2] * c + Q[1, 3]) / w
    return u, v, w


@kernel
def agree(inverse: Any, back: Any, P: Any, share: float, pixels: float, xyz: Any, n: Any) -> None:
    """For each pixel of each depth map, how many other maps agree, and the mean of their points.

    `inverse` [C, H, W] are inverse depths, 0 where unknown; maps agree when depths are within
    `share` and the other map's point comes back within `pixels`. Writes xyz and n [C, H, W].
    """
    cameras, height, width = inverse.shape
    for row in numba.prange(cameras * height):
        c, y = np.int64(row) // height, np.int64(row) % height
        for x in range(width):
            n[c, y, x] = 0
            if not inverse[c, y, x] > 0:
                continue
            a, b, d = _to_world(back[c], x, y, 1 / inverse[c, y, x])
            s0, s1, s2, count = a, b, d, 1
            for o in range(cameras):
                u, v, w = _to_pixel(P[o], a, b, d)
                if o == c or not (u >= 0 and v >= 0 and u < width and v < height):
                    continue
                i, j = int(u), int(v)
                if not abs(inverse[o, j, i] * w - 1) < share:
                    continue
                e, f, g = _to_world(back[o], i, j, 1 / inverse[o, j, i])
                u, v, w = _to_pixel(P[c], e, f, g)
                if (u - x - 0.5) ** 2 + (v - y - 0.5) ** 2 < pixels * pixels:
                    s0, s1, s2, count = s0 + e, s1 + f, s2 + g, count + 1
            n[c, y, x] = count - 1
            xyz[c, y, x, 0], xyz[c, y, x, 1], xyz[c, y, x, 2] = s0 / count, s1 / count, s2 / count


@device
def paint(corners: Any, values: Any, image: Any) -> None:
    """Triangles [T, 3, 2] with values [T, 3] at their corners, linear in between, over `image`."""
    height, width = image.shape
    for t in range(corners.shape[0]):
        ax, ay = corners[t, 0, 0], corners[t, 0, 1]
        bx, by = corners[t, 1, 0] - ax, corners[t, 1, 1] - ay
        cx, cy = corners[t, 2, 0] - ax, corners[t, 2, 1] - ay
        area = bx * cy - by * cx
        if abs(area) < 1e-9:
            continue
        left, right = min(0, bx, cx) + ax, max(0, bx, cx) + ax
        low, high = min(0, by, cy) + ay, max(0, by, cy) + ay
        for y in range(max(0, int(low - 0.5)), min(height, int(high + 1.5))):
            for x in range(max(0, int(left - 0.5)), min(width, int(right + 1.5))):
                px, py = x + 0.5 - ax, y + 0.5 - ay
                v, w = (px * cy - py * cx) / area, (bx * py - by * px) / area
                if v >= -1e-6 and w >= -1e-6 and v + w <= 1 + 1e-6:
                    image[y, x] = (1 - v - w) * values[t, 0] + v * values[t, 1] + w * values[t, 2]
