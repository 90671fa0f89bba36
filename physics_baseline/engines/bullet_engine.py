"""PyBullet as an engine (extra `bullet`): an independent contact model, for rigid bodies.

Contacts are Bullet's sequential impulses: friction and restitution of a pair are the products of the
bodies' numbers, which are therefore given their square roots, so that the pair has the geometric
mean. Bullet adds its correction of overlaps to the speed after a bounce; with `bullet_world.CONTACT_ERP` that is 1 %.
Rolling friction of a pair is r₁·√μ₂ + r₂·√μ₁, not the sum. Joints are constraints, and no limits, ropes,
cloth or soft bodies are supported. The forces of the fields are those of `forces.py`, and
velocities start half a step early as in `mujoco_engine.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.bullet_world import BulletWorld
from clay4d.physics_baseline.engines.checks import check_energy, check_overlaps, check_state
from clay4d.physics_baseline.engines.forces import apply_forces
from clay4d.physics_baseline.engines.trajectory import SimulationError, Trajectory
from clay4d.physics_baseline.engines.tree import rotations
from clay4d.physics_baseline.spec import Rope, SceneSpec


class BulletEngine:
    """Simulates rigid scenes with PyBullet; see the module for what its numbers mean.

    Args:
        step: seconds, at most; None: chosen by speeds and sizes (`checks.choose_step`).

    Raises:
        ImportError: PyBullet is not installed.
    """

    name = "bullet"

    def __init__(self, *, step: float | None = None) -> None:
        try:
            import pybullet
        except ModuleNotFoundError as error:
            raise ImportError(
                "engine got bullet, whose package pybullet is missing; expected the extra bullet. "
                "Run: pip install 'clay4d[bullet]'"
            ) from error
        self.step, self.api = step, pybullet

    def run(self, scene: SceneSpec, *, check: bool = True, progress: Any = None) -> Trajectory:
        """Simulate a scene from its start to its last frame; as `MujocoEngine.run`.

        Raises:
            SimulationError: as MuJoCo's, and for what Bullet cannot do.
        """
        _refuse(scene)
        client = self.api.connect(self.api.DIRECT)
        try:
            return _Run(self.api, client, scene, self.step, check, progress).finish()
        finally:
            self.api.disconnect(client)


def _refuse(scene: SceneSpec) -> None:
    for body in scene.bodies:
        if body.kind in ("cloth", "soft"):
            raise SimulationError(
                f"{body.name} got {body.kind}; expected rigid bodies in bullet. Use mujoco."
            )
    for joint in scene.joints:
        if isinstance(joint, Rope) or getattr(joint, "limits", None) is not None:
            what = "a rope" if isinstance(joint, Rope) else "limits"
            raise SimulationError(
                f"{joint.name} got {what}; expected joints without in bullet. Use mujoco."
            )


class _Run(BulletWorld):
    """The stepping of one simulation."""

    def finish(self) -> Trajectory:
        api, dt = self.api, self.dt
        events = sorted(self.scene.events, key=lambda e: e.time)
        releases = [(round(e.time / dt), e) for e in events if e.kind == "release"]
        hits = [(int(e.time / dt + 1e-9), e) for e in events if e.kind == "impulse"]
        hits = [(k + (k % self.substeps == 0), e) for k, e in hits]
        api.performCollisionDetection(physicsClientId=self.client)
        if self.check:
            check_overlaps(self.scene, self.overlaps())
        out = np.zeros((len(self.bodies), 6))
        previous: Any = None
        for step in range(self.steps + 1):
            while releases and releases[0][0] <= step:
                self.release(releases.pop(0)[1].target)
                previous = None
            state = self.state()
            lagging = state[2]
            now = lagging if previous is None else lagging + 0.5 * (lagging - previous)
            previous = lagging
            work = self._forces(state, now, out)
            framed = step % self.substeps == 0
            if step == 0:
                self._half_step_back(out)
                state = self.state()
                previous = state[2]
            if step > 0:
                self.work += work
            struck = self._strike(hits, step, state)
            self.before = {
                self.ids[i]: (state[2][i], state[3][i], self.centre(i, state))
                for i, b in enumerate(self.bodies)
                if b.name in self.moving
            }
            api.stepSimulation(physicsClientId=self.client)
            self._touch(step * dt)
            if framed:
                self._record(step, state)
            if struck:
                self.work += struck(self.state())
        trajectory = self.recorder.trajectory(self.touches.contacts(self.names))
        if self.check:
            check_energy(self.scene, trajectory)
        return trajectory

    def _forces(self, state: Any, now: Any, out: Any) -> float:
        f = self.forces
        if not f.any and not any(getattr(j, "damping", 0) for j in self.scene.joints):
            return 0.0
        origins, quats, _, spins = state
        R = rotations(quats)
        centres = origins + np.einsum("bij,bj->bi", R, [p.centre for p in self.properties])
        work = apply_forces(
            origins, centres, R.reshape(-1, 9), now, spins, self.dt, f.wind, f.drag, f.lift,
            f.constant, f.shapes, f.faces, f.face_rows, f.tether_bodies, f.tethers,
            f.intact(self.released), out,
        )  # fmt: skip
        self._damp(spins, out)
        for i, b in enumerate(self.bodies):
            if b.name in self.moving:
                self.api.applyExternalForce(
                    self.ids[i], -1, list(out[i, :3]), list(centres[i]), self.api.WORLD_FRAME,
                    physicsClientId=self.client,
                )  # fmt: skip
                self.api.applyExternalTorque(
                    self.ids[i], -1, list(out[i, 3:]), self.api.WORLD_FRAME,
                    physicsClientId=self.client,
                )  # fmt: skip
        return float(work)

    def _damp(self, spins: Any, out: Any) -> None:
        """Torques of damped hinges and sockets."""
        at = {b.name: i for i, b in enumerate(self.bodies)}
        for joint in self.scene.joints:
            c = getattr(joint, "damping", 0.0)
            if not c or joint.kind == "slider" or joint.name in self.released:
                continue
            i, j = at[joint.child], at.get(joint.parent or "", -1)
            turn = spins[i] - (spins[j] if j >= 0 else 0)
            out[i, 3:] -= c * turn
            if j >= 0:
                out[j, 3:] += c * turn

    def _half_step_back(self, out: Any) -> None:
        for i, b in enumerate(self.bodies):
            if b.name in self.moving:
                mass = self.properties[i].mass + self.forces.added[i]
                v, w = self.api.getBaseVelocity(self.ids[i], physicsClientId=self.client)
                a = self.forces.gravity + out[i, :3] / mass
                self.api.resetBaseVelocity(
                    self.ids[i], list(np.array(v) - 0.5 * self.dt * a), w, physicsClientId=self.client
                )  # fmt: skip

    def _strike(self, hits: Any, step: int, state: Any) -> Any:
        """Blows of this step, as forces over it; gives how to count their work afterwards."""
        chosen = []
        while hits and hits[0][0] <= step:
            event = hits.pop(0)[1]
            i = next(k for k, b in enumerate(self.bodies) if b.name == event.body)
            place, _ = self.api.getBasePositionAndOrientation(
                self.ids[i], physicsClientId=self.client
            )
            arm = state[0][i] + event.offset - np.array(place)
            turn = np.cross(arm, event.impulse) + event.angular_impulse
            force, torque = np.array(event.impulse) / self.dt, turn / self.dt
            self.api.applyExternalForce(
                self.ids[i], -1, list(force), place, self.api.WORLD_FRAME, physicsClientId=self.client
            )  # fmt: skip
            self.api.applyExternalTorque(
                self.ids[i], -1, list(torque), self.api.WORLD_FRAME, physicsClientId=self.client
            )
            chosen.append((i, np.array(event.impulse), turn, state[2][i], state[3][i]))
        if not chosen:
            return None

        def work(after: Any) -> float:  # Impulse times the mean of the speeds before and after.
            return float(
                sum(
                    impulse @ (v + after[2][i]) / 2 + turn @ (w + after[3][i]) / 2
                    for i, impulse, turn, v, w in chosen
                )
            )

        return work

    def _touch(self, time: float) -> None:
        points = [
            p for p in self.api.getContactPoints(physicsClientId=self.client) if p[9] > 0
        ]  # fmt: skip
        if not points:
            return
        pairs = np.array([(self.things[p[2]], self.things[p[1]]) for p in points])
        # Bullet's normal is on B and points to A: with B first it goes from first to second.
        normals, places = np.array([p[7] for p in points]), np.array([p[6] for p in points])
        speeds = np.zeros(len(points))
        for k, p in enumerate(points):
            closing = np.zeros(3)
            for name, sign in ((p[1], -1.0), (p[2], 1.0)):
                if name in self.before:
                    v, w, centre = self.before[name]
                    closing += sign * (v + np.cross(w, places[k] - centre))
            speeds[k] = max(0.0, float(closing @ normals[k]))
        self.touches.add(
            time, self.dt, pairs, places, normals, speeds, np.array([p[9] for p in points])
        )

    def _record(self, step: int, state: Any) -> None:
        """Positions of before the step; velocities in the middle of those before and after."""
        origins, quats, lagging, spins = state
        after = self.state()
        free = np.array([b.name in self.moving for b in self.bodies])
        # The half step that velocities lag, unless a blow fell in this step.
        jump = np.linalg.norm(after[2] - lagging, axis=1) > 1.0
        centred = np.where((free & ~jump)[:, None], 0.5 * (lagging + after[2]), lagging)
        turned = np.where((free & ~jump)[:, None], 0.5 * (spins + after[3]), spins)
        arms = np.einsum("bij,bj->bi", rotations(quats), [p.centre for p in self.properties])
        velocities = centred - np.cross(turned, arms)
        time = step * self.dt
        self.recorder.add(
            time, origins, quats, velocities, turned, self.moving, self.released, self.work
        )
        names = [b.name for b in self.bodies]
        check_state("bullet", time, names, np.concatenate([origins, velocities], 1), self.limit)
        if self.progress is not None:
            self.progress(min(1.0, step / max(self.steps, 1)))
