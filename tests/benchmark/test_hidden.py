"""Engines for hidden forces, and the proof that none but the ceiling is told of them."""

from __future__ import annotations

import dataclasses
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clay4d.benchmark.cases import Case, Measured
from clay4d.benchmark.estimate import estimate
from clay4d.benchmark.hidden import FittedTerms, Told, TrueEngine, terms
from clay4d.benchmark.observation import Observation, Prediction, Thing, observe_world
from clay4d.benchmark.run import SYSTEMS, _measured
from clay4d.benchmark.suites import SUITES, SuiteConfig
from clay4d.benchmark.systems import NominalEngine, nominal_scene
from clay4d.benchmark.workers import Answer
from clay4d.physics_baseline.engines import make_engine
from clay4d.physics_baseline.planner.vocabulary import SUBSTANCES
from clay4d.physics_baseline.spec import Drag, Gravity, Material, SceneSpec, Sphere, Tether
from clay4d.world_model.worlds.format import Hidden

BALL = Thing("ball", "ball", (0.2, 0.2, 0.2), "rubber", True)
MASS = SUBSTANCES["rubber"].density * 4 / 3 * np.pi * 0.1**3
TIE = Tether(
    name="tether", body="ball", anchor=(0.3, 0.2, 0.9), stiffness=18 * MASS, damping=0.2 * MASS
)
TIMES = np.arange(24) / 12


def flight(*fields: Any) -> tuple[Observation, np.ndarray, SceneSpec]:
    """A thrown rubber ball under hidden fields, by PyBullet: six frames, the rest, the scene."""
    stuff = SUBSTANCES["rubber"]
    material = Material(
        density=stuff.density, friction=stuff.friction, restitution=stuff.restitution
    )
    ball = Sphere(
        name="ball",
        radius=0.1,
        position=(-0.6, 0, 1.2),
        velocity=(1.5, 0.3, 1.0),
        material=material,
    )
    scene = SceneSpec(bodies=(ball,), fields=(Gravity(), *fields), duration=2.0, fps=12.0)
    path = make_engine("bullet", step=1 / 480).run(scene).positions
    return Observation((BALL,), TIMES[:6], positions=path[:6], noise=1e-3), path[6:], scene


def off(found: Prediction, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found.positions - truth, axis=-1).mean())


@pytest.mark.parametrize("fields", [(TIE,), (Drag(air_density=400.0),)])
def test_who_knows_the_force_or_finds_it_errs_less(fields: tuple[Any, ...]) -> None:
    seen, truth, scene = flight(*fields)
    plain = off(NominalEngine().predict(seen, TIMES[6:]), truth)
    told = off(TrueEngine().predict(Told(seen, scene.to_json()), TIMES[6:]), truth)
    fitted = off(FittedTerms().predict(seen, TIMES[6:]), truth)
    assert told < 0.25 * plain and fitted < 0.5 * plain


def test_terms_are_the_forces_that_worlds_hide() -> None:
    seen, _, _ = flight()
    scene = nominal_scene(seen, estimate(seen), until=2.0, last=False)
    assert [t.name for t in terms(seen, scene)] == [
        "none",
        "drag",
        "wind",
        "magnus",
        "restitution",
        "tether",
    ]


def test_the_ceilings_alone_are_told() -> None:
    told = {n for n, s in SYSTEMS.items() if getattr(s, "needs_truth", False)}
    assert told == {"engine-true", "true-world"}
    assert {s for suite in SUITES.values() for s in suite.systems} <= set(SYSTEMS)
    seen, truth, scene = flight(TIE)
    asked: list[Any] = []

    class Recording:
        def ask(self, question: Any, times: Any, *, timeout: float) -> Answer:
            asked.append(question)
            return Answer(Prediction(truth))

    told = Told(seen, scene.to_json())
    case = Case(seen, TIMES[6:], lambda found: Measured({}), told)
    rows = [_measured(Recording(), case, SuiteConfig(), truth=t) for t in (False, True)]  # type: ignore[arg-type]
    assert asked == [seen, told]
    assert rows[0]["input"] == rows[1]["input"] == seen.key
    with pytest.raises(ValueError, match="got no truth"):
        TrueEngine().predict(seen, TIMES[6:])


def test_questions_about_worlds_hold_neither_the_future_nor_what_is_hidden() -> None:
    path = Path(__file__).parents[1] / "world_model" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_of_hidden", path)
    assert spec is not None and spec.loader is not None
    synthetic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(synthetic)
    world = synthetic.make_world(3)
    rng = np.random.default_rng(0)
    images, masks = world.images.copy(), world.masks.copy()
    images[6:] = rng.integers(0, 255, images[6:].shape)
    masks[6:] = 0
    tracks = dataclasses.replace(
        world.tracks, positions=rng.normal(size=world.tracks.positions.shape)
    )
    other = dataclasses.replace(
        world, name="999999", images=images, masks=masks, tracks=tracks, scene="{}", events=(), questions=(),
        hidden=Hidden("drag", {"air_density_kg_per_m3": 1.0}),
    )  # fmt: skip
    assert pickle.dumps(observe_world(world)) == pickle.dumps(observe_world(other))
