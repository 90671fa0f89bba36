"""Probes find what a straight cut can find, and controls find nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clay4d.benchmark.probes import Ridge, balanced, probed, states


def made(count: int, *, seed: int, gap: float) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    y = draws.integers(0, 3, count)
    x = draws.normal(size=(count, 20))
    x[:, :3] += gap * np.eye(3)[y]
    return x * np.linspace(1, 100, 20) + 5, y


def test_a_probe_reads_what_is_there_and_its_control_is_at_chance() -> None:
    train, test = made(600, seed=0, gap=4.0), made(300, seed=1, gap=4.0)
    own, control = (probed(train, test, classes=3, shuffled=s) for s in (False, True))
    assert own.low > 0.9
    assert control.low < 1 / 3 + 0.08 and control.high < 0.5
    nothing = probed(made(600, seed=0, gap=0.0), made(300, seed=1, gap=0.0), classes=3)
    assert nothing.low < 1 / 3 < nothing.high + 0.05


def test_a_probe_cannot_read_a_parity() -> None:
    """A probe that could would be too strong to say what is there."""
    draws = np.random.default_rng(0)
    bits = draws.integers(0, 2, (800, 2))
    x = np.concatenate([bits * 2.0 - 1, draws.normal(size=(800, 4))], 1)
    y = bits.sum(1) % 2
    assert probed((x[:400], y[:400]), (x[400:], y[400:]), classes=2).mean < 0.62


def test_rare_classes_weigh_as_much_as_common_ones() -> None:
    y = np.array([0] * 95 + [1] * 5)
    x = np.random.default_rng(0).normal(size=(100, 3))
    x[:, 0] += 3 * y
    assert balanced(Ridge.fit(x, y, classes=2)(x), y, 2) > 0.85
    assert balanced(np.zeros(100, int), y, 2) == 0.5


def test_labels_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 5, from 0 to 1"):
        Ridge.fit(np.zeros((6, 2)), np.array([0, 1, 2, 0, 1, 2]), classes=2)


def test_states_are_those_that_the_reasoner_has(standard_worlds: Path) -> None:
    from clay4d.world_model.generate import load_weights
    from clay4d.world_model.training.score import episodes
    from clay4d.world_model.worlds import open_worlds

    model = load_weights()
    given = episodes(open_worlds(standard_worlds, split="train"), model)
    found = states(model, given, thoughts=2, at_once=2)
    assert list(found) == ["read", "state", "thought-1", "thought-2"]
    assert {len(v) for v in found.values()} == {len(given.prompts)}
    _, thinking = model.imagine(
        list(given.prompts), context=given.context, frames=12, thoughts=2, temperature=0.0
    )
    hidden = thinking.thoughts[0].hidden.numpy()
    assert np.allclose(found["state"], hidden[:, 0], atol=1e-4)
    assert np.allclose(found["thought-1"], hidden[:, 1], atol=1e-4)
