"""How a scene's bodies hang together at a moment: what moves, and who is held by whom."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.spec import Cloth, Rigid, SceneSpec, Soft
from clay4d.physics_baseline.spec.fields import Rope

SOFT_KINDS = ("cloth", "soft")


@dataclass(frozen=True)
class Held:
    """A body that a joint lets move only relative to another body, or to the world."""

    holder: str | None
    """Name of the other body; None: the world."""
    joint: Any
    flipped: bool
    """The joint's child is the holder."""


@dataclass(frozen=True)
class Assembly:
    """The rigid bodies of a scene as a forest of joints; what is left over closes loops."""

    moving: frozenset[str]
    """Names of all bodies that are neither fixed nor still held."""
    tree: dict[str, Held]
    """By the name of the held body."""
    loops: tuple[Any, ...]
    """Joints between bodies that already hang together."""
    ropes: tuple[Rope, ...]

    @property
    def free(self) -> tuple[str, ...]:
        """Moving bodies that no joint of the forest holds."""
        return tuple(sorted(self.moving - self.tree.keys()))


def rigid_bodies(scene: SceneSpec) -> list[Rigid]:
    """All but cloth and soft bodies, in the scene's order."""
    return [b for b in scene.bodies if not isinstance(b, Cloth | Soft)]


def assemble(scene: SceneSpec, released: Collection[str]) -> Assembly:
    """Sort out a scene's joints, when those in `released` have been let go.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> assemble(SceneSpec(bodies=(Sphere(name="a"),)), ()).free
    ('a',)
    """
    moving = frozenset(
        b.name for b in scene.bodies
        if b.motion == "free" or (b.motion == "held" and b.name in released)
    )  # fmt: skip
    tree: dict[str, Held] = {}
    loops, ropes = [], []

    def above(name: str | None) -> list[str]:
        found = []
        while name is not None:
            found.append(name)
            name = tree[name].holder if name in tree else None
        return found

    for joint in scene.joints:
        child, parent = joint.child, joint.parent
        if joint.name in released or (child not in moving and parent not in moving):
            continue
        if isinstance(joint, Rope):
            ropes.append(joint)
        elif child in moving and child not in tree and child not in above(parent):
            tree[child] = Held(parent, joint, False)
        elif parent is not None and parent in moving and parent not in tree and parent not in above(child):  # fmt: skip
            tree[parent] = Held(child, joint, True)
        else:
            loops.append(joint)
    return Assembly(moving, tree, tuple(loops), tuple(ropes))


def jointed_pairs(scene: SceneSpec, released: Collection[str]) -> set[frozenset[str]]:
    """Names of bodies that a joint connects, which do not collide with each other."""
    return {
        frozenset((j.child, j.parent))
        for j in scene.joints
        if j.parent is not None and j.kind != "rope" and j.name not in released
    }


def rotation(quat: Any) -> Float[np.ndarray, "3 3"]:
    """The matrix of a quaternion wxyz of any length.

    >>> rotation((2, 0, 0, 0)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    w, x, y, z = np.asarray(quat, float) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotations(quats: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 3 3"]:
    """Matrices of unit quaternions wxyz."""
    w, x, y, z = np.moveaxis(quats, -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, -1).reshape(*quats.shape[:-1], 3, 3)


def unit(quat: Any) -> tuple[float, ...]:
    """The quaternion at length 1."""
    q = np.asarray(quat, float)
    return tuple((q / np.linalg.norm(q)).tolist())


def product(a: Any, b: Any) -> Float[np.ndarray, " 4"]:
    """The quaternion a·b, wxyz: first b, then a."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return np.array(
        [
            aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
        ]
    )  # fmt: skip


def conjugate(q: Any) -> Float[np.ndarray, " 4"]:
    """The inverse of a unit quaternion."""
    return np.array([q[0], -q[1], -q[2], -q[3]])
