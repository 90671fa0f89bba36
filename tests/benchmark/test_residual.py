"""The engine with a learned residual: it turns with the scene, learns what can be learned, and from training worlds only."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from clay4d.benchmark import residual_fit
from clay4d.benchmark.estimate import estimate
from clay4d.benchmark.observation import Observation, Thing
from clay4d.benchmark.registry import SYSTEMS
from clay4d.benchmark.residual import (
    FORMAT,
    GATES,
    POWERS,
    VECTORS,
    WEIGHTS,
    Clues,
    Law,
    ResidualEngine,
    clues_of,
    corrected,
    read_law,
    write_law,
)
from clay4d.benchmark.systems import NominalEngine
from clay4d.benchmark.workers import Worker
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.world_model.worlds import open_worlds
from clay4d.world_model.worlds.settings import WorldsConfig, split_of

THINGS = (
    Thing("ball", "ball", (0.2, 0.2, 0.2), "rubber", True),
    Thing("cube", "cube", (0.3, 0.3, 0.3), "wood", True),
    Thing("wall", "wall", (0.1, 1.0, 0.5), "wood", False),
)
TIMES = np.arange(24) / 12


def some_law(seed: int = 0, *, scale: float = 0.1) -> Law:
    rng = np.random.default_rng(seed)
    return Law(scale * rng.normal(size=(GATES, POWERS, VECTORS)), np.full(GATES, -9.0), np.full(GATES, 9.0))  # fmt: skip


def seen_and_simulated(turn: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray]:
    """Places of three things in a turned world, and what two engines might have made of them."""
    rng = np.random.default_rng(1)
    path = np.cumsum(rng.normal(scale=0.05, size=(6, 3, 3)), 0) + rng.normal(size=(3, 3))
    path[..., 2] = np.abs(path[..., 2]) + 0.3
    path[2, 0] = np.nan
    nominal, early = path[4] + rng.normal(size=(18, 3, 3)), path[4] + rng.normal(size=(24, 3, 3))
    seen = Observation(THINGS, TIMES[:6], positions=path @ turn.T)
    return seen, nominal @ turn.T, early @ turn.T


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_the_correction_turns_with_the_scene(mirror: float) -> None:
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ np.diag([1.0, mirror, 1.0])
    found = []
    for R in (np.eye(3), turn):
        seen, nominal, early = seen_and_simulated(R)
        which, clues = clues_of(seen, estimate(seen), nominal, early, TIMES[6:])
        assert which == [0, 1]
        found.append(some_law().correction(clues))
    assert np.abs(found[0]).max() > 0.1
    assert np.allclose(found[0] @ turn.T, found[1], atol=1e-9)


def test_a_law_of_zeros_is_the_nominal_engine(tmp_path: Path) -> None:
    write_law(tmp_path / "law.safetensors", some_law(scale=0.0), {})
    t = np.arange(6) / 12
    path = np.stack([t, 0 * t, 1 + 2 * t - 4.905 * t**2], -1)[:, None]
    seen = Observation(THINGS[:1], t, positions=path)
    own = ResidualEngine(tmp_path / "law.safetensors").predict(seen, TIMES[6:])
    assert np.array_equal(own.positions, NominalEngine().predict(seen, TIMES[6:]).positions)


def test_nothing_is_put_into_the_floor_and_gates_end_where_training_ended() -> None:
    seen, nominal, early = seen_and_simulated(np.eye(3))
    nominal = np.abs(nominal)
    which, clues = clues_of(seen, estimate(seen), nominal, early, TIMES[6:])
    out = corrected(some_law(scale=5.0), seen, nominal, which, clues)
    assert np.array_equal(out[:, 2], nominal[:, 2])  # what stands still stays
    low = np.minimum(nominal[:, which, 2], [0.1, 0.15])
    assert (out[:, which, 2] >= low - 1e-9).all() and (out[:, which, 2] == low).any()
    law = Law(some_law().weights, np.zeros(GATES), np.ones(GATES))
    far = Clues(clues.vectors, np.full_like(clues.gates, 100.0), clues.ahead)
    end = Clues(clues.vectors, np.ones_like(clues.gates), clues.ahead)
    assert np.array_equal(law.correction(far), law.correction(end))


def made_table(seed: int, *, planted: bool) -> residual_fit.Table:
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(600, 3, 8))
    off = design @ np.array([0.3, 0, 0, -0.2, 0, 0, 0, 0]) if planted else 0 * design[..., 0]
    off = off + rng.normal(scale=0.1, size=off.shape)
    off[::20] *= 50  # a few are lost altogether
    rows = len(design)
    return residual_fit.Table(
        design, off, np.full(rows, 9.0), np.zeros(rows), np.full(rows, 1.0), np.arange(rows) // 6
    )


def test_what_was_planted_is_found_among_wild_errors() -> None:
    table = made_table(0, planted=True)
    found = residual_fit.solve(table, [1e-4])[0]
    assert np.allclose(found, [0.3, 0, 0, -0.2, 0, 0, 0, 0], atol=0.02)
    square = np.linalg.lstsq(table.design.reshape(-1, 8), table.off.reshape(-1), rcond=None)[0]
    true = np.array([0.3, 0, 0, -0.2, 0, 0, 0, 0])
    assert np.abs(found - true).max() < 0.5 * np.abs(square - true).max()


def test_where_nothing_can_be_learned_the_largest_penalty_is_best() -> None:
    table = made_table(1, planted=False)
    errors = residual_fit.cross_validated(table, (1e-4, 1e-2, 100.0))
    plain = table.mean_error(np.zeros(8))
    assert int(np.argmin(errors)) == 2 and errors[2] == pytest.approx(plain, rel=0.01)
    assert errors[0] > plain  # the fit saw noise; worlds that were held out say so


@pytest.fixture(scope="module")
def synthetic() -> ModuleType:
    path = Path(__file__).parents[1] / "world_model" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_of_residuals", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_learns_from_training_worlds_alone(synthetic: ModuleType, tmp_path: Path) -> None:
    """Other worlds of `val` in the set, or none at all: the same bytes come of it."""
    laws = []
    for name, held in (("few", 1), ("more", 4)):
        worlds = synthetic.write_worlds(tmp_path / name, 5 + held, held=held)
        out = tmp_path / f"{name}.safetensors"
        residual_fit.main(
            [str(worlds), "--out", str(out), "--work", str(tmp_path / f"{name}-work")]
        )
        laws.append(out.read_bytes())
        kept = sorted(p.stem for p in (tmp_path / f"{name}-work").iterdir())
        assert kept == [w.name for w in open_worlds(worlds, split="train")]
    assert laws[0] == laws[1]
    again = tmp_path / "again.safetensors"
    residual_fit.main([str(worlds), "--out", str(again), "--work", str(tmp_path / "more-work")])
    assert again.read_bytes() == laws[0]


def test_worlds_that_are_kept_from_another_set_are_made_again(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    worlds, work = synthetic.write_worlds(tmp_path / "w", 2, held=1), tmp_path / "work"
    first = residual_fit.examples(worlds, work, 9)[0]
    place = next(work.iterdir())
    tensors, header = read_tensors(place)
    write_tensors(place, {n: v + 1 for n, v in tensors.items()}, header | {"prompt": "Another."})
    assert np.array_equal(residual_fit.examples(worlds, work, 9)[0].truth, first.truth)
    shutil.rmtree(work)


def test_the_released_law_is_of_training_worlds() -> None:
    """Its file names the worlds that it learned from; by their numbers none is of another split."""
    _, notes = read_tensors(WEIGHTS)
    assert notes["format"] == FORMAT and notes["split"] == "train"
    shares, names, k = WorldsConfig().splits, [], 0
    while len(names) < notes["worlds"]:
        names += [f"{k:06d}"] if split_of(k, shares) == "train" else []
        k += 1
    assert (notes["first"], notes["last"]) == (names[0], names[-1])
    assert notes["names"] == hashlib.sha256(" ".join(names).encode()).hexdigest()
    assert notes["held_out"] < notes["nominal"]


def test_it_is_asked_like_the_others_and_sees_no_more() -> None:
    """In a process of its own, from an observation alone, it says what it says here."""
    assert not getattr(SYSTEMS["engine-residual"], "needs_truth", False)
    seen, _, _ = seen_and_simulated(np.eye(3))
    worker = Worker(ResidualEngine)
    answer = worker.ask(seen, TIMES[6:], timeout=120.0)
    worker.stop()
    assert answer.prediction is not None, answer.reason
    own = ResidualEngine().predict(seen, TIMES[6:])
    assert np.array_equal(answer.prediction.positions, own.positions)


def test_what_is_no_law_is_refused(tmp_path: Path) -> None:
    path, law = tmp_path / "law.safetensors", some_law()
    write_law(path, law, {})
    assert np.array_equal(read_law(path).weights, law.weights)
    write_law(path, Law(law.weights[:-1], law.low, law.high), {})
    with pytest.raises(ValueError, match="weights of another shape, or NaN"):
        read_law(path)
    write_law(path, Law(law.weights * np.nan, law.low, law.high), {})
    with pytest.raises(ValueError, match="expected finite numbers"):
        read_law(path)
    write_tensors(path, {"weights": torch.zeros(1)}, {"format": "other"})
    with pytest.raises(ValueError, match="got format 'other'"):
        read_law(path)
