"""4D Gaussians cut at a moment, and the gradient of that, as Numba kernels in double precision.

Axes of 4D are (time, x, y, z), time in metres by a factor of the scene. A Gaussian has a mean, a moment,
scales S = (s_t, s_x, s_y, s_z), a quaternion q that turns space, and a unit quaternion δ that leans time
towards space: v ↦ v ⊗ conj(δ), a matrix B. Every rotation of 4D is such a pair (Cayley 1854).

In the axes of q, P = B S² Bᵀ has the blocks p (time), r (time with space) and M (space). At a time dt from
its moment the Gaussian is a 3D one with mean μ + R(q) r/p · dt, covariance C = M − r rᵀ/p and presence
exp(−½ dt²/p). Cyclic Jacobi (Golub & Van Loan, 8.5) makes C = E Λ Eᵀ; starting from no turn, it keeps the
order of the axes where nothing leans. Gaussians are then given as quats q ⊗ E and scales √Λ.

Turns of E are divided by differences of Λ. Where those vanish, so does what is divided, for a loss that
depends on the covariance alone, but float32 has rounded it: the quotient 1/d is damped to d/(d² + ε²), with
ε at the size of that rounding. A larger ε takes true gradient away: 10⁻³ took up to three quarters of it.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.jit import device, inlined, kernel

CHUNKS = 32
SWEEPS = 5
DAMPING = 1e-6
"""ε, as a share of the largest eigenvalue."""
LEAST = 1e-14
"""Eigenvalues are at least this share of the largest."""


@inlined
def _product(a, b, c, d, w, x, y, z):  # type: ignore[no-untyped-def]
    """(a, b, c, d) ⊗ (w, x, y, z)."""
    return (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )


@inlined
def _turn(w, x, y, z, a, b, c):  # type: ignore[no-untyped-def]
    """The vector (a, b, c) turned by a unit quaternion."""
    p, q, r = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return a + w * p + y * r - z * q, b + w * q + z * p - x * r, c + w * r + x * q - y * p


@device
def _unit(row, out):  # type: ignore[no-untyped-def]
    """Write a quaternion of length 1 to out, the identity for zeros; gives the length there was."""
    square = 0.0
    for i in range(4):
        out[i] = row[i]
        square += out[i] * out[i]
    length = math.sqrt(square)
    if length < 1e-12:
        out[0], out[1], out[2], out[3] = 1.0, 0.0, 0.0, 0.0
        return 1.0
    for i in range(4):
        out[i] /= length
    return length


@device
def _lean(d, B):  # type: ignore[no-untyped-def]
    """Write the matrix of v ↦ v ⊗ conj(d)."""
    a, b, c, e = d[0], d[1], d[2], d[3]
    B[0, 0], B[0, 1], B[0, 2], B[0, 3] = a, b, c, e
    B[1, 0], B[1, 1], B[1, 2], B[1, 3] = -b, a, -e, c
    B[2, 0], B[2, 1], B[2, 2], B[2, 3] = -c, e, a, -b
    B[3, 0], B[3, 1], B[3, 2], B[3, 3] = -e, -c, b, a


@device
def _jacobi(C, E, e):  # type: ignore[no-untyped-def]
    """Bring C to its eigenvalues; write the eigenvectors to E and their unit quaternion to e."""
    for i in range(3):
        for j in range(3):
            E[i, j] = 1.0 if i == j else 0.0
    e[0], e[1], e[2], e[3] = 1.0, 0.0, 0.0, 0.0
    for _ in range(SWEEPS):
        for step in range(3):
            i = 0 if step < 2 else 1
            j = 1 if step == 0 else 2
            off = C[i, j]
            if off * off <= 1e-32 * abs(C[i, i] * C[j, j]):
                continue
            tau = (C[j, j] - C[i, i]) / (2 * off)
            t = 1 / (abs(tau) + math.sqrt(1 + tau * tau))
            if tau < 0:
                t = -t
            c = 1 / math.sqrt(1 + t * t)
            s = t * c
            C[i, i] -= t * off
            C[j, j] += t * off
            C[i, j] = 0.0
            C[j, i] = 0.0
            k = 3 - i - j
            x, y = C[k, i], C[k, j]
            C[k, i] = c * x - s * y
            C[k, j] = s * x + c * y
            C[i, k], C[j, k] = C[k, i], C[k, j]
            for m in range(3):
                x, y = E[m, i], E[m, j]
                E[m, i] = c * x - s * y
                E[m, j] = s * x + c * y
            # Columns i and j turned by −angle about axis k, the other way for the pair (0, 2).
            half = math.sqrt(0.5 * (1 + c))
            sine = s / (2 * half)
            if k != 1:
                sine = -sine
            w, x, y, z = e[0], e[1], e[2], e[3]
            turn = (half, sine if k == 0 else 0.0, sine if k == 1 else 0.0, sine if k == 2 else 0.0)
            e[0], e[1], e[2], e[3] = _product(w, x, y, z, turn[0], turn[1], turn[2], turn[3])


@device
def _cut(S, d, B, A, P, C):  # type: ignore[no-untyped-def]
    """Write B, A = B S, P = A Aᵀ and the conditional covariance C."""
    _lean(d, B)
    for i in range(4):
        for k in range(4):
            A[i, k] = B[i, k] * S[k]
    for i in range(4):
        for j in range(4):
            total = 0.0
            for k in range(4):
                total += A[i, k] * A[j, k]
            P[i, j] = total
    for i in range(3):
        for j in range(3):
            C[i, j] = P[1 + i, 1 + j] - P[0, 1 + i] * P[0, 1 + j] / P[0, 0]


@device
def _size(value, largest):  # type: ignore[no-untyped-def]
    """A scale from an eigenvalue that rounding may have made negative."""
    return math.sqrt(max(value, LEAST * largest))


@kernel
def condition(means, quats, scales, lean, moment, span, moves, time, stretch):  # type: ignore[no-untyped-def]
    """Means, quats, scales (linear) and presences at a time; rows that do not move stay as they are."""
    N = len(means)
    moved, turned = np.empty((N, 3), np.float32), np.empty((N, 4), np.float32)
    sizes, presence = np.empty((N, 3), np.float32), np.empty(N, np.float32)
    rows = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        q, d, e, S = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
        B, A, P = np.empty((4, 4)), np.empty((4, 4)), np.empty((4, 4))
        C, E = np.empty((3, 3)), np.empty((3, 3))
        for n in range(chunk * rows, min((chunk + 1) * rows, N)):
            for k in range(3):
                S[1 + k] = math.exp(scales[n, k])
            if moves[n] == 0:
                for i in range(3):
                    moved[n, i], sizes[n, i] = means[n, i], S[1 + i]
                for i in range(4):
                    turned[n, i] = quats[n, i]
                presence[n] = 1
                continue
            S[0] = math.exp(span[n]) * stretch
            length = _unit(quats[n], q)
            _unit(lean[n], d)
            _cut(S, d, B, A, P, C)
            _jacobi(C, E, e)
            dt = (time - moment[n]) * stretch
            p = P[0, 0]
            presence[n] = math.exp(-0.5 * dt * dt / p)
            away = dt / p
            x, y, z = _turn(q[0], q[1], q[2], q[3], P[0, 1] * away, P[0, 2] * away, P[0, 3] * away)
            moved[n, 0], moved[n, 1], moved[n, 2] = (
                means[n, 0] + x,
                means[n, 1] + y,
                means[n, 2] + z,
            )
            largest = max(C[0, 0], C[1, 1], C[2, 2])
            for i in range(3):
                sizes[n, i] = _size(C[i, i], largest)
            w, x, y, z = _product(q[0], q[1], q[2], q[3], e[0], e[1], e[2], e[3])
            turned[n, 0], turned[n, 1], turned[n, 2], turned[n, 3] = (
                w * length, x * length, y * length, z * length,
            )  # fmt: skip
    return moved, turned, sizes, presence


@device
def _from_eigen(C, E, g_sizes, turn, G):  # type: ignore[no-untyped-def]
    """Write the gradient of C to G from those of the scales and of a turn of E about its own axes."""
    H = np.zeros((3, 3))
    largest = max(C[0, 0], C[1, 1], C[2, 2])
    for i in range(3):
        if C[i, i] > LEAST * largest:
            H[i, i] = g_sizes[i] / (2 * math.sqrt(C[i, i]))
        j, k = (i + 1) % 3, (i + 2) % 3
        apart = C[j, j] - C[k, k]
        low = DAMPING * largest
        H[j, k] = 0.5 * turn[i] * apart / (apart * apart + low * low + 1e-300)
        H[k, j] = H[j, k]
    for i in range(3):
        for j in range(3):
            total = 0.0
            for k in range(3):
                for m in range(3):
                    total += E[i, k] * H[k, m] * E[j, m]
            G[i, j] = total


@device
def _from_cut(G, g_u, g_p, S, B, A, P, g_S, g_d):  # type: ignore[no-untyped-def]
    """Write the gradients of log S and of the unit δ from those of C, of r/p and of p."""
    p = P[0, 0]
    GP, GA = np.empty((4, 4)), np.empty((4, 4))
    total = g_p
    for i in range(3):
        row = 0.0
        for j in range(3):
            row += G[i, j] * P[0, 1 + j]
            GP[1 + i, 1 + j] = G[i, j]
        total += P[0, 1 + i] * (row - g_u[i]) / (p * p)
        GP[0, 1 + i] = 0.5 * (g_u[i] / p - 2 * row / p)
        GP[1 + i, 0] = GP[0, 1 + i]
    GP[0, 0] = total
    for i in range(4):
        for k in range(4):
            cell = 0.0
            for j in range(4):
                cell += GP[i, j] * A[j, k]
            GA[i, k] = 2 * cell
    for k in range(4):
        g_S[k] = 0.0
        for i in range(4):
            g_S[k] += GA[i, k] * A[i, k]
            GA[i, k] *= S[k]
    g_d[0] = GA[0, 0] + GA[1, 1] + GA[2, 2] + GA[3, 3]
    g_d[1] = GA[0, 1] - GA[1, 0] + GA[3, 2] - GA[2, 3]
    g_d[2] = GA[0, 2] - GA[2, 0] + GA[1, 3] - GA[3, 1]
    g_d[3] = GA[0, 3] - GA[3, 0] + GA[2, 1] - GA[1, 2]


@kernel
def condition_backward(  # type: ignore[no-untyped-def]
    quats, scales, lean, moment, span, moves, time, stretch, g_moved, g_turned, g_sizes, g_presence
):
    """Gradients of quats, scales, lean, moment and span; that of the means is g_moved."""
    N = len(quats)
    g_quats, g_lean = np.zeros((N, 4), np.float32), np.zeros((N, 4), np.float32)
    g_scales = np.zeros((N, 3), np.float32)
    g_moment, g_span = np.zeros(N, np.float32), np.zeros(N, np.float32)
    rows = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        q, d, e, S = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
        B, A, P = np.empty((4, 4)), np.empty((4, 4)), np.empty((4, 4))
        C, E, G = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
        turn, g_u, g_S, g_d = np.empty(3), np.empty(3), np.empty(4), np.empty(4)
        for n in range(chunk * rows, min((chunk + 1) * rows, N)):
            for k in range(3):
                S[1 + k] = math.exp(scales[n, k])
            if moves[n] == 0:
                for i in range(3):
                    g_scales[n, i] = g_sizes[n, i] * S[1 + i]
                for i in range(4):
                    g_quats[n, i] = g_turned[n, i]
                continue
            S[0] = math.exp(span[n]) * stretch
            length = _unit(quats[n], q)
            lean_length = _unit(lean[n], d)
            _cut(S, d, B, A, P, C)
            _jacobi(C, E, e)
            dt, p = (time - moment[n]) * stretch, P[0, 0]
            there = math.exp(-0.5 * dt * dt / p)
            g_there = g_presence[n] * there
            # Everything that turns with q: the velocity, in the axes of q, and the quaternion.
            mx, my, mz = _turn(
                q[0], -q[1], -q[2], -q[3], g_moved[n, 0], g_moved[n, 1], g_moved[n, 2]
            )
            ux, uy, uz = P[0, 1] / p, P[0, 2] / p, P[0, 3] / p
            g_u[0], g_u[1], g_u[2] = mx * dt, my * dt, mz * dt
            g_dt = mx * ux + my * uy + mz * uz - g_there * dt / p
            t0, t1, t2, t3 = (
                g_turned[n, 0] * length, g_turned[n, 1] * length,
                g_turned[n, 2] * length, g_turned[n, 3] * length,
            )  # fmt: skip
            # conj(q) ⊗ g: the gradient of e; then conj(e) ⊗ that: of a turn of E about its axes.
            a, b, c, f = _product(q[0], -q[1], -q[2], -q[3], t0, t1, t2, t3)
            _, w1, w2, w3 = _product(e[0], -e[1], -e[2], -e[3], a, b, c, f)
            turn[0], turn[1], turn[2] = 0.5 * w1, 0.5 * w2, 0.5 * w3
            _from_eigen(C, E, g_sizes[n], turn, G)
            _from_cut(G, g_u, 0.5 * g_there * dt * dt / (p * p), S, B, A, P, g_S, g_d)
            # A turn w of q about its own axes moves the mean by w × (u dt) and the quaternion by half.
            _, w1, w2, w3 = _product(a, b, c, f, e[0], -e[1], -e[2], -e[3])
            w1 = 0.5 * w1 + dt * (uy * mz - uz * my)
            w2 = 0.5 * w2 + dt * (uz * mx - ux * mz)
            w3 = 0.5 * w3 + dt * (ux * my - uy * mx)
            w, x, y, z = _product(q[0], q[1], q[2], q[3], 0.0, 2 * w1, 2 * w2, 2 * w3)
            # Results keep the length of what was given, which is a gradient along it.
            radial = a * e[0] + b * e[1] + c * e[2] + f * e[3]
            g_quats[n, 0] = (w + radial * q[0]) / length
            g_quats[n, 1] = (x + radial * q[1]) / length
            g_quats[n, 2] = (y + radial * q[2]) / length
            g_quats[n, 3] = (z + radial * q[3]) / length
            along = g_d[0] * d[0] + g_d[1] * d[1] + g_d[2] * d[2] + g_d[3] * d[3]
            for i in range(4):
                g_lean[n, i] = (g_d[i] - along * d[i]) / lean_length
            for k in range(3):
                g_scales[n, k] = g_S[1 + k]
            g_span[n] = g_S[0]
            g_moment[n] = -g_dt * stretch
    return g_quats, g_scales, g_lean, g_moment, g_span


class Condition(torch.autograd.Function):
    """4D Gaussians at a time; see the module for the formulas."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Float[Tensor, "N 3"],
        quats: Float[Tensor, "N 4"],
        scales: Float[Tensor, "N 3"],
        lean: Float[Tensor, "N 4"],
        moment: Float[Tensor, " N"],
        span: Float[Tensor, " N"],
        moves: UInt8[Tensor, " N"],
        time: float,
        stretch: float,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(quats, scales, lean, moment, span)
        ctx.rest = moves.numpy(), float(time), float(stretch)
        given = (means, quats, scales, lean, moment, span)
        found = condition(*(x.detach().contiguous().numpy() for x in given), *ctx.rest)
        return tuple(map(torch.from_numpy, found))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows = (x.detach().contiguous().numpy() for x in ctx.saved_tensors)
        found = condition_backward(*rows, *ctx.rest, *(g.contiguous().numpy() for g in grads))
        return grads[0], *map(torch.from_numpy, found), None, None, None
