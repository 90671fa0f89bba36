"""Reasoners: thoughts are counted, built one on the other, and can be disturbed; costs are alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clay4d.world_model.reasoners import (
    REASONERS,
    Disturbance,
    EventSizes,
    Size,
    Thinker,
    build_reasoner,
)
from clay4d.world_model.reasoners.cost import cost
from clay4d.world_model.reasoners.discrete import LEVELS, quantise
from clay4d.world_model.reasoners.transformer import Cache, Transformer

SIZE, EVENTS = Size(32, 2, 4, 64), EventSizes(6, 4, 5)
N, L, Q = 3, 7, 4
THINKING = [k for k in REASONERS if k != "none"]
WITHOUT_CONTENT = ("pause", "pause-single")
ROUNDED = ("discrete", "vq", "script", "concept-quantised")


def reasoner(kind: str) -> Thinker:
    torch.manual_seed(0)
    return build_reasoner(kind, SIZE, EVENTS).eval()


def tokens(count: int, seed: int) -> Tensor:
    return torch.randn(N, count, 32, generator=torch.Generator().manual_seed(seed))


def real(count: int) -> Tensor:
    return torch.ones(N, count, dtype=torch.bool)


def answer(r: Thinker, count: int, disturbance: Disturbance | None = None) -> Tensor:
    memory = r.read(tokens(L, 1), real(L))
    _, memory = r.think(memory, count, disturbance=disturbance)
    return r.answer(memory, tokens(Q, 2), real(Q))


@pytest.mark.parametrize("kind", REASONERS)
@pytest.mark.parametrize("count", [0, 1, 5, 16])
def test_thoughts_are_counted_and_returned(kind: str, count: int) -> None:
    r = reasoner(kind)
    thoughts, memory = r.think(r.read(tokens(L, 1), real(L)), count)
    expected = 0 if kind == "none" else count
    assert len(thoughts) == expected == memory.thoughts
    assert thoughts.vectors.shape == thoughts.hidden.shape == (N, expected, 32)
    assert r.answer(memory, tokens(Q, 2), real(Q)).shape == (N, Q, 32)


@pytest.mark.parametrize("kind", REASONERS)
def test_more_than_sixteen_are_refused(kind: str) -> None:
    r = reasoner(kind)
    memory = r.read(tokens(L, 1), real(L))
    if kind == "none":
        assert len(r.think(memory, 17)[0]) == 0
    else:
        _, memory = r.think(memory, 10)
        with pytest.raises(ValueError, match="thoughts got 17; expected 0 to 16."):
            r.think(memory, 7)


@pytest.mark.parametrize("kind", THINKING)
def test_thinking_in_two_goes_is_thinking_in_one(kind: str) -> None:
    r = reasoner(kind)
    memory = r.read(tokens(L, 1), real(L))
    whole, after = r.think(memory, 5)
    first, between = r.think(memory, 3)
    second, end = r.think(between, 2)
    torch.testing.assert_close(torch.cat([first.vectors, second.vectors], 1), whole.vectors)
    torch.testing.assert_close(
        r.answer(end, tokens(Q, 2), real(Q)), r.answer(after, tokens(Q, 2), real(Q))
    )
    assert second.begins == 3


def test_the_cache_gives_what_one_pass_over_everything_gives() -> None:
    torch.manual_seed(0)
    stack = Transformer(SIZE)
    x, some = tokens(8, 3), real(8)
    some[1, 2] = False
    cache: Cache | None = None
    parts = []
    for place in range(8):
        states, cache = stack(x[:, place : place + 1], some[:, place : place + 1], cache)
        parts.append(states)
    whole, _ = stack(x, some, None, causal=True)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)


def test_tokens_of_one_piece_see_each_other_and_all_before() -> None:
    torch.manual_seed(0)
    stack = Transformer(SIZE)
    x = tokens(6, 3)
    _, cache = stack(x[:, :3], real(3), None)
    states, _ = stack(x[:, 3:], real(3), cache)
    for changed in (0, 4, 5):
        y = x.clone()
        y[:, changed] += 1
        _, other = stack(y[:, :3], real(3), None)
        assert not torch.allclose(stack(y[:, 3:], real(3), other)[0][:, 0], states[:, 0])


@pytest.mark.parametrize("kind", ["recycled", "gru", "ssm", "depth"])
def test_padding_changes_nothing(kind: str) -> None:
    r = reasoner(kind)
    padded = torch.cat([tokens(L, 1), 100 * tokens(2, 9)], 1)
    some = torch.cat([real(L), ~real(2)], 1)
    _, a = r.think(r.read(tokens(L, 1), real(L)), 3)
    _, b = r.think(r.read(padded, some), 3)
    queries = tokens(Q, 2)
    torch.testing.assert_close(r.answer(a, queries, real(Q)), r.answer(b, queries, real(Q)))


@pytest.mark.parametrize("kind", THINKING)
@pytest.mark.parametrize("change", ["zero", "swap", "noise"])
def test_disturbed_thoughts_reach_the_answer(kind: str, change: str) -> None:
    r = reasoner(kind)
    disturbance = Disturbance(change, steps=(1,), seed=4)  # type: ignore[arg-type]
    same = answer(r, 4), answer(r, 4, disturbance), answer(r, 4, disturbance)
    assert torch.equal(same[1], same[2])
    if kind in WITHOUT_CONTENT and change == "swap":
        assert torch.equal(same[0], same[1])  # everybody has the same thought
    elif kind not in ROUNDED or change != "swap":  # codes may agree
        assert not torch.allclose(same[0], same[1])
    thoughts, _ = r.think(r.read(tokens(L, 1), real(L)), 4, disturbance=disturbance)
    plain, _ = r.think(r.read(tokens(L, 1), real(L)), 4)
    assert torch.equal(thoughts.vectors[:, 0], plain.vectors[:, 0])


def test_only_pauses_carry_nothing() -> None:
    for kind in THINKING:
        r = reasoner(kind)
        a, _ = r.think(r.read(tokens(L, 1), real(L)), 6)
        b, _ = r.think(r.read(tokens(L, 5), real(L)), 6)
        assert torch.equal(a.vectors, b.vectors) is (kind in WITHOUT_CONTENT)


def test_a_swap_needs_somebody() -> None:
    r = reasoner("recycled")
    memory = r.read(tokens(L, 1)[:1], real(L)[:1])
    with pytest.raises(ValueError, match="swap got a batch of one"):
        r.think(memory, 2, disturbance=Disturbance("swap"))
    donor = torch.ones(2, 32)
    thoughts, _ = r.think(memory, 3, disturbance=Disturbance("swap", donor=donor))
    assert torch.equal(thoughts.vectors, torch.ones(1, 3, 32))


@pytest.mark.parametrize("kind", THINKING)
def test_stages_write_what_is_not_latent(kind: str) -> None:
    r = reasoner(kind)
    events = torch.randint(0, 4, (N, 5, 4), generator=torch.Generator().manual_seed(0))
    memory = r.read(tokens(L, 1), real(L))
    thoughts, _ = r.think(memory, 5, written=events, latent=2)
    assert thoughts.logits is not None
    written = 5 if kind == "script" else 3
    assert [x.shape for x in thoughts.logits] == [(N, written, v) for v in EVENTS.fields]
    said = r.writer.token(events[:, 4])
    assert torch.equal(thoughts.vectors[:, 4], said)
    assert torch.equal(thoughts.vectors[:, 0], r.writer.token(events[:, 0])) is (kind == "script")


@pytest.mark.parametrize("kind", THINKING)
def test_gradients_go_back_through_the_thoughts(kind: str) -> None:
    r = reasoner(kind)
    given = tokens(L, 1).requires_grad_()
    thoughts, memory = r.think(r.read(given, real(L)), 3)
    if thoughts.vectors.requires_grad:
        thoughts.vectors.sum().backward()
    carries = kind not in (*WITHOUT_CONTENT, "script", "concept-diffusion", "concept-quantised")
    assert (given.grad is not None and bool(given.grad.abs().sum() > 0)) is carries


def test_quantised_numbers_keep_to_their_levels() -> None:
    z = (3 * torch.randn(5000, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    values, codes = quantise(z)
    for i, levels in enumerate(LEVELS):
        assert codes[:, i].unique().tolist() == list(range(levels))
        assert len(values[:, i].unique()) == levels
        assert values[:, i].abs().max() <= 1
    values.sum().backward()
    assert z.grad is not None and (z.grad >= 0).all() and (z.grad > 0).any()


def test_costs_are_alike() -> None:
    # At the standard size: parts of a reasoner's own weigh more in a small one.
    costs = {k: cost(build_reasoner(k, Size(), EventSizes()), thoughts=6) for k in REASONERS}
    most = max(c.parameters for c in costs.values())
    assert all(c.parameters > 0.97 * most for c in costs.values())
    spent = [costs[k].flops for k in THINKING]
    assert min(spent) > 0.97 * max(spent)
    assert (
        costs["none"].flops == cost(build_reasoner("none", Size(), EventSizes()), thoughts=0).flops
    )
    # Adding a thought adds one token's work, not a pass over all that came before.
    seven = cost(build_reasoner("pause", Size(), EventSizes()), thoughts=7).flops
    assert seven - costs["pause"].flops < 0.06 * costs["pause"].flops


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(
        ValueError, match="reasoner got 'lstm'; expected one of none, pause, pause-s"
    ):
        build_reasoner("lstm", SIZE, EVENTS)
