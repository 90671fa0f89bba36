"""Rigs: cameras around what happens, so that a scene can be reconstructed from its pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.spec import FixedCamera, SceneSpec

GOLDEN = 2.399963229728653


def ring_cameras(
    scene: SceneSpec, trajectory: Trajectory, count: int, *, width: int, height: int, prefix: str,
    turn: float = 0.0,
) -> tuple[FixedCamera, ...]:  # fmt: skip
    """Fixed cameras on a ring about the moving bodies, far enough to see them all the time.

    Args:
        count: how many, evenly around, at two heights by turns.
        width, height: of their pictures, pixels.
        prefix: of their names, before a number.
        turn: share of the way from one camera to the next by which the ring is turned.
    """
    centre, radius = region(scene, trajectory)
    fov = 45.0
    sight = min(fov, 2 * math.degrees(math.atan(math.tan(math.radians(fov / 2)) * width / height)))
    distance = max(radius / math.sin(math.radians(sight / 2)), 0.3)
    out = []
    for k in range(count):
        angle = 2 * math.pi * (k + turn) / count - math.pi / 2
        rise = math.radians(22 if k % 2 == 0 else 42)
        place = centre + distance * np.array(
            [math.cos(angle) * math.cos(rise), math.sin(angle) * math.cos(rise), math.sin(rise)]
        )
        out.append(
            FixedCamera(
                name=f"{prefix}{k}", position=_three(place), look_at=_three(centre), fov=fov,
                width=width, height=height,
            )
        )  # fmt: skip
    return tuple(out)


def region(scene: SceneSpec, trajectory: Trajectory) -> tuple[Any, float]:
    """Centre and radius in metres of the ball in which things happen.

    Bodies that leave the place far behind count for the way they go at first.
    """
    moving = [i for i, b in enumerate(scene.bodies) if b.motion != "fixed"]
    chosen = moving or list(range(len(scene.bodies)))
    if not chosen:
        return np.zeros(3), 1.0
    points = trajectory.positions[:, chosen].reshape(-1, 3)
    low, high = np.quantile(points, 0.02, axis=0), np.quantile(points, 0.98, axis=0)
    centre = (low + high) / 2
    sizes = []
    for i in chosen:
        body = scene.bodies[i]
        if body.name in trajectory.vertices:
            sizes.append(float(np.ptp(trajectory.vertices[body.name][0], axis=0).max()) / 2)
        else:
            from clay4d.physics_baseline.surfaces import body_triangles

            vertices, _ = body_triangles(body, sides=8)
            sizes.append(float(np.linalg.norm(vertices, axis=1).max()))
    radius = float(np.linalg.norm(high - low)) / 2 + max(sizes)
    return centre, float(min(max(radius, 0.1), 20.0))


def _three(values: Any) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 6) for v in values)
    return x, y, z
