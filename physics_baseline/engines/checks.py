"""What is found and named before and while a scene is simulated: overlaps, speeds, blow-ups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines.forces import gravity_of
from clay4d.physics_baseline.engines.trajectory import SimulationError, Trajectory
from clay4d.physics_baseline.spec import SceneSpec, body_mass

STEP = 5e-4
"""Longest step of the engines, seconds."""
SHORTEST_STEP = 2e-5
OVERLAP = 0.04
"""Share of the smaller body's thinnest extent by which two may overlap at the start."""
GAIN = 0.5
"""Energy from nowhere, as a share of the largest kinetic energy so far, that is a blow-up."""


def thinnest(body: Any) -> float:
    """The least extent of a body, metres."""
    if body.kind == "sphere":
        return float(2 * body.radius)
    if body.kind == "cylinder":
        return float(min(2 * body.radius, body.height))
    if body.kind == "capsule":
        return float(2 * body.radius)
    if body.kind == "mesh":
        return float(np.ptp(np.array(body.vertices), 0).min())
    if body.kind == "cloth":
        return float(max(body.thickness, 0.01))
    return float(min(body.size))


def fastest(scene: SceneSpec) -> tuple[float, str]:
    """An upper guess of the speeds a scene reaches, metres per second, and whose it is."""
    g = float(np.linalg.norm(gravity_of(scene)))
    wind = float(np.linalg.norm(np.sum([f.velocity for f in scene.fields if f.kind == "wind"] or [(0, 0, 0)], 0)))  # fmt: skip
    worst, name = 0.0, ""
    for body in scene.bodies:
        if body.motion == "fixed":
            continue
        speed = float(np.linalg.norm(body.velocity))
        for event in scene.events:
            if event.kind == "impulse" and event.body == body.name:
                speed += float(np.linalg.norm(event.impulse)) / body_mass(body)
        height = abs(body.position[2] - (scene.floor.height if scene.floor is not None else 0.0))
        speed = math.hypot(speed, math.sqrt(2 * g * min(height, 0.5 * g * scene.duration**2)))
        speed = max(speed, min(wind, 5.0))
        if speed > worst:
            worst, name = speed, body.name
    return worst, name


def choose_step(scene: SceneSpec, step: float | None) -> tuple[float, int]:
    """The step in seconds and how many make a frame, so that nothing passes through another.

    The step is at most `STEP`, shorter where bodies are so fast that they could move by a quarter of
    the thinnest one within a step.

    Raises:
        SimulationError: a body so fast for its size that no reasonable step is short enough.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> choose_step(SceneSpec(bodies=(Sphere(name="a"),), fps=24), None)[1]
    84
    """
    frame = 1 / scene.fps
    if step is None:
        step = STEP
        sizes = [thinnest(b) for b in scene.bodies]
        speed, name = fastest(scene)
        if sizes and speed > 0:
            wanted = 0.25 * min(sizes) / speed
            if wanted < SHORTEST_STEP:
                thin = min(scene.bodies, key=thinnest)
                raise SimulationError(
                    f"{name} may reach {speed:.3g} m/s beside {thin.name}, {thinnest(thin):.3g} m "
                    f"thin; expected at most {0.25 * min(sizes) / SHORTEST_STEP:.3g} m/s, or they "
                    "pass through each other. Slow it down or make the bodies larger."
                )
            step = min(step, wanted)
    if not 0 < step <= frame * (1 + 1e-9):
        step = frame if step > 0 else STEP
    count = math.ceil(frame / step - 1e-9)
    return frame / count, count


def check_overlaps(scene: SceneSpec, found: list[tuple[str, str, float]]) -> None:
    """Refuse a start in which bodies are inside each other; `found` lists pairs and depths, metres.

    Raises:
        SimulationError: naming the worst pair and its depth.
    """
    worst: tuple[float, str] = (0.0, "")
    for a, b, depth in found:
        bodies = [scene.body(n) for n in (a, b) if n != "floor"]
        allowed = max(2e-3, OVERLAP * min(thinnest(x) for x in bodies))
        if depth > allowed and depth - allowed > worst[0]:
            worst = (
                depth - allowed,
                f"{a} and {b} overlap by {depth:.3g} m at the start; expected at most "
                f"{allowed:.3g} m. Move one of them away.",
            )
    if worst[1]:
        raise SimulationError(worst[1])


def check_state(
    engine: str, time: float, names: list[str], state: Float[np.ndarray, "B D"], limit: float
) -> None:
    """Refuse positions or velocities that are no numbers, or speeds past `limit`, metres per second.

    The last three columns are velocities.

    Raises:
        SimulationError: naming the body and the time.
    """
    bad = ~np.isfinite(state).all(1)
    if bad.any():
        raise SimulationError(
            f"{names[int(bad.argmax())]} got NaN or infinity at {time:.3f} s in {engine}; expected "
            "finite values. Take a shorter step or gentler forces."
        )
    speeds = np.linalg.norm(state[:, -3:], axis=1)
    if len(speeds) and speeds.max() > limit:
        raise SimulationError(
            f"{names[int(speeds.argmax())]} got {speeds.max():.3g} m/s at {time:.3f} s in {engine}; "
            f"expected at most {limit:.3g} m/s here: the simulation blew up. Take a shorter step."
        )


def check_energy(scene: SceneSpec, trajectory: Trajectory) -> None:
    """Refuse energy from nowhere.

    Raises:
        SimulationError: naming how much there is and when.
    """
    g = float(np.linalg.norm(gravity_of(scene)))
    weights = sum(body_mass(b) * g * thinnest(b) for b in scene.bodies if b.motion != "fixed")
    peak = np.maximum.accumulate(trajectory.kinetic.sum(1))
    allowed = GAIN * peak + 0.2 * weights + 1e-9
    gain = trajectory.unexplained
    if (gain > allowed).any():
        at = int((gain > allowed).argmax())
        raise SimulationError(
            f"energy grew by {gain[at]:.3g} J out of nothing by {trajectory.times[at]:.3f} s in "
            f"{trajectory.engine}; expected none. Bodies may start inside each other or joints "
            "contradict; take a shorter step."
        )
