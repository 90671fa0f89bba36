"""Genesis as an engine: rigid bodies in a process of its own, with its own Python (`make genesis`, 4.0 GB).

Its packages pin others than ours and its kernels take minutes to compile the first time, so it lives in a virtual
environment of its own and answers one scene with a file of arrays. Contacts are Genesis' constraint solver's, close
to MuJoCo's: friction of a pair is the larger number, and nothing bounces (there is no restitution). Gravity is its
only field; joints, events, cloth and elastic bodies are not passed on. Liquids (`Soft.liquid`) are particles of its
material point method; in the trajectory each is a small eight-sided bead, so that everything draws them.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines.checks import check_state, choose_step, fastest
from clay4d.physics_baseline.engines.forces import gravity_of
from clay4d.physics_baseline.engines.record import Recorder
from clay4d.physics_baseline.engines.touches import Touches
from clay4d.physics_baseline.engines.trajectory import SimulationError, Trajectory
from clay4d.physics_baseline.engines.tree import rotations, unit
from clay4d.physics_baseline.spec import SceneSpec, body_mass
from clay4d.physics_baseline.surfaces import body_triangles

WORKER = Path(__file__).with_name("genesis_worker.py")
STEP = 2e-3
"""Seconds, at most, where nobody says."""
CELLS, SPLASH = 8, 1.5
"""Cells of the grid across the thinnest liquid, and metres of room about it, where walls that nobody sees stop it."""


def genesis_python() -> Path:
    """The Python that has `genesis`: CLAY4D_GENESIS, else `genesis/bin/python` in this environment's folder.

    Raises:
        ImportError: there is none; the message says how to get one.
    """
    named = os.environ.get("CLAY4D_GENESIS")
    place = Path(named) if named else Path(sys.prefix) / "genesis" / "bin" / "python"
    if not place.is_file():
        raise ImportError(
            f"engine got genesis, but {place} is not there; expected a Python with genesis-world. Install it with: "
            f"make genesis, or python3.11 -m venv {Path(sys.prefix) / 'genesis'} and its pip install "
            "torch genesis-world==1.4.5"
        )
    return place


class GenesisEngine:
    """Simulates rigid scenes with Genesis; see the module for what it leaves out.

    Args:
        step: seconds, at most; None: 2 ms, shorter for what is fast.

    Raises:
        ImportError: no Python with genesis-world.
    """

    name = "genesis"

    def __init__(self, *, step: float | None = None) -> None:
        self.step, self.python = step, genesis_python()

    def run(self, scene: SceneSpec, *, check: bool = True, progress: Any = None) -> Trajectory:
        """Simulate a scene from its start to its last frame; as `MujocoEngine.run`.

        Raises:
            SimulationError: what Genesis is not told, or a blow-up.
            RuntimeError: Genesis stopped; the message has its last words.
        """
        refuse(scene)
        with tempfile.TemporaryDirectory(prefix="clay4d-genesis-") as folder:
            job = scene_job(scene, self.step, Path(folder))
            file = Path(folder) / "job.json"
            file.write_text(json.dumps(job, allow_nan=False), encoding="utf-8")
            _work(self.python, file, Path(folder) / "log.txt", progress)
            with np.load(job["out"], allow_pickle=False) as found:
                return _trajectory(scene, job, dict(found), check=check)


def refuse(scene: SceneSpec) -> None:
    """Raise `SimulationError` for what is not passed on to Genesis."""
    bodies: tuple[Any, ...] = scene.bodies
    for body in bodies:
        liquid = getattr(body, "liquid", False)
        if liquid and (any(body.velocity) or body.motion != "free"):
            raise SimulationError(f"{body.name} got a speed or a hold; expected a liquid at rest.")
        if liquid and body.shape == "ellipsoid" and len(set(body.size)) > 1:
            raise SimulationError(f"{body.name} got size {body.size}; expected a box or a ball.")
        if body.kind == "cloth" or (body.kind == "soft" and not liquid) or body.motion == "held":
            what = body.kind if body.kind in ("cloth", "soft") else "a body that is held"
            raise SimulationError(
                f"{body.name} got {what}; expected rigid bodies, free or fixed, and liquids in genesis. Use mujoco."
            )
    fields = [f.kind for f in scene.fields if f.kind != "gravity"]
    if scene.joints or scene.events or fields:
        first = "joints" if scene.joints else "events" if scene.events else fields[0]
        raise SimulationError(f"scene got {first}; expected gravity alone in genesis. Use mujoco.")


def scene_job(scene: SceneSpec, step: float | None, folder: Path) -> dict[str, Any]:
    """A scene as the worker reads it; meshes and capsules are written to `folder` as OBJ."""
    frame = 1 / scene.fps
    substeps = max(choose_step(scene, step or STEP)[1], math.ceil(frame / (step or STEP) - 1e-9))
    bodies = []
    known: tuple[Any, ...] = scene.bodies
    for k, body in enumerate(known):
        size, file = _size(body), ""
        if body.kind in ("mesh", "capsule"):
            file = str(folder / f"{k}.obj")
            _write_obj(Path(file), *body_triangles(body, sides=24))
        bodies.append(
            {
                "kind": body.kind, "size": size, "file": file, "fixed": body.motion == "fixed",
                "position": list(body.position), "quat": list(unit(body.quat)),
                "velocity": list(body.velocity),
                "spin": [] if body.kind == "soft" else _own_axes(body),
                "density": body_mass(body) / body.volume, "friction": body.material.friction,
            }
        )  # fmt: skip
    floor = scene.floor
    return {
        "step": frame / substeps, "substeps": substeps, "frames": scene.frames, "bodies": bodies,
        "water": _water(scene, frame / substeps), "gravity": gravity_of(scene).tolist(), "out": str(folder / "frames.npz"),
        "floor": None if floor is None else {
            "height": floor.height, "friction": floor.material.friction, "density": 1000.0,
        },
    }  # fmt: skip


def _water(scene: SceneSpec, step: float) -> dict[str, Any] | None:
    """Bounds, cells per metre and substeps of the grid on which liquids flow; None without any."""
    liquids: list[Any] = [b for b in scene.bodies if b.kind == "soft"]
    if not liquids:
        return None
    thin = min(min(b.size) for b in liquids)
    density = float(min(max(CELLS / thin, 16.0), 96.0))
    places = np.array([b.position for b in liquids])
    spread = max(max(b.size) for b in liquids)
    low, high = places.min(0) - SPLASH - spread, places.max(0) + SPLASH + spread
    low[2] = scene.floor.height - 6 / density if scene.floor is not None else low[2]
    return {
        "low": low.tolist(), "high": high.tolist(), "density": density,
        "substeps": max(1, math.ceil(step * density / 0.02)),
    }  # fmt: skip


def beads(points: Float[np.ndarray, "T N 3"], radius: float) -> tuple[Any, Any]:
    """Particles as octahedra: vertices [T, 6N, 3] and faces [8N, 3].

    >>> vertices, faces = beads(np.zeros((2, 3, 3)), 0.1)
    >>> vertices.shape, faces.shape
    ((2, 18, 3), (24, 3))
    """
    tips = radius * np.concatenate([np.eye(3), -np.eye(3)])
    sides = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    vertices = (points[:, :, None] + tips).reshape(len(points), -1, 3)
    first = 6 * np.arange(points.shape[1])[:, None, None]
    return vertices, (first + np.array(sides)).reshape(-1, 3)


def _own_axes(body: Any) -> list[float]:
    """A body's angular velocity about its own axes, radians per second."""
    turned = rotations(np.array(unit(body.quat))).T @ np.array(body.angular_velocity)
    return [float(x) for x in turned]


def _size(body: Any) -> list[float]:
    if body.kind == "sphere":
        return [body.radius]
    if body.kind in ("cylinder", "capsule"):
        return [body.radius, body.height]
    if body.kind == "soft":
        return [body.size[0] / 2] if body.shape == "ellipsoid" else list(body.size)
    return list(body.size) if body.kind == "box" else []


def _write_obj(path: Path, vertices: Any, faces: Any) -> None:
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices.tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces.tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _work(python: Path, job: Path, log: Path, progress: Any) -> None:
    """Run the worker to its end."""
    with log.open("wb") as words:
        process = subprocess.Popen(
            [str(python), "-I", str(WORKER), str(job)], stdout=subprocess.PIPE, stderr=words, text=True
        )  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if progress is not None:
                    progress(min(1.0, float(line)))
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()  # type: ignore[union-attr]
    if code:
        lines = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
        raise RuntimeError(
            f"genesis stopped with {code}, and its last words were: {lines[-1][:300]}. Use mujoco."
        )


def _trajectory(scene: SceneSpec, job: dict[str, Any], found: dict[str, Any], *, check: bool) -> Trajectory:  # fmt: skip
    states = found["states"]
    recorder = Recorder(scene, f"genesis {found['version']}", job["step"])
    names = [b.name for b in scene.bodies]
    rigid = [b.name for b in scene.bodies if b.kind != "soft"]
    moving = {b.name for b in scene.bodies if b.motion == "free"}
    limit = 10 * fastest(scene)[0] + 50.0
    for k, row in enumerate(states):
        time = k / scene.fps
        if check:
            check_state("genesis", time, rigid, row[:, [0, 1, 2, 7, 8, 9]], limit)
        recorder.add(time, row[:, :3], row[:, 3:7], row[:, 7:10], row[:, 10:], moving, set(), 0.0)
    for i, body in enumerate(scene.bodies):
        if body.kind == "soft":
            _add_liquid(recorder, body, found[f"liquid{i}"])
    touches = Touches(len(names) + 1)
    points = found["contacts"]
    if len(points):
        # The worker tells no closing speeds: they are those of the frame before.
        before = np.clip((points[:, 0] * scene.fps - 1e-6).astype(int), 0, len(states) - 1)
        rows = {names.index(n) + 1: r for r, n in enumerate(rigid)}
        for p, k in zip(points, before):
            pair = p[1:3].astype(int)
            speeds = [_speed_at(states[k], rows.get(i, -1), p[3:6]) for i in pair.tolist()]
            closing = max(0.0, float((speeds[0] - speeds[1]) @ p[6:9]))
            touches.add(
                p[0], job["step"], pair[None], p[None, 3:6], p[None, 6:9],
                np.array([closing]), p[None, 9].ravel(),
            )  # fmt: skip
    return recorder.trajectory(touches.contacts(["floor", *names]))


def _add_liquid(recorder: Recorder, body: Any, paths: Float[np.ndarray, "T N 3"]) -> None:
    """A liquid's particles as beads that together have its volume."""
    if not np.isfinite(paths).all():
        raise SimulationError(f"{body.name} got NaN in genesis; expected finite values. Take a shorter step.")  # fmt: skip
    radius = (3 * body.volume / (4 * math.pi * paths.shape[1])) ** (1 / 3)
    vertices, faces = beads(paths, radius)
    for moment in vertices:
        recorder.add_vertices(body.name, moment, faces)


def _speed_at(row: Any, body: int, place: Any) -> Any:
    """Velocity of a body's point in the world's axes; of the floor, none."""
    if body < 0:
        return np.zeros(3)
    return row[body, 7:10] + np.cross(row[body, 10:], place - row[body, :3])
