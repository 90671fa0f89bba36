"""A pass through one block as one function of autograd, with a gradient of its own.

Matrix products are torch's; everything between them are the kernels of `layers`. As separate operations a
pass of one token spends most of its time between the products.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from clay4d.world_model.reasoners.layers import (
    attend,
    attend_backward,
    gelu,
    normalise,
    normalise_backward,
    take_out,
)  # fmt: skip
from clay4d.world_model.reasoners.shelf import Past

EPS = 1e-6


class BlockPass(torch.autograd.Function):
    """x + out(attention(norm(x))), and to that down(gelu(up(norm))); see `Block`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "N Q D"],
        link: Float[Tensor, ""],
        bias: Float[Tensor, "N wide"],
        past: Past,
        heads: int,
        stays: bool,
        causal: bool,
        *weights: Tensor,
    ) -> tuple[Float[Tensor, "N Q D"], Float[Tensor, ""]]:
        before, qkv, out, between, up, up_bias, down, down_bias = weights
        n, count, width = x.shape
        rows = x.reshape(n * count, width).contiguous()
        first, first_rate = _normal(rows, before)
        split = torch.mm(first, qkv.t())
        shelf, every = past.shelf, past.length + count
        shelf.make_room(every)
        chances, mixed = x.new_empty(n, heads, count, bias.shape[1]), x.new_empty(rows.shape)
        attend(
            _heads(split, n, count, heads), shelf.keys, shelf.values, past.length, bias.numpy(),
            stays, causal, chances.numpy(), mixed.view(n, count, heads, -1).numpy(),
        )  # fmt: skip
        if stays:
            shelf.filled = every
        middle = torch.addmm(rows, mixed, out.t())
        second, second_rate = _normal(middle, between)
        bent = torch.addmm(up_bias, second, up.t())
        slope = torch.empty_like(bent)
        gelu(bent.numpy(), slope.numpy())
        states = torch.addmm(middle, bent, down.t()).add_(down_bias)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*weights)
        ctx.kept = (
            rows, first, first_rate, split, chances, mixed, middle, second, second_rate, bent, slope,
        )  # fmt: skip
        ctx.asked = past, heads, stays, (n, count, width)
        return states.view(n, count, width), link.clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g_states: Tensor | None, g_link: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        before, qkv, out, between, up, _, down, _ = (w.detach() for w in ctx.saved_tensors)
        (
            rows, first, first_rate, split, chances, mixed, middle, second, second_rate, bent, slope,
        ) = ctx.kept  # fmt: skip
        past, heads, stays, (n, count, width) = ctx.asked
        g_split = torch.empty_like(split)
        g_weights: list[Tensor | None] = [None] * 6
        grads = past.shelf.slopes()
        if g_states is None:
            take_out(*grads, past.length, _heads(g_split, n, count, heads))
            g_x = torch.zeros_like(rows)
        else:
            g = g_states.reshape(n * count, width).contiguous()
            g_bent = torch.mm(g, down).mul_(slope)
            g_x = g.clone()
            g_between = _normal_back(torch.mm(g_bent, up), middle, second_rate, between, g_x)
            g_weights = [
                torch.mm(g_x.t(), mixed), g_between, torch.mm(g_bent.t(), second), g_bent.sum(0),
                torch.mm(g.t(), bent), g.sum(0),
            ]  # fmt: skip
            attend_backward(
                torch.mm(g_x, out).view(n, count, heads, -1).numpy(),
                _heads(split, n, count, heads), past.shelf.keys, past.shelf.values, *grads,
                past.length, stays, chances.numpy(), _heads(g_split, n, count, heads),
            )  # fmt: skip
        g_before = _normal_back(torch.mm(g_split, qkv), rows, first_rate, before, g_x)
        g_weights = [g_before, torch.mm(g_split.t(), first), *g_weights]
        return g_x.view(n, count, width), g_link, None, None, None, None, None, *g_weights


def _normal(rows: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows at unit root mean square times weights, and their rates."""
    made, rate = torch.empty_like(rows), rows.new_empty(len(rows))
    normalise(rows.numpy(), weight.detach().numpy(), EPS, made.numpy(), rate.numpy())
    return made, rate


def _normal_back(g: Tensor, rows: Tensor, rate: Tensor, weight: Tensor, g_rows: Tensor) -> Tensor:
    """Add to the rows' gradient; gives the weights'."""
    g_weight = torch.zeros_like(weight)
    normalise_backward(
        g.numpy(), rows.numpy(), rate.numpy(), weight.numpy(), g_rows.numpy(), g_weight.numpy()
    )
    return g_weight


def _heads(split: Tensor, n: int, count: int, heads: int) -> Any:
    return split.view(n, count, 3, heads, -1).numpy()
