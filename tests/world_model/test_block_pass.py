"""Passes on shelves against the same sums in plain torch, gradients too, however pasts branch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clay4d.world_model.reasoners.layers import LANES, gelu
from clay4d.world_model.reasoners.transformer import Block, Cache, Size, Transformer

WORLDS = 3
SIZES = [Size(16, 2, 2, 32), Size(24, 1, 4, 40), Size(12, 2, 2, 20)]
"""Heads of 8, 6 and 6 numbers: tiles of four with and without a rest."""


@dataclass(frozen=True)
class Plain:
    """A cache of the slow way: each layer's keys and values [N, H, L, d], and which are real."""

    layers: tuple[tuple[Tensor, Tensor] | None, ...]
    real: Tensor


def plain_block(
    block: Block, x: Tensor, past: tuple[Tensor, Tensor] | None, bias: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    n, q, width = x.shape
    split = block.qkv(block.before(x)).view(n, q, 3, block.heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = split.unbind(0)
    if past is not None:
        key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
    scores = query @ key.transpose(2, 3) / math.sqrt(width / block.heads) + bias
    mixed = (torch.softmax(scores, -1) @ value).transpose(1, 2).reshape(n, q, width)
    x = x + block.out(mixed)
    return x + block.down(F.gelu(block.up(block.between(x)))), (key, value)


def plain_pass(
    stack: Transformer, x: Tensor, real: Tensor, cache: Plain | None, *, causal: bool = False
) -> tuple[Tensor, Plain]:
    if cache is None:
        cache = Plain((None,) * stack.size.layers, real[:, :0])
    every, q = torch.cat([cache.real, real], 1), x.shape[1]
    bias = (~every * -1e9)[:, None, None].expand(-1, 1, q, -1)
    if causal:
        bias = bias + F.pad(torch.full((q, q), -1e9).triu(1), (every.shape[1] - q, 0))
    layers = []
    for block, past in zip(stack.blocks, cache.layers):
        assert isinstance(block, Block)
        x, kept = plain_block(block, x, past, bias)
        layers.append(kept)
    return stack.last(x), Plain(tuple(layers), every)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def real(count: int, seed: int | None = None) -> Tensor:
    if seed is None:
        return torch.ones(WORLDS, count, dtype=torch.bool)
    some = draw(WORLDS, count, seed=seed) > -0.5
    some[:, 0] = True
    return some


def head(cache: Cache | Plain, count: int) -> Cache | Plain:
    if isinstance(cache, Cache):
        return cache.head(count)
    layers = tuple(None if p is None else (p[0][:, :, :count], p[1][:, :, :count]) for p in cache.layers)  # fmt: skip
    return Plain(layers, cache.real[:, :count])


def walk(stack: Transformer, given: Tensor, *, slow: bool) -> Tensor:
    """Reading, thoughts, answers, and pasts that are built on twice; a number that all of it is in."""

    def go(x: Tensor, some: Tensor, past: object, **how: bool) -> tuple[Tensor, object]:
        if slow:
            how.pop("stays", None)
            states, kept = plain_pass(stack, x, some, past, **how)  # type: ignore[arg-type]
            return states, kept
        return stack(x, some, past, **how)  # type: ignore[no-any-return]

    def asked(x: Tensor, past: object, seed: int) -> Tensor:
        found, _ = go(x, real(x.shape[1]), past, stays=False)
        return (found * draw(*found.shape, seed=seed)).sum()

    states, first = go(given[:, :5], real(5, 1), None)
    total = (states * draw(*states.shape, seed=30))[real(5, 1)].sum()
    states, second = go(given[:, 5:6], real(1), first)
    states, third = go(states[:, -1:] * 0.7, real(1), second)  # a thought made of the one before it
    total = total + asked(given[:, 6:9], third, 31)
    _, fourth = go(given[:, 9:12], real(3, 2), third)
    # Older pasts go on too: asked, and built on in the place of what came after them.
    total = total + asked(given[:, 6:8], second, 32) + asked(given[:, 2:7], fourth, 33)
    states, other = go(given[:, 12:14], real(2), head(third, 6), causal=True)  # type: ignore[arg-type]
    total = total + (states * draw(*states.shape, seed=34)).sum() + asked(given[:, :1], other, 35)
    states, long = go(given, real(14), fourth)
    return total + asked(given[:, 3:6], long, 36) + asked(given[:, 3:6], third, 37)


def gradients(stack: Transformer, given: Tensor, total: Tensor, **how: bool) -> list[Tensor]:
    return list(torch.autograd.grad(total, [given, *stack.parameters()], **how))


def stacked(size: Size) -> tuple[Transformer, Tensor]:
    torch.manual_seed(0)
    stack = Transformer(size)
    with torch.no_grad():
        for value in stack.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return stack, draw(WORLDS, 14, size.width, seed=3).requires_grad_()


@pytest.mark.parametrize("size", SIZES)
def test_passes_and_gradients_are_those_of_plain_torch(size: Size) -> None:
    stack, given = stacked(size)
    fast, slow = (walk(stack, given, slow=s) for s in (False, True))
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-4)
    for mine, theirs in zip(gradients(stack, given, fast), gradients(stack, given, slow)):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-4 * float(theirs.abs().max()))


def test_one_gradient_leaves_nothing_behind_for_the_next() -> None:
    stack, given = stacked(SIZES[0])
    total = walk(stack, given, slow=False)
    once = gradients(stack, given, total, retain_graph=True)
    # The way to one weight alone does not come by the passes that others' gradients are taken from.
    torch.autograd.grad(total, [stack.last.weight], retain_graph=True)
    last = list(stack.parameters())[-2]
    torch.autograd.grad(total, [last], retain_graph=True)
    again = gradients(stack, given, total)
    assert all(torch.equal(a, b) for a, b in zip(once, again))


def test_what_was_read_without_gradients_is_built_on() -> None:
    stack, given = stacked(SIZES[0])
    with torch.no_grad():
        _, cache = stack(given[:, :5], real(5), None)
        plain = plain_pass(stack, given[:, :5], real(5), None)[1]
    for _ in range(2):
        fast, _ = stack(given[:, 5:8], real(3), cache)
        slow, _ = plain_pass(stack, given[:, 5:8], real(3), plain)
        mine = gradients(stack, given, fast.square().mean())
        for a, b in zip(mine, gradients(stack, given, slow.square().mean())):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_worlds_where_nothing_is_real_read_nothing() -> None:
    stack, given = stacked(SIZES[0])
    some = real(5)
    some[1] = False
    states, cache = stack(given[:, :5], some, None)
    slow, _ = plain_pass(stack, given[:, :5], some, None)
    torch.testing.assert_close(states[some], slow[some], rtol=1e-4, atol=1e-5)
    assert cache.layers[0].keys(1).shape[-1] == 0 and not states[1].any()
    empty, same = stack(given[:, :2], torch.zeros(WORLDS, 2, dtype=torch.bool), cache)
    assert not empty.any() and torch.equal(same.layers[0].keys(0), cache.layers[0].keys(0))


def test_unlikely_tokens_leave_no_denormal_numbers() -> None:
    """Such numbers made a step of training twice as long."""
    stack, given = stacked(SIZES[0])
    with torch.no_grad():  # Tokens look away from each other as far as they can.
        for block in stack.blocks:
            block.qkv.weight.mul_(6)
    some = real(5)
    some[:, 3:] = False
    states, cache = stack(given[:, :5], some, None)
    found, _ = stack(given[:, 5:7], real(2), cache, stays=False)
    (g,) = torch.autograd.grad(1e-9 * (found.sum() + states[:, :3].sum()), [given])
    assert float(g[:, 3:5].abs().max()) == 0
    assert not ((g != 0) & (g.abs() < np.finfo(np.float32).tiny)).any()


def test_gelu_is_torchs() -> None:
    x = torch.linspace(-12, 12, 40 * LANES).requires_grad_()
    made, slope = x.detach().clone(), torch.empty_like(x)
    gelu(made.numpy(), slope.numpy())
    wanted = F.gelu(x)
    torch.testing.assert_close(made, wanted.detach(), rtol=0, atol=2e-6)
    (g,) = torch.autograd.grad(wanted.sum(), [x])
    torch.testing.assert_close(slope, g, rtol=0, atol=2e-6)
