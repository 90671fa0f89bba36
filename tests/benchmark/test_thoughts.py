"""The suite of thoughts: counts and spoiled thoughts are systems, and do to the model what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clay4d.benchmark.cases import WorldCases
from clay4d.benchmark.observation import Observation, observe_world
from clay4d.benchmark.registry import SPOILED, SYSTEMS
from clay4d.benchmark.run import run_suite
from clay4d.benchmark.suites import COUNTS, ERROR, SUITES, SuiteConfig
from clay4d.benchmark.systems import Learned
from clay4d.world_model.reasoners import Disturbance
from clay4d.world_model.worlds import World, open_worlds


@pytest.fixture(scope="module")
def worlds(standard_worlds: Path) -> Path:
    return standard_worlds


def asked(worlds: Path) -> tuple[World, Observation]:
    world = open_worlds(worlds, split="train").read(0)
    return world, observe_world(world)


def test_every_system_of_the_suites_is_known() -> None:
    for name in ("thoughts", "thoughts-ood"):
        config = SUITES[name]
        assert set(config.systems) <= set(SYSTEMS)
        assert {s for c in config.claims for s in (c.system, c.rival)} <= set(config.systems)
        assert {f"world-model-{n}" for n in COUNTS} <= set(config.systems)


def test_spoiled_thoughts_change_what_is_foretold_and_noise_that_comes_after_all_does_not(
    worlds: Path,
) -> None:
    world, seen = asked(worlds)
    own = Learned(samples=0).predict(seen, world.times[6:]).positions
    assert np.array_equal(own, Learned(samples=0).predict(seen, world.times[6:]).positions)
    for name, how in SPOILED.items():
        other = Learned(samples=0, disturbance=how).predict(seen, world.times[6:]).positions
        assert np.abs(other - own).max() > 1e-5, name
    late = Disturbance("noise", steps=(9,))
    same = Learned(samples=0, disturbance=late).predict(seen, world.times[6:]).positions
    assert np.array_equal(own, same)


def test_tasks_count_the_events_that_are_to_come(worlds: Path) -> None:
    config = SuiteConfig("t", ("train",), ("static",), by="chain")
    places = WorldCases(config, worlds).places()
    split = open_worlds(worlds, split="train")
    for place in places:
        events = split.read(place.index).events
        count = sum(e.time > 5 / 12 and " stops" not in e.words for e in events)
        low, _, high = place.task.removeprefix("events-").rstrip("+").partition("-")
        assert int(low) <= count <= (int(high) if high else 1000)


def test_results_say_how_many_thoughts_there_were(worlds: Path, tmp_path: Path) -> None:
    config = SuiteConfig(
        "t", ("train",), ("static", "world-model-2", "world-model-zeroed"), limit=1, by="chain",
        metrics=(ERROR,),
    )  # fmt: skip
    found = run_suite(config, tmp_path / "out", data=worlds)
    said = {m.system: m.thoughts for m in found.measurements}
    assert said == {"static": None, "world-model-2": 2, "world-model-zeroed": None}
    assert {m.metric for m in found.measurements} == {ERROR}
