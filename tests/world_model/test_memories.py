"""Codes, gates and state spaces: each does what its paper says, and thoughts hold to it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clay4d.world_model.explain import Watcher
from clay4d.world_model.generate import generate
from clay4d.world_model.model import WorldModel
from clay4d.world_model.reasoners import REASONERS, EventSizes, Size, Thinker, build_reasoner
from clay4d.world_model.reasoners.depth import Depth, Exit
from clay4d.world_model.reasoners.gru import GatedCell
from clay4d.world_model.reasoners.ssm import SelectiveSpace, linear_scan
from clay4d.world_model.reasoners.vq import Codebook
from clay4d.world_model.training.cache import cached_worlds
from clay4d.world_model.training.config import WorldModelConfig
from clay4d.world_model.training.reasoning import ReasoningStage, set_scales
from clay4d.world_model.training.run import new_model
from clay4d.world_model.training.score import episodes, exit_scores, forecast_errors
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import open_worlds

SIZE, EVENTS = Size(32, 2, 4, 64), EventSizes(6, 4, 5)
N, L, Q = 3, 7, 4
OWN = [k for k in REASONERS if k != "none"]


def reasoner(kind: str) -> Thinker:
    torch.manual_seed(0)
    return build_reasoner(kind, SIZE, EVENTS)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def real(count: int) -> Tensor:
    return torch.ones(N, count, dtype=torch.bool)


def test_the_scan_is_the_recurrence_step_by_step() -> None:
    torch.manual_seed(0)
    space = SelectiveSpace(16, channels=6)
    x, memory = draw(N, 11, 16), draw(N, 6, 16, seed=1)
    outputs, memories = space.scan(x, memory)
    for k in range(11):
        y, memory = space.step(x[:, k], memory)
        torch.testing.assert_close(outputs[:, k], y, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(memories[:, k], memory, atol=1e-5, rtol=1e-5)


def test_the_recurrence_is_mambas() -> None:
    """Against the equations written out in float64, one channel and one number at a time."""
    torch.manual_seed(0)
    space = SelectiveSpace(8, channels=3).double()
    x, memory = draw(1, 8).double(), draw(1, 3, 16, seed=1).double()
    got_y, got = space.step(x, memory)
    inner, gate = (space.enter.weight @ x[0]).chunk(2)
    inner = inner * torch.sigmoid(inner)
    picked = space.select.weight @ inner
    delta = torch.log1p(torch.exp(space.pace.weight @ picked[:2] + space.pace.bias))
    b, c = picked[2:18], picked[18:]
    y = torch.zeros(3, dtype=torch.float64)
    for e in range(3):
        for s in range(16):
            a = -torch.exp(space.log_a[e, s])
            h = torch.exp(delta[e] * a) * memory[0, e, s] + delta[e] * b[s] * inner[e]
            torch.testing.assert_close(got[0, e, s], h)
            y[e] += c[s] * h
    y = (y + space.skip * inner) * gate * torch.sigmoid(gate)
    torch.testing.assert_close(got_y[0], space.leave.weight @ y)


@pytest.mark.parametrize("count", [1, 2, 5, 8, 33])
def test_scans_of_any_length(count: int) -> None:
    decay, add, h = torch.sigmoid(draw(2, count, 3)), draw(2, count, 3, seed=1), draw(2, 3, seed=2)
    whole = linear_scan(decay, add, h)
    for k in range(count):
        h = decay[:, k] * h + add[:, k]
        torch.testing.assert_close(whole[:, k], h, atol=1e-5, rtol=1e-5)


def test_the_gates_are_torchs_own() -> None:
    """One block is a whole GRU: torch's, with the same weights."""
    torch.manual_seed(0)
    cell, own = GatedCell(6, 1), torch.nn.GRUCell(6, 6)
    with torch.no_grad():
        cell.bias.copy_(draw(*cell.bias.shape))
        own.weight_ih.copy_(cell.given[0].T)
        own.weight_hh.copy_(cell.own[0].T)
        own.bias_ih.copy_(cell.bias[0, 0, 0])
        own.bias_hh.copy_(cell.bias[1, 0, 0])
    x, state = draw(N, 6), draw(N, 6, seed=1)
    torch.testing.assert_close(cell(x, state), own(x, state))
    # Blocks do not mix: what enters the first half stays there.
    halves = GatedCell(6, 2)
    changed = x.clone()
    changed[:, :3] += 1
    a, b = halves(x, state), halves(changed, state)
    assert torch.equal(a[:, 3:], b[:, 3:]) and not torch.allclose(a[:, :3], b[:, :3])


@pytest.mark.parametrize("kind", ["gru", "ssm"])
def test_memories_outlive_readings_and_hold_one_thought(kind: str) -> None:
    r = reasoner(kind)
    mind = r.read(draw(N, L, 32), real(L))
    assert mind.state is not None
    length = len(mind.cache)
    _, after = r.think(mind, 5)
    assert len(after.cache) == length + 2  # the start and the last thought
    again = r.read(draw(N, 2, 32, seed=1), real(2), after)
    fresh = r.read(draw(N, 2, 32, seed=1), real(2))
    assert again.state is not None and not torch.allclose(again.state, fresh.state)
    # Reading in two goes is reading in one, as far as the memory is concerned.
    states = draw(N, 6, 32, seed=2)
    whole = r.remember(states, real(6), mind.state)
    parts = r.remember(states[:, 2:], real(4), r.remember(states[:, :2], real(2), mind.state))
    torch.testing.assert_close(parts, whole)


def test_a_pass_over_all_pauses_lets_them_see_each_other() -> None:
    single, several = reasoner("pause-single"), reasoner("pause")
    several.load_state_dict(single.state_dict())
    mind = single.read(draw(N, L, 32), real(L))
    one, _ = single.think(mind, 1)
    first, _ = several.think(mind, 1)
    assert torch.equal(one.hidden, first.hidden)
    _, a = single.think(mind, 4)
    _, b = several.think(mind, 4)
    queries = draw(N, Q, 32, seed=3)
    assert not torch.allclose(
        single.answer(a, queries, real(Q)), several.answer(b, queries, real(Q))
    )


def test_depth_begins_from_noise_of_its_seed_and_keeps_one_state() -> None:
    r = reasoner("depth")
    mind = r.read(draw(N, L, 32), real(L))
    same = [r.think(mind, 3, seed=s)[0].vectors for s in (1, 1, 2)]
    assert torch.equal(same[0], same[1]) and not torch.allclose(same[0], same[2])
    _, after = r.think(mind, 3)
    assert len(after.cache) == len(mind.cache) + 2
    # What was read is put in again at each turn: without it the second thought is another.
    with torch.no_grad():
        before = r.think(mind, 2)[0].vectors[:, 1]
        assert isinstance(r, Depth)
        r.given.zero_()
        r.own.mul_(2)
    assert not torch.allclose(r.think(mind, 2)[0].vectors[:, 1], before)


@pytest.mark.parametrize("kind", ["change", "kl"])
def test_depth_exits_when_it_holds_still(kind: str) -> None:
    r = reasoner("depth")
    assert isinstance(r, Depth)
    with torch.no_grad():  # a state that is soon forgotten goes to a fixed point
        r.own.mul_(0.2)
    mind = r.read(draw(N, L, 32), real(L))
    long, end = r.think(mind, 16)
    assert long.steps is None
    r.exit = Exit(kind, 1e-3)  # type: ignore[arg-type]
    some, stopped = r.think(mind, 16)
    assert some.steps is not None and (some.steps < 16).all() and (some.steps > 1).all()
    most = int(some.steps.max())
    for n, count in enumerate(some.steps.tolist()):
        assert torch.equal(some.vectors[n, :count], long.vectors[n, :count])
        assert torch.equal(
            some.vectors[n, count:], some.vectors[n, count - 1 : count].expand(16 - count, -1)
        )
    queries = draw(N, Q, 32, seed=3)
    torch.testing.assert_close(
        r.answer(stopped, queries, real(Q)), r.answer(end, queries, real(Q)), atol=0.02, rtol=0.02
    )
    # Turns after the last world has stopped cost nothing: the answer is that after `most` turns.
    _, short = r.think(mind, most + 1)
    assert torch.equal(r.answer(short, queries, real(Q)), r.answer(stopped, queries, real(Q)))
    r.exit = Exit(kind, 1e-9)  # type: ignore[arg-type]
    assert r.think(mind, 3)[0].steps.tolist() == [3] * N  # type: ignore[union-attr]


def test_generate_stops_models_of_depth_alone(
    small_model: WorldModel, small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    small_model.save(tmp_path / "recycled.safetensors")
    text = "A red ball rolls."
    with pytest.raises(
        ValueError, match="exit-below got weights of reasoner recycled; expected depth."
    ):
        generate(
            text, weights=tmp_path / "recycled.safetensors", exit_below=0.1, allow_unknown=True
        )
    asked = dataclasses.replace(small_config.reasoning, kind="depth")
    config = dataclasses.replace(small_config, reasoning=asked)
    new_model(config, open_worlds(small_worlds, split="train")).save(tmp_path / "depth.safetensors")
    for below, most in ((10.0, 1), (1e-9, 5)):
        made = generate(
            text, weights=tmp_path / "depth.safetensors", exit_below=below, thoughts=5,
            allow_unknown=True,
        )  # fmt: skip
        assert [int(t.steps) for t in made.thinking.thoughts if t.steps is not None] == [most] * 4


def test_exits_are_scored(small_config: WorldModelConfig, small_worlds: Path) -> None:
    asked = dataclasses.replace(small_config.reasoning, kind="depth")
    config = dataclasses.replace(small_config, reasoning=asked)
    model = new_model(config, open_worlds(small_worlds, split="train")).eval()
    given = episodes(open_worlds(small_worlds, split="val"), model)
    found = exit_scores(model, given, exits=(Exit("change", 10.0), Exit("kl", 1e-9)))
    assert found["change 10"]["thoughts"] == 1.0 < found["kl 1e-09"]["thoughts"]
    errors = forecast_errors(model, given, thoughts=(1, 16))["thoughts"]
    assert found["change 10"]["error"] == pytest.approx(errors["1"], abs=1e-6)
    assert found["kl 1e-09"]["error"] == pytest.approx(errors["16"], abs=1e-5)
    reasoner = model.dynamics.reasoner
    assert isinstance(reasoner, Depth) and reasoner.exit is None
    other = new_model(small_config, open_worlds(small_worlds, split="train"))
    with pytest.raises(ValueError, match="exits got reasoner recycled; expected depth."):
        exit_scores(other, given, exits=())


def test_exits_are_checked() -> None:
    with pytest.raises(ValueError, match="exit below got 0; expected above 0."):
        Exit("kl", 0)
    with pytest.raises(ValueError, match="exit got 'never'; expected change or kl."):
        Exit("never")  # type: ignore[arg-type]


def test_codes_go_round_and_gradients_straight_through() -> None:
    torch.manual_seed(0)
    book = Codebook(50, 4).eval()
    z = draw(20, 4, seed=1).requires_grad_()
    nearest, index = book(z)
    distances = torch.cdist(z.detach(), book.codes)
    assert torch.equal(index, distances.argmin(1))
    torch.testing.assert_close(nearest, book.codes[index])
    (nearest * torch.arange(4.0)).sum().backward()
    assert z.grad is not None and torch.equal(z.grad, torch.arange(4.0).expand(20, 4))


def test_codebooks_follow_what_comes_and_dead_codes_are_moved() -> None:
    torch.manual_seed(0)
    book, middles = Codebook(64, 4), 3 * draw(16, 4, seed=1)
    before = book.codes.clone()
    book.eval()(middles)
    assert torch.equal(book.codes, before)  # nothing moves in evaluation
    book.train()
    for k in range(600):
        batch = middles[torch.arange(32) % 16] + 0.05 * draw(32, 4, seed=2 + k)
        book(batch)
    nearest, _ = book.eval()(middles)
    assert (nearest - middles).norm(dim=1).max() < 0.2
    assert (book.uses > 0.04).all()
    # The same batches lead to the same codes: moving the dead takes no draw.
    torch.manual_seed(0)
    other = Codebook(64, 4)
    for k in range(600):
        other(middles[torch.arange(32) % 16] + 0.05 * draw(32, 4, seed=2 + k))
    assert torch.equal(other.codes, book.codes)


@pytest.mark.parametrize("kind", OWN)
def test_gradients_reach_every_parameter(kind: str) -> None:
    r = reasoner(kind)
    mind = r.read(draw(N, L, 32), real(L))
    events = torch.randint(0, 4, (N, 5, 4), generator=torch.Generator().manual_seed(0))
    following = draw(N, r.concept, seed=5) if r.concept else None
    first, mind = r.think(mind, 4, written=events, latent=3, following=following)
    mind = r.read(draw(N, L, 32, seed=1), real(L), mind)
    second, mind = r.think(mind, 2, following=following)
    loss = r.answer(mind, draw(N, Q, 32, seed=2), real(Q)).square().sum()
    assert first.logits is not None
    loss = loss + sum(x.logsumexp(-1).sum() for x in first.logits)
    for thoughts in (first, second):
        loss = loss if thoughts.loss is None else loss + thoughts.loss
    loss.backward()
    for name, value in r.named_parameters():
        assert value.grad is not None and value.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", OWN)
def test_runs_of_every_reasoner_resume_to_the_same_bits(
    kind: str, small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    asked = dataclasses.replace(small_config.reasoning, kind=kind, curriculum=0.5)  # type: ignore[arg-type]
    config = dataclasses.replace(small_config, reasoning=asked)
    train = open_worlds(small_worlds, split="train")

    def begin() -> Run:
        model = new_model(config, train)
        cached = cached_worlds(train, model.encoder, tmp_path / "slots", context=6, seed=0)
        set_scales(model, cached)
        return Run(ReasoningStage(asked, model, cached, seed=0))

    whole, stopped, resumed = begin(), begin(), begin()
    for _ in range(4):
        whole.step()
    for _ in range(2):
        stopped.step()
    stopped.save(tmp_path / "checkpoint.safetensors")
    resumed.load(tmp_path / "checkpoint.safetensors")
    for _ in range(2):
        resumed.step()
    for name, module in whole.stage.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, resumed.stage.modules[name].state_dict()[key]), key


@pytest.mark.parametrize("kind", OWN)
def test_models_of_every_kind_imagine_and_come_back_from_their_file(
    kind: str, small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    asked = dataclasses.replace(small_config.reasoning, kind=kind)  # type: ignore[arg-type]
    config = dataclasses.replace(small_config, reasoning=asked)
    model = new_model(config, open_worlds(small_worlds, split="train")).eval()
    model.save(tmp_path / "model.safetensors")
    other = WorldModel.load(tmp_path / "model.safetensors")
    for count in (0, 3, 16):
        slots, thinking = model.imagine(["A red ball."], thoughts=count, seed=5)
        assert slots.positions.shape[1] == 24
        assert [len(t) for t in thinking.thoughts] == [count] * 4
        again, _ = other.imagine(["A red ball."], thoughts=count, seed=5)
        assert torch.equal(again.positions, slots.positions)
    # Watching asks after each thought and changes nothing, also where thoughts are drawn or replaced.
    watcher = Watcher(model, ["the red ball"], count=3)
    slots, _ = model.imagine(["A red ball."], thoughts=3, seed=5, watch=watcher)
    assert torch.equal(
        slots.positions, model.imagine(["A red ball."], thoughts=3, seed=5)[0].positions
    )
    last = [s.beliefs[-1].slots.positions for s in watcher.stretches]
    torch.testing.assert_close(torch.cat(last, 1), slots.positions)
