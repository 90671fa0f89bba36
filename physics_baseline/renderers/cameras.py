"""The spec's cameras, frame by frame, as `Cameras`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.scenes import Cameras


def scene_cameras(scene: SceneSpec, trajectory: Trajectory) -> dict[str, Cameras]:
    """For each camera of a scene its poses at all frames, in double precision.

    Raises:
        ValueError: the scene has no cameras, or one is where it looks.

    >>> from clay4d.physics_baseline.engines import simulate
    >>> from clay4d.physics_baseline.spec import FixedCamera, SceneSpec
    >>> scene = SceneSpec(cameras=(FixedCamera(name="c", position=(0, -3, 1)),), duration=0.1)
    >>> scene_cameras(scene, simulate(scene))["c"].centres[0].round(decimals=9).abs().tolist()
    [0.0, 3.0, 1.0]
    """
    if not scene.cameras:
        raise ValueError("cameras got none; expected at least one. Add a camera to the scene.")
    times = trajectory.times
    out = {}
    for camera in scene.cameras:
        eyes, targets = _where(camera, scene, trajectory)
        near = np.linalg.norm(eyes - targets, axis=1) < 1e-6
        if near.any():
            raise ValueError(
                f"camera {camera.name} got its own place to look at, at {times[near.argmax()]:.3f} s; "
                "expected another point. Move it away from what it looks at."
            )
        views = np.stack([look_at(e, t) for e, t in zip(eyes, targets)])
        focal = camera.height / 2 / math.tan(math.radians(camera.fov) / 2)
        K = np.array([[focal, 0, camera.width / 2], [0, focal, camera.height / 2], [0, 0, 1]])
        out[camera.name] = Cameras(
            torch.from_numpy(views), torch.from_numpy(np.repeat(K[None], len(times), 0)),
            camera.width, camera.height, torch.from_numpy(times.copy()),
        )  # fmt: skip
    return out


def look_at(eye: Any, target: Any) -> Any:
    """World to camera [4, 4] of a camera at `eye` that looks at `target`, z up in its picture.

    >>> look_at((0, -1, 0), (0, 0, 0))[2].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    forward = target - eye
    forward /= max(float(np.linalg.norm(forward)), 1e-12)
    # Straight up or down there is no up: +y is up in the picture then.
    up = np.array([0.0, 0, 1]) if abs(forward[2]) < 0.9999 else np.array([0.0, 1, 0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    view = np.eye(4)
    view[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    view[:3, 3] = -view[:3, :3] @ eye
    return view + 0.0  # no −0


def _where(camera: Any, scene: SceneSpec, trajectory: Trajectory) -> tuple[Any, Any]:
    times = trajectory.times
    ones = np.ones((len(times), 1))
    if camera.kind == "fixed":
        return ones * camera.position, ones * camera.look_at
    if camera.kind == "path":
        at = [k.time for k in camera.keyframes]
        pairs = [
            np.stack([np.interp(times, at, [getattr(k, what)[d] for k in camera.keyframes]) for d in range(3)], 1)
            for what in ("position", "look_at")
        ]  # fmt: skip
        return pairs[0], pairs[1]
    if camera.kind == "orbit":
        angle = np.radians(camera.start_angle + camera.turn * times / scene.duration)
        ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1) * camera.radius
        return ring + camera.centre + (0, 0, camera.rise), ones * camera.centre
    path = trajectory.path(camera.body)
    return path + camera.offset, path
