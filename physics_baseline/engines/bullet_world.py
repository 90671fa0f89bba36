"""A scene in PyBullet: bodies, joints, poses; the stepping is in `bullet_engine.py`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.checks import choose_step, fastest
from clay4d.physics_baseline.engines.forces import scene_forces
from clay4d.physics_baseline.engines.mass import mass_properties
from clay4d.physics_baseline.engines.record import Recorder
from clay4d.physics_baseline.engines.touches import Touches
from clay4d.physics_baseline.engines.tree import (
    conjugate,
    jointed_pairs,
    product,
    rigid_bodies,
    rotation,
    unit,
)
from clay4d.physics_baseline.spec import SceneSpec

CONTACT_ERP = 0.01
"""Share of an overlap that a step corrects."""
THRESHOLD = 0.02
"""Closing speed below which nothing bounces, metres per second."""


class BulletWorld:
    """A scene's bodies and joints in one Bullet world; its poses are of the bodies' own origins."""

    def __init__(
        self, api: Any, client: int, scene: SceneSpec, step: Any, check: bool, progress: Any
    ) -> None:
        self.api, self.client, self.scene = api, client, scene
        self.check, self.progress = check, progress
        self.dt, self.substeps = choose_step(scene, step)
        self.steps = (scene.frames - 1) * self.substeps
        self.bodies = rigid_bodies(scene)
        self.names = ["floor", *[b.name for b in scene.bodies]]
        self.touches = Touches(len(self.names))
        self.recorder = Recorder(scene, f"bullet {api.getAPIVersion()}", self.dt)
        self.limit = 10 * fastest(scene)[0] + 50.0
        self.forces = scene_forces(scene, self.bodies)
        self.properties = [mass_properties(b) for b in self.bodies]
        self.axes = [p.principal() for p in self.properties]
        self.unturns = [conjugate(_quat(axes)) for _, axes in self.axes]
        self.released: set[str] = set()
        self.moving = {b.name for b in self.bodies if b.motion == "free"}
        self.work = 0.0
        self.before: dict[int, Any] = {}
        api.setPhysicsEngineParameter(
            fixedTimeStep=self.dt, numSubSteps=0, numSolverIterations=80, contactERP=CONTACT_ERP,
            restitutionVelocityThreshold=THRESHOLD, deterministicOverlappingPairs=1,
            contactSlop=0.0, enableConeFriction=1, physicsClientId=client,
        )  # fmt: skip
        api.setGravity(*self.forces.gravity, physicsClientId=client)
        self.ids: list[int] = []
        self.things: dict[int, int] = {}
        if scene.floor is not None:
            shape = api.createCollisionShape(api.GEOM_PLANE, physicsClientId=client)
            floor = api.createMultiBody(
                0, shape, basePosition=(0, 0, scene.floor.height), physicsClientId=client
            )
            self._material(floor, scene.floor.material)
            self.things[floor] = 0
        for i, b in enumerate(self.bodies):
            self.ids.append(self._add(i, b.position, unit(b.quat)))
            self.set_speed(i, b.velocity, b.angular_velocity)
        self.constraints: dict[str, list[int]] = {}
        self._join()

    # Bullet's poses are of the centre of mass in principal axes; ours of the body's own origin.

    def _add(self, i: int, position: Any, quat: Any) -> int:
        api, body, p = self.api, self.bodies[i], self.properties[i]
        moments, axes = self.axes[i]
        turn = _quat(axes)
        mass = (p.mass + float(self.forces.added[i])) if body.name in self.moving else 0.0
        name: int = api.createMultiBody(
            mass, self._shape(body), -1, position, _xyzw(quat), list(p.centre), _xyzw(turn),
            physicsClientId=self.client,
        )  # fmt: skip
        self._material(name, body.material)
        if mass:
            api.changeDynamics(
                name, -1, localInertiaDiagonal=list(moments), physicsClientId=self.client
            )
        self.things[name] = self.names.index(body.name)
        return name

    def _shape(self, body: Any) -> int:
        api, client = self.api, self.client
        if body.kind == "sphere":
            made = api.createCollisionShape(
                api.GEOM_SPHERE, radius=body.radius, physicsClientId=client
            )
        elif body.kind == "box":
            half = [s / 2 for s in body.size]
            made = api.createCollisionShape(api.GEOM_BOX, halfExtents=half, physicsClientId=client)
        elif body.kind == "mesh":
            made = api.createCollisionShape(
                api.GEOM_MESH, vertices=[list(v) for v in body.vertices], physicsClientId=client
            )
        else:
            kind = api.GEOM_CYLINDER if body.kind == "cylinder" else api.GEOM_CAPSULE
            made = api.createCollisionShape(
                kind, radius=body.radius, height=body.height, physicsClientId=client
            )
        return int(made)

    def _material(self, name: int, material: Any) -> None:
        self.api.changeDynamics(
            name, -1, lateralFriction=math.sqrt(material.friction),
            restitution=math.sqrt(material.restitution), rollingFriction=material.rolling_friction,
            spinningFriction=material.rolling_friction, linearDamping=0, angularDamping=0,
            contactProcessingThreshold=0, maxJointVelocity=1e4, physicsClientId=self.client,
        )  # fmt: skip

    def set_speed(self, i: int, velocity: Any, spin: Any) -> None:
        """Give body i a velocity of its origin."""
        if self.bodies[i].name in self.moving:
            _, quat = self.pose(i)
            arm = rotation(quat) @ self.properties[i].centre
            at_centre = np.array(velocity) + np.cross(spin, arm)
            self.api.resetBaseVelocity(
                self.ids[i], list(at_centre), list(spin), physicsClientId=self.client
            )

    def pose(self, i: int) -> tuple[Any, Any]:
        """Position of the origin and quaternion wxyz."""
        place, q = self.api.getBasePositionAndOrientation(self.ids[i], physicsClientId=self.client)
        quat = product((q[3], *q[:3]), self.unturns[i])
        return np.array(place) - rotation(quat) @ self.properties[i].centre, quat

    def state(self) -> tuple[Any, Any, Any, Any]:
        """Origins, quaternions, velocities of the centres of mass, spins."""
        poses = [self.pose(i) for i in range(len(self.bodies))]
        speeds = [self.api.getBaseVelocity(b, physicsClientId=self.client) for b in self.ids]
        return (
            np.array([p[0] for p in poses]).reshape(-1, 3), np.array([p[1] for p in poses]).reshape(-1, 4),
            np.array([v[0] for v in speeds]).reshape(-1, 3), np.array([v[1] for v in speeds]).reshape(-1, 3),
        )  # fmt: skip

    def _join(self) -> None:
        api, at = self.api, {b.name: i for i, b in enumerate(self.bodies)}
        for joint in self.scene.joints:
            if joint.name in self.released or joint.name in self.constraints:
                continue
            points = [np.array(getattr(joint, "anchor", self.scene.body(joint.child).position))]
            kind, axis = api.JOINT_POINT2POINT, np.array([0.0, 0, 0])
            if joint.kind == "hinge":
                along = np.array(joint.axis) / np.linalg.norm(joint.axis)
                points = [points[0] - 0.1 * along, points[0] + 0.1 * along]
            elif joint.kind in ("weld", "slider"):
                kind = api.JOINT_FIXED if joint.kind == "weld" else api.JOINT_PRISMATIC
            made = []
            for point in points:
                frames = [
                    self._frame(at.get(n or "", -1), point) for n in (joint.child, joint.parent)
                ]
                if joint.kind == "slider":
                    axis = rotation(frames[0][2]).T @ joint.axis
                (child, at_child, q_child), (parent, at_parent, q_parent) = frames
                made.append(
                    api.createConstraint(
                        child, -1, parent, -1, kind, list(axis), at_child, at_parent,
                        _xyzw(conjugate(q_child)), _xyzw(conjugate(q_parent)), physicsClientId=self.client,
                    )
                )  # fmt: skip
            self.constraints[joint.name] = made
        for pair in jointed_pairs(self.scene, self.released):
            a, b = (self.ids[at[n]] for n in sorted(pair))
            api.setCollisionFilterPair(a, b, -1, -1, 0, physicsClientId=self.client)

    def _frame(self, i: int, point: Any) -> tuple[int, list[float], Any]:
        """A body's id, a point of the world in its frame of the centre of mass, and its rotation."""
        if i < 0:
            return -1, [float(x) for x in point], np.array([1.0, 0, 0, 0])
        place, q = self.api.getBasePositionAndOrientation(self.ids[i], physicsClientId=self.client)
        quat = (q[3], *q[:3])
        return self.ids[i], list(rotation(quat).T @ (point - np.array(place))), np.array(quat)

    def centre(self, i: int, state: Any) -> Any:
        """A body's centre of mass in a state, world axes, metres."""
        if not self.properties[i].centre.any():
            return state[0][i]
        return state[0][i] + rotation(state[1][i]) @ self.properties[i].centre

    def release(self, name: str) -> None:
        """Let a held body or a joint go."""
        self.released.add(name)
        for constraint in self.constraints.pop(name, []):
            self.api.removeConstraint(constraint, physicsClientId=self.client)
            joint = next(j for j in self.scene.joints if j.name == name)
            if joint.parent is not None:
                at = {b.name: self.ids[i] for i, b in enumerate(self.bodies)}
                self.api.setCollisionFilterPair(
                    at[joint.child], at[joint.parent], -1, -1, 1, physicsClientId=self.client
                )
        for i, b in enumerate(self.bodies):
            if b.name == name and name not in self.moving:
                self.moving.add(name)
                self.api.removeBody(self.ids[i], physicsClientId=self.client)
                self.ids[i] = self._add(i, b.position, unit(b.quat))
                self.set_speed(i, b.velocity, b.angular_velocity)

    def overlaps(self) -> list[tuple[str, str, float]]:
        """Pairs of names that are inside each other now, and how deep, metres."""
        found = []
        for point in self.api.getContactPoints(physicsClientId=self.client):
            a, b, distance = self.things[point[1]], self.things[point[2]], point[8]
            if distance < 0:
                a, b = sorted((a, b))
                found.append((self.names[a], self.names[b], -float(distance)))
        return found


def _quat(R: Any) -> Any:
    """The quaternion wxyz of a rotation matrix."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(R).as_quat(scalar_first=True)


def _xyzw(quat: Any) -> list[float]:
    return [float(quat[1]), float(quat[2]), float(quat[3]), float(quat[0])]
