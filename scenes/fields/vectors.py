"""Sixteen channels at a time, in LLVM's vectors.

LLVM's own vectoriser wants loops of many more turns than a cell has channels and falls back to scalars at
16; written out, a look-up is 24 vector loads, and its gradient 24 vector updates.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16
CORNERS = 4
PLANES = 6
FAST = ("fast",)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return cgutils.create_struct_proxy(kind)(context, builder, value).data


def vector() -> Any:
    """LLVM's type of `LANES` floats."""
    return ir.VectorType(ir.FloatType(), LANES)


def load(builder: Any, data: Any, place: Any) -> Any:
    """Read a vector that begins at element `place` of data."""
    at = builder.bitcast(builder.gep(data, [place]), vector().as_pointer())
    return builder.load(at, align=4)


def store(builder: Any, value: Any, data: Any, place: Any) -> None:
    """Write a vector to data from element `place` on."""
    at = builder.bitcast(builder.gep(data, [place]), vector().as_pointer())
    builder.store(value, at, align=4)


def splat(builder: Any, value: Any) -> Any:
    """A vector of one number."""
    one = builder.insert_element(ir.Constant(vector(), ir.Undefined), value, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(vector(), ir.Undefined), mask)


def _found(builder: Any, flat: Any, places: Any, weights: Any, k: Any) -> tuple[list[Any], ...]:
    """What each plane holds at a point, the places of its corners and their weights."""
    found, at, shares = [], [], []
    for p in range(PLANES):
        total = None
        for c in range(CORNERS):
            i = ir.IntType(64)(p * CORNERS + c)
            place = builder.add(builder.load(builder.gep(places, [i])), k)
            weight = splat(builder, builder.load(builder.gep(weights, [i])))
            term = builder.fmul(load(builder, flat, place), weight, flags=FAST)
            total = term if total is None else builder.fadd(total, term, flags=FAST)
            at.append(place)
            shares.append(weight)
        found.append(total)
    return found, at, shares


def plain(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """Arguments with pointers to the data of those that are arrays."""
    return [
        _data(context, builder, kind, value) if isinstance(kind, types.Array) else value
        for kind, value in zip(signature.args, arguments)
    ]


@intrinsic
def multiply_planes(typing_context, flat, places, weights, k, out, column):  # type: ignore[no-untyped-def]
    """Write the product of six bilinear look-ups, channels k to k + 16, to out from `column` on.

    `places` [24] are where the four corners of each plane begin in `flat`, `weights` [24] their shares.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = plain(context, builder, signature, arguments)
        found, _, _ = _found(builder, data[0], data[1], data[2], data[3])
        value = found[0]
        for other in found[1:]:
            value = builder.fmul(value, other, flags=FAST)
        store(builder, value, data[4], builder.add(data[5], data[3]))
        return context.get_dummy_value()

    return types.void(flat, places, weights, types.int64, out, types.int64), generate


@intrinsic
def spread_planes(typing_context, flat, places, weights, k, above, column, grad):  # type: ignore[no-untyped-def]
    """Add to grad what channels k to k + 16 of `multiply_planes` pass on, given above from `column` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = plain(context, builder, signature, arguments)
        found, at, shares = _found(builder, data[0], data[1], data[2], data[3])
        up = load(builder, data[4], builder.add(data[5], data[3]))
        before = [
            up
        ]  # products of the planes before each, and after it: no division by what may be 0
        for p in range(PLANES - 1):
            before.append(builder.fmul(before[-1], found[p], flags=FAST))
        after: Any = None
        for p in reversed(range(PLANES)):
            slope = before[p] if after is None else builder.fmul(before[p], after, flags=FAST)
            after = found[p] if after is None else builder.fmul(after, found[p], flags=FAST)
            for c in range(CORNERS):
                i = p * CORNERS + c
                move = builder.fmul(slope, shares[i], flags=FAST)
                old = load(builder, data[6], at[i])
                store(builder, builder.fadd(old, move, flags=FAST), data[6], at[i])
        return context.get_dummy_value()

    return types.void(flat, places, weights, types.int64, above, types.int64, grad), generate
