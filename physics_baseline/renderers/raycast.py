"""Renders simulated scenes on any computer: rays against exact shapes, no GL, the same bits always."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.renderers.cameras import scene_cameras
from clay4d.physics_baseline.renderers.kernels import cast, smooth_edges
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.renderers.world import World, make_world
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.scenes import Cameras


class Raycaster:
    """Draws the frames of a simulated scene.

    Soft shadows, contact shade, gloss with one mirrored ray, see-through things and smooth edges; the
    floor goes over into the background far away.

    >>> from clay4d.physics_baseline.engines import simulate
    >>> from clay4d.physics_baseline.spec import FixedCamera, SceneSpec, Sphere
    >>> camera = FixedCamera(name="c", position=(0, -2, 1), width=16, height=16)
    >>> scene = SceneSpec(bodies=(Sphere(name="a"),), cameras=(camera,), duration=0.1, floor=None)
    >>> pictures = Raycaster(scene, simulate(scene)).draw("c", [0])
    >>> int(pictures.segmentations[0, 8, 8]), pictures.images.shape
    (1, (1, 16, 16, 3))
    """

    name = "raycast"

    def __init__(self, scene: SceneSpec, trajectory: Trajectory) -> None:
        self.world: World = make_world(scene, trajectory)
        self.frames = len(trajectory.times)
        self.cameras: dict[str, Cameras] = scene_cameras(scene, trajectory) if scene.cameras else {}

    def draw(self, camera: str, frames: Sequence[int]) -> Pictures:
        """Pictures of one of the scene's cameras at some frames.

        Raises:
            ValueError: no such camera, or no such frame.
        """
        if camera not in self.cameras:
            known = ", ".join(self.cameras) or "none"
            raise ValueError(f"camera got {camera!r}; expected one of {known}.")
        return self.draw_from(self.cameras[camera], frames)

    def draw_geometry(self, camera: str, frames: Sequence[int]) -> Pictures:
        """As `draw`, but the pictures are black: depth, segmentation, normals and flow alone."""
        return self.draw_from(self.cameras[camera], frames, smooth=False)

    def draw_from(
        self, cameras: Cameras, frames: Sequence[int], *, smooth: bool = True
    ) -> Pictures:
        """Pictures of any camera that has a pose for every frame; `smooth`: with colours."""
        chosen = np.asarray(frames, np.int64)
        if len(chosen) and not (0 <= chosen.min() and chosen.max() < self.frames):
            raise ValueError(
                f"frames got {chosen.min()} to {chosen.max()}; expected 0 to {self.frames - 1}."
            )
        poses = np.ascontiguousarray(cameras.viewmats.double().numpy())
        Ks = np.ascontiguousarray(cameras.Ks.double().numpy())
        after = np.minimum(chosen + 1, self.frames - 1)
        shape = (len(chosen), cameras.height, cameras.width)
        colours = np.zeros((*shape, 3), np.float32)
        depths, things = np.zeros(shape, np.float32), np.zeros(shape, np.uint16)
        normals, flows = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 2), np.float32)
        arrays: tuple[Any, ...] = (colours, depths, things, normals, flows)
        cast(self.world, chosen, Ks[chosen], poses[chosen], poses[after], smooth, *arrays)
        images = np.zeros((*shape, 3), np.uint8)
        if smooth:
            smooth_edges(self.world, chosen, Ks[chosen], poses[chosen], colours, things, images)
        flows[chosen == self.frames - 1] = 0
        # Kernels count nothing as 0, the floor as 1 and bodies from 2.
        things = np.maximum(things, 1) - 1
        return Pictures(images, depths, things.astype(np.uint16), normals, flows)
