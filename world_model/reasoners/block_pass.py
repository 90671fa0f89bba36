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
    wide,
)  # fmt: skip
from clay4d.world_model.reasoners.shelf import Past, Rows

EPS = 1e-6


class BlockPass(torch.autograd.Function):
    """x + out(attention(norm(x))), and to that down(gelu(up(norm))); see `Block`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "N Q D"],
        link: Float[Tensor, ""],
        rows: Rows,
        past: Past,
        heads: int,
        stays: bool,
        causal: bool,
        *weights: Tensor,
    ) -> tuple[Float[Tensor, "N Q D"], Float[Tensor, ""]]:
        before, qkv, out, between, up, up_bias, down, down_bias = weights
        given, shelf, every = rows.take(x), past.shelf, past.lengths + rows.counts
        first, first_rate = _normal(given, before)
        split = torch.mm(first, qkv.t()).view(len(given), 3, heads, x.shape[2] // heads)
        shelf.make_room(int(every.max(initial=0)))
        seen = int((rows.counts * wide(every)).sum())
        chances, mixed = x.new_empty(heads * seen), torch.empty_like(given)
        attend(
            split.numpy(), rows.starts, shelf.keys, shelf.values, past.lengths, stays, causal,
            chances.numpy(), mixed.view(split[:, 0].shape).numpy(),
        )  # fmt: skip
        if stays:
            shelf.filled = every
        middle = torch.addmm(given, mixed, out.t())
        second, second_rate = _normal(middle, between)
        bent = torch.addmm(up_bias, second, up.t())
        slope = torch.empty_like(bent)
        gelu(bent.numpy(), slope.numpy())
        states = torch.addmm(middle, bent, down.t()).add_(down_bias)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*weights)
        ctx.kept = (
            given, first, first_rate, split, chances, mixed, middle, second, second_rate, bent, slope,
        )  # fmt: skip
        ctx.asked = rows, past, stays, x.shape
        return rows.give(states, x.shape), link.clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g_states: Tensor | None, g_link: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        before, qkv, out, between, up, _, down, _ = (w.detach() for w in ctx.saved_tensors)
        (
            given, first, first_rate, split, chances, mixed, middle, second, second_rate, bent, slope,
        ) = ctx.kept  # fmt: skip
        rows, past, stays, shape = ctx.asked
        g_split = torch.empty_like(split)
        g_weights: list[Tensor | None] = [None] * 6
        grads = past.shelf.slopes()
        if g_states is None:
            take_out(*grads, past.lengths, rows.starts, g_split.numpy())
            g_x = torch.zeros_like(given)
        else:
            g = rows.take(g_states)
            g_bent = torch.mm(g, down).mul_(slope)
            g_x = g.clone()
            g_between = _normal_back(torch.mm(g_bent, up), middle, second_rate, between, g_x)
            g_weights = [
                torch.mm(g_x.t(), mixed), g_between, torch.mm(g_bent.t(), second), g_bent.sum(0),
                torch.mm(g.t(), bent), g.sum(0),
            ]  # fmt: skip
            attend_backward(
                torch.mm(g_x, out).view(split[:, 0].shape).numpy(), split.numpy(), rows.starts,
                past.shelf.keys, past.shelf.values, *grads, past.lengths, stays, chances.numpy(),
                g_split.numpy(),
            )  # fmt: skip
        g_split = g_split.flatten(1)
        g_before = _normal_back(torch.mm(g_split, qkv), given, first_rate, before, g_x)
        g_weights = [g_before, torch.mm(g_split.t(), first), *g_weights]
        return rows.give(g_x, shape), g_link, None, None, None, None, None, *g_weights


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
