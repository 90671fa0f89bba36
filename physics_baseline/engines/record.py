"""Frames of a simulation put together into a trajectory, with energies and momenta."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clay4d.physics_baseline.engines.forces import gravity_of, scene_forces, tether_energy
from clay4d.physics_baseline.engines.mass import mass_properties
from clay4d.physics_baseline.engines.trajectory import Contact, Trajectory, continuous
from clay4d.physics_baseline.engines.tree import SOFT_KINDS, rigid_bodies, rotations, unit
from clay4d.physics_baseline.spec import SceneSpec, body_mass


class Recorder:
    """Takes the rigid bodies' states frame by frame, in the scene's order, and cloths' vertices."""

    def __init__(self, scene: SceneSpec, engine: str, step: float) -> None:
        self.scene, self.engine, self.step = scene, engine, step
        self.rigid = [i for i, b in enumerate(scene.bodies) if b.kind not in SOFT_KINDS]
        self.soft = [i for i, b in enumerate(scene.bodies) if b.kind in SOFT_KINDS]
        bodies = rigid_bodies(scene)
        self.forces = scene_forces(scene, bodies)
        self.gravity = gravity_of(scene)
        properties = [mass_properties(b) for b in bodies]
        self.masses = np.array([p.mass for p in properties])
        self.inertial = self.masses + self.forces.added
        self.centres = np.array([p.centre for p in properties]).reshape(-1, 3)
        self.inertias = np.array([p.inertia for p in properties]).reshape(-1, 3, 3)
        self.names = [b.name for b in bodies]
        self.loose = np.array([b.motion != "fixed" for b in bodies], float)
        self.frames: dict[str, list[Any]] = {k: [] for k in _KEYS}
        self.vertices: dict[str, list[Any]] = {}
        self.faces: dict[str, Any] = {}

    def add(
        self,
        time: float,
        positions: Float[np.ndarray, "R 3"],
        quats: Float[np.ndarray, "R 4"],
        velocities: Float[np.ndarray, "R 3"],
        spins: Float[np.ndarray, "R 3"],
        moving: Collection[str],
        released: Collection[str],
        work: float,
    ) -> None:
        """One frame of the rigid bodies; `work` is what known forces put in so far, joules."""
        row = {
            "times": time, "positions": positions.copy(), "quats": quats.copy(),
            "velocities": velocities.copy(), "angular_velocities": spins.copy(), "work": work,
            "moves": [n in moving for n in self.names], "released": frozenset(released),
        }  # fmt: skip
        for key, value in row.items():
            self.frames[key].append(value)

    def add_vertices(
        self, name: str, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
    ) -> None:
        """A cloth's or soft body's vertices in the frame that was added last."""
        self.vertices.setdefault(name, []).append(np.array(vertices))
        self.faces[name] = faces

    def _mechanics(self, f: dict[str, Any]) -> None:
        """Energies and momenta of all frames, added to `f`."""
        R = rotations(f["quats"])
        arms = np.einsum("tbij,bj->tbi", R, self.centres)
        centres = f["positions"] + arms
        speeds = f["velocities"] + np.cross(f["angular_velocities"], arms)
        mass = self.inertial * f["moves"]
        spins = f["angular_velocities"]
        local = np.einsum("tbji,tbj->tbi", R, spins)
        spin = np.einsum("tbij,bjk,tbk->tbi", R, self.inertias, local) * f["moves"][..., None]
        f["kinetic"] = 0.5 * mass * (speeds**2).sum(2) + 0.5 * (spin * spins).sum(2)
        # A held body's height counts from the start, so that letting go changes nothing.
        f["potential"] = -self.masses * self.loose * (centres @ self.gravity)
        if len(self.forces.tether_bodies):
            f["potential"] = f["potential"] + np.array(
                [
                    tether_energy(self.forces, p, r)
                    for p, r in zip(f["positions"], self.frames["released"])
                ]
            )
        # The engines' gravity pulls at the added mass too; that and its balance are no work.
        f["work"] = f["work"] + ((centres - centres[:1]) @ self.gravity) @ self.forces.added
        f["momentum"] = (mass[..., None] * speeds).sum(1)
        f["angular_momentum"] = (np.cross(centres, mass[..., None] * speeds) + spin).sum(1)

    def trajectory(self, contacts: tuple[Contact, ...]) -> Trajectory:
        """All frames, bodies in the scene's order."""
        f = {k: np.array(v) for k, v in self.frames.items() if k != "released"}
        self._mechanics(f)
        frames, count = len(f["times"]), len(self.scene.bodies)
        whole = {
            k: np.zeros((frames, count, *f[k].shape[2:]))
            for k in ("positions", "quats", "velocities", "angular_velocities", "kinetic", "potential")
        }  # fmt: skip
        for k, value in whole.items():
            value[:, self.rigid] = f[k]
        momentum = f["momentum"]
        for i in self.soft:
            body = self.scene.bodies[i]
            corners = np.array(self.vertices[body.name])
            middle = corners.mean(1)
            whole["positions"][:, i] = middle
            whole["quats"][:, i] = unit(body.quat)
            if frames > 1:
                whole["velocities"][:, i] = np.gradient(middle, f["times"], axis=0)
            mass = body_mass(body)
            momentum = momentum + mass * whole["velocities"][:, i]
            whole["kinetic"][:, i] = 0.5 * mass * (whole["velocities"][:, i] ** 2).sum(1)
            whole["potential"][:, i] = -mass * (middle @ self.gravity)
        return Trajectory(
            self.engine, self.step, tuple(b.name for b in self.scene.bodies), f["times"],
            whole["positions"], continuous(whole["quats"]), whole["velocities"],
            whole["angular_velocities"], contacts, whole["kinetic"], whole["potential"], f["work"],
            momentum, f["angular_momentum"],
            {k: np.array(v) for k, v in self.vertices.items()}, self.faces,
        )  # fmt: skip


_KEYS = (
    "times", "positions", "quats", "velocities", "angular_velocities", "work", "moves", "released",
)  # fmt: skip
