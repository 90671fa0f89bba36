"""Renderers: a simulated scene in, pictures with depth, segmentation, normals and flow out."""

from __future__ import annotations

from typing import Any

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.renderers.cameras import scene_cameras
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.renderers.raycast import Raycaster
from clay4d.physics_baseline.spec import SceneSpec

__all__ = ["RENDERERS", "Pictures", "Raycaster", "make_renderer", "scene_cameras"]


def _gl(scene: SceneSpec, trajectory: Trajectory) -> Any:
    from clay4d.physics_baseline.renderers.mujoco_gl import MujocoGL

    return MujocoGL(scene, trajectory)


def _blender(scene: SceneSpec, trajectory: Trajectory) -> Any:
    from clay4d.physics_baseline.renderers.blender import Blender

    return Blender(scene, trajectory)


def _mitsuba(scene: SceneSpec, trajectory: Trajectory) -> Any:
    from clay4d.physics_baseline.renderers.mitsuba_renderer import Mitsuba

    return Mitsuba(scene, trajectory)


RENDERERS: dict[str, Any] = {
    "raycast": Raycaster, "mujoco-gl": _gl, "blender": _blender, "mitsuba": _mitsuba,
}  # fmt: skip


def make_renderer(name: str, scene: SceneSpec, trajectory: Trajectory) -> Any:
    """A renderer by its name, ready to `draw` the scene's cameras.

    Raises:
        ValueError: no renderer of that name.
        ImportError: it cannot work here; the message says what is missing.
    """
    if name not in RENDERERS:
        raise ValueError(f"renderer got {name!r}; expected one of {', '.join(RENDERERS)}.")
    return RENDERERS[name](scene, trajectory)
