"""Kernels of a transformer's layers and their gradients: RMS normalisation, attention on a memory, GELU.

Keys and values lie with their tokens side by side, [N, H, d, tokens], so that every inner loop runs over
tokens; passes of a few tokens wait for memory, and a second copy the other way round made them slower.
A pass's own keys and values stand behind what was there before it; those of queries, which leave no trace,
only while they are looked at. Padding is nowhere: tokens come as rows, each world's behind those of the one
before it, and each world has as many as it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clay4d.jit import device, inlined
from clay4d.kernel_maths import exp_below

LANES = 16
"""Tokens that are taken at a time: rooms, and what is looked at of them, are multiples of it."""
MASKED = np.float32(-1e9)
"""The score of what must not be seen, to begin with."""
LEAST = np.float32(-30)
"""Scores below the best by more count as nothing: 1e-13 of it would make gradients denormal numbers,
which take a processor a hundred times as long."""


def wide(count: Any) -> Any:
    """The next multiple of LANES, of a number or of each of an array."""
    return (count + LANES - 1) // LANES * LANES


_wide = inlined(wide)


@device
def normalise(x, weight, eps, out, rate):  # type: ignore[no-untyped-def]
    """Rows [M, D] at unit root mean square, times weights; `rate` [M] is what each was multiplied by."""
    for m in range(x.shape[0]):
        squares = np.float32(0)
        for d in range(x.shape[1]):
            squares += x[m, d] * x[m, d]
        rate[m] = np.float32(1) / np.sqrt(squares / np.float32(x.shape[1]) + eps)
        for d in range(x.shape[1]):
            out[m, d] = x[m, d] * rate[m] * weight[d]


@device
def normalise_backward(g, x, rate, weight, g_x, g_weight):  # type: ignore[no-untyped-def]
    """Add to the gradients of rows and weights."""
    for m in range(x.shape[0]):
        along = np.float32(0)
        for d in range(x.shape[1]):
            along += g[m, d] * weight[d] * x[m, d]
        along *= rate[m] * rate[m] / np.float32(x.shape[1])
        for d in range(x.shape[1]):
            g_x[m, d] += rate[m] * (g[m, d] * weight[d] - along * x[m, d])
            g_weight[d] += g[m, d] * x[m, d] * rate[m]


@device
def gelu(x, slope):  # type: ignore[no-untyped-def]
    """x·Φ(x) in the place of x, and its slope; Φ by the fifth-degree fit of Abramowitz & Stegun 7.1.26.

    Φ is 1e-7 off at the most, and shares its exponential with the slope.
    """
    a, b = x.reshape(-1), slope.reshape(-1)
    for k in range(a.size):
        v = a[k]
        bell = exp_below(np.float32(-0.5) * v * v)
        t = np.float32(1) / (np.float32(1) + np.float32(0.23164190) * abs(v))
        p = np.float32(1.061405429)
        p = p * t + np.float32(-1.453152027)
        p = p * t + np.float32(1.421413741)
        p = p * t + np.float32(-0.284496736)
        p = p * t + np.float32(0.254829592)
        tail = np.float32(0.5) * p * t * bell
        share = np.float32(1) - tail if v >= 0 else tail
        a[k] = v * share
        b[k] = share + np.float32(0.39894228) * v * bell


@device
def _product(weights, rows, count, out):  # type: ignore[no-untyped-def]
    """Add weights [I, D] × rows [D, …] to `out` [I, …], their first `count` columns, in tiles of 4 × 4."""
    tall, deep = weights.shape
    for i in range(0, tall - 3, 4):
        for d in range(0, deep - 3, 4):
            a0, a1, a2, a3 = _four(weights, i, d)
            b0, b1, b2, b3 = _four(weights, i + 1, d)
            c0, c1, c2, c3 = _four(weights, i + 2, d)
            d0, d1, d2, d3 = _four(weights, i + 3, d)
            for k in range(count):
                w, x, y, z = rows[d, k], rows[d + 1, k], rows[d + 2, k], rows[d + 3, k]
                out[i, k] += a0 * w + a1 * x + a2 * y + a3 * z
                out[i + 1, k] += b0 * w + b1 * x + b2 * y + b3 * z
                out[i + 2, k] += c0 * w + c1 * x + c2 * y + c3 * z
                out[i + 3, k] += d0 * w + d1 * x + d2 * y + d3 * z
        for d in range(deep - deep % 4, deep):
            for j in range(i, i + 4):
                _add(weights[j, d], rows, d, count, out, j)
    for i in range(tall - tall % 4, tall):
        for d in range(0, deep - 3, 4):
            a0, a1, a2, a3 = _four(weights, i, d)
            for k in range(count):
                w, x, y, z = rows[d, k], rows[d + 1, k], rows[d + 2, k], rows[d + 3, k]
                out[i, k] += a0 * w + a1 * x + a2 * y + a3 * z
        for d in range(deep - deep % 4, deep):
            _add(weights[i, d], rows, d, count, out, i)


@inlined
def _four(weights, i, d):  # type: ignore[no-untyped-def]
    return weights[i, d], weights[i, d + 1], weights[i, d + 2], weights[i, d + 3]


@inlined
def _add(weight, rows, d, count, out, i):  # type: ignore[no-untyped-def]
    for k in range(count):
        out[i, k] += weight * rows[d, k]


@device
def _dots(given, rows, out):  # type: ignore[no-untyped-def]
    """Fill `out` [I, D] with given [I, K] × the first K columns of rows [D, …] transposed."""
    (tall, count), deep = given.shape, rows.shape[0]
    for i in range(tall):
        for d in range(0, deep - 3, 4):
            w, x, y, z = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for k in range(count):
                w += given[i, k] * rows[d, k]
                x += given[i, k] * rows[d + 1, k]
                y += given[i, k] * rows[d + 2, k]
                z += given[i, k] * rows[d + 3, k]
            out[i, d], out[i, d + 1], out[i, d + 2], out[i, d + 3] = w, x, y, z
        for d in range(deep - deep % 4, deep):
            w = np.float32(0)
            for k in range(count):
                w += given[i, k] * rows[d, k]
            out[i, d] = w


@device
def _put(given, out):  # type: ignore[no-untyped-def]
    """Copy a block; an assignment of slices would make a third one on the way."""
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[i, k] = given[i, k]


@device
def _fill(value, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[i, k] = value


@device
def _swap(held, n, h, before, shelf):  # type: ignore[no-untyped-def]
    """What is held [d, Q] and what stands on the shelf from `before` on take each other's places."""
    for d in range(held.shape[0]):
        for k in range(held.shape[1]):
            there = shelf[n, h, d, before + k]
            shelf[n, h, d, before + k] = held[d, k]
            held[d, k] = there


@device
def _softmax(scores):  # type: ignore[no-untyped-def]
    """Along rows of a multiple of LANES, in place."""
    tops = np.empty(LANES, np.float32)
    for i in range(scores.shape[0]):
        for k in range(LANES):
            tops[k] = scores[i, k]
        for start in range(LANES, scores.shape[1], LANES):
            for k in range(LANES):
                tops[k] = max(tops[k], scores[i, start + k])
        top = tops[0]
        for k in range(LANES):
            top = max(top, tops[k])
        total = np.float32(0)
        for k in range(scores.shape[1]):
            x = scores[i, k] - top
            chance = exp_below(x) if x > LEAST else np.float32(0)
            scores[i, k] = chance
            total += chance
        share = np.float32(1) / total
        for k in range(scores.shape[1]):
            scores[i, k] *= share


@device
def _softmax_backward(chances, scale, score):  # type: ignore[no-untyped-def]
    """Gradients of scores before the scale, in the place of those of chances [Q, wide]."""
    for i in range(score.shape[0]):
        along = np.float32(0)
        for k in range(score.shape[1]):
            along += score[i, k] * chances[i, k]
        for k in range(score.shape[1]):
            score[i, k] = chances[i, k] * (score[i, k] - along) * scale


@device
def attend(qkv, starts, keys, values, before, stays, causal, chances, mixed):  # type: ignore[no-untyped-def]
    """Attention of each world's tokens, whose own keys and values come to stand behind `before` others.

    Args:
        qkv: [R, 3, H, d], the worlds' tokens one after the other.
        starts: [N + 1], where each world's begin.
        keys, values: [N, H, d, room], changed from `before` on where the tokens stay; all of it is finite.
        before: [N], tokens that each world has there.
        causal: tokens do not see those behind them.
        chances: as long as `chance_places` says, filled.
        mixed: [R, H, d], filled.
    """
    heads, size = qkv.shape[2], qkv.shape[3]
    scale = np.float32(1) / np.sqrt(np.float32(size))
    place = 0
    for n in range(before.size):
        own, start = qkv[starts[n] : starts[n + 1]], before[n]
        count = own.shape[0]
        if count == 0:
            continue
        wide = _wide(start + count)
        own_keys, own_values = np.empty((2, size, count), np.float32)
        queries = np.empty((count, size), np.float32)
        for h in range(heads):
            chance = chances[place : place + count * wide].reshape(count, wide)
            place += count * wide
            _put(own[:, 1, h].T, own_keys)
            _put(own[:, 2, h].T, own_values)
            _swap(own_keys, n, h, start, keys)
            _swap(own_values, n, h, start, values)
            for i in range(count):
                seen = start + (i + 1 if causal else count)
                for k in range(wide):
                    chance[i, k] = np.float32(0) if k < seen else MASKED
                for d in range(size):
                    queries[i, d] = own[i, 0, h, d] * scale
            _product(queries, keys[n, h], wide, chance)
            _softmax(chance)
            _dots(chance, values[n, h], mixed[starts[n] : starts[n + 1], h])
            if not stays:
                _swap(own_keys, n, h, start, keys)
                _swap(own_values, n, h, start, values)


@device
def attend_backward(  # type: ignore[no-untyped-def]
    g_mixed, qkv, starts, keys, values, g_keys, g_values, before, stays, chances, g_qkv
):
    """Gradients of `attend`: `g_qkv` is filled, those of earlier keys and values are added to.

    Where tokens stayed, what later passes added to their keys and values is taken from there.
    """
    heads, size = qkv.shape[2], qkv.shape[3]
    scale = np.float32(1) / np.sqrt(np.float32(size))
    zero, place = np.float32(0), 0
    for n in range(before.size):
        rows = slice(starts[n], starts[n + 1])
        own, g_out, g_own, start = qkv[rows], g_mixed[rows], g_qkv[rows], before[n]
        count = own.shape[0]
        if count == 0:
            continue
        wide = _wide(start + count)
        held = np.empty((4, size, count), np.float32)
        score = np.empty((count, wide), np.float32)
        for h in range(heads):
            chance = chances[place : place + count * wide].reshape(count, wide)
            place += count * wide
            if not stays:
                _put(own[:, 1, h].T, held[0])
                _put(own[:, 2, h].T, held[1])
                _fill(zero, held[2])
                _fill(zero, held[3])
                _swap_all(held, n, h, start, keys, values, g_keys, g_values)
            _fill(zero, score)
            _product(g_out[:, h], values[n, h], wide, score)
            _softmax_backward(chance, scale, score)
            _dots(score, keys[n, h], g_own[:, 0, h])
            _product(own[:, 0, h].T, score, wide, g_keys[n, h])
            _product(g_out[:, h].T, chance, wide, g_values[n, h])
            _take_out(g_keys, n, h, start, g_own[:, 1, h])
            _take_out(g_values, n, h, start, g_own[:, 2, h])
            if not stays:
                _swap_all(held, n, h, start, keys, values, g_keys, g_values)


@device
def _swap_all(held, n, h, before, keys, values, g_keys, g_values):  # type: ignore[no-untyped-def]
    _swap(held[0], n, h, before, keys)
    _swap(held[1], n, h, before, values)
    _swap(held[2], n, h, before, g_keys)
    _swap(held[3], n, h, before, g_values)


@device
def _take_out(grads, n, h, before, out):  # type: ignore[no-untyped-def]
    """The gradients of a pass's own keys or values, [Q, d], once all later passes have added theirs."""
    for k in range(out.shape[0]):
        for d in range(out.shape[1]):
            out[k, d] = grads[n, h, d, before + k]


@device
def take_out(g_keys, g_values, before, starts, g_qkv):  # type: ignore[no-untyped-def]
    """`attend_backward` of tokens that stayed, where nothing depends on what they saw."""
    for n in range(before.size):
        own = g_qkv[starts[n] : starts[n + 1]]
        for h in range(g_qkv.shape[2]):
            _fill(np.float32(0), own[:, 0, h])
            _take_out(g_keys, n, h, before[n], own[:, 1, h])
            _take_out(g_values, n, h, before[n], own[:, 2, h])
