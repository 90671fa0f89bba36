"""View-dependent colour by real spherical harmonics of degree 0 to 3, and its gradient.

Basis and signs are gsplat's (Condon-Shortley phase, as in Sloan, "Efficient Spherical Harmonic
Evaluation", JCGT 2013); colour = max(Σ basis · coefficient + 0.5, 0).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from clay4d.jit import device, kernel
from clay4d.renderers.cpu.projection import CHUNK

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
C3 = (
    0.5900435899266435,
    2.890611442640554,
    0.4570457994644658,
    0.3731763325901154,
    1.445305721320277,
)


@device
def basis(degree, x, y, z, out):  # type: ignore[no-untyped-def]
    """Write the (degree+1)² basis values at the unit direction (x, y, z)."""
    out[0] = C0
    if degree > 0:
        out[1] = -C1 * y
        out[2] = C1 * z
        out[3] = -C1 * x
    if degree > 1:
        out[4] = C2[0] * x * y
        out[5] = -C2[0] * y * z
        out[6] = C2[1] * (2 * z * z - x * x - y * y)
        out[7] = -C2[0] * x * z
        out[8] = C2[2] * (x * x - y * y)
    if degree > 2:
        out[9] = -C3[0] * y * (3 * x * x - y * y)
        out[10] = C3[1] * x * y * z
        out[11] = -C3[2] * y * (4 * z * z - x * x - y * y)
        out[12] = C3[3] * z * (2 * z * z - 3 * x * x - 3 * y * y)
        out[13] = -C3[2] * x * (4 * z * z - x * x - y * y)
        out[14] = C3[4] * z * (x * x - y * y)
        out[15] = -C3[0] * x * (x * x - 3 * y * y)


@device
def direction_gradient(degree, x, y, z, w):  # type: ignore[no-untyped-def]
    """Gradient of Σ w[k]·basis[k] with respect to (x, y, z)."""
    gx = -C1 * w[3]
    gy = -C1 * w[1]
    gz = C1 * w[2]
    if degree > 1:
        gx += C2[0] * (y * w[4] - z * w[7]) - 2 * C2[1] * x * w[6] + 2 * C2[2] * x * w[8]
        gy += C2[0] * (x * w[4] - z * w[5]) - 2 * C2[1] * y * w[6] - 2 * C2[2] * y * w[8]
        gz += -C2[0] * (y * w[5] + x * w[7]) + 4 * C2[1] * z * w[6]
    if degree > 2:
        ring = 4 * z * z - x * x - y * y
        gx += (
            -6 * C3[0] * x * y * w[9]
            + C3[1] * y * z * w[10]
            + 2 * C3[2] * x * y * w[11]
            - 6 * C3[3] * x * z * w[12]
            - C3[2] * (ring - 2 * x * x) * w[13]
            + 2 * C3[4] * x * z * w[14]
            - 3 * C3[0] * (x * x - y * y) * w[15]
        )
        gy += (
            -3 * C3[0] * (x * x - y * y) * w[9]
            + C3[1] * x * z * w[10]
            - C3[2] * (ring - 2 * y * y) * w[11]
            - 6 * C3[3] * y * z * w[12]
            + 2 * C3[2] * x * y * w[13]
            - 2 * C3[4] * y * z * w[14]
            + 6 * C3[0] * x * y * w[15]
        )
        gz += (
            C3[1] * x * y * w[10]
            - 8 * C3[2] * y * z * w[11]
            + C3[3] * (6 * z * z - 3 * x * x - 3 * y * y) * w[12]
            - 8 * C3[2] * x * z * w[13]
            + C3[4] * (x * x - y * y) * w[14]
        )
    return gx, gy, gz


@kernel
def colours(degree, means, centres, sh, radii):  # type: ignore[no-untyped-def]
    """Colours [B,C,N,3] of means [B,N,3] seen from camera centres [B,C,3] by sh [B,N,K,3]."""
    B, N = means.shape[0], means.shape[1]
    C = centres.shape[1]
    K = (degree + 1) ** 2
    chunks = (N + CHUNK - 1) // CHUNK
    out = np.zeros((B, C, N, 3), np.float32)
    for job in numba.prange(B * chunks):
        b = job // chunks
        first = (job - b * chunks) * CHUNK
        Y = np.empty(16, np.float32)
        for n in range(first, min(first + CHUNK, N)):
            for c in range(C):
                if radii[b, c, n, 0] <= 0:
                    continue
                x = means[b, n, 0] - centres[b, c, 0]
                y = means[b, n, 1] - centres[b, c, 1]
                z = means[b, n, 2] - centres[b, c, 2]
                inv = np.float32(1) / np.float32(
                    math.sqrt(max(x * x + y * y + z * z, np.float32(1e-24)))
                )
                basis(degree, x * inv, y * inv, z * inv, Y)
                red = green = blue = np.float32(0.5)
                for k in range(K):
                    red += Y[k] * sh[b, n, k, 0]
                    green += Y[k] * sh[b, n, k, 1]
                    blue += Y[k] * sh[b, n, k, 2]
                out[b, c, n, 0] = max(red, np.float32(0))
                out[b, c, n, 1] = max(green, np.float32(0))
                out[b, c, n, 2] = max(blue, np.float32(0))
    return out


@kernel
def colours_backward(degree, means, centres, sh, radii, colors, g_colors):  # type: ignore[no-untyped-def]
    """Gradients of sh, means and, as [B,chunks,C,3] to be summed over chunks, camera centres."""
    B, N = means.shape[0], means.shape[1]
    C = centres.shape[1]
    K = (degree + 1) ** 2
    chunks = (N + CHUNK - 1) // CHUNK
    g_sh = np.zeros(sh.shape, np.float32)
    g_means = np.zeros(means.shape, np.float32)
    g_centres = np.zeros((B, chunks, C, 3), np.float32)
    for job in numba.prange(B * chunks):
        b = job // chunks
        chunk = job - b * chunks
        first = chunk * CHUNK
        Y = np.empty(16, np.float32)
        w = np.empty(16, np.float32)
        for n in range(first, min(first + CHUNK, N)):
            for c in range(C):
                if radii[b, c, n, 0] <= 0:
                    continue
                gr = g_colors[b, c, n, 0] if colors[b, c, n, 0] > 0 else np.float32(0)
                gg = g_colors[b, c, n, 1] if colors[b, c, n, 1] > 0 else np.float32(0)
                gb = g_colors[b, c, n, 2] if colors[b, c, n, 2] > 0 else np.float32(0)
                if gr == 0 and gg == 0 and gb == 0:
                    continue
                x = means[b, n, 0] - centres[b, c, 0]
                y = means[b, n, 1] - centres[b, c, 1]
                z = means[b, n, 2] - centres[b, c, 2]
                inv = np.float32(1) / np.float32(
                    math.sqrt(max(x * x + y * y + z * z, np.float32(1e-24)))
                )
                x, y, z = x * inv, y * inv, z * inv
                basis(degree, x, y, z, Y)
                for k in range(K):
                    g_sh[b, n, k, 0] += Y[k] * gr
                    g_sh[b, n, k, 1] += Y[k] * gg
                    g_sh[b, n, k, 2] += Y[k] * gb
                    w[k] = sh[b, n, k, 0] * gr + sh[b, n, k, 1] * gg + sh[b, n, k, 2] * gb
                if degree == 0:
                    continue
                gx, gy, gz = direction_gradient(degree, x, y, z, w)
                along = gx * x + gy * y + gz * z
                gx, gy, gz = (gx - along * x) * inv, (gy - along * y) * inv, (gz - along * z) * inv
                g_means[b, n, 0] += gx
                g_means[b, n, 1] += gy
                g_means[b, n, 2] += gz
                g_centres[b, chunk, c, 0] -= gx
                g_centres[b, chunk, c, 1] -= gy
                g_centres[b, chunk, c, 2] -= gz
    return g_sh, g_means, g_centres
