"""Cloth and soft bodies as MuJoCo's flexes: their XML, their state, the air's pressure on them.

Vertices are point masses on three sliders each, held together by the finite elements of MuJoCo's
`elasticity` (thin shells that stretch and bend, or tetrahedra), integrated implicitly. Contacts have
the flex's own friction and restitution, not the mean of both bodies'. A cloth does not collide with
itself. Air presses on each triangle by −½·ρ·C·A·|uₙ|·uₙ along its normal, uₙ being the normal speed in
the air; on a soft body only from the side that the wind meets.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from clay4d.jit import device
from clay4d.physics_baseline.engines.parameters import IMPEDANCE, solref
from clay4d.physics_baseline.engines.tree import SOFT_KINDS, unit
from clay4d.physics_baseline.spec import Drag, SceneSpec, body_mass

THINNEST_CLOTH = 0.006
"""Metres; a thinner cloth collides as if it were this thick."""


def flex_xml(body: Any, scene: SceneSpec, released: Collection[str]) -> str:
    """The XML of a cloth or soft body; what is held is pinned."""
    held = body.motion == "fixed" or (body.motion == "held" and body.name not in released)
    if body.kind == "cloth":
        nx, ny = body.cells[0] + 1, body.cells[1] + 1
        counts = (nx, ny, 1)
        spacing = (body.size[0] / body.cells[0], body.size[1] / body.cells[1], 1.0)
        radius, dimension, kind = max(body.thickness, THINNEST_CLOTH) / 2, 2, "grid"
        extra = f'thickness="{body.thickness!r}" elastic2d="both"'
        pins = set() if body.name in released else {_nearest(p, nx, ny) for p in body.pins}
    else:
        cell = max(body.size) / body.cells
        cells = [max(1, round(s / cell)) for s in body.size]
        if body.shape == "ellipsoid":  # Even, since the poles are the grid's middle.
            cells = [2 * math.ceil(c / 2) for c in cells]
        counts = (cells[0] + 1, cells[1] + 1, cells[2] + 1)
        radius, dimension = 0.01 * min(body.size), 3
        kind = "grid" if body.shape == "box" else "ellipsoid"
        spacing = tuple((s - 2 * radius) / c for s, c in zip(body.size, cells))
        extra, pins = "", set()
    if held:
        pins = set(range(math.prod(counts)))
    pin = f'<pin id="{" ".join(str(p) for p in sorted(pins))}"/>' if pins else ""
    return (
        f'<flexcomp name="~{body.name}" type="{kind}" dim="{dimension}" '
        f'count="{_words(counts)}" spacing="{_words(spacing)}" mass="{body_mass(body)!r}" '
        f'radius="{radius!r}" pos="{_words(body.position)}" quat="{_words(unit(body.quat))}">'
        f'<contact condim="3" selfcollide="none" priority="1"/>'
        f'<elasticity young="{body.young_modulus!r}" poisson="{body.poisson_ratio!r}" '
        f'damping="{body.damping!r}" {extra}/>{pin}</flexcomp>'
    )


def _words(values: Any) -> str:
    return " ".join(repr(v) for v in values)


def _nearest(pin: tuple[float, float], nx: int, ny: int) -> int:
    """The vertex of a grid next to a fraction of its size; y runs fastest."""
    return round(pin[0] * (nx - 1)) * ny + round(pin[1] * (ny - 1))


class Flexes:
    """The cloths and soft bodies of a compiled model."""

    def __init__(self, model: Any, scene: SceneSpec, dt: float) -> None:
        self.model = model
        self.bodies = [b for b in scene.bodies if b.kind in SOFT_KINDS]
        self.vertex_bodies = np.array(model.flex_vertbodyid, np.int64)
        self.faces = [_surface(model, f) for f in range(model.nflex)]
        self.ranges = [
            (int(model.flex_vertadr[f]), int(model.flex_vertadr[f] + model.flex_vertnum[f]))
            for f in range(model.nflex)
        ]
        wind = np.sum([f.velocity for f in scene.fields if f.kind == "wind"] or [(0, 0, 0)], 0)
        self.wind = np.array(wind, float)
        self.pressure = [_pressure(scene, b.name) for b in self.bodies]
        for f, body in enumerate(self.bodies):
            model.flex_friction[f] = max(body.material.friction, 1e-5), 1e-5, 1e-5
            model.flex_solref[f] = solref(min(body.material.restitution, 0.3), dt)
            model.flex_solimp[f] = IMPEDANCE

    def place(self, data: Any, before: Any) -> None:
        """Start every vertex where its body says, or where the stage before left it."""
        model = self.model
        mujoco.mj_kinematics(model, data)
        for f, body in enumerate(self.bodies):
            low, high = self.ranges[f]
            for v in range(low, high):
                b = self.vertex_bodies[v]
                count, dof = model.body_dofnum[b], model.body_dofadr[b]
                if not b or not count:
                    continue
                joint = model.body_jntadr[b]
                axes = data.xaxis[joint : joint + count]
                velocity = np.array(body.velocity)
                if before is not None:
                    place, velocity = before[0][v], before[1][v]
                    q = model.jnt_qposadr[joint]
                    data.qpos[q : q + count] = axes @ (place - data.xpos[b])
                data.qvel[dof : dof + count] = axes @ velocity

    def speeds(self, data: Any) -> Float[np.ndarray, "V 3"]:
        """Velocities of all vertices, metres per second."""
        ids = self.vertex_bodies
        spatial = data.cvel[ids]
        arm = data.xipos[ids] - data.subtree_com[self.model.body_rootid[ids]]
        velocity: Float[np.ndarray, "V 3"] = spatial[:, 3:] + np.cross(spatial[:, :3], arm)
        return velocity

    def press(self, data: Any) -> None:
        """Add the air's pressure to the vertices' forces."""
        if not any(self.pressure):
            return
        speeds = self.speeds(data)
        force = np.zeros_like(speeds)
        for f, body in enumerate(self.bodies):
            if self.pressure[f]:
                low, high = self.ranges[f]
                air_pressure(
                    np.ascontiguousarray(data.flexvert_xpos[low:high]), speeds[low:high],
                    self.faces[f], self.wind, self.pressure[f], body.kind == "soft", force[low:high],
                )  # fmt: skip
        data.xfrc_applied[self.vertex_bodies, :3] = force


def _pressure(scene: SceneSpec, name: str) -> float:
    """½·ρ·C of a deformable body, kilograms per cubic metre."""
    drags = [f for f in scene.fields if f.kind == "drag"]
    if not drags and any(f.kind == "wind" for f in scene.fields):
        drags = [Drag()]
    return sum(
        0.5 * f.air_density * (1.0 if f.coefficient is None else f.coefficient)
        for f in drags
        if not f.bodies or name in f.bodies
    )


def _surface(model: Any, f: int) -> Int[np.ndarray, "F 3"]:
    """Triangles of a flex's surface, as indices of its own vertices."""
    if model.flex_dim[f] == 2:
        at = model.flex_elemdataadr[f]
        return np.array(model.flex_elem[at : at + 3 * model.flex_elemnum[f]], np.int64).reshape(
            -1, 3
        )
    at = model.flex_shelldataadr[f]
    faces = np.array(model.flex_shell[at : at + 3 * model.flex_shellnum[f]], np.int64).reshape(
        -1, 3
    )
    low = model.flex_vertadr[f]
    points = model.flex_vert0[low : low + model.flex_vertnum[f]]
    corners = points[faces] - points.mean(0)
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return faces if volume.sum() > 0 else np.ascontiguousarray(faces[:, ::-1])


@device
def air_pressure(points, speeds, faces, wind, pressure, closed, out):  # type: ignore[no-untyped-def]
    """Add the air's pressure on triangles to the forces of their corners, `out` [V, 3], newtons."""
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ex, ey, ez = (points[b, 0] - points[a, 0], points[b, 1] - points[a, 1],
                      points[b, 2] - points[a, 2])  # fmt: skip
        gx, gy, gz = (points[c, 0] - points[a, 0], points[c, 1] - points[a, 1],
                      points[c, 2] - points[a, 2])  # fmt: skip
        nx, ny, nz = ey * gz - ez * gy, ez * gx - ex * gz, ex * gy - ey * gx
        double = math.sqrt(nx * nx + ny * ny + nz * nz)
        if double < 1e-15:
            continue
        normal_speed = 0.0
        for k, n in ((0, nx), (1, ny), (2, nz)):
            mean = (speeds[a, k] + speeds[b, k] + speeds[c, k]) / 3 - wind[k]
            normal_speed += mean * n / double
        if closed and normal_speed < 0:
            continue
        # Area times pressure, a third to each corner; the normal's length is twice the area.
        share = -pressure * 0.5 * abs(normal_speed) * normal_speed / 3
        for corner in (a, b, c):
            out[corner, 0] += share * nx
            out[corner, 1] += share * ny
            out[corner, 2] += share * nz
