"""Tools that simulate and measure."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from clay4d.physics_baseline.engines import make_engine
from clay4d.physics_baseline.tools.session import Session, ToolError, digest

Json = dict[str, Any]
Quantity = Literal[
    "position", "velocity", "speed", "height", "rotation", "energy", "kinetic", "momentum", "contacts",
    "distance", "rest",
]  # fmt: skip


def simulate(
    session: Session,
    engine: Literal["mujoco", "bullet", "genesis"] = "mujoco",
    step: float | None = None,
) -> Json:
    """Simulate the scene; every frame's poses, contacts, energies and momenta are kept.

    Args:
        engine: mujoco (rigid, cloth, soft) or bullet (rigid; extra `bullet`).
        step: longest step in seconds; chosen by speeds and sizes if not given.
    """
    scene = session.need_scene()
    made = make_engine(engine, step=step)
    trajectory = made.run(scene, progress=lambda share: session.tell("simulate", share))
    session.trajectory = trajectory
    session.renderer, session.rendered = None, {}
    return {
        "engine": trajectory.engine, "step": trajectory.step, "frames": len(trajectory.times),
        "contacts": len(trajectory.contacts),
        "energy": [float(trajectory.energy[0]), float(trajectory.energy[-1])],
        "digest": digest(trajectory.positions, trajectory.quats, trajectory.velocities),
    }  # fmt: skip


def measure(
    session: Session, quantity: Quantity, body: str | None = None, other: str | None = None,
    time: float | None = None,
) -> Json:  # fmt: skip
    """Measure the simulated scene.

    Args:
        quantity: position, velocity, speed, height (of the centre), rotation (degrees since the
            start), energy and kinetic (joules), momentum, contacts, distance (of two bodies'
            centres), rest (seconds after which a body stays within 1 mm).
        body: whose; energy, kinetic, momentum and contacts may be the whole scene's.
        other: the second body of distance or contacts.
        time: seconds; without it the values at the start, the end, and the extremes.
    """
    t = session.need_trajectory()
    for name in (body, other):
        if name is not None and name != "floor":
            t.index(name)
    if quantity == "contacts":
        chosen = [c for c in t.contacts if {body, other} - {None} <= set(c.bodies)]
        return {
            "contacts": [
                {"time": c.time, "bodies": list(c.bodies), "speed": c.speed, "impulse": c.impulse, "place": list(c.position)}
                for c in chosen
            ]
        }  # fmt: skip
    values, unit = _values(session, quantity, body, other)
    if quantity == "rest":
        return {"value": float(values[0]), "unit": unit}
    if time is not None:
        if not t.times[0] <= time <= t.times[-1] + 1e-9:
            raise ToolError(f"time got {time:g}; expected 0 to {t.times[-1]:g} seconds.")
        flat = values.reshape(len(t.times), -1)
        at = [float(np.interp(time, t.times, flat[:, k])) for k in range(flat.shape[1])]
        return {"value": at if values.ndim > 1 else at[0], "unit": unit, "time": time}
    size = np.linalg.norm(values, axis=1) if values.ndim > 1 else values
    return {
        "unit": unit, "first": values[0].tolist(), "last": values[-1].tolist(),
        "least": float(size.min()), "least_at": float(t.times[size.argmin()]),
        "most": float(size.max()), "most_at": float(t.times[size.argmax()]),
    }  # fmt: skip


def _values(
    session: Session, quantity: str, body: str | None, other: str | None
) -> tuple[Any, str]:
    t = session.need_trajectory()
    if quantity == "energy":
        return (t.energy if body is None else t.kinetic[:, t.index(body)] + t.potential[:, t.index(body)]), "J"  # fmt: skip
    if quantity == "kinetic":
        return (t.kinetic.sum(1) if body is None else t.kinetic[:, t.index(body)]), "J"
    if quantity == "momentum" and body is None:
        return t.momentum, "kg m/s"
    if body is None:
        raise ToolError(f"measure got {quantity} without a body; expected one. Name it.")
    i = t.index(body)
    path = t.positions[:, i]
    if quantity == "momentum":
        from clay4d.physics_baseline.spec import body_mass

        return body_mass(session.need_scene().body(body)) * t.velocities[:, i], "kg m/s"
    if quantity == "distance":
        if other is None:
            raise ToolError("measure got distance with one body; expected another. Name other.")
        return np.linalg.norm(path - t.path(other), axis=1), "m"
    if quantity == "rest":
        away = np.linalg.norm(path - path[-1], axis=1)
        moving = np.nonzero(away > 1e-3)[0]
        return np.array([t.times[moving[-1] + 1] if len(moving) else 0.0]), "s"
    if quantity == "rotation":
        cosine = np.abs((t.quats[:, i] * t.quats[0, i]).sum(1)).clip(0, 1)
        return np.degrees(2 * np.arccos(cosine)), "degrees"
    return {
        "position": (path, "m"), "velocity": (t.velocities[:, i], "m/s"), "height": (path[:, 2], "m"),
        "speed": (np.linalg.norm(t.velocities[:, i], axis=1), "m/s"),
    }[quantity]  # fmt: skip
