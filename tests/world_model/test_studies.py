"""The experiments on thoughts: rates, probes, disturbances, detectors, transfer, resuming; all on tiny settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clay4d.benchmark import thoughts_bits, thoughts_fuzz, thoughts_monitor, thoughts_transfer
from clay4d.benchmark.results import Measurement, load_results
from clay4d.benchmark.studies import StudyConfig, judged, material, run_study
from clay4d.benchmark.suites import Claim
from clay4d.benchmark.thoughts_bits import Rounding, told_bits
from clay4d.benchmark.thoughts_fuzz import blurred, growth
from clay4d.benchmark.thoughts_monitor import Fed, clean_looks, poisoned
from clay4d.benchmark.thoughts_transfer import GENERATE, UNDERSTAND, shuffled
from clay4d.benchmark.traces import DETECTORS, Expected, Trace, placed, scores
from clay4d.world_model.model import WorldModel
from clay4d.world_model.reasoners import EventSizes, Size, Thinker, build_reasoner


def tiny(config: StudyConfig) -> StudyConfig:
    return replace(
        config, held="val", train=8, worlds=2, steps=2, batch=2, seeds=(0,), thoughts=2, levels=config.levels[:2]
    )  # fmt: skip


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_finer_steps_cost_more_bits_and_lose_less() -> None:
    turn = torch.linalg.qr(draw(4, 4, seed=2))[0]
    known, sent = (
        (draw(4000, 4, seed=s) * torch.tensor([4.0, 1.0, 0.1, 0.01])) @ turn for s in (0, 1)
    )
    bits, lost = [], []
    for step in (0.05, 0.5, 5.0, float("inf")):
        code = Rounding.learn(known, step)
        lost.append(float((code.apply(sent, 0) - sent).square().mean()))
        bits.append(float(code.lengths[0].mean()))
    assert bits == sorted(bits, reverse=True) and lost == sorted(lost) and bits[-1] == 0
    # Rounding to a step d loses d²/12 in a direction much wider than it (Bennett 1948); two of four are here.
    unit = 0.5 * float((known - known.mean(0)).square().mean().sqrt())
    assert 0.4 * unit**2 / 12 < lost[1] < unit**2 / 12
    # A normal of deviation s takes log2(s √(2πe) / d) bits at a fine step.
    fine = Rounding.learn(known[:, :], 0.05)
    fine.apply(sent, 0)
    step = 0.05 * float((known - known.mean(0)).square().mean().sqrt())
    wide = sum(max(np.log2(s * np.sqrt(2 * np.pi * np.e) / step), 0) for s in (4.0, 1.0, 0.1))
    assert float(fine.lengths[0].mean()) == pytest.approx(wide, rel=0.1)


def test_probe_bits_are_those_of_the_label_or_none() -> None:
    draws = np.random.default_rng(0)
    y = draws.integers(0, 4, 900)
    x = draws.normal(size=(900, 12))
    x[:, :4] += 6 * np.eye(4)[y]
    own = told_bits((x[:600], y[:600]), (x[600:], y[600:]), classes=4)
    control = told_bits((x[:600], y[:600]), (x[600:], y[600:]), classes=4, shuffled=0)
    assert 1.8 < own.mean() <= 2.05 and control.mean() < 0.05


def test_claims_are_judged_by_their_whole_interval() -> None:
    metrics = thoughts_bits.CONFIG.metrics
    rows = [
        Measurement("s", "all", system, f"w{k}", 0, "centre_error", "study", value + 0.01 * (k % 3))
        for system, value in (("a", 1.0), ("b", 2.0)) for k in range(20)
    ]  # fmt: skip
    verdicts = [
        judged(Claim("x", "all", "a", "b", margin), rows, metrics).verdict for margin in (0.5, 0.9, 1.5)
    ]  # fmt: skip
    assert verdicts == ["holds", "holds", "fails"]
    assert judged(Claim("x", "all", "a", "c"), rows, metrics).verdict == "undecided"


def test_bits(tmp_path: Path, small_model: WorldModel, small_worlds: Path) -> None:
    """Runs whole, goes on after a stop, and refuses another config's folder."""
    config = tiny(thoughts_bits.CONFIG)
    out = tmp_path / "out"
    found = run_study(thoughts_bits.study, config, out, data=small_worlds, model=small_model)
    assert load_results(out / "results.json") == found and (out / "report.html").is_file()
    assert len(found.hypotheses) == len(config.claims)
    (out / "parts" / "codes-0.json").unlink()
    again = run_study(
        thoughts_bits.study, config, out, data=small_worlds, model=small_model, resume=True
    )
    assert again.measurements == found.measurements
    with pytest.raises(ValueError, match="which holds something"):
        run_study(thoughts_bits.study, config, out, data=small_worlds, model=small_model)
    with pytest.raises(ValueError, match="another config"):
        run_study(
            thoughts_bits.study, replace(config, steps=3), out, data=small_worlds, model=small_model, resume=True
        )  # fmt: skip


def reasoner(kind: str) -> Thinker:
    torch.manual_seed(0)
    return build_reasoner(kind, Size(16, 2, 2, 32), EventSizes(4, 3, 3)).eval()


def test_codes_swallow_small_blurs_and_states_hand_them_on() -> None:
    there = torch.ones(6, 5, dtype=torch.bool)
    for kind, share, same in (("discrete", 1e-4, True), ("discrete", 9.0, False), ("recycled", 1e-4, False)):  # fmt: skip
        r = reasoner(kind)
        memory = r.read(draw(6, 5, 16), there)
        plain, _ = r.think(memory, 3)
        with blurred(r, share, seed=1):
            moved, _ = r.think(memory, 3)
        assert torch.equal(moved.vectors, plain.vectors) == same
        assert torch.equal(r.think(memory, 3)[0].vectors, plain.vectors)
    with pytest.raises(ValueError, match="reasoner got gru"), blurred(reasoner("gru"), 1.0, seed=0):
        pass


def test_growth_is_the_slope_of_the_logarithm() -> None:
    off = 0.01 * torch.tensor([[1.1], [0.9], [1.0]]) ** torch.arange(12)
    off[2] = 0
    np.testing.assert_allclose(growth(off), [np.log(1.1), np.log(0.9), 0], atol=1e-4)


def test_fuzz(tmp_path: Path, small_model: WorldModel, small_worlds: Path) -> None:
    config = tiny(thoughts_fuzz.CONFIG)
    found = run_study(
        thoughts_fuzz.study, config, tmp_path / "o", data=small_worlds, model=small_model
    )
    assert {m.system for m in found.measurements} >= {"released", "recycled", "discrete"}
    again = run_study(
        thoughts_fuzz.study, config, tmp_path / "p", data=small_worlds, model=small_model
    )
    assert again.measurements == found.measurements


def trace(read: torch.Tensor, thoughts: torch.Tensor) -> Trace:
    return Trace(read, thoughts, torch.zeros(len(read), 18))


def test_thoughts_of_other_scenes_are_told_and_clean_ones_are_not() -> None:
    weight = draw(6, 2 * 3 * 8, seed=3)

    def clean(seed: int) -> Trace:
        read = draw(300, 6, seed=seed)
        thoughts = (read @ weight + 0.3 * draw(300, 48, seed=seed + 50)).unflatten(1, (2, 3, 8))
        return trace(read, thoughts)

    expected, own, held = Expected.learn(clean(0)), clean(1), clean(2)
    faked = [replace(t, thoughts=t.thoughts.roll(1, 0)) for t in (own, held)]
    for name, low, high in (("thoughts", 0.95, 1.0), ("output", 0.4, 0.6), ("lengths", 0.4, 0.6)):
        x = [DETECTORS[name](t, expected) for t in (own, faked[0], held, faked[1])]
        found = placed(*scores(x[0], x[1], (x[2], x[3])))
        assert low <= found[0].mean() <= high
    assert clean_looks(expected, own, 0).shape == own.thoughts.shape
    # Of eight directions nothing is left over, so that only the first six numbers say something.
    looks = [
        np.sort(DETECTORS["thoughts"](t, expected)[:, :6].ravel())
        for t in (own, trace(own.read, clean_looks(expected, own, 0)))
    ]
    np.testing.assert_allclose(looks[0], looks[1], atol=1e-3)


def test_fed_thoughts_come_in_their_order() -> None:
    stretches = [draw(2, 3, 4, seed=s) for s in (0, 1)]
    fed = Fed(stretches)
    for stretch in stretches:
        for step in range(3):
            assert torch.equal(fed.apply(draw(2, 4), step), stretch[:, step])


def test_monitor(tmp_path: Path, small_model: WorldModel, small_worlds: Path) -> None:
    config = tiny(thoughts_monitor.CONFIG)
    found = run_study(
        thoughts_monitor.study, config, tmp_path / "o", data=small_worlds, model=small_model
    )
    assert {m.task for m in found.measurements} >= set(thoughts_monitor.KINDS)
    cached = material(config, small_model, small_worlds, tmp_path / "o").cached
    colour = thoughts_monitor.commonest(cached)
    changed = (poisoned(cached, colour, shown=6).whole.positions - cached.whole.positions).abs()
    there = thoughts_monitor.coloured(cached, colour)
    assert (changed[there][:, -1].amax((1, 2)) > 5).all() and not changed[~there].any()
    assert not changed[:, :6].any()


def test_transfer(tmp_path: Path, small_model: WorldModel, small_worlds: Path) -> None:
    """Controls have the wrong answers and no other change; every start is measured on both tasks."""
    config = tiny(thoughts_transfer.CONFIG)
    out = tmp_path / "o"
    found = run_study(thoughts_transfer.study, config, out, data=small_worlds, model=small_model)
    assert {m.system for m in found.measurements} == set(thoughts_transfer.STARTS)
    assert {m.metric for m in found.measurements} == {"centre_error", "birth_loss"}
    cached = material(config, small_model, small_worlds, out).cached
    wrong = shuffled(cached, UNDERSTAND)
    assert torch.equal(wrong.whole.positions[:, :6], cached.whole.positions[:, :6])
    way = [c.whole.positions[:, 6:] - c.whole.positions[:, 5:6] for c in (wrong, cached)]
    torch.testing.assert_close(way[0], way[1].roll(1, 0))
    told = shuffled(cached, GENERATE)
    assert told.words[0] == cached.words[1] and told.whole is cached.whole
