"""Motions whose laws are known, against which every engine is measured.

Each case is a scene and what a textbook says of it. Tests hold the engines to `tolerance`, and
`python -m clay4d.physics_baseline.closed_forms` prints the tables of docs/physics.md: laws, and what is conserved.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import ellipk

from clay4d.physics_baseline.engines import Engine, Trajectory, make_engine
from clay4d.physics_baseline.spec import (
    Box,
    Capsule,
    Cylinder,
    Drag,
    Floor,
    Gravity,
    Hinge,
    Magnus,
    Material,
    SceneSpec,
    Sphere,
    Tether,
    body_mass,
)

G = 9.81


@dataclass(frozen=True)
class Case:
    """A scene, what is measured on its trajectory, and what it should be."""

    name: str
    unit: str
    scene: SceneSpec
    measure: Callable[[Trajectory], float]
    expected: float
    tolerance: float
    """Largest error of an engine at its own step, in the unit; from the step where it can be."""


@dataclass(frozen=True)
class Measured:
    """What an engine made of a case."""

    case: Case
    got: float
    step: float
    energy: float
    """Largest energy out of nothing, as a share of the largest kinetic energy."""
    lost: float
    """Energy that went missing by the end, as a share of the largest kinetic energy."""

    @property
    def error(self) -> float:
        """Distance from what was expected, in the case's unit."""
        return abs(self.got - self.case.expected)


def closed_forms() -> Iterator[Case]:
    """All cases.

    >>> next(closed_forms()).name
    'ballistic flight, height after 1 s'
    """
    yield _ballistic()
    for friction in (0.2, 0.5):
        yield _slide(friction)
    yield _roll()
    for degrees in (30, 120, 170):
        yield _pendulum(degrees)
    yield from _collision()
    yield _terminal()
    for restitution in (0.0, 0.2, 0.5, 0.8, 0.95):
        yield _bounce(restitution)
    yield _magnus()
    yield _tether()


def measure(case: Case, engine: Engine) -> Measured:
    """Run one case."""
    trajectory = engine.run(case.scene)
    peak = float(trajectory.kinetic.sum(1).max())
    return Measured(
        case, case.measure(trajectory), trajectory.step,
        float(trajectory.unexplained.max()) / peak, float(trajectory.unexplained[-1]) / peak,
    )  # fmt: skip


def _scene(*bodies: Any, **given: Any) -> SceneSpec:
    return SceneSpec(**{"bodies": bodies, "floor": None, "duration": 1.0, "fps": 24, **given})


def _ballistic() -> Case:
    ball = Sphere(name="ball", position=(0, 0, 5), velocity=(2, 0, 3))
    scene = _scene(ball, duration=1.0 + 1 / 24)
    return Case(
        "ballistic flight, height after 1 s", "m", scene, lambda t: float(t.path("ball")[-1, 2]),
        5 + 3 - 0.5 * G, 1e-9,
    )  # fmt: skip


def _incline(moving: type, friction: float) -> tuple[SceneSpec, float]:
    """A body of 0.2 m at rest on a ramp of 20°, and the ramp's angle."""
    angle = math.radians(20)
    quat = (math.cos(angle / 2), 0.0, math.sin(angle / 2), 0.0)
    up = np.array([math.sin(angle), 0, math.cos(angle)])
    material = Material(friction=friction, restitution=0)
    ramp = Box(
        name="ramp", size=(20, 2, 0.2), quat=quat, position=tuple(-0.1 * up), motion="fixed",
        material=material,
    )  # fmt: skip
    body = moving(name="body", quat=quat, position=tuple(0.1 * up), material=material)
    return _scene(ramp, body, duration=1.0 + 1 / 24), angle


def _travelled(trajectory: Trajectory) -> float:
    path = trajectory.path("body")
    return float(np.linalg.norm(path[-1] - path[0]))


def _slide(friction: float) -> Case:
    scene, angle = _incline(Box, friction)
    speedup = max(0.0, G * (math.sin(angle) - friction * math.cos(angle)))
    verb = "slides" if speedup else "sticks"
    return Case(
        f"box {verb} on a 20° ramp, friction {friction}, way after 1 s", "m", scene, _travelled,
        speedup / 2, 1e-3,
    )  # fmt: skip


def _roll() -> Case:
    scene, angle = _incline(Sphere, 0.5)
    return Case(
        "ball rolls down a 20° ramp, way after 1 s", "m", scene, _travelled,
        G * math.sin(angle) / 1.4 / 2, 1e-3,
    )  # fmt: skip


def _pendulum(degrees: float) -> Case:
    length, radius, start = 1.0, 0.05, math.radians(degrees)
    place = (length * math.sin(start), 0.0, -length * math.cos(start))
    ball = Sphere(name="ball", radius=radius, position=place, mass=1)
    hinge = Hinge(name="hinge", child="ball", anchor=(0, 0, 0), axis=(0, 1, 0))
    inertia = 0.4 * radius**2 + length**2
    period = 4 * ellipk(math.sin(start / 2) ** 2) / math.sqrt(G * length / inertia)
    scene = _scene(ball, joints=(hinge,), duration=2.2 * period, fps=120)

    def crossing(t: Trajectory) -> float:
        """Time between two passes through the bottom the same way, by cubic interpolation."""
        x, v, dt = t.path("ball")[:, 0], t.velocities[:, 0, 0], t.times[1]
        at = []
        for k in np.nonzero((x[:-1] < 0) & (x[1:] >= 0))[0]:
            s = -x[k] / v[k] / dt
            for _ in range(20):  # Newton on Hermite's cubic
                h = (2 * s**3 - 3 * s**2 + 1) * x[k] + (s**3 - 2 * s**2 + s) * dt * v[k]
                h += (3 * s**2 - 2 * s**3) * x[k + 1] + (s**3 - s**2) * dt * v[k + 1]
                s -= h / (dt * v[k])
            at.append(t.times[k] + s * dt)
        return float(at[1] - at[0])

    return Case(
        f"pendulum from {degrees}°, period", "s", scene, crossing, period, 2e-4 * period
    )  # fmt: skip


def _collision() -> Iterator[Case]:
    smooth = Material(friction=0, restitution=1)
    hit = Sphere(name="a", position=(-0.5, 0, 0), velocity=(1, 0, 0), mass=1, material=smooth)
    target = Sphere(name="b", position=(0, 0.1, 0), mass=3, material=smooth)
    scene = _scene(hit, target, fields=())
    # Impulse along the line of centres, 30° off the way: J = 2·μ·v·cos 30°, μ = 3/4 kg.
    along = 2 * 0.75 * math.cos(math.radians(30))
    wanted = np.array([1 - along * math.cos(math.radians(30)), along * math.sin(math.radians(30))])
    yield Case(
        "elastic collision 1 kg on 3 kg, 30° off centre, first ball's v_x", "m/s", scene,
        lambda t: float(t.velocities[-1, 0, 0]), float(wanted[0]), 0.02,
    )  # fmt: skip
    yield Case(
        "the same, first ball's v_y", "m/s", scene, lambda t: float(-t.velocities[-1, 0, 1]),
        float(wanted[1]), 0.02,
    )  # fmt: skip


def _terminal() -> Case:
    ball = Sphere(name="ball", position=(0, 0, 800), mass=0.05)
    speed = math.sqrt(2 * 0.05 * G / (1.2 * 0.47 * math.pi * 0.01))
    seconds = 5.0
    return Case(
        "fall with drag, way after 5 s", "m", _scene(ball, fields=(Gravity(), Drag()), duration=5 + 1 / 24),
        lambda t: float(800 - t.path("ball")[-1, 2]),
        speed**2 / G * math.log(math.cosh(G * seconds / speed)), 1e-5,
    )  # fmt: skip


def _bounce(restitution: float) -> Case:
    material = Material(friction=0, restitution=restitution)
    ball = Sphere(name="ball", position=(0, 0, 1.1), material=material)
    scene = _scene(ball, floor=Floor(material=material), duration=1.5, fps=240)

    def ratio(t: Trajectory) -> float:
        """Speed after over speed before the first bounce, by the heights before and after."""
        z, v = t.path("ball")[:, 2] - 0.1, t.velocities[:, 0, 2]
        hit = t.contacts[0].time
        after = (t.times > hit + 0.02) & (t.times < hit + 0.04)
        height = (z + v * np.abs(v) / (2 * G))[after]
        return float(math.sqrt(max(0.0, height.mean())))

    return Case(
        f"bounce from 1 m, restitution {restitution}, speed after over before", "", scene, ratio,
        restitution, 0.05 if restitution < 0.1 else 0.03,
    )  # fmt: skip


def _magnus() -> Case:
    mass, radius, spin = 0.06, 0.033, 300.0
    ball = Sphere(
        name="ball", radius=radius, mass=mass, position=(0, 0, 1), velocity=(20, 0, 0),
        angular_velocity=(0, 0, spin),
    )  # fmt: skip
    scene = _scene(ball, fields=(Gravity(), Drag(), Magnus()), duration=0.5 + 1 / 24)
    area = math.pi * radius**2

    def law(_: float, s: np.ndarray) -> np.ndarray:
        v = s[3:]
        force = -0.5 * 1.2 * 0.47 * area * np.linalg.norm(v) * v
        force = force + 0.5 * 1.2 * area * radius * np.cross([0, 0, spin], v)
        return np.concatenate([v, force / mass + [0, 0, -G]])

    start = np.array([0, 0, 1, 20, 0, 0.0])
    exact = solve_ivp(law, (0, 0.5), start, rtol=1e-11, atol=1e-12).y[1, -1]
    return Case(
        "Magnus: curve of a spinning ball, sideways after 0.5 s", "m", scene,
        lambda t: float(t.path("ball")[-1, 1]), float(exact), 1e-5,
    )  # fmt: skip


def _tether() -> Case:
    ball = Sphere(name="ball", position=(0.3, 0, 0), mass=2)
    spring = Tether(name="spring", body="ball", anchor=(0, 0, 0), stiffness=50)
    scene = _scene(ball, fields=(spring,), duration=1.0 + 1 / 24)
    return Case(
        "spring tether, place after 1 s", "m", scene, lambda t: float(t.path("ball")[-1, 0]),
        0.3 * math.cos(math.sqrt(50 / 2)), 1e-5,
    )  # fmt: skip


def table(engines: list[str]) -> str:
    """All cases with all engines, as Markdown."""
    made = {name: make_engine(name) for name in engines}
    head = "| law | expected | " + " | ".join(f"{n}: error | energy gained | lost" for n in made)
    lines = [head + " |", "|---|---|" + "---|" * 3 * len(made)]
    for case in closed_forms():
        cells = [case.name, f"{case.expected:.5g} {case.unit}".strip()]
        for engine in made.values():
            m = measure(case, engine)
            cells += [f"{m.error:.1e} {case.unit}".strip(), f"{max(m.energy, 0):.1e}", f"{max(-m.lost, 0):.1e}"]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def conservation_scenes() -> dict[str, SceneSpec]:
    """Scenes without outer forces: what they have at the start they should have at the end."""
    smooth = Material(friction=0, restitution=1)
    rough = Material(friction=0.6, restitution=0.3)
    spun = Box(name="box", size=(0.3, 0.1, 0.2), velocity=(1, 0, 0), angular_velocity=(0.2, 8, 0.1))
    return {
        "a box that tumbles, 2 s": _scene(spun, fields=(), duration=2.0),
        "16 balls that fly together, e = 1, no friction": _cluster((Sphere,), smooth),
        "16 bodies of four shapes, e = 0.3, friction 0.6": _cluster(
            (Sphere, Box, Cylinder, Capsule), rough
        ),
    }


def _cluster(kinds: tuple[type, ...], material: Material) -> SceneSpec:
    rng = np.random.default_rng(7)
    places = [0.45 * np.array([k % 3, k // 3 % 3, k // 9]) for k in range(16)]
    bodies = [
        kinds[k % len(kinds)](
            name=f"b{k}", material=material, position=tuple(place),
            velocity=tuple(rng.uniform(-0.3, 0.3, 3) - 1.5 * (place - 0.45)),
            angular_velocity=tuple(rng.uniform(-2, 2, 3)),
        )
        for k, place in enumerate(places)
    ]  # fmt: skip
    return _scene(*bodies, fields=(), duration=2.0)


def conservation(engines: list[str]) -> str:
    """Momentum, angular momentum and energy kept, as Markdown."""
    made = {name: make_engine(name) for name in engines}
    lines = [
        "| scene | engine | touches | momentum drifts | angular momentum drifts | energy at the end |",
        "|---|---|---|---|---|---|",
    ]
    for words, scene in conservation_scenes().items():
        for name, engine in made.items():
            t = engine.run(scene)
            masses = sum(body_mass(b) for b in scene.bodies)
            speed = math.sqrt(2 * float(t.kinetic[0].sum()) / masses)
            p = float(np.abs(t.momentum - t.momentum[0]).max()) / (masses * speed)
            scale = max(float(np.linalg.norm(t.angular_momentum[0])), 1e-12)
            spin = float(np.linalg.norm(t.angular_momentum - t.angular_momentum[0], axis=1).max())
            kept = float(t.energy[-1] / t.energy[0])
            lines.append(
                f"| {words} | {name} | {len(t.contacts)} | {p:.1e} | {spin / scale:.1e} | {100 * kept:.2f} % |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["mujoco", "bullet"]
    print(table(chosen), conservation(chosen), sep="\n\n")
