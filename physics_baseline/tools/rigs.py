"""Rigs: cameras around what happens, so that a scene can be reconstructed from its pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.renderers.region import region
from clay4d.physics_baseline.spec import FixedCamera, SceneSpec


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


def _three(values: Any) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 6) for v in values)
    return x, y, z
