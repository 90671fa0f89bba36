"""Forces of a scene's fields on rigid bodies, by one set of formulas for every engine.

- Drag, F = −½·ρ·C·A·|u|·u at the centre of mass: u is its velocity in the air, A the area of the
  body's shadow along u, exact for convex shapes (a mesh counts as its convex hull).
- Lift of spin (Magnus), F = ½·ρ·C·A·r·(ω × u) with A and r of the sphere of the body's volume.
- Buoyancy, F = −ρ·V·g. Added mass is mass of the body to the engine, without weight.
- A tether pulls the body's origin with k·(l − l₀) + c·dl/dt.

Gravity is left to the engines. No torque acts but that of a tether off the centre of mass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import ConvexHull

from clay4d.jit import device
from clay4d.physics_baseline.spec import Drag, Rigid, SceneSpec

DRAG_COEFFICIENTS = {"sphere": 0.47, "box": 1.05, "cylinder": 0.82, "capsule": 0.6}
"""Of each shape (Hoerner 1965); 1 for the others."""

SPHERE, ROUND, FLAT = 0, 1, 2
"""How a shadow's area is found: of a sphere, of a cylinder or capsule, of a hull's faces."""


@dataclass(frozen=True)
class Forces:
    """Coefficients of all forces on B bodies, as arrays for the kernel."""

    gravity: Float[np.ndarray, " 3"]
    """Metres per second squared."""
    wind: Float[np.ndarray, " 3"]
    """Metres per second."""
    drag: Float[np.ndarray, " B"]
    """½·ρ·C, kilograms per cubic metre."""
    lift: Float[np.ndarray, " B"]
    """½·ρ·C·A·r, kilograms."""
    constant: Float[np.ndarray, "B 3"]
    """Buoyancy, less the weight of the added mass, newtons."""
    added: Float[np.ndarray, " B"]
    """Added mass, kilograms."""
    shapes: Float[np.ndarray, "B 3"]
    """Kind of the shadow, and its two areas: ends and side, square metres."""
    faces: Float[np.ndarray, "F 3"]
    """Areas times normals of hulls, in the bodies' axes, square metres."""
    face_rows: Int[np.ndarray, " B1"]
    """Which rows of `faces` are each body's."""
    tether_bodies: Int[np.ndarray, " K"]
    tethers: Float[np.ndarray, "K 6"]
    """Anchor, stiffness, damping, rest length."""
    tether_names: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether there is anything but gravity."""
        return bool(
            self.drag.any() or self.lift.any() or self.constant.any() or len(self.tether_bodies)
        )

    def intact(self, released: Collection[str]) -> Bool[np.ndarray, " K"]:
        """Which tethers still hold."""
        return np.array([name not in released for name in self.tether_names], bool)


def scene_forces(scene: SceneSpec, bodies: Sequence[Any]) -> Forces:
    """The forces of a scene on some of its rigid bodies.

    >>> from clay4d.physics_baseline.spec import Sphere, Wind, Gravity
    >>> scene = SceneSpec(bodies=(Sphere(name="a"),), fields=(Gravity(), Wind(velocity=(1, 0, 0))))
    >>> scene_forces(scene, scene.bodies).drag.round(3).tolist()
    [0.282]
    """
    fields = list(scene.fields)
    windy = [f for f in fields if f.kind == "wind"]
    if windy and not any(f.kind == "drag" for f in fields):
        fields.append(Drag())
    n, gravity = len(bodies), gravity_of(scene)
    drag, lift, added = np.zeros(n), np.zeros(n), np.zeros(n)
    constant = np.zeros((n, 3))
    for f in fields:
        for i, body in enumerate(bodies):
            chosen = getattr(f, "bodies", ())
            if chosen and body.name not in chosen:
                continue
            if f.kind == "drag":
                drag[i] += 0.5 * f.air_density * _drag_coefficient(f, body)
            elif f.kind == "magnus":
                r = (3 * body.volume / (4 * math.pi)) ** (1 / 3)
                lift[i] += 0.5 * f.air_density * f.coefficient * math.pi * r**3
            elif f.kind == "buoyancy":
                displaced = f.fluid_density * body.volume
                added[i] += f.added_mass * displaced
                constant[i] -= (1 + f.added_mass) * displaced * gravity
    shapes, faces, rows = _shadows(bodies)
    names = [b.name for b in bodies]
    ties = [f for f in fields if f.kind == "tether" and f.body in names]
    return Forces(
        gravity, np.sum([f.velocity for f in windy] or [(0.0, 0.0, 0.0)], 0), drag, lift, constant,
        added, shapes, faces, rows, np.array([names.index(t.body) for t in ties], np.int64),
        np.array([(*t.anchor, t.stiffness, t.damping, t.rest_length) for t in ties]).reshape(-1, 6),
        tuple(t.name for t in ties),
    )  # fmt: skip


def _drag_coefficient(field: Drag, body: Rigid) -> float:
    """As the field has it, or else that of the body's shape."""
    if field.coefficient is not None:
        return field.coefficient
    return DRAG_COEFFICIENTS.get(body.kind, 1.0)


def gravity_of(scene: SceneSpec) -> Float[np.ndarray, " 3"]:
    """The sum of a scene's gravity fields, metres per second squared."""
    given = [f.acceleration for f in scene.fields if f.kind == "gravity"]
    return np.array(np.sum(given or [(0.0, 0.0, 0.0)], 0), float)


def _shadows(bodies: Sequence[Any]) -> tuple[Any, Any, Any]:
    shapes, faces, rows = np.zeros((len(bodies), 3)), [np.zeros((0, 3))], [0]
    for i, body in enumerate(bodies):
        own = np.zeros((0, 3))
        if body.kind == "sphere":
            shapes[i] = SPHERE, math.pi * body.radius**2, 0
        elif body.kind in ("cylinder", "capsule"):
            # The whole ends count for a cylinder's tilted shadow; a capsule's are round.
            ends, side = math.pi * body.radius**2, 2 * body.radius * body.height
            shapes[i] = ROUND, ends if body.kind == "cylinder" else -ends, side
        else:
            shapes[i], own = (FLAT, 0, 0), _faces(body)
        faces.append(own)
        rows.append(rows[-1] + len(own))
    return shapes, np.concatenate(faces), np.array(rows)


def _faces(body: Rigid) -> Float[np.ndarray, "F 3"]:
    if body.kind == "box":
        x, y, z = body.size
        return 2 * np.diag([y * z, z * x, x * y])  # each with the one opposite
    hull = ConvexHull(np.array(getattr(body, "vertices")))  # noqa: B009 — a mesh's alone
    corners = hull.points[hull.simplices]
    areas = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    vectors: Float[np.ndarray, "F 3"] = areas[:, None] * hull.equations[:, :3]
    return vectors


@device
def shadow_area(shape, faces, first, last, R, x, y, z):  # type: ignore[no-untyped-def]
    """Area of a body's shadow along the unit vector (x, y, z) of the world; R is body to world, flat.

    ½ Σ A·|n·u| over the faces of a hull (Cauchy); a cylinder's is its ends' and its side's.
    """
    if shape[0] == SPHERE:
        return shape[1]
    # Into the body's axes.
    bx = R[0] * x + R[3] * y + R[6] * z
    by = R[1] * x + R[4] * y + R[7] * z
    bz = R[2] * x + R[5] * y + R[8] * z
    if shape[0] == ROUND:
        along = abs(bz)
        across = math.sqrt(max(0.0, 1 - along * along))
        ends = shape[1] * along if shape[1] > 0 else -shape[1]
        return ends + shape[2] * across
    total = 0.0
    for f in range(first, last):
        total += abs(faces[f, 0] * bx + faces[f, 1] * by + faces[f, 2] * bz)
    return 0.5 * total


@device
def apply_forces(  # type: ignore[no-untyped-def]
    origins, centres, rotations, velocities, spins, dt,
    wind, drag, lift, constant, shapes, faces, face_rows, tether_bodies, tethers, intact, out,
):  # fmt: skip
    """Write force and torque about the centre of mass on each body to out [B, 6]; give their work.

    `velocities` [B, 3] are of the centres of mass, `rotations` [B, 9] body to world, the work is in
    joules over `dt`, without that of the tethers' springs, which is potential energy.
    """
    work = 0.0
    for i in range(len(drag)):
        vx, vy, vz = velocities[i, 0], velocities[i, 1], velocities[i, 2]
        ux, uy, uz = vx - wind[0], vy - wind[1], vz - wind[2]
        fx, fy, fz = constant[i, 0], constant[i, 1], constant[i, 2]
        speed = math.sqrt(ux * ux + uy * uy + uz * uz)
        if drag[i] > 0 and speed > 1e-9:
            area = shadow_area(
                shapes[i], faces, face_rows[i], face_rows[i + 1], rotations[i],
                ux / speed, uy / speed, uz / speed,
            )  # fmt: skip
            k = drag[i] * area * speed
            fx, fy, fz = fx - k * ux, fy - k * uy, fz - k * uz
        if lift[i] > 0:
            wx, wy, wz = spins[i, 0], spins[i, 1], spins[i, 2]
            fx += lift[i] * (wy * uz - wz * uy)
            fy += lift[i] * (wz * ux - wx * uz)
            fz += lift[i] * (wx * uy - wy * ux)
        work += dt * (fx * vx + fy * vy + fz * vz)
        out[i, 0], out[i, 1], out[i, 2] = fx, fy, fz
        out[i, 3] = out[i, 4] = out[i, 5] = 0.0
    for t in range(len(tether_bodies)):
        if not intact[t]:
            continue
        i = tether_bodies[t]
        ax, ay, az = (origins[i, 0] - centres[i, 0], origins[i, 1] - centres[i, 1],
                      origins[i, 2] - centres[i, 2])  # fmt: skip
        wx, wy, wz = spins[i, 0], spins[i, 1], spins[i, 2]
        vx = velocities[i, 0] + wy * az - wz * ay
        vy = velocities[i, 1] + wz * ax - wx * az
        vz = velocities[i, 2] + wx * ay - wy * ax
        dx, dy, dz = (tethers[t, 0] - origins[i, 0], tethers[t, 1] - origins[i, 1],
                      tethers[t, 2] - origins[i, 2])  # fmt: skip
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length < 1e-9:
            continue
        dx, dy, dz = dx / length, dy / length, dz / length
        closing = vx * dx + vy * dy + vz * dz
        damped = -tethers[t, 4] * closing
        pull = tethers[t, 3] * (length - tethers[t, 5]) + damped
        fx, fy, fz = pull * dx, pull * dy, pull * dz
        work += dt * damped * closing
        out[i, 0] += fx
        out[i, 1] += fy
        out[i, 2] += fz
        out[i, 3] += ay * fz - az * fy
        out[i, 4] += az * fx - ax * fz
        out[i, 5] += ax * fy - ay * fx
    return work


def tether_energy(
    forces: Forces, origins: Float[np.ndarray, "B 3"], released: Collection[str]
) -> Float[np.ndarray, " B"]:
    """Energy in each body's stretched tethers, joules."""
    energy = np.zeros(len(origins))
    for i, tether, name in zip(forces.tether_bodies, forces.tethers, forces.tether_names):
        if name not in released:
            stretch = np.linalg.norm(tether[:3] - origins[i]) - tether[5]
            energy[i] += 0.5 * tether[3] * stretch**2
    return energy
