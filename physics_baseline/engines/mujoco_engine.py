"""MuJoCo as an engine: rigid bodies, joints, cloth and soft bodies, with the fields as applied forces.

Steps are MuJoCo's semi-implicit Euler steps begun half a step early (leapfrog): flight in even gravity
is exact in positions, and smooth forces are followed to second order in the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from clay4d.physics_baseline.engines.checks import (
    check_energy,
    check_overlaps,
    check_state,
    choose_step,
    fastest,
)
from clay4d.physics_baseline.engines.flex import Flexes
from clay4d.physics_baseline.engines.forces import Forces, scene_forces
from clay4d.physics_baseline.engines.mjcf import Mjcf, mjcf
from clay4d.physics_baseline.engines.mujoco_kernels import mujoco_forces, mujoco_touches
from clay4d.physics_baseline.engines.parameters import write_parameters
from clay4d.physics_baseline.engines.record import Recorder
from clay4d.physics_baseline.engines.touches import Touches
from clay4d.physics_baseline.engines.trajectory import SimulationError, Trajectory
from clay4d.physics_baseline.engines.tree import SOFT_KINDS, rigid_bodies, rotation, unit
from clay4d.physics_baseline.spec import SceneSpec

SOFT_STEP = 2e-3
"""Step of scenes with cloth or soft bodies, seconds: they cost a hundred times a rigid body's."""

Progress = Callable[[float], None]


class MujocoEngine:
    """Simulates scenes with MuJoCo; keeps the compiled model as long as the structure stays the same.

    Fit parameters by calling `run` again and again with scenes that differ in numbers only: masses,
    friction, restitution, fields and starts cost no new model.

    Args:
        step: seconds, at most; None: chosen by speeds and sizes (`checks.choose_step`).
        contact_rate: ω of the spring of contacts, 1/s: a blow at v m/s goes v/ω deep; None, and at
            most: 0.2 over the step. Lower is softer, and can be fitted to real contacts.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> scene = SceneSpec(bodies=(Sphere(name="a", position=(0, 0, 9)),), duration=1.0, fps=2)
    >>> MujocoEngine().run(scene).path("a")[:, 2].round(4).tolist()
    [9.0, 7.7738]
    """

    name = "mujoco"

    def __init__(self, *, step: float | None = None, contact_rate: float | None = None) -> None:
        self.step, self.contact_rate = step, contact_rate
        self._models: dict[str, tuple[Any, Any]] = {}

    def run(self, scene: SceneSpec, *, check: bool = True, progress: Progress | None = None) -> Trajectory:  # fmt: skip
        """Simulate a scene from its start to its last frame.

        Args:
            check: refuse bodies that overlap at the start, and energy out of nothing.
            progress: told the share done, 0 to 1, now and then.

        Raises:
            SimulationError: bodies that overlap at the start, speeds past all measure, NaN, or
                energy out of nothing; the message names the body and the time.
        """
        for body in scene.bodies:
            if getattr(body, "liquid", False):
                raise SimulationError(
                    f"{body.name} got a liquid; expected solids in mujoco. Use the engine genesis."
                )
        handler = mujoco.get_mju_user_warning()
        mujoco.set_mju_user_warning(_quiet)  # Else MuJoCo writes a log file where we stand.
        try:
            return _Run(self, scene, check, progress).finish()
        finally:
            mujoco.set_mju_user_warning(handler)

    def compiled(self, xml: str) -> tuple[Any, Any]:
        """The model and its state, compiled once for each XML."""
        if xml not in self._models:
            if len(self._models) > 16:
                self._models.clear()
            try:
                model = mujoco.MjModel.from_xml_string(xml)
            except ValueError as error:
                raise SimulationError(
                    f"scene got {error} from MuJoCo; expected one that it can build."
                ) from error
            self._models[xml] = model, mujoco.MjData(model)
        return self._models[xml]


def _quiet(message: str) -> None:
    """Warnings are found in the state and raised as errors."""


class _Run:
    """One simulation: stages between releases, each with a model of its own."""

    def __init__(
        self, engine: MujocoEngine, scene: SceneSpec, check: bool, progress: Progress | None
    ) -> None:
        self.engine, self.scene, self.check, self.progress = engine, scene, check, progress
        soft = any(b.kind in SOFT_KINDS for b in scene.bodies)
        self.dt, self.substeps = choose_step(
            scene, SOFT_STEP if soft and engine.step is None else engine.step
        )
        self.steps = (scene.frames - 1) * self.substeps
        self.rigid = rigid_bodies(scene)
        self.names = ["floor", *[b.name for b in scene.bodies]]
        self.touches = Touches(len(self.names))
        self.recorder = Recorder(scene, f"mujoco {mujoco.__version__}", self.dt)
        self.limit = 10 * fastest(scene)[0] + 50.0
        self.work = 0.0
        self.released: set[str] = set()
        at = {e.target: e.time for e in scene.events if e.kind == "release"}
        self.releases = sorted((round(t / self.dt), name) for name, t in at.items())
        hits = [(int(e.time / self.dt + 1e-9), e) for e in scene.events if e.kind == "impulse"]
        # A blow at a frame's moment comes just after it: half a blow is nothing to look at.
        hits = [(k + (k % self.substeps == 0), e) for k, e in hits]
        self.hits = sorted(hits, key=lambda hit: hit[0])

    def finish(self) -> Trajectory:
        state = None
        step = 0
        while step <= self.steps:
            while self.releases and self.releases[0][0] <= step:
                self.released.add(self.releases.pop(0)[1])
            until = min([r[0] for r in self.releases[:1]] + [self.steps + 1])
            stage = _Stage(self, state)
            if step == 0 and self.check and not stage.model.nflex:
                check_overlaps(self.scene, stage.overlaps())
            stage.start()
            stage.advance(step, until)
            state = stage.state()
            step = until
        trajectory = self.recorder.trajectory(self.touches.contacts(self.names))
        if self.check and len(self.rigid) == len(self.scene.bodies):
            check_energy(self.scene, trajectory)
        return trajectory


class _Stage:
    """A model with the bodies and joints of the time between two releases."""

    def __init__(self, run: _Run, before: Any) -> None:
        self.run = run
        scene = run.scene
        self.mjcf: Mjcf = mjcf(scene, run.released)
        self.model, self.data = run.engine.compiled(self.mjcf.xml)
        moving = self.mjcf.assembly.moving
        self.bodies = [b for b in run.rigid if b.name in moving]
        self.ids = np.array([self.model.body(b.name).id for b in self.bodies], np.int64)
        self.forces: Forces = scene_forces(scene, self.bodies)
        write_parameters(
            self.model, self.data, scene, self.mjcf.pairs, self.forces, self.bodies, run.dt,
            run.engine.contact_rate,
        )  # fmt: skip
        mujoco.mj_resetData(self.model, self.data)
        self._things()
        self.flexes = Flexes(self.model, scene, run.dt) if self.model.nflex else None
        self._place(before)
        self.intact = self.forces.intact(run.released)
        self.active = self.forces.any and len(self.bodies) > 0
        n = len(self.bodies)
        self.previous = np.zeros((n, 3))

    def _things(self) -> None:
        """Which thing of the scene each geom and flex is."""
        at = {name: i for i, name in enumerate(self.run.names)}
        self.geom_things = np.array(
            [at[self.model.geom(g).name] for g in range(self.model.ngeom)] + [-1], np.int64
        )
        soft = [b.name for b in self.run.scene.bodies if b.kind in SOFT_KINDS]
        self.flex_things = np.array([at[name] for name in soft] + [-1], np.int64)

    def _place(self, before: Any) -> None:
        """Positions and velocities: the scene's at first, later those of the stage before."""
        model, data = self.model, self.data
        for b in self.bodies:
            if b.name in self.mjcf.assembly.tree:
                continue
            pose = [*b.position, *unit(b.quat)]
            speed = [*b.velocity, *(rotation(b.quat).T @ b.angular_velocity)]
            if before is not None:
                pose, speed = before["bodies"][b.name]
            joint = model.joint(b.name)
            data.qpos[joint.qposadr[0] : joint.qposadr[0] + 7] = pose
            data.qvel[joint.dofadr[0] : joint.dofadr[0] + 6] = speed
        for name, (q, v) in (before["joints"] if before is not None else {}).items():
            for j in range(model.njnt):
                if name and model.joint(j).name == name:
                    data.qpos[model.jnt_qposadr[j] : model.jnt_qposadr[j] + len(q)] = q
                    data.qvel[model.jnt_dofadr[j] : model.jnt_dofadr[j] + len(v)] = v
        if self.flexes is not None:
            self.flexes.place(data, None if before is None else before["vertices"])
        if before is None:
            self._joint_speeds()

    def _joint_speeds(self) -> None:
        """Joint velocities nearest to what the scene says of the bodies' (least squares)."""
        held = [b for b in self.bodies if b.name in self.mjcf.assembly.tree]
        if not any(any(b.velocity) or any(b.angular_velocity) for b in held):
            return
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        rows, target = [], []
        for b in self.bodies:
            J = np.zeros((6, self.model.nv))
            mujoco.mj_jacBody(self.model, self.data, J[:3], J[3:], self.model.body(b.name).id)
            rows.append(J)
            target += [*b.velocity, *b.angular_velocity]
        self.data.qvel[:] = np.linalg.lstsq(np.concatenate(rows), np.array(target), rcond=None)[0]

    def overlaps(self) -> list[tuple[str, str, float]]:
        """Pairs that are inside each other now, and how deep, metres."""
        mujoco.mj_forward(self.model, self.data)
        contact = self.data.contact
        pairs = self._pairs(contact)
        return [
            (self.run.names[a], self.run.names[b], -float(d))
            for (a, b), d in zip(pairs.tolist(), contact.dist)
            if d < 0 and a >= 0 and b >= 0 and a != b
        ]

    def _pairs(self, contact: Any) -> Any:
        pairs = self.geom_things[contact.geom]
        if self.model.nflex:
            pairs = np.maximum(pairs, self.flex_things[contact.flex])
        return pairs

    def start(self) -> None:
        """Take the velocities half a step back."""
        data = self.data
        mujoco.mj_step1(self.model, data)
        self._apply(first=True)
        mujoco.mj_forward(self.model, data)
        data.qvel[:] -= 0.5 * self.run.dt * data.qacc

    def _apply(self, *, first: bool = False) -> float:
        """Put this moment's forces on the bodies; gives their work over a step, joules."""
        if not self.active:
            return 0.0
        data, forces = self.data, self.forces
        work: float = mujoco_forces(
            data.xpos, data.xipos, data.xmat, data.cvel, data.subtree_com, self.model.body_rootid,
            self.ids, first, self.previous, self.run.dt, forces.wind, forces.drag, forces.lift,
            forces.constant, forces.shapes, forces.faces, forces.face_rows, forces.tether_bodies,
            forces.tethers, self.intact, data.xfrc_applied,
        )  # fmt: skip
        return work

    def advance(self, first: int, until: int) -> None:
        """Steps `first` to `until` − 1; a frame is recorded at every so many."""
        run, model, data = self.run, self.model, self.data
        blown = mujoco.mjtWarning
        for step in range(first, until):
            time = step * run.dt
            mujoco.mj_step1(model, data)
            run.work += self._apply()
            if self.flexes is not None:
                self.flexes.press(data)
            struck = self._strike(step)
            framed = step % run.substeps == 0
            if framed:
                speeds = data.qvel.copy()
            before = self._kinetic() if struck else 0.0
            mujoco.mj_step2(model, data)
            if data.ncon:
                self._touch(time)
            if framed:
                self._record(time, speeds)
            if struck:
                mujoco.mj_step1(model, data)
                run.work += self._kinetic() - before
                data.xfrc_applied[:] = 0
            if (
                data.warning[blown.mjWARN_BADQACC].number
                or data.warning[blown.mjWARN_BADQPOS].number
            ):
                self._blown(time)

    def _strike(self, step: int) -> bool:
        """Blows of this step, as forces over it."""
        run, struck = self.run, False
        while run.hits and run.hits[0][0] <= step:
            event = run.hits.pop(0)[1]
            at = self.model.body(event.body).id
            arm = self.data.xpos[at] + event.offset - self.data.xipos[at]
            turn = np.cross(arm, event.impulse) + event.angular_impulse
            self.data.xfrc_applied[at] += np.array([*event.impulse, *turn]) / run.dt
            struck = True
        return struck

    def _kinetic(self) -> float:
        product = np.zeros(self.model.nv)
        mujoco.mj_mulM(self.model, self.data, product, self.data.qvel)
        return 0.5 * float(product @ self.data.qvel)

    def _touch(self, time: float) -> None:
        contact, data, touches = self.data.contact, self.data, self.run.touches
        touches.reserve(data.ncon)
        touches.count = mujoco_touches(
            time, self.run.dt, contact.geom, contact.flex, contact.efc_address, contact.dim,
            self.model.nflex > 0, data.efc_force, data.efc_vel, contact.pos, contact.frame, self.geom_things, self.flex_things,
            touches.rows, touches.table, touches.count,
        )  # fmt: skip

    def _record(self, time: float, lagging: Any) -> None:
        """Positions are of now; velocities are brought half a step forward."""
        run, model, data = self.run, self.model, self.data
        at = {b.name: self.model.body(b.name).id for b in run.rigid}
        velocity = np.zeros((len(run.rigid), 6))
        qvel = data.qvel.copy()
        data.qvel[:] = lagging + 0.5 * run.dt * data.qacc
        mujoco.mj_fwdVelocity(model, data)
        for i, b in enumerate(run.rigid):
            if b.name in self.mjcf.assembly.moving:
                mujoco.mj_objectVelocity(
                    model, data, mujoco.mjtObj.mjOBJ_XBODY, at[b.name], velocity[i], 0
                )
        ids = list(at.values())
        run.recorder.add(
            time, data.xpos[ids], data.xquat[ids], velocity[:, 3:], velocity[:, :3],
            self.mjcf.assembly.moving, run.released, run.work,
        )  # fmt: skip
        data.qvel[:] = qvel
        if self.flexes is not None:
            self._record_vertices(time)
        names = [b.name for b in run.rigid]
        state = np.concatenate([data.xpos[ids], velocity[:, 3:]], 1)
        check_state("mujoco", time, names, state, run.limit)
        if run.progress is not None:
            run.progress(min(1.0, time / max(run.steps * run.dt, 1e-9)))

    def _record_vertices(self, time: float) -> None:
        flexes, data = self.flexes, self.data
        if flexes is None:
            return
        speeds = flexes.speeds(data)
        for body, (low, high), faces in zip(flexes.bodies, flexes.ranges, flexes.faces):
            points = data.flexvert_xpos[low:high]
            names = [body.name] * (high - low)
            state = np.concatenate([points, speeds[low:high]], 1)
            check_state("mujoco", time, names, state, self.run.limit)
            self.run.recorder.add_vertices(body.name, points, faces)

    def _blown(self, time: float) -> None:
        bad = ~np.isfinite(self.data.qacc) | (np.abs(self.data.qacc) > 1e10)
        dof = int(bad.argmax())
        name = self.model.body(int(self.model.dof_bodyid[dof])).name
        raise SimulationError(
            f"{name or 'a body'} got an acceleration past all measure at {time:.3f} s in mujoco; "
            "expected a finite one: the simulation blew up. Take a shorter step or gentler forces."
        )

    def state(self) -> dict[str, Any]:
        """What the next stage goes on from: poses and velocities at this moment."""
        model, data = self.model, self.data
        data.xfrc_applied[:] = 0
        mujoco.mj_step1(model, data)
        self._apply()
        mujoco.mj_forward(model, data)
        data.qvel[:] += 0.5 * self.run.dt * data.qacc
        mujoco.mj_fwdVelocity(model, data)
        bodies, joints = {}, {}
        for b in self.run.rigid:
            at = model.body(b.name).id
            velocity = np.zeros(6)
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, at, velocity, 0)
            R = data.xmat[at].reshape(3, 3)
            bodies[b.name] = (
                [*data.xpos[at], *data.xquat[at]], [*velocity[3:], *(R.T @ velocity[:3])],
            )  # fmt: skip
        for j in range(model.njnt):
            kind, name = int(model.jnt_type[j]), model.joint(j).name
            nq, nv = {0: (7, 6), 1: (4, 3)}.get(kind, (1, 1))
            if kind == 0:
                continue  # Free bodies have their poses.
            q, v = model.jnt_qposadr[j], model.jnt_dofadr[j]
            joints[name] = data.qpos[q : q + nq].copy(), data.qvel[v : v + nv].copy()
        vertices = None
        if self.flexes is not None:
            vertices = data.flexvert_xpos.copy(), self.flexes.speeds(data)
        return {"bodies": bodies, "joints": joints, "vertices": vertices}
