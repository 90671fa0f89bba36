"""Gaussians to the image plane: EWA projection (Zwicker et al. 2002) as gsplat 1.5.3 does it, and its gradient.

One work item is a chunk of Gaussians of one scene, seen by all its cameras, so that gradients of a
Gaussian are summed over cameras in one place and in a fixed order.

Letters: V = R·Rq·S is the square root of the covariance in camera space, u and v the two rows of
J·V, so that the image-plane covariance is (u·u, u·v, v·v) and its determinant |u × v|², which has no
cancellation however thin the Gaussian is.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from clay4d.jit import inlined, kernel

CHUNK = 256
ALPHA_MIN = 1.0 / 255.0
MAX_EXTEND = 3.33


@inlined
def _rotation(w, x, y, z):  # type: ignore[no-untyped-def]
    """Rows of the rotation matrix of a unit quaternion."""
    return (
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    )


@inlined
def _clip(value, low, high):  # type: ignore[no-untyped-def]
    return min(max(value, low), high)


@inlined
def _unit(q):  # type: ignore[no-untyped-def]
    """A quaternion [4] of length 1, and what it was multiplied by."""
    w, x, y, z = q[0], q[1], q[2], q[3]
    inv = np.float32(1) / np.float32(
        max(math.sqrt(w * w + x * x + y * y + z * z), np.float32(1e-12))  # type: ignore[arg-type]
    )
    return w * inv, x * inv, y * inv, z * inv, inv


@inlined
def _along(row, mean):  # type: ignore[no-untyped-def]
    """One coordinate in camera space, by a row [4] of the view matrix."""
    return row[0] * mean[0] + row[1] * mean[1] + row[2] * mean[2] + row[3]


@inlined
def _within(slope, focal, centre, size):  # type: ignore[no-untyped-def]
    """x/z or y/z, held to the picture and 15 % around it: further out the linear lens is no use."""
    margin = np.float32(0.15) * size / focal
    return _clip(slope, -(centre / focal + margin), (size - centre) / focal + margin)


@inlined
def _image_rows(V, jx, jy, lx, ly):  # type: ignore[no-untyped-def]
    """The rows u and v of J·V."""
    return (
        jx * (V[0, 0] - lx * V[2, 0]),
        jx * (V[0, 1] - lx * V[2, 1]),
        jx * (V[0, 2] - lx * V[2, 2]),
        jy * (V[1, 0] - ly * V[2, 0]),
        jy * (V[1, 1] - ly * V[2, 1]),
        jy * (V[1, 2] - ly * V[2, 2]),
    )


@inlined
def _moments(u0, u1, u2, v0, v1, v2):  # type: ignore[no-untyped-def]
    """u·u, u·v, v·v and |u × v|²."""
    w0, w1, w2 = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    return (
        u0 * u0 + u1 * u1 + u2 * u2,
        u0 * v0 + u1 * v1 + u2 * v2,
        v0 * v0 + v1 * v1 + v2 * v2,
        w0 * w0 + w1 * w1 + w2 * w2,
    )


@kernel
def project(  # type: ignore[no-untyped-def]
    means, quats, scales, opacities, viewmats, Ks, width, height,
    near, far, radius_clip, eps2d, antialiased,
):  # fmt: skip
    """Project [B,N] Gaussians into [B,C] cameras; culled ones keep radius 0 and zeros elsewhere."""
    B, N = means.shape[0], means.shape[1]
    C = viewmats.shape[1]
    means2d = np.zeros((B, C, N, 2), np.float32)
    depths = np.zeros((B, C, N), np.float32)
    conics = np.zeros((B, C, N, 3), np.float32)
    compensations = np.zeros((B, C, N), np.float32)
    covars2d = np.zeros((B, C, N, 3), np.float32)
    radii = np.zeros((B, C, N, 2), np.int32)
    chunks = (N + CHUNK - 1) // CHUNK
    eps = np.float32(eps2d)
    for job in numba.prange(B * chunks):
        b = job // chunks
        first = (job - b * chunks) * CHUNK
        V = np.empty((3, 3), np.float32)
        for n in range(first, min(first + CHUNK, N)):
            opacity = opacities[b, n]
            if opacity < np.float32(ALPHA_MIN):
                continue
            qw, qx, qy, qz, _ = _unit(quats[b, n])
            r = _rotation(qw, qx, qy, qz)
            s0, s1, s2 = scales[b, n, 0], scales[b, n, 1], scales[b, n, 2]
            for c in range(C):
                A = viewmats[b, c]
                z = _along(A[2], means[b, n])
                if z < near or z > far:
                    continue
                x, y = _along(A[0], means[b, n]), _along(A[1], means[b, n])
                for i in range(3):
                    V[i, 0] = (A[i, 0] * r[0] + A[i, 1] * r[3] + A[i, 2] * r[6]) * s0
                    V[i, 1] = (A[i, 0] * r[1] + A[i, 1] * r[4] + A[i, 2] * r[7]) * s1
                    V[i, 2] = (A[i, 0] * r[2] + A[i, 1] * r[5] + A[i, 2] * r[8]) * s2
                fx, fy, cx, cy = Ks[b, c, 0, 0], Ks[b, c, 1, 1], Ks[b, c, 0, 2], Ks[b, c, 1, 2]
                rz = np.float32(1) / z
                lx, ly = _within(x * rz, fx, cx, width), _within(y * rz, fy, cy, height)
                jx, jy = fx * rz, fy * rz
                u0, u1, u2, v0, v1, v2 = _image_rows(V, jx, jy, lx, ly)
                xx, xy, yy, area = _moments(u0, u1, u2, v0, v1, v2)
                det = area + eps * (xx + yy) + eps * eps
                if not det > 0:
                    continue
                compensation = np.float32(math.sqrt(area / det))
                seen = opacity * compensation if antialiased else opacity
                if seen < np.float32(ALPHA_MIN):
                    continue
                extend = min(MAX_EXTEND, math.sqrt(2 * math.log(seen * np.float32(255))))
                xx += eps
                yy += eps
                radius_x = math.ceil(extend * math.sqrt(xx))
                radius_y = math.ceil(extend * math.sqrt(yy))
                if radius_x <= radius_clip and radius_y <= radius_clip:
                    continue
                px, py = jx * x + cx, jy * y + cy
                if px + radius_x <= 0 or px - radius_x >= width:
                    continue
                if py + radius_y <= 0 or py - radius_y >= height:
                    continue
                radii[b, c, n, 0] = min(radius_x, 2**30)
                radii[b, c, n, 1] = min(radius_y, 2**30)
                means2d[b, c, n, 0] = px
                means2d[b, c, n, 1] = py
                depths[b, c, n] = z
                idet = np.float32(1) / det
                conics[b, c, n, 0] = yy * idet
                conics[b, c, n, 1] = -xy * idet
                conics[b, c, n, 2] = xx * idet
                compensations[b, c, n] = compensation
                covars2d[b, c, n, 0] = xx
                covars2d[b, c, n, 1] = xy
                covars2d[b, c, n, 2] = yy
    return means2d, depths, conics, compensations, radii, covars2d


@inlined
def _quat_gradient(g, w, x, y, z):  # type: ignore[no-untyped-def]
    """Gradient of the unit quaternion from that of its rotation matrix `g` [3,3]."""
    gw = 2 * (x * (g[2, 1] - g[1, 2]) + y * (g[0, 2] - g[2, 0]) + z * (g[1, 0] - g[0, 1]))
    gx = 2 * (
        -2 * x * (g[1, 1] + g[2, 2])
        + y * (g[0, 1] + g[1, 0])
        + z * (g[0, 2] + g[2, 0])
        + w * (g[2, 1] - g[1, 2])
    )
    gy = 2 * (
        x * (g[0, 1] + g[1, 0])
        - 2 * y * (g[0, 0] + g[2, 2])
        + z * (g[1, 2] + g[2, 1])
        + w * (g[0, 2] - g[2, 0])
    )
    gz = 2 * (
        x * (g[0, 2] + g[2, 0])
        + y * (g[1, 2] + g[2, 1])
        - 2 * z * (g[0, 0] + g[1, 1])
        + w * (g[1, 0] - g[0, 1])
    )
    return gw, gx, gy, gz


@inlined
def _covariance_gradient(conic, g):  # type: ignore[no-untyped-def]
    """Gradient of (xx, xy, yy) from that of its inverse P: -P G P."""
    a, o, d = conic[0], conic[1], conic[2]
    ga, go, gd = g[0], g[1] * np.float32(0.5), g[2]
    e00, e01 = a * ga + o * go, a * go + o * gd
    e10, e11 = o * ga + d * go, o * go + d * gd
    return (
        -(e00 * a + e01 * o),
        -(e00 * o + e01 * d) - (e10 * a + e11 * o),
        -(e10 * o + e11 * d),
    )


@inlined
def _compensation_gradient(rows, eps, compensation, g):  # type: ignore[no-untyped-def]
    """Gradient of (xx, xy, yy) from that of the compensation √(area / det)."""
    xx, xy, yy, area = _moments(rows[0], rows[1], rows[2], rows[3], rows[4], rows[5])
    idet = np.float32(1) / (area + eps * (xx + yy) + eps * eps)
    ratio = area * idet
    g_ratio = np.float32(0.5) * g / max(compensation, np.float32(1e-6))
    g_area = g_ratio * (np.float32(1) - ratio) * idet
    g_trace = -g_ratio * ratio * idet * eps
    return g_area * yy + g_trace, np.float32(-2) * g_area * xy, g_area * xx + g_trace


@inlined
def _rows_gradient(gV, V, rows, jx, jy, lx, ly, g_xx, g_xy, g_yy):  # type: ignore[no-untyped-def]
    """Fill the gradient of V; gives those of jx, jy, lx, ly.

    u = jx (V0 - lx V2), so that g_jx = gu·u / jx and g_lx = -jx gu·V2.
    """
    g_jx = g_jy = g_lx = g_ly = np.float32(0)
    for k in range(3):
        u, v = rows[k], rows[3 + k]
        gu = 2 * g_xx * u + g_xy * v
        gv = 2 * g_yy * v + g_xy * u
        gV[0, k], gV[1, k] = jx * gu, jy * gv
        gV[2, k] = -lx * gV[0, k] - ly * gV[1, k]
        g_jx += gu * u
        g_jy += gv * v
        g_lx += gu * V[2, k]
        g_ly += gv * V[2, k]
    return g_jx / jx, g_jy / jy, -jx * g_lx, -jy * g_ly


@inlined
def _to_world(A, gp, gV, g_mean, gM):  # type: ignore[no-untyped-def]
    """Add the gradients of a mean and of R·S from those in camera space."""
    for i in range(3):
        g_mean[i] += A[0, i] * gp[0] + A[1, i] * gp[1] + A[2, i] * gp[2]
        for k in range(3):
            gM[i, k] += A[0, i] * gV[0, k] + A[1, i] * gV[1, k] + A[2, i] * gV[2, k]


@inlined
def _to_camera(mean, M, gp, gV, g_view):  # type: ignore[no-untyped-def]
    """Add the gradient of the camera's rows [3,4]."""
    for i in range(3):
        for j in range(3):
            moved, turned = gp[i] * mean[j], gV[i]
            g_view[i, j] += moved + turned[0] * M[j, 0] + turned[1] * M[j, 1] + turned[2] * M[j, 2]
        g_view[i, 3] += gp[i]


@kernel
def project_backward(  # type: ignore[no-untyped-def]
    means, quats, scales, viewmats, Ks, width, height, eps2d,
    radii, conics, compensations, g_means2d, g_depths, g_conics, g_compensations,
):  # fmt: skip
    """Gradients of means, quats, scales, and of viewmats [B,chunks,C,3,4] to be summed over chunks."""
    B, N = means.shape[0], means.shape[1]
    C = viewmats.shape[1]
    chunks = (N + CHUNK - 1) // CHUNK
    g_means = np.zeros((B, N, 3), np.float32)
    g_quats = np.zeros((B, N, 4), np.float32)
    g_scales = np.zeros((B, N, 3), np.float32)
    g_views = np.zeros((B, chunks, C, 3, 4), np.float32)
    eps = np.float32(eps2d)
    for job in numba.prange(B * chunks):
        b = job // chunks
        chunk = job - b * chunks
        first = chunk * CHUNK
        V = np.empty((3, 3), np.float32)
        M = np.empty((3, 3), np.float32)
        gV = np.empty((3, 3), np.float32)
        gM = np.empty((3, 3), np.float32)
        gp = np.empty(3, np.float32)
        for n in range(first, min(first + CHUNK, N)):
            qw, qx, qy, qz, inv = _unit(quats[b, n])
            r = _rotation(qw, qx, qy, qz)
            seen = False
            for k in range(3):
                s = scales[b, n, k]
                M[0, k] = r[k] * s
                M[1, k] = r[3 + k] * s
                M[2, k] = r[6 + k] * s
                for i in range(3):
                    gM[i, k] = 0
            for c in range(C):
                if radii[b, c, n, 0] <= 0:
                    continue
                seen = True
                A = viewmats[b, c]
                x, y = _along(A[0], means[b, n]), _along(A[1], means[b, n])
                z = _along(A[2], means[b, n])
                for i in range(3):
                    for k in range(3):
                        V[i, k] = A[i, 0] * M[0, k] + A[i, 1] * M[1, k] + A[i, 2] * M[2, k]
                fx, fy, cx, cy = Ks[b, c, 0, 0], Ks[b, c, 1, 1], Ks[b, c, 0, 2], Ks[b, c, 1, 2]
                rz = np.float32(1) / z
                sx, sy = x * rz, y * rz
                lx, ly = _within(sx, fx, cx, width), _within(sy, fy, cy, height)
                jx, jy = fx * rz, fy * rz
                rows = _image_rows(V, jx, jy, lx, ly)
                g_xx, g_xy, g_yy = _covariance_gradient(conics[b, c, n], g_conics[b, c, n])
                if g_compensations[b, c, n] != 0:
                    h_xx, h_xy, h_yy = _compensation_gradient(
                        rows, eps, compensations[b, c, n], g_compensations[b, c, n]
                    )
                    g_xx, g_xy, g_yy = g_xx + h_xx, g_xy + h_xy, g_yy + h_yy
                g_jx, g_jy, g_lx, g_ly = _rows_gradient(
                    gV, V, rows, jx, jy, lx, ly, g_xx, g_xy, g_yy
                )
                if lx != sx:
                    g_lx = np.float32(0)
                if ly != sy:
                    g_ly = np.float32(0)
                g_sx = g_lx + fx * g_means2d[b, c, n, 0]
                g_sy = g_ly + fy * g_means2d[b, c, n, 1]
                gp[0] = g_sx * rz
                gp[1] = g_sy * rz
                gp[2] = g_depths[b, c, n] - rz * (g_sx * sx + g_sy * sy + jx * g_jx + jy * g_jy)
                _to_world(A, gp, gV, g_means[b, n], gM)
                _to_camera(means[b, n], M, gp, gV, g_views[b, chunk, c])
            if not seen:
                continue
            for k in range(3):
                s = scales[b, n, k]
                g_scales[b, n, k] = gM[0, k] * r[k] + gM[1, k] * r[3 + k] + gM[2, k] * r[6 + k]
                for i in range(3):
                    gM[i, k] *= s
            gw, gx, gy, gz = _quat_gradient(gM, qw, qx, qy, qz)
            along = gw * qw + gx * qx + gy * qy + gz * qz
            g_quats[b, n, 0] = (gw - along * qw) * inv
            g_quats[b, n, 1] = (gx - along * qx) * inv
            g_quats[b, n, 2] = (gy - along * qy) * inv
            g_quats[b, n, 3] = (gz - along * qz) * inv
    return g_means, g_quats, g_scales, g_views
