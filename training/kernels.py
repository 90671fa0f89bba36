"""Numba kernels of the photometric loss and its gradient.

An image row is one flat run of width × channels floats, so a step to the next pixel is a step of
`channels` floats and every loop below runs over neighbours in memory, whatever the channels.

SSIM is written in the sum and difference of the two images, p = a + b and q = a − b, blurred by a
Gaussian (a bar): luminance is 1 − q̄²/B₁ and contrast-structure 1 − var(q)/B₂, where B₁ = (p̄² + q̄²)/2 + C₁
and B₂ = (var p + var q)/2 + C₂. This is the usual formula exactly, with four blurs in place of five
and without the usual form's cancellation in float32, since q is small where the images agree.
"""

from __future__ import annotations

import numba
import numpy as np

from clay4d.jit import device, kernel

RADIUS = 5
SIGMA = 1.5
STRIP = 16  # rows that one task makes; more would leave threads idle on small images

_TAPS = np.exp(-0.5 * (np.arange(RADIUS + 1) / SIGMA) ** 2)
_TAPS /= _TAPS[0] + 2 * _TAPS[1:].sum()
# Separate names, not an array: the compiler then sees constants.
W0, W1, W2, W3, W4, W5 = (np.float32(w) for w in _TAPS)
C1 = np.float32(0.01**2)
C2 = np.float32(0.03**2)


@device
def _blur(out, margin, source, start, step, count):  # type: ignore[no-untyped-def]
    """out[margin + i] = Σ wₖ source[start + i + k·step] over k = −5…5."""
    o, m = np.uint64(start), np.uint64(margin)
    s1, s2, s3 = np.uint64(step), np.uint64(2 * step), np.uint64(3 * step)
    s4, s5 = np.uint64(4 * step), np.uint64(5 * step)
    for i in range(np.uint64(0), np.uint64(count)):
        j = i + o
        out[m + i] = (
            W0 * source[j]
            + W1 * (source[j - s1] + source[j + s1])
            + W2 * (source[j - s2] + source[j + s2])
            + W3 * (source[j - s3] + source[j + s3])
            + W4 * (source[j - s4] + source[j + s4])
            + W5 * (source[j - s5] + source[j + s5])
        )


@device
def _blur_squares(out, margin, source, start, step, count):  # type: ignore[no-untyped-def]
    """out[margin + i] = Σ wₖ source[start + i + k·step]² over k = −5…5."""
    o, m = np.uint64(start), np.uint64(margin)
    s1, s2, s3 = np.uint64(step), np.uint64(2 * step), np.uint64(3 * step)
    s4, s5 = np.uint64(4 * step), np.uint64(5 * step)
    for i in range(np.uint64(0), np.uint64(count)):
        j = i + o
        out[m + i] = (
            W0 * source[j] * source[j]
            + W1 * (source[j - s1] * source[j - s1] + source[j + s1] * source[j + s1])
            + W2 * (source[j - s2] * source[j - s2] + source[j + s2] * source[j + s2])
            + W3 * (source[j - s3] * source[j - s3] + source[j + s3] * source[j + s3])
            + W4 * (source[j - s4] * source[j - s4] + source[j + s4] * source[j + s4])
            + W5 * (source[j - s5] * source[j - s5] + source[j + s5] * source[j + s5])
        )


@device
def _sum_and_difference(p, q, at, a, b, start, count):  # type: ignore[no-untyped-def]
    o, s = np.uint64(at), np.uint64(start)
    for i in range(np.uint64(0), np.uint64(count)):
        p[o + i] = a[s + i] + b[s + i]
        q[o + i] = a[s + i] - b[s + i]


@device
def _dissimilarity(p, q, pp, qq, weight, start, count):  # type: ignore[no-untyped-def]
    """Σ weight·(1 − SSIM) over one row of blurs."""
    w = np.uint64(start)
    total = np.float32(0)
    half = np.float32(0.5)
    for i in range(np.uint64(0), np.uint64(count)):
        p2 = p[i] * p[i]
        q2 = q[i] * q[i]
        u = q2 / (half * (p2 + q2) + C1)
        var_q = qq[i] - q2
        v = var_q / (half * (pp[i] - p2 + var_q) + C2)
        lost = u + v - u * v
        if weight is not None:
            lost *= weight[w + i]
        total += lost
    return total


@device
def _dissimilarity_slopes(  # type: ignore[no-untyped-def]
    p, q, pp, qq, weight, start, d_mean, d_pp, d_qq, at, count
):
    """`_dissimilarity`, and its slopes: by the blur of a itself, by pp and by qq."""
    w, o = np.uint64(start), np.uint64(at)
    total = np.float32(0)
    half = np.float32(0.5)
    one = np.float32(1)
    two = np.float32(2)
    for i in range(np.uint64(0), np.uint64(count)):
        p2 = p[i] * p[i]
        q2 = q[i] * q[i]
        r1 = one / (half * (p2 + q2) + C1)
        u = q2 * r1
        var_q = qq[i] - q2
        r2 = one / (half * (pp[i] - p2 + var_q) + C2)
        v = var_q * r2
        lost = u + v - u * v
        by_u = one - v
        by_v = one - u
        if weight is not None:
            lost *= weight[w + i]
            by_u *= weight[w + i]
            by_v *= weight[w + i]
        total += lost
        by_pp = -half * v * r2 * by_v
        by_qq = r2 * by_v + by_pp
        d_pp[o + i] = by_pp
        d_qq[o + i] = by_qq
        # u falls with p̄ and grows with q̄; the last two terms pass through the variances.
        d_mean[o + i] = r1 * by_u * (two * q[i] - u * (p[i] + q[i])) - two * (
            p[i] * by_pp + q[i] * by_qq
        )
    return total


@device
def _absolute(a, b, weight, start, count):  # type: ignore[no-untyped-def]
    """Σ weight·|a − b| over one row."""
    s = np.uint64(start)
    total = np.float32(0)
    for i in range(np.uint64(0), np.uint64(count)):
        d = abs(a[s + i] - b[s + i])
        if weight is not None:
            d *= weight[s + i]
        total += d
    return total


@kernel
def photometric_forward(a, b, weight, images, height, row, channels, slopes):  # type: ignore[no-untyped-def]
    """Sums of |a − b| and 1 − SSIM of each row, and (if `slopes`) the slopes of 1 − SSIM.

    `a`, `b` and `weight` (or None) are flat, `row` floats a row. The slopes [images, height + 10,
    row] have five rows of zeros above and below each image, so the backward blur needs no borders.
    """
    strips = (height + STRIP - 1) // STRIP
    sums = np.empty((images * height, 2), np.float32)
    padded = height + 2 * RADIUS
    size = images * padded * row if slopes else 0
    d_mean = np.empty(size, np.float32)
    d_pp = np.empty(size, np.float32)
    d_qq = np.empty(size, np.float32)
    margin = RADIUS * channels
    for task in numba.prange(images * strips):
        n = task // strips
        y0 = task % strips * STRIP
        count = min(STRIP, height - y0)
        p = np.zeros((STRIP + 2 * RADIUS) * row, np.float32)
        q = np.zeros((STRIP + 2 * RADIUS) * row, np.float32)
        first, last = max(y0 - RADIUS, 0), min(y0 + count + RADIUS, height)
        at = (first - y0 + RADIUS) * row
        _sum_and_difference(p, q, at, a, b, (n * height + first) * row, (last - first) * row)
        columns = np.zeros((4, row + 2 * margin), np.float32)
        blurs = np.empty((4, row), np.float32)
        c0, c1, c2, c3 = columns[0], columns[1], columns[2], columns[3]
        b0, b1, b2, b3 = blurs[0], blurs[1], blurs[2], blurs[3]
        if slopes and y0 == 0:
            top = n * padded * row
            _clear(d_mean, d_pp, d_qq, top, RADIUS * row)
            _clear(d_mean, d_pp, d_qq, top + (RADIUS + height) * row, RADIUS * row)
        for y in range(count):
            start = (y + RADIUS) * row
            _blur(c0, margin, p, start, row, row)
            _blur(c1, margin, q, start, row, row)
            _blur_squares(c2, margin, p, start, row, row)
            _blur_squares(c3, margin, q, start, row, row)
            _blur(b0, 0, c0, margin, channels, row)
            _blur(b1, 0, c1, margin, channels, row)
            _blur(b2, 0, c2, margin, channels, row)
            _blur(b3, 0, c3, margin, channels, row)
            line = n * height + y0 + y
            sums[line, 0] = _absolute(a, b, weight, line * row, row)
            if slopes:
                out = (n * padded + RADIUS + y0 + y) * row
                sums[line, 1] = _dissimilarity_slopes(
                    b0, b1, b2, b3, weight, line * row, d_mean, d_pp, d_qq, out, row
                )
            else:
                sums[line, 1] = _dissimilarity(b0, b1, b2, b3, weight, line * row, row)
    return sums, d_mean, d_pp, d_qq


@device
def _clear(x, y, z, start, count):  # type: ignore[no-untyped-def]
    x[start : start + count] = 0
    y[start : start + count] = 0
    z[start : start + count] = 0


@device
def _combine(out, a, b, mean, pp, qq, weight, start, count, l1, ssim):  # type: ignore[no-untyped-def]
    """l1·weight·sign(a − b) + ssim·(mean + 2p·pp + 2q·qq) for one row."""
    s = np.uint64(start)
    two = np.float32(2)
    for i in range(np.uint64(0), np.uint64(count)):
        x, y = a[s + i], b[s + i]
        d = x - y
        slope = l1 if d > 0 else (-l1 if d < 0 else np.float32(0))
        if weight is not None:
            slope *= weight[s + i]
        out[s + i] = slope + ssim * (mean[i] + two * ((x + y) * pp[i] + d * qq[i]))


@kernel
def photometric_backward(  # type: ignore[no-untyped-def]
    a, b, weight, d_mean, d_pp, d_qq, images, height, row, channels, l1, ssim
):
    """Gradient of l1·Σ weight·|a − b| + ssim·Σ weight·(1 − SSIM) by `a`, flat."""
    strips = (height + STRIP - 1) // STRIP
    padded = height + 2 * RADIUS
    out = np.empty(a.size, np.float32)
    margin = RADIUS * channels
    for task in numba.prange(images * strips):
        n = task // strips
        y0 = task % strips * STRIP
        columns = np.zeros((3, row + 2 * margin), np.float32)
        blurs = np.empty((3, row), np.float32)
        c0, c1, c2 = columns[0], columns[1], columns[2]
        b0, b1, b2 = blurs[0], blurs[1], blurs[2]
        for y in range(y0, min(y0 + STRIP, height)):
            start = (n * padded + RADIUS + y) * row
            _blur(c0, margin, d_mean, start, row, row)
            _blur(c1, margin, d_pp, start, row, row)
            _blur(c2, margin, d_qq, start, row, row)
            _blur(b0, 0, c0, margin, channels, row)
            _blur(b1, 0, c1, margin, channels, row)
            _blur(b2, 0, c2, margin, channels, row)
            _combine(out, a, b, b0, b1, b2, weight, (n * height + y) * row, row, l1, ssim)
    return out
