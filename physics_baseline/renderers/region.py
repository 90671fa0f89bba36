"""Where in a simulated scene things happen."""

from __future__ import annotations

from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.physics_baseline.surfaces import body_triangles


def region(scene: SceneSpec, trajectory: Trajectory) -> tuple[Any, float]:
    """Centre and radius in metres of a ball in which things happen.

    It holds the ways of the moving bodies, without the last 2 % of what flies off, and fixed ones
    near them that are not much larger.
    """
    moving = [i for i, b in enumerate(scene.bodies) if b.motion != "fixed"]
    chosen = moving or list(range(len(scene.bodies)))
    if not chosen:
        return np.zeros(3), 1.0
    points = trajectory.positions[:, chosen].reshape(-1, 3)
    low, high = np.quantile(points, 0.02, axis=0), np.quantile(points, 0.98, axis=0)
    reach = [_reach(scene, trajectory, i) for i in range(len(scene.bodies))]
    size = float(np.linalg.norm(high - low)) / 2 + max(reach[i] for i in chosen)
    for i in range(len(scene.bodies)):
        away = np.linalg.norm(trajectory.positions[0, i] - (low + high) / 2)
        if i not in chosen and reach[i] < 1.5 * size and away < size + reach[i]:
            half = 0.6 * reach[i]
            low = np.minimum(low, trajectory.positions[0, i] - half)
            high = np.maximum(high, trajectory.positions[0, i] + half)
    radius = float(np.linalg.norm(high - low)) / 2 + 0.7 * max(reach[i] for i in chosen)
    return (low + high) / 2, float(min(max(radius, 0.1), 20.0))


def _reach(scene: SceneSpec, trajectory: Trajectory, i: int) -> float:
    body: Any = scene.bodies[i]
    if body.name in trajectory.vertices:
        return float(np.ptp(trajectory.vertices[body.name][0], axis=0).max()) / 2
    vertices, _ = body_triangles(body, sides=8)
    return float(np.linalg.norm(vertices, axis=1).max())
