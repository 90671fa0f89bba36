"""Per-Gaussian paths and presence, and their gradient, as Numba kernels.

With s = t − moment: μ' = μ + Σ_b path_b φ_b(s), q' = q + s·spin and presence = exp(−½ (s / e^span)²),
where φ are s, s², … and sin 2πks, cos 2πks − 1. Torch's many small operations over all rows cost as
much as the blending of a small picture; here each row is read once.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.jit import device, kernel

CHUNKS = 32
TAU = np.float32(2 * math.pi)


@device
def _basis(s, degree, harmonics, values, slopes):  # type: ignore[no-untyped-def]
    """Write φ(s) and φ'(s)."""
    power = np.float32(1)
    for k in range(degree):
        slopes[k] = (k + 1) * power
        power *= s
        values[k] = power
    for k in range(harmonics):
        rate = TAU * np.float32(k + 1)
        sine, cosine = np.float32(math.sin(rate * s)), np.float32(math.cos(rate * s))
        values[degree + 2 * k], slopes[degree + 2 * k] = sine, rate * cosine
        values[degree + 2 * k + 1], slopes[degree + 2 * k + 1] = cosine - 1, -rate * sine


@kernel
def follow(means, quats, path, spin, moment, span, moves, time, degree, harmonics):  # type: ignore[no-untyped-def]
    """Moved means [N,3] and quats [N,4], and presences [N]; rows that do not move stay as they are."""
    N, B = len(means), degree + 2 * harmonics
    moved, turned = np.empty((N, 3), np.float32), np.empty((N, 4), np.float32)
    presence = np.empty(N, np.float32)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        values, slopes = np.empty(B, np.float32), np.empty(B, np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            for i in range(3):
                moved[n, i] = means[n, i]
            for i in range(4):
                turned[n, i] = quats[n, i]
            presence[n] = 1
            if moves[n] == 0:
                continue
            s = np.float32(time - moment[n])
            away = s * np.float32(math.exp(-span[n]))
            presence[n] = np.float32(math.exp(np.float32(-0.5) * away * away))
            _basis(s, degree, harmonics, values, slopes)
            for b in range(B):
                for i in range(3):
                    moved[n, i] += values[b] * path[n, b, i]
            for i in range(4):
                turned[n, i] += s * spin[n, i]
    return moved, turned, presence


@kernel
def follow_backward(  # type: ignore[no-untyped-def]
    path, spin, moment, span, moves, time, degree, harmonics, g_moved, g_turned, g_presence
):
    """Gradients of path, spin, moment and span; those of means and quats are the outputs' own."""
    N, B = len(moment), degree + 2 * harmonics
    g_path, g_spin = np.zeros((N, B, 3), np.float32), np.zeros((N, 4), np.float32)
    g_moment, g_span = np.zeros(N, np.float32), np.zeros(N, np.float32)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        values, slopes = np.empty(B, np.float32), np.empty(B, np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            if moves[n] == 0:
                continue
            s = np.float32(time - moment[n])
            rate = np.float32(math.exp(-span[n]))
            away = s * rate
            g = g_presence[n] * np.float32(math.exp(np.float32(-0.5) * away * away))
            g_span[n] = g * away * away
            later = g * away * rate
            _basis(s, degree, harmonics, values, slopes)
            for b in range(B):
                for i in range(3):
                    g_path[n, b, i] = values[b] * g_moved[n, i]
                    later -= slopes[b] * path[n, b, i] * g_moved[n, i]
            for i in range(4):
                g_spin[n, i] = s * g_turned[n, i]
                later -= spin[n, i] * g_turned[n, i]
            g_moment[n] = later
    return g_path, g_spin, g_moment, g_span


class Follow(torch.autograd.Function):
    """Where Gaussians are at a time, and how much of them; see the module for the formulas."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Float[Tensor, "N 3"],
        quats: Float[Tensor, "N 4"],
        path: Float[Tensor, "N B 3"],
        spin: Float[Tensor, "N 4"],
        moment: Float[Tensor, " N"],
        span: Float[Tensor, " N"],
        moves: UInt8[Tensor, " N"],
        time: float,
        degree: int,
        harmonics: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(path, spin, moment, span)
        ctx.rest = moves.numpy(), float(time), degree, harmonics
        rows = (x.detach().contiguous().numpy() for x in (means, quats, path, spin, moment, span))
        moved, turned, presence = follow(*rows, *ctx.rest)
        return torch.from_numpy(moved), torch.from_numpy(turned), torch.from_numpy(presence)

    @staticmethod
    def backward(
        ctx: Any, g_moved: Tensor, g_turned: Tensor, g_presence: Tensor
    ) -> tuple[Tensor | None, ...]:
        rows = (x.detach().contiguous().numpy() for x in ctx.saved_tensors)
        grads = (g.contiguous().numpy() for g in (g_moved, g_turned, g_presence))
        found = follow_backward(*rows, *ctx.rest, *grads)
        return g_moved, g_turned, *(torch.from_numpy(g) for g in found), None, None, None, None
