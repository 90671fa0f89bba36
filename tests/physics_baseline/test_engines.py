"""Engines against textbooks, against each other, and against scenes that must not pass."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest

from clay4d.physics_baseline import closed_forms as laws
from clay4d.physics_baseline.engines import SimulationError, make_engine, simulate
from clay4d.physics_baseline.engines.mass import mass_properties
from clay4d.physics_baseline.engines.restitution import damping_ratio, spring_restitution
from clay4d.physics_baseline.engines.trajectory import GAP
from clay4d.physics_baseline.spec import (
    Box,
    Buoyancy,
    Capsule,
    Cylinder,
    Drag,
    Gravity,
    Hinge,
    Impulse,
    Material,
    Mesh,
    Release,
    Rope,
    SceneSpec,
    Slider,
    Socket,
    Sphere,
    Tether,
    Weld,
    Wind,
)

ENGINES = ("mujoco", "bullet")
CUBE = (
    (6, 0, 2), (6, 4, 0), (5, 0, 4), (5, 1, 0), (5, 4, 6), (5, 6, 7),
    (3, 2, 0), (3, 0, 1), (3, 6, 2), (3, 7, 6), (3, 1, 5), (3, 5, 7),
)  # fmt: skip


def cube_mesh(edge: float, shift: tuple[float, float, float] = (0, 0, 0)) -> Any:
    h = edge / 2
    corners = [(x, y, z) for x in (-h, h) for y in (-h, h) for z in (-h, h)]
    return tuple(tuple(float(a + b) for a, b in zip(c, shift)) for c in corners)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    if request.param == "bullet":
        pytest.importorskip("pybullet")
    return make_engine(request.param)


@pytest.mark.parametrize("case", list(laws.closed_forms()), ids=lambda c: c.name)
def test_closed_forms(engine: Any, case: laws.Case) -> None:
    measured = laws.measure(case, engine)
    # Bullet's joints are constraints, whose pendulum is not as exact as MuJoCo's coordinates.
    slack = 10 if engine.name == "bullet" and "pendulum" in case.name else 1
    assert measured.error <= slack * case.tolerance
    assert measured.energy < 0.01


def test_error_falls_with_the_square_of_the_step() -> None:
    pytest.importorskip("mujoco")
    case = next(c for c in laws.closed_forms() if "Magnus" in c.name)
    errors = [laws.measure(case, make_engine(step=s)).error for s in (4e-3, 2e-3, 1e-3)]
    assert 3.0 < errors[0] / errors[1] < 5.0 and 3.0 < errors[1] / errors[2] < 5.0


def falling(*bodies: Any, **given: Any) -> SceneSpec:
    return SceneSpec(**{"bodies": bodies, "duration": 0.5, **given})


def test_momentum_and_spin_are_kept(engine: Any) -> None:
    rng = np.random.default_rng(1)
    kinds = (Box, Cylinder, Capsule, Sphere)
    places = [np.array([0.3 * (k % 2), 0.3 * (k // 2), 0.25 * (k % 3)]) for k in range(8)]
    bodies = [
        kinds[k % 4](
            name=f"b{k}",
            position=tuple(place),
            velocity=tuple(rng.uniform(-0.5, 0.5, 3) - 2 * (place - (0.15, 0.45, 0.25))),
            angular_velocity=tuple(rng.uniform(-3, 3, 3)),
        )
        for k, place in enumerate(places)
    ]
    t = engine.run(SceneSpec(bodies=tuple(bodies), floor=None, fields=(), duration=1.0))
    assert len(t.contacts) > 2
    scale = t.kinetic[0].sum()
    assert np.abs(t.momentum - t.momentum[0]).max() < 1e-9 * np.abs(t.momentum).max() + 1e-9
    # Angular momentum drifts with the explicit gyroscopic term and contacts' finite depth.
    drift = np.abs(t.angular_momentum - t.angular_momentum[0]).max()
    assert drift < 0.01 * np.abs(t.angular_momentum).max()
    assert t.unexplained.max() < 0.02 * scale


def test_same_scene_same_bits(engine: Any) -> None:
    scene = falling(*[Box(name=f"b{k}", position=(0.03 * k, 0, 0.2 + 0.25 * k)) for k in range(4)])
    a, b = engine.run(scene), make_engine(engine.name).run(scene)
    for field in dataclasses.fields(a):
        first, second = getattr(a, field.name), getattr(b, field.name)
        assert np.array_equal(first, second) if isinstance(first, np.ndarray) else first == second


def test_a_kept_engine_forgets(engine: Any) -> None:
    """Parameters written into a compiled model leave nothing behind for the next run."""
    a = falling(Sphere(name="a", position=(0, 0, 0.5), material=Material(restitution=0.9)))
    b = falling(Sphere(name="a", position=(0, 0, 0.5), mass=9, material=Material(restitution=0.1)))
    first = engine.run(a)
    engine.run(b)
    assert np.array_equal(engine.run(a).positions, first.positions)
    assert not np.array_equal(engine.run(b).positions, first.positions)


def test_mesh_is_the_box_it_is(engine: Any) -> None:
    start: dict[str, Any] = {
        "position": (0, 0, 1), "quat": (0.9, 0.1, 0.3, 0.2), "velocity": (1, 0, 2),
        "angular_velocity": (3, 5, 1),
    }  # fmt: skip
    box = Box(name="a", size=(0.2, 0.2, 0.2), **start)
    mesh = Mesh(name="a", vertices=cube_mesh(0.2), faces=CUBE, **start)
    assert np.allclose(mass_properties(box).inertia, mass_properties(mesh).inertia)
    a, b = (engine.run(SceneSpec(bodies=(x,), floor=None)) for x in (box, mesh))
    assert np.allclose(a.positions, b.positions, atol=1e-9)
    assert np.allclose(a.quats, b.quats, atol=1e-6)


def test_a_mesh_flies_about_its_centre_of_mass(engine: Any) -> None:
    shift = (0.1, 0.0, 0.05)
    mesh = Mesh(name="a", vertices=cube_mesh(0.2, shift), faces=CUBE, angular_velocity=(0, 4, 0))
    t = engine.run(SceneSpec(bodies=(mesh,), floor=None, fields=()))
    properties = mass_properties(mesh)
    assert np.allclose(properties.centre, shift)
    # The origin starts at rest, so the centre flies straight at ω × r.
    R = rotations_of(t)
    centres = t.path("a") + R @ properties.centre
    wanted = np.array(shift) + np.outer(t.times, np.cross((0, 4, 0), shift))
    assert np.abs(centres - wanted).max() < 1e-6


def rotations_of(t: Any) -> Any:
    from clay4d.physics_baseline.engines.tree import rotations

    return rotations(t.quats[:, 0])


def test_release_and_blow(engine: Any) -> None:
    scene = SceneSpec(
        bodies=(Box(name="held", motion="held", position=(0, 0, 1)), Sphere(name="hit", mass=2, position=(2, 0, 3))),
        events=(Release(time=0.5, target="held"), Impulse(time=0.25, body="hit", impulse=(2, 0, 0), offset=(0, 0, 0.1))),
        duration=0.9, fps=40, floor=None,
    )  # fmt: skip
    t = engine.run(scene)
    held, late = t.path("held")[:, 2], np.maximum(t.times - 0.5, 0)
    assert np.allclose(held, 1 - 0.5 * 9.81 * late**2, atol=3e-3)
    hit = t.velocities[:, 1, 0]
    assert np.allclose(hit[:11], 0, atol=1e-12) and np.allclose(hit[11:], 1.0, atol=1e-9)
    # Impulse off the centre: r × J over the inertia of a ball.
    assert t.angular_velocities[-1, 1, 1] == pytest.approx(0.1 * 2 / (0.4 * 2 * 0.01), rel=1e-6)
    assert np.abs(t.unexplained).max() < 0.03


def test_a_joint_that_breaks_lets_go_smoothly(engine: Any) -> None:
    ball = Sphere(name="a", radius=0.05, position=(1, 0, 2))
    hinge = Hinge(name="h", child="a", anchor=(0, 0, 2), axis=(0, 1, 0))
    scene = SceneSpec(
        bodies=(ball,), joints=(hinge,), events=(Release(time=0.4, target="h"),), duration=0.6,
        floor=None, fps=100,
    )  # fmt: skip
    t = engine.run(scene)
    after = t.times >= 0.4
    s = t.times[after] - t.times[after][0]
    start, speed = t.path("a")[after][0], t.velocities[after][0, 0]
    flight = start + np.outer(s, speed) + np.outer(s**2, (0, 0, -9.81 / 2))
    assert np.abs(t.path("a")[after] - flight).max() < 3e-3
    assert np.ptp(t.energy) < 0.01 * t.kinetic.max()
    assert np.linalg.norm(t.path("a")[~after] - (0, 0, 2), axis=1) == pytest.approx(1, abs=2e-3)


def test_sockets_welds_and_loops(engine: Any) -> None:
    bodies = (
        Box(name="beam", size=(1, 0.1, 0.1), position=(0, 0, 2), motion="fixed"),
        Sphere(name="left", radius=0.1, position=(-0.4, 0, 1)),
        Sphere(name="right", radius=0.1, position=(0.4, 0, 1)),
    )
    joints = (
        Socket(name="s1", child="left", parent="beam", anchor=(-0.4, 0, 2)),
        Socket(name="s2", child="beam", parent="right", anchor=(0.4, 0, 2)),
        Weld(name="w", child="left", parent="right"),
    )
    t = engine.run(SceneSpec(bodies=bodies, joints=joints, duration=0.5))
    gap = t.path("left") - t.path("right")
    assert np.linalg.norm(gap, axis=1) == pytest.approx(0.8, abs=3e-3)
    assert np.abs(t.positions - t.positions[0]).max() < 0.02


def test_rope_and_slider_and_limits() -> None:
    bodies = (
        Sphere(name="bob", radius=0.05, position=(0, 0, 1.9)),
        Box(name="cart", size=(0.2, 0.2, 0.2), position=(3, 0, 2), velocity=(1, 1, 0)),
        Box(name="flap", size=(0.4, 0.1, 0.02), position=(-3, 0, 2)),
    )
    joints = (
        Rope(name="r", child="bob", parent_anchor=(0, 0, 2), child_anchor=(0, 0, 1.9), length=0.5),
        Slider(name="s", child="cart", axis=(1, 0, 0), limits=(-1, 0.5)),
        Hinge(name="h", child="flap", anchor=(-3.2, 0, 2), axis=(0, 1, 0), limits=(-0.1, 0.5)),
    )
    t = simulate(SceneSpec(bodies=bodies, joints=joints, duration=1.0))
    assert t.path("bob")[:, 2].min() > 1.49 and t.path("bob")[4:, 2].min() < 1.52
    assert np.allclose(t.path("cart")[:, 1:], (0, 2)) and 3.4 < t.path("cart")[:, 0].max() < 3.51
    swing = np.arctan2(2 - t.path("flap")[:, 2], t.path("flap")[:, 0] + 3.2)
    assert 0.45 < swing.max() < 0.52
    with pytest.raises(SimulationError, match="rope in bullet|a rope"):
        pytest.importorskip("pybullet")
        simulate(SceneSpec(bodies=bodies, joints=joints), engine="bullet")


def test_engines_agree_on_the_fields() -> None:
    pytest.importorskip("pybullet")
    body = Box(
        name="a", size=(0.3, 0.1, 0.2), mass=0.4, position=(0, 0, 1), velocity=(2, 0, 1),
        angular_velocity=(1, 2, 3),
    )  # fmt: skip
    fields = (
        Gravity(), Wind(velocity=(3, 1, 0)), Drag(), Buoyancy(fluid_density=20, added_mass=0.5),
        Tether(name="t", body="a", anchor=(0, 0, 2), stiffness=3, damping=0.2, rest_length=0.5),
    )  # fmt: skip
    a, b = (
        simulate(SceneSpec(bodies=(body,), fields=fields, floor=None), engine=e) for e in ENGINES
    )
    assert np.abs(a.positions - b.positions).max() < 2e-3
    assert np.abs(a.velocities - b.velocities).max() < 1e-2
    assert np.abs(a.unexplained).max() < 1e-2 * a.kinetic.max()


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (falling(Sphere(name="a", position=(0, 0, 1)), Box(name="b", position=(0.05, 0, 1))), "a and b overlap by 0.1"),
        (falling(Box(name="sunk", position=(0, 0, 0.02))), "floor and sunk overlap by 0.08"),
        (falling(Sphere(name="bullet", radius=0.002, position=(0, 0, 1), velocity=(900, 0, 0))), "bullet may reach 900"),
    ],
)  # fmt: skip
def test_bad_starts_are_named(engine: Any, scene: SceneSpec, words: str) -> None:
    with pytest.raises(SimulationError, match=words):
        engine.run(scene)


def test_blow_ups_are_named(engine: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    spring = Tether(name="t", body="ball", anchor=(0, 0, 2), stiffness=1e7)
    scene = falling(Sphere(name="ball", position=(0, 0, 1)), fields=(spring,))
    with pytest.raises(SimulationError, match="ball got .* at 0"):
        make_engine(engine.name, step=5e-3).run(scene)
    assert not list(tmp_path.iterdir())  # MuJoCo would leave a log file


def test_energy_from_nowhere_is_named() -> None:
    from clay4d.physics_baseline.engines.checks import check_energy

    scene = falling(Sphere(name="a", position=(0, 0, 1)))
    good = simulate(scene)
    check_energy(scene, good)
    kinetic = good.kinetic.copy()
    kinetic[6:] += 100.0
    bad = dataclasses.replace(good, kinetic=kinetic, work=good.work)
    check_energy(scene, dataclasses.replace(bad, work=good.work + 100.0 * (good.times >= 0.25)))
    potential = good.potential.copy()
    potential[6:] += 60.0
    with pytest.raises(SimulationError, match="energy grew by 60 J out of nothing by 0.250 s"):
        check_energy(scene, dataclasses.replace(good, potential=potential))


def test_touches_are_counted_once(engine: Any) -> None:
    material = Material(restitution=0.7, friction=0.3)
    ball = Sphere(name="ball", position=(0, 0, 0.6), material=material, mass=2)
    t = engine.run(SceneSpec(bodies=(ball,), duration=0.9))
    times = [c.time for c in t.contacts]
    assert times[0] == pytest.approx(np.sqrt(2 * 0.5 / 9.81), abs=2e-3)
    assert all(b - a > GAP for a, b in zip(times, times[1:]))
    first = t.contacts[0]
    e = np.sqrt(0.7 * 0.5)
    assert first.bodies == ("floor", "ball") and np.allclose(first.normal, (0, 0, 1), atol=1e-6)
    assert first.speed == pytest.approx(np.sqrt(2 * 9.81 * 0.5), rel=0.01)
    assert first.impulse == pytest.approx(2 * (1 + e) * first.speed, rel=0.07)


def test_unknown_engines_and_missing_extras(monkeypatch: Any) -> None:
    with pytest.raises(ValueError, match="engine got 'havok'; expected one of mujoco"):
        make_engine("havok")
    with pytest.raises(ValueError, match="step got 0"):
        make_engine(step=0)
    monkeypatch.setitem(sys.modules, "pybullet", None)
    with pytest.raises(ImportError, match=r"clay4d\[bullet\]"):
        make_engine("bullet")


def test_restitution_of_springs() -> None:
    for e in np.linspace(0.06, 1, 20):
        assert spring_restitution(damping_ratio(float(e))) == pytest.approx(e, abs=1e-9)
    assert damping_ratio(0.0) == 2.0
