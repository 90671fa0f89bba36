"""System identification: numbers come back within their uncertainty, from engines and from real motion."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from clay4d.physics_baseline.engines import SimulationError, Trajectory, make_engine
from clay4d.physics_baseline.engines.mujoco_engine import MujocoEngine
from clay4d.physics_baseline.identify import (
    Experiment,
    Identified,
    Track,
    Unknown,
    forecast,
    identify,
    identify_by_search,
    profile_interval,
    read,
    start_unknowns,
    write,
)
from clay4d.physics_baseline.identify.tracks import rotation_between
from clay4d.physics_baseline.spec import (
    Box,
    Buoyancy,
    Drag,
    Floor,
    Gravity,
    Material,
    SceneSpec,
    Sphere,
    Wind,
)

NOISE = 1e-3


def seen(scene: SceneSpec, engine: Any, *bodies: str, seed: int = 0) -> Experiment:
    """A scene's simulation as tracks with noise of 1 mm and 5 mrad."""
    generator = np.random.default_rng(seed)
    t = engine.run(scene)
    tracks = []
    for name in bodies:
        places = t.path(name) + NOISE * generator.normal(size=t.path(name).shape)
        shake = Rotation.from_rotvec(5e-3 * generator.normal(size=places.shape))
        turns = Rotation.from_quat(t.quats[:, t.index(name)], scalar_first=True) * shake
        quats = turns.as_quat(scalar_first=True)
        tracks.append(Track(name, t.times, places, quats, position_noise=NOISE, angle_noise=5e-3))
    return Experiment(scene, tuple(tracks))


def assert_recovered(found: Identified, truth: SceneSpec, *, within: float = 3.5) -> None:
    """Every value within so many of its own standard deviations of the truth, and no deviation vain."""
    for u, value, deviation in zip(found.unknowns, found.values, found.deviations):
        assert abs(value - read(truth, u.path)) < within * deviation, u.path
        assert deviation < 0.2 * (u.high - u.low), u.path


class Falling:
    """An engine by formula: one body under gravity, so that statistics cost nothing."""

    name = "formula"
    contact_rate = 100.0

    def run(self, scene: SceneSpec, *, check: bool = True, progress: Any = None) -> Trajectory:
        body, g = scene.bodies[0], np.array(scene.fields[0].acceleration)
        t = np.array(scene.times)[:, None]
        if body.velocity[1] > 90:
            raise SimulationError("too fast")
        p = np.array(body.position) + t * np.array(body.velocity) + 0.5 * t**2 * g
        v = np.array(body.velocity) + t * g
        n = len(t)
        zero = np.zeros((n, 1))
        return Trajectory(
            "formula", 0.01, (body.name,), t[:, 0], p[:, None], np.tile([1.0, 0, 0, 0], (n, 1, 1)),
            v[:, None], np.zeros((n, 1, 3)), (), zero, zero, zero[:, 0], np.zeros((n, 3)), np.zeros((n, 3)),
        )  # fmt: skip


BALL = SceneSpec(bodies=(Sphere(name="a", mass=1.0),), floor=None, duration=0.5)
G = Unknown("fields.gravity.acceleration.2", -30.0, 10.0, -5.0)


def noisy_fall(seed: int, *, frames: int = 12) -> Experiment:
    generator = np.random.default_rng(seed)
    t = Falling().run(BALL)
    places = t.path("a")[:frames] + NOISE * generator.normal(size=(frames, 3))
    return Experiment(BALL, (Track("a", t.times[:frames], places, position_noise=NOISE),))


# What is found


def test_air_wind_gravity_and_start_of_a_ball_come_back() -> None:
    ball = Sphere(name="a", radius=0.1, mass=0.05, position=(0, 0, 2), velocity=(4, 0, 3))
    truth = SceneSpec(
        bodies=(ball,), floor=None, duration=0.8,
        fields=(Gravity(acceleration=(0, 0, -8.0)), Drag(coefficient=0.6), Wind(velocity=(0, 3, 0))),
    )  # fmt: skip
    engine = make_engine(step=1 / 120)
    data = [seen(truth, engine, "a", seed=k) for k in range(2)]
    unknowns = [
        *start_unknowns(truth, "a", reach=0.5, speed=3.0),
        Unknown("fields.gravity.acceleration.2", -12, -5, -9.81),
        Unknown("fields.drag.coefficient", 0.05, 2.0, 0.3),
        Unknown("fields.wind.velocity.1", -8, 8, 0.0),
    ]
    found = identify(data, unknowns, engine=engine)
    assert_recovered(found, truth)
    assert found.rms == pytest.approx(1.0, abs=0.15)
    ahead = forecast(found, dataclasses.replace(truth, duration=1.6), draws=12, engine=engine)
    real = engine.run(dataclasses.replace(truth, duration=1.6)).path("a")
    low, high = ahead.band("a", level=0.99)
    wide = 0.5 * (high - low) + 1e-4
    assert (np.abs(real - 0.5 * (low + high)) < 3 * wide).all()
    assert wide[-1].max() > 3 * wide[10].max(), "the future is less sure than what was seen"


def test_mass_ratio_and_restitution_of_a_collision_come_back() -> None:
    material = Material(restitution=0.6, friction=0.0)
    a = Sphere(name="a", position=(-0.3, 0, 0), velocity=(2, 0, 0), mass=1.0, material=material)
    b = Sphere(name="b", position=(0.1, 0.05, 0), mass=2.5, material=material)
    truth = SceneSpec(bodies=(a, b), floor=None, fields=(), duration=0.6)
    engine = make_engine(step=1e-3)
    unknowns = [
        Unknown("bodies.b.mass", 0.5, 5.0, 1.5),
        Unknown("bodies.a.material.restitution+bodies.b.material.restitution", 0.1, 0.95, 0.4),
    ]
    found = identify([seen(truth, engine, "a", "b")], unknowns, engine=engine)
    assert_recovered(found, truth)
    assert found.deviations[0] < 0.05


def slide(friction: float) -> SceneSpec:
    # Friction only: the pair's is the mean of both, so both have the same.
    material = Material(friction=friction, restitution=0.0)
    box = Box(
        name="a", size=(0.4, 0.4, 0.1), position=(0, 0, 0.05), velocity=(2, 0, 0), mass=1.0,
        material=material,
    )  # fmt: skip
    return SceneSpec(bodies=(box,), floor=Floor(material=material), duration=0.7)


@pytest.mark.parametrize("truth_by", ["mujoco", "bullet"])
def test_friction_comes_back_from_either_engine(truth_by: str) -> None:
    if truth_by == "bullet":
        pytest.importorskip("pybullet")
    data = seen(slide(0.25), make_engine(truth_by, step=1e-3), "a")
    friction = Unknown("bodies.a.material.friction+floor.material.friction", 0.05, 0.9, 0.5)
    found = identify([data], [friction], engine=make_engine(step=1e-3))
    # Other engines have other contacts: their friction agrees by 2 %, not by the noise of 1 mm.
    assert found.values[0] == pytest.approx(0.25, rel=0.02)
    if truth_by == "mujoco":
        assert_recovered(found, slide(0.25))


# How sure it is


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(100):
        speed = Unknown("bodies.a.velocity.2", -5, 5, 1.0)
        found = identify([noisy_fall(seed)], [speed, G], engine=Falling())
        low, high = found.interval(G.path)
        hits += low < -9.81 < high
    assert 88 <= hits <= 100


def test_profile_and_laplace_agree_where_the_problem_is_linear() -> None:
    unknowns = [Unknown("bodies.a.velocity.2", -5, 5, 1.0), G]
    found = identify([noisy_fall(3)], unknowns, engine=Falling())
    found = dataclasses.replace(found, rms=1.0)
    low, high = profile_interval(found, [noisy_fall(3)], G.path, engine=Falling())
    a, b = found.interval(G.path)
    if found.rms <= 1:
        assert (low, high) == pytest.approx((a, b), abs=0.12 * (b - a))


def test_what_the_data_does_not_say_stays_as_wide_as_its_bounds() -> None:
    mass = Unknown("bodies.a.mass", 0.5, 4.5, 1.0)
    found = identify([noisy_fall(1)], [G, mass], engine=Falling())
    assert found.deviations[1] == pytest.approx(4 / np.sqrt(12), rel=1e-3)
    assert profile_interval(found, [noisy_fall(1)], mass.path, engine=Falling()) == (0.5, 4.5)


def test_a_prior_pulls_and_a_bound_is_named() -> None:
    tight = dataclasses.replace(G, prior=(-9.0, 1e-4))
    found = identify([noisy_fall(1)], [tight], engine=Falling())
    assert found.values[0] == pytest.approx(-9.0, abs=0.02)
    wrong = Unknown(G.path, -30.0, -12.0)
    found = identify([noisy_fall(1)], [wrong], engine=Falling())
    assert found.at_bound.tolist() == [True]
    assert "at its bound" in found.table()


def test_the_search_finds_the_same_and_repeats_to_the_bit() -> None:
    data = [noisy_fall(k) for k in range(3)]
    first = identify_by_search(data, [G], engine=Falling(), evaluations=120)
    again = identify_by_search(data, [G], engine=Falling(), evaluations=120)
    assert first.values.tobytes() == again.values.tobytes()
    low, high = first.interval(G.path)
    assert low <= first.values[0] <= high
    assert first.values[0] == pytest.approx(-9.81, abs=0.03)


def test_simulations_that_blow_up_are_only_bad() -> None:
    fast = Unknown("bodies.a.velocity.1", -100, 100, 99.0)
    assert identify_by_search([noisy_fall(1)], [fast], engine=Falling(), evaluations=200).values[0] == pytest.approx(0, abs=0.1)  # fmt: skip


# Paths and tracks


def test_paths() -> None:
    scene = SceneSpec(bodies=(Box(name="a"),), fields=(Gravity(), Buoyancy()))
    moved = write(scene, {"bodies.a.size.1": 0.5, "fields.buoyancy.fluid_density": 3.0})
    assert (moved.bodies[0].size, moved.fields[1].fluid_density) == ((0.2, 0.5, 0.2), 3.0)
    turned = write(scene, {"bodies.a.turn.2": np.pi / 2})
    assert np.allclose(turned.bodies[0].quat, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    both = write(scene, {"bodies.a.material.friction+floor.material.friction": 0.1})
    assert both.bodies[0].material.friction == both.floor.material.friction == 0.1
    engine = MujocoEngine(contact_rate=50.0)
    assert read(scene, "engine.contact_rate", engine) == 50.0
    write(scene, {"engine.contact_rate": 70.0}, engine)
    assert engine.contact_rate == 70.0


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("bodies.b.mass", "there is no b; expected one of a"),
        ("bodies.a.weight", "there is no weight; expected one of name, material"),
        ("fields.wind.velocity.0", "there is no wind; expected one of gravity"),
        ("bodies.a.mass", "which is None; expected a number. Set it first"),
        ("engine.contact_rate", "expected a number"),
    ],
)
def test_wrong_paths_say_what_there_is(path: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(SceneSpec(bodies=(Box(name="a"),)), path)


def test_values_that_the_spec_refuses_are_refused() -> None:
    with pytest.raises(ValueError, match="mass got -1"):
        write(SceneSpec(bodies=(Box(name="a"),)), {"bodies.a.mass": -1.0})


def test_experiments_and_tracks_are_checked() -> None:
    times = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match="expected at most the scene's last frame"):
        Experiment(BALL, (Track("a", times, np.zeros((2, 3))),))
    with pytest.raises(ValueError, match=r"positions of a got shape \[2, 2\]"):
        Track("a", times, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="do not rise"):
        Track("a", times[::-1], np.zeros((2, 3)))
    with pytest.raises(ValueError, match="expected 1 to as many"):
        identify([noisy_fall(0)], [], engine=Falling())
    for bad in ({"low": 1.0, "high": 0.0}, {"low": 0.0, "high": 1.0, "guess": 2.0}):
        with pytest.raises(ValueError, match="m got"):
            Unknown("m", **bad)


def test_unseen_moments_and_moments_between_frames() -> None:
    t = Falling().run(BALL)
    times = t.times[:-1] + 0.3 * t.times[1]
    places = -0.5 * 9.81 * times[:, None] ** 2 * np.array([0, 0, 1.0])
    places[4] = np.nan
    residuals = Track("a", times, places, position_noise=1.0).residuals(t)
    assert np.abs(residuals).max() < 1e-12


def test_rotations_between_agree_with_scipy() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 50, 4))
    A, B = (Rotation.from_quat(q, scalar_first=True) for q in (a, b))
    assert np.allclose(rotation_between(a, b), (A.inv() * B).as_rotvec(), atol=1e-9)
