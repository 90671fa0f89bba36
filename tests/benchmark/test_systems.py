"""What systems are handed, and what the simplest of them make of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from clay4d.benchmark.estimate import estimate, state_at
from clay4d.benchmark.observation import Observation, Thing, observe_world
from clay4d.benchmark.systems import (
    ConstantVelocity,
    FittedEngine,
    NominalEngine,
    Static,
    nominal_scene,
)

BALL = Thing("ball", "ball", (0.2, 0.2, 0.2), "rubber", True)
LATER = np.arange(6, 14) / 12


def thrown(*, frames: int = 6) -> Observation:
    """A ball in free flight: 1 m/s along x, 2 m/s up, from 1 m."""
    t = np.arange(frames) / 12
    path = np.stack([t, 0 * t, 1 + 2 * t - 4.905 * t**2], -1)
    return Observation((BALL,), t, positions=path[:, None])


def test_an_observation_is_a_copy_that_nobody_can_write() -> None:
    film = np.zeros((24, 1, 3))
    seen = Observation((BALL,), np.arange(6) / 12, positions=film[:6])
    assert seen.positions is not None and seen.positions.base is None
    film += 1
    assert not seen.positions.any()
    with pytest.raises(ValueError, match="read-only"):
        seen.positions[0] = 1
    with pytest.raises(ValueError, match="neither pictures nor places"):
        Observation((BALL,), np.arange(6) / 12)
    with pytest.raises(ValueError, match="positions got 6 moments; expected the 5"):
        Observation((BALL,), np.arange(5) / 12, positions=np.zeros((6, 1, 3)))


def test_what_stands_still_and_what_goes_straight() -> None:
    path = np.stack([np.arange(6) / 12, np.zeros(6), np.full(6, 0.1)], -1)[:, None]
    path[5] = np.nan  # not seen at last: both go on from the sighting before
    seen = Observation((BALL,), np.arange(6) / 12, positions=path)
    still = Static().predict(seen, LATER).positions[:, 0]
    assert np.allclose(still, [4 / 12, 0, 0.1])
    straight = ConstantVelocity().predict(seen, LATER).positions[:, 0]
    assert np.allclose(straight, np.stack([LATER, 0 * LATER, 0 * LATER + 0.1], -1))


def test_the_engine_goes_on_where_the_ball_was_seen_last() -> None:
    found = NominalEngine().predict(thrown(), LATER)
    t = LATER[LATER < 0.6]  # before it is at the floor
    expected = np.stack([t, 0 * t, 1 + 2 * t - 4.905 * t**2], -1)
    assert np.abs(found.positions[: len(t), 0] - expected).max() < 5e-3
    assert found.positions[-1, 0, 2] > 0.05 and found.quats is not None


def test_bodies_that_were_estimated_into_each_other_do_not_stop_the_engine() -> None:
    cube = Thing("cube", "cube", (0.3, 0.3, 0.3), "wood", False)
    apart = np.array([[-0.5, 0, 0.15], [0.5, 0, 0.15]])
    path = np.linspace(apart, [[0.35, 0, 0.15], [0.5, 0, 0.15]], 6)
    seen = Observation((BALL, cube), np.arange(6) / 12, positions=path)
    found = NominalEngine().predict(seen, LATER)
    assert np.isfinite(found.positions).all() and np.abs(found.positions).max() < 20


def test_an_engine_that_fits_the_air_foretells_what_the_air_does() -> None:
    from clay4d.physics_baseline.engines import simulate
    from clay4d.physics_baseline.planner.vocabulary import SUBSTANCES
    from clay4d.physics_baseline.spec import Drag, Gravity, Material, SceneSpec, Sphere

    rubber = Material(density=SUBSTANCES["rubber"].density)
    ball = Sphere(name="ball", radius=0.1, position=(0, 0, 2), velocity=(3, 0, 2), material=rubber)
    scene = SceneSpec(
        bodies=(ball,),
        fields=(Gravity(), Drag(air_density=400.0)),
        floor=None,
        duration=1.2,
        fps=12.0,
    )
    true = simulate(scene).positions
    seen = Observation((BALL,), np.arange(6) / 12, positions=true[:6], floor=False, noise=1e-3)
    off = [
        np.linalg.norm(s.predict(seen, LATER).positions[:, 0] - true[6:14, 0], axis=-1).mean()
        for s in (NominalEngine(), FittedEngine(air="none"), FittedEngine(air="unknown"))
    ]
    assert off[2] < 0.01 < min(off[:2])


def test_the_state_is_that_of_the_flight() -> None:
    found = estimate(thrown())
    state = state_at(found, 0, last=True, thing=BALL, floor=True)
    assert state.flying
    assert np.allclose(state.velocity, [1, 0, 2 - 9.81 * 5 / 12], atol=1e-6)
    scene = nominal_scene(thrown(), found, until=1.0)
    assert scene.bodies[0].velocity == pytest.approx((1, 0, 2 - 9.81 * 5 / 12))


def test_places_from_pictures_are_the_worlds() -> None:
    path = Path(__file__).parents[1] / "world_model" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_of_benchmark", path)
    assert spec is not None and spec.loader is not None
    synthetic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(synthetic)
    offs = []
    for seed in range(4):
        world = synthetic.make_world(seed)
        found = estimate(observe_world(world))
        off = np.linalg.norm(found.positions - world.tracks.positions[:6], axis=-1)
        offs.append(off[found.seen])
        assert found.seen.mean() > 0.8
    assert np.median(np.concatenate(offs)) < 0.02
