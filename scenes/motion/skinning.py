"""Linear blend skinning of Gaussians by rigid nodes, and its gradient, as Numba kernels.

A Gaussian μ is carried by K nodes: μ' = Σ w_k (R_k μ + c_k), q' = (Σ w_k u_k) ⊗ q, where u_k is the
unit quaternion of R_k and w = softmax(−a_k d_k²) over the K nodes. The distance d_k is measured in
space and in a few learned coordinates, so that parts that touch can still move apart (SC-GS, Huang
et al., CVPR 2024). Weights take the means as given: no gradient flows through the distance to μ.

The gradient of a node is a sum over its Gaussians: each chunk of Gaussians has its own partial sum,
and chunks are added in order, so the bits do not depend on threads.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.jit import device, kernel

CHUNKS = 32
NODE = 16  # R (9), c (3), u (4): the columns of a node's transform


@device
def _weigh(n, means, codes, index, centres, node_codes, rates, w):  # type: ignore[no-untyped-def]
    """Write the softmax weights of Gaussian n's nodes to w and the squared distances behind them."""
    K = index.shape[1]
    H = codes.shape[1]
    top = np.float32(-1e30)
    for k in range(K):
        m = index[n, k]
        d = np.float32(0)
        for i in range(3):
            d += (means[n, i] - centres[m, i]) ** 2
        for i in range(H):
            d += (codes[n, i] - node_codes[m, i]) ** 2
        w[K + k] = d
        w[k] = -rates[m] * d
        top = max(top, w[k])
    total = np.float32(0)
    for k in range(K):
        w[k] = np.float32(math.exp(w[k] - top))
        total += w[k]
    for k in range(K):
        w[k] /= total


@kernel
def skin(means, quats, codes, index, nodes, centres, node_codes, rates):  # type: ignore[no-untyped-def]
    """Moved means [N,3] and quats [N,4]."""
    N, K = index.shape
    moved = np.empty((N, 3), np.float32)
    turned = np.empty((N, 4), np.float32)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        w = np.empty(2 * K, np.float32)
        s = np.empty(NODE, np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            _weigh(n, means, codes, index, centres, node_codes, rates, w)
            for i in range(NODE):
                s[i] = 0
            for k in range(K):
                for i in range(NODE):
                    s[i] += w[k] * nodes[index[n, k], i]
            x, y, z = means[n, 0], means[n, 1], means[n, 2]
            for i in range(3):
                moved[n, i] = s[3 * i] * x + s[3 * i + 1] * y + s[3 * i + 2] * z + s[9 + i]
            a, b, c, d = s[12], s[13], s[14], s[15]
            qw, qx, qy, qz = quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3]
            turned[n, 0] = a * qw - b * qx - c * qy - d * qz
            turned[n, 1] = a * qx + b * qw + c * qz - d * qy
            turned[n, 2] = a * qy - b * qz + c * qw + d * qx
            turned[n, 3] = a * qz + b * qy - c * qx + d * qw
    return moved, turned


@kernel
def skin_backward(  # type: ignore[no-untyped-def]
    means, quats, codes, index, nodes, centres, node_codes, rates, g_moved, g_turned
):
    """Gradients of means, quats, codes and, by chunk, of nodes, centres, node codes and rates."""
    N, K = index.shape
    M, H = node_codes.shape
    g_means = np.empty((N, 3), np.float32)
    g_quats = np.empty((N, 4), np.float32)
    g_codes = np.zeros((N, H), np.float32)
    partial = np.zeros((CHUNKS, M, NODE + 4 + H), np.float32)
    size = (N + CHUNKS - 1) // CHUNKS
    for chunk in numba.prange(CHUNKS):
        w = np.empty(2 * K, np.float32)
        gw = np.empty(K, np.float32)
        s = np.empty(NODE, np.float32)
        gs = np.empty(NODE, np.float32)
        for n in range(chunk * size, min((chunk + 1) * size, N)):
            _weigh(n, means, codes, index, centres, node_codes, rates, w)
            for i in range(NODE):
                s[i] = 0
            for k in range(K):
                for i in range(NODE):
                    s[i] += w[k] * nodes[index[n, k], i]
            x, y, z = means[n, 0], means[n, 1], means[n, 2]
            for i in range(3):
                g = g_moved[n, i]
                gs[3 * i] = g * x
                gs[3 * i + 1] = g * y
                gs[3 * i + 2] = g * z
                gs[9 + i] = g
                g_means[n, i] = (
                    s[i] * g_moved[n, 0] + s[3 + i] * g_moved[n, 1] + s[6 + i] * g_moved[n, 2]
                )
            a, b, c, d = s[12], s[13], s[14], s[15]
            qw, qx, qy, qz = quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3]
            t0, t1, t2, t3 = g_turned[n, 0], g_turned[n, 1], g_turned[n, 2], g_turned[n, 3]
            gs[12] = t0 * qw + t1 * qx + t2 * qy + t3 * qz
            gs[13] = -t0 * qx + t1 * qw - t2 * qz + t3 * qy
            gs[14] = -t0 * qy + t1 * qz + t2 * qw - t3 * qx
            gs[15] = -t0 * qz - t1 * qy + t2 * qx + t3 * qw
            g_quats[n, 0] = t0 * a + t1 * b + t2 * c + t3 * d
            g_quats[n, 1] = -t0 * b + t1 * a + t2 * d - t3 * c
            g_quats[n, 2] = -t0 * c - t1 * d + t2 * a + t3 * b
            g_quats[n, 3] = -t0 * d + t1 * c - t2 * b + t3 * a
            mean = np.float32(0)
            for k in range(K):
                gw[k] = 0
                for i in range(NODE):
                    gw[k] += gs[i] * nodes[index[n, k], i]
                mean += w[k] * gw[k]
            for k in range(K):
                m = index[n, k]
                for i in range(NODE):
                    partial[chunk, m, i] += w[k] * gs[i]
                g_logit = w[k] * (gw[k] - mean)
                partial[chunk, m, NODE + 3] -= g_logit * w[K + k]
                pull = 2 * rates[m] * g_logit
                for i in range(3):
                    partial[chunk, m, NODE + i] += pull * (means[n, i] - centres[m, i])
                for i in range(H):
                    off = pull * (codes[n, i] - node_codes[m, i])
                    partial[chunk, m, NODE + 4 + i] += off
                    g_codes[n, i] -= off
    return g_means, g_quats, g_codes, partial


class Skin(torch.autograd.Function):
    """Means and quats carried by nodes; see the module for the formulas."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Float[Tensor, "N 3"],
        quats: Float[Tensor, "N 4"],
        codes: Float[Tensor, "N H"],
        nodes: Float[Tensor, "M 16"],
        centres: Float[Tensor, "M 3"],
        node_codes: Float[Tensor, "M H"],
        rates: Float[Tensor, " M"],
        index: Int[Tensor, "N K"],
    ) -> tuple[Tensor, Tensor]:
        saved = (means, quats, codes, nodes, centres, node_codes, rates)
        ctx.save_for_backward(*saved)
        ctx.index = index.numpy()
        m, q, h, *rest = (x.detach().contiguous().numpy() for x in saved)
        moved, turned = skin(m, q, h, ctx.index, *rest)
        return torch.from_numpy(moved), torch.from_numpy(turned)

    @staticmethod
    def backward(ctx: Any, g_moved: Tensor, g_turned: Tensor) -> tuple[Tensor | None, ...]:
        m, q, h, *rest = (x.detach().contiguous().numpy() for x in ctx.saved_tensors)
        g_means, g_quats, g_codes, partial = skin_backward(
            m, q, h, ctx.index, *rest, g_moved.contiguous().numpy(), g_turned.contiguous().numpy()
        )
        sums = torch.from_numpy(partial.sum(0))
        return (
            torch.from_numpy(g_means), torch.from_numpy(g_quats), torch.from_numpy(g_codes),
            sums[:, :NODE], sums[:, NODE : NODE + 3], sums[:, NODE + 4 :], sums[:, NODE + 3], None,
        )  # fmt: skip
