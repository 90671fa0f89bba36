"""The density's network without gradients: one hidden layer, eight points at a time, in LLVM's vectors.

A batched product by torch writes the hidden values of all points to memory and reads them again; here
they stay in registers, and the other outputs of the network are not computed at all.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from clay4d.jit import device, kernel
from clay4d.scenes.fields.kernels import CHUNKS, look_up_rows
from clay4d.scenes.fields.vectors import FAST, LANES, load, plain, splat, store, vector

GROUP = 8
"""Points that share each load of a weight."""


@intrinsic
def hidden_sums(typing_context, rows, first, inputs, weights, biases, outs, blocks, sums):  # type: ignore[no-untyped-def]
    """Write Σ relu(bias + row · weights) · out of `GROUP` rows to sums [GROUP · 16], still lane by lane.

    Rows [N, inputs] are taken from `first` on; weights [inputs, 16 · blocks], biases and outs [16 · blocks].
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        rows, first, inputs, weights, biases, outs, blocks, sums = plain(
            context, builder, signature, arguments
        )
        width = builder.mul(blocks, ir.IntType(64)(LANES))
        starts = [builder.mul(builder.add(first, ir.IntType(64)(g)), inputs) for g in range(GROUP)]
        totals = [cgutils.alloca_once(builder, vector()) for _ in range(GROUP)]
        held = [cgutils.alloca_once(builder, vector()) for _ in range(GROUP)]
        nothing = ir.Constant(vector(), [0.0] * LANES)
        for total in totals:
            builder.store(nothing, total)
        with cgutils.for_range(builder, blocks) as block:
            column = builder.mul(block.index, ir.IntType(64)(LANES))
            bias, out = load(builder, biases, column), load(builder, outs, column)
            for value in held:
                builder.store(bias, value)
            with cgutils.for_range(builder, inputs) as loop:
                place = builder.add(builder.mul(loop.index, width), column)
                weight = load(builder, weights, place)
                for start, value in zip(starts, held):
                    at = builder.gep(rows, [builder.add(start, loop.index)])
                    term = builder.fmul(splat(builder, builder.load(at)), weight, flags=FAST)
                    builder.store(builder.fadd(builder.load(value), term, flags=FAST), value)
            for value, total in zip(held, totals):
                hidden = builder.load(value)
                lit = builder.fcmp_ordered(">", hidden, nothing)
                term = builder.fmul(builder.select(lit, hidden, nothing), out, flags=FAST)
                builder.store(builder.fadd(builder.load(total), term, flags=FAST), total)
        for g, total in enumerate(totals):
            store(builder, builder.load(total), sums, ir.IntType(64)(g * LANES))
        return context.get_dummy_value()

    given = (rows, first, inputs, weights, biases, outs, blocks, sums)
    return types.void(*given), generate


@device
def _rows(  # type: ignore[no-untyped-def]
    points, low, high, flat, firsts, cells, moments, F, weights, biases, outs, rows, told
):
    """As `look_and_tell`, of points from `low` to `high`."""
    places, shares = np.empty(24, np.int64), np.empty(24, np.float32)
    sums = np.empty(GROUP * LANES, np.float32)
    for n in range(low, high, GROUP):
        end = min(n + GROUP, high)
        look_up_rows(points, n, end, flat, firsts, cells, moments, F, rows, places, shares)
        hidden_sums(rows, n, rows.shape[1], weights, biases, outs, len(outs) // LANES, sums)
        for g in range(end - n):
            total = np.float32(0)
            for k in range(LANES):
                total += sums[g * LANES + k]
            told[n + g] = total


@kernel
def look_and_tell(points, flat, firsts, cells, moments, F, weights, biases, outs, rows, told):  # type: ignore[no-untyped-def]
    """Write what points [N, 4] find to the first N of rows, and what the network says of it to told [N].

    The output's bias is left out. `rows` [N + GROUP, inputs] has room for more, which is not read.
    """
    N = len(points)
    size = (N + CHUNKS * GROUP - 1) // (CHUNKS * GROUP) * GROUP
    for chunk in numba.prange(CHUNKS):
        low, high = chunk * size, min((chunk + 1) * size, N)
        _rows(points, low, high, flat, firsts, cells, moments, F, weights, biases, outs, rows, told)


def padded(body: torch.nn.Linear, out: torch.Tensor) -> tuple[np.ndarray[Any, Any], ...]:
    """Weights [inputs, W], biases [W] and output weights [W] of a hidden layer, W a multiple of 16.

    >>> [x.shape for x in padded(torch.nn.Linear(3, 5), torch.ones(5))]
    [(3, 16), (16,), (16,)]
    """
    more = -body.out_features % LANES
    with torch.no_grad():
        columns = torch.nn.functional.pad(body.weight.T, (0, more)).contiguous()
        biases, outs = (torch.nn.functional.pad(x, (0, more)) for x in (body.bias, out.detach()))
    return columns.numpy(), biases.contiguous().numpy(), outs.contiguous().numpy()
