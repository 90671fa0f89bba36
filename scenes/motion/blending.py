"""Blends of rigid motions, a rigid motion for each Gaussian, and their gradient, as Numba kernels.

With w = softmax(logits) over B bases, each a unit quaternion u, a shift t and a centre k:
ū = Σ w u, û = ū/|ū|, and x ↦ R(û)(x − k̄) + k̄ + t̄, where k̄ = Σ w k and t̄ = Σ w t. Means go that way and
quats become û ⊗ q. Where all bases share one rigid motion the blend is that motion, whatever the
centres. Centres get no gradient.

The gradient of a basis is a sum over Gaussians: each chunk of Gaussians has its own partial sum, and
chunks are added in order, so the bits do not depend on threads.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.jit import device, inlined, kernel

CHUNKS = 32
BASIS = 10  # u (4), t (3), k (3): the columns of a basis


@inlined
def _turn(w, x, y, z, a, b, c):  # type: ignore[no-untyped-def]
    """The vector (a, b, c) turned by a unit quaternion."""
    p, q, r = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return a + w * p + y * r - z * q, b + w * q + z * p - x * r, c + w * r + x * q - y * p


@device
def _mix(logits, bases, w, s):  # type: ignore[no-untyped-def]
    """Write softmax weights to w and the weighted sum of bases, u made unit, to s; gives |ū|."""
    B = len(logits)
    top = logits[0]
    for b in range(B):
        top = max(top, logits[b])
    total = np.float32(0)
    for b in range(B):
        w[b] = np.float32(math.exp(logits[b] - top))
        total += w[b]
    for i in range(BASIS):
        s[i] = 0
    for b in range(B):
        w[b] /= total
        for i in range(BASIS):
            s[i] += w[b] * bases[b, i]
    square = s[0] * s[0] + s[1] * s[1] + s[2] * s[2] + s[3] * s[3]
    length = np.float32(max(math.sqrt(square), np.float32(1e-8)))  # type: ignore[arg-type]
    for i in range(4):
        s[i] /= length
    return length


@kernel
def blend(means, quats, logits, bases):  # type: ignore[no-untyped-def]
    """Moved means [N,3] and quats [N,4]."""
    N, B = logits.shape
    moved, turned = np.empty((N, 3), np.float32), np.empty((N, 4), np.float32)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        w, s = np.empty(B, np.float32), np.empty(BASIS, np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            _mix(logits[n], bases, w, s)
            a, b, c, d = s[0], s[1], s[2], s[3]
            x, y, z = _turn(a, b, c, d, means[n, 0] - s[7], means[n, 1] - s[8], means[n, 2] - s[9])
            moved[n, 0] = x + s[7] + s[4]
            moved[n, 1] = y + s[8] + s[5]
            moved[n, 2] = z + s[9] + s[6]
            qw, qx, qy, qz = quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3]
            turned[n, 0] = a * qw - b * qx - c * qy - d * qz
            turned[n, 1] = a * qx + b * qw + c * qz - d * qy
            turned[n, 2] = a * qy - b * qz + c * qw + d * qx
            turned[n, 3] = a * qz + b * qy - c * qx + d * qw
    return moved, turned


@kernel
def blend_backward(means, quats, logits, bases, g_moved, g_turned):  # type: ignore[no-untyped-def]
    """Gradients of means, quats and logits and, by chunk, of u and t of the bases."""
    N, B = logits.shape
    g_means, g_quats = np.empty((N, 3), np.float32), np.empty((N, 4), np.float32)
    g_logits = np.empty((N, B), np.float32)
    partial = np.zeros((CHUNKS, B, 7), np.float32)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        w, s = np.empty(B, np.float32), np.empty(BASIS, np.float32)
        g = np.empty(BASIS, np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            length = _mix(logits[n], bases, w, s)
            a, b, c, d = s[0], s[1], s[2], s[3]
            gx, gy, gz = g_moved[n, 0], g_moved[n, 1], g_moved[n, 2]
            x, y, z = _turn(a, b, c, d, means[n, 0] - s[7], means[n, 1] - s[8], means[n, 2] - s[9])
            mx, my, mz = _turn(a, -b, -c, -d, gx, gy, gz)
            g_means[n, 0], g_means[n, 1], g_means[n, 2] = mx, my, mz
            g[4], g[5], g[6] = gx, gy, gz
            g[7], g[8], g[9] = gx - mx, gy - my, gz - mz
            # A small turn v of the result, about the world's axes: half of it is û's.
            vx, vy, vz = y * gz - z * gy, z * gx - x * gz, x * gy - y * gx
            t0, t1, t2, t3 = g_turned[n, 0], g_turned[n, 1], g_turned[n, 2], g_turned[n, 3]
            qw, qx, qy, qz = quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3]
            vx *= 2
            vy *= 2
            vz *= 2
            # û gets g_turned ⊗ conj(q) and what turns the means; both along the sphere only.
            u0 = t0 * qw + t1 * qx + t2 * qy + t3 * qz
            u1 = -t0 * qx + t1 * qw - t2 * qz + t3 * qy
            u2 = -t0 * qy + t1 * qz + t2 * qw - t3 * qx
            u3 = -t0 * qz - t1 * qy + t2 * qx + t3 * qw
            u0 += -vx * b - vy * c - vz * d
            u1 += vx * a + vy * d - vz * c
            u2 += -vx * d + vy * a + vz * b
            u3 += vx * c - vy * b + vz * a
            along = u0 * a + u1 * b + u2 * c + u3 * d
            g[0] = (u0 - along * a) / length
            g[1] = (u1 - along * b) / length
            g[2] = (u2 - along * c) / length
            g[3] = (u3 - along * d) / length
            g_quats[n, 0] = t0 * a + t1 * b + t2 * c + t3 * d
            g_quats[n, 1] = -t0 * b + t1 * a + t2 * d - t3 * c
            g_quats[n, 2] = -t0 * c - t1 * d + t2 * a + t3 * b
            g_quats[n, 3] = -t0 * d + t1 * c - t2 * b + t3 * a
            mean = np.float32(0)
            for k in range(B):
                g_weight = np.float32(0)
                for i in range(BASIS):
                    g_weight += g[i] * bases[k, i]
                g_logits[n, k] = g_weight
                mean += w[k] * g_weight
            for k in range(B):
                g_logits[n, k] = w[k] * (g_logits[n, k] - mean)
                for i in range(7):
                    partial[chunk, k, i] += w[k] * g[i]
    return g_means, g_quats, g_logits, partial


class Blend(torch.autograd.Function):
    """Means and quats moved by a blend of rigid motions; see the module for the formulas."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Float[Tensor, "N 3"],
        quats: Float[Tensor, "N 4"],
        logits: Float[Tensor, "N B"],
        bases: Float[Tensor, "B 10"],
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(means, quats, logits, bases)
        given = (x.detach().contiguous().numpy() for x in (means, quats, logits, bases))
        moved, turned = blend(*given)
        return torch.from_numpy(moved), torch.from_numpy(turned)

    @staticmethod
    def backward(ctx: Any, g_moved: Tensor, g_turned: Tensor) -> tuple[Tensor | None, ...]:
        grads = (g_moved, g_turned)
        given = (x.detach().contiguous().numpy() for x in (*ctx.saved_tensors, *grads))
        g_means, g_quats, g_logits, partial = map(torch.from_numpy, blend_backward(*given))
        g_bases = torch.cat([partial.sum(0), partial.new_zeros(g_logits.shape[1], 3)], 1)
        return g_means, g_quats, g_logits, g_bases
