"""The scene of `clay4d demo`: toys on a round table, simulated by an engine and drawn by the ray caster.

Nothing of it is known to what trains on its pictures: not the bodies, not the engine, not where things are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from clay4d.physics_baseline.engines import simulate
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.renderers.raycast import Raycaster
from clay4d.physics_baseline.spec import (
    Box,
    Cylinder,
    Gravity,
    Material,
    Mesh,
    SceneSpec,
    Sphere,
)
from clay4d.scenes import Cameras

Cutout = UInt8[np.ndarray, "H W 4"]
Depth = Float32[np.ndarray, "H W"]

AT_ONCE = 8
FPS = 46
LENGTH = 2.0
"""Seconds from the first frame to the last."""
DURATION = (LENGTH * FPS + 1) / FPS
TABLE = 1.3
"""Radius, metres."""
WOOD = Material(
    density=700, colour=(0.78, 0.6, 0.4), texture="stripes", texture_colour=(0.7, 0.52, 0.33)
)


def toys() -> SceneSpec:
    """A ball runs down a ramp into two cubes, two others bounce, and a brick tumbles.

    >>> toys().frames
    93
    """
    table = Cylinder(
        name="table", radius=TABLE, height=0.1, position=(0, 0, -0.05), motion="fixed",
        material=Material(colour=(0.36, 0.42, 0.5), texture="checker", texture_colour=(0.86, 0.82, 0.74)),
    )  # fmt: skip
    ramp = Mesh(
        name="ramp", motion="fixed", position=(-0.65, 0.1, 0), material=WOOD,
        vertices=((-0.45, -0.22, 0), (0.45, -0.22, 0), (-0.45, 0.22, 0), (0.45, 0.22, 0), (-0.45, -0.22, 0.5), (-0.45, 0.22, 0.5)),
        faces=((0, 2, 3), (0, 3, 1), (0, 1, 4), (2, 5, 3), (0, 4, 5), (0, 5, 2), (1, 3, 5), (1, 5, 4)),
    )  # fmt: skip
    return SceneSpec(
        bodies=(
            table, ramp,
            Sphere(name="red-ball", radius=0.15, position=(-0.877, 0.1, 0.549), material=_paint(0.85, 0.2, 0.17, "stripes")),
            Box(name="blue-cube", size=(0.26, 0.26, 0.26), position=(0.25, -0.04, 0.13), material=_paint(0.16, 0.36, 0.8)),
            Box(name="other-cube", size=(0.26, 0.26, 0.26), position=(0.27, 0.25, 0.13), material=_paint(0.2, 0.5, 0.85)),
            Sphere(name="green-ball", radius=0.17, position=(0.5, -0.75, 0.55), velocity=(-0.25, 0.05, 0), material=_paint(0.16, 0.6, 0.36, "dots", bounce=0.92)),
            Sphere(name="violet-ball", radius=0.13, position=(0.8, 0.7, 0.3), velocity=(-0.35, -0.1, 0.9), material=_paint(0.55, 0.3, 0.72, "stripes", bounce=0.85)),
            Box(name="brick", size=(0.34, 0.2, 0.14), position=(-0.45, -0.75, 0.45), velocity=(0.25, 0.1, 0.9), angular_velocity=(1.0, 2.0, 0.5), material=_paint(0.95, 0.68, 0.15, "checker")),
        ),
        fields=(Gravity(),), floor=None, background=(1.0, 1.0, 1.0), duration=DURATION, fps=float(FPS),
    )  # fmt: skip


def _paint(
    red: float, green: float, blue: float, texture: str = "plain", *, bounce: float = 0.3
) -> Material:
    light = tuple(0.5 + 0.5 * c for c in (red, green, blue))
    return Material(
        density=600, restitution=bounce, colour=(red, green, blue), texture=texture,  # type: ignore[arg-type]
        texture_colour=light,  # type: ignore[arg-type]
    )  # fmt: skip


class Simulated:
    """The toys as an engine moved them, for drawing from anywhere at the frames of the simulation.

    >>> Simulated().frames
    93
    """

    def __init__(self, scene: SceneSpec | None = None) -> None:
        self.scene = toys() if scene is None else scene
        self.trajectory = simulate(self.scene)
        self.frames = len(self.trajectory.times)
        self._renderer = Raycaster(self.scene, self.trajectory)

    def cutouts(self, cameras: Cameras) -> Iterator[tuple[Cutout, Depth]]:
        """What each camera sees at its time: a picture with alpha, and the depth, metres, 0 where nothing is.

        A picture's edges are mixed with the backdrop, which is taken out again: the alpha is the share of
        four samples a pixel that meet something.
        """
        frames = (cameras.times * FPS).round().long().clamp(0, self.frames - 1).tolist()
        for start in range(0, len(cameras), AT_ONCE):
            rows = range(start, min(start + AT_ONCE, len(cameras)))
            chosen = [frames[k] for k in rows]
            drawn = self._draw(cameras, chosen, list(rows))
            fine = self._draw(cameras.resized(2.0), chosen, list(rows), smooth=False)
            for k in range(len(rows)):
                depth = drawn.depths[k]
                full = (fine.depths[k] > 0).reshape(*depth.shape[:1], 2, depth.shape[1], 2)
                alpha = full.mean((1, 3))[..., None]
                sky = drawn.images[k][0, 0].astype(np.float64)
                own = (drawn.images[k] - (1 - alpha) * sky) / np.maximum(alpha, 0.25)
                pixels = np.concatenate([own * (alpha > 0), 255 * alpha], -1)
                yield (pixels + 0.5).clip(0, 255).astype(np.uint8), depth

    def _draw(
        self, cameras: Cameras, frames: list[int], rows: list[int], *, smooth: bool = True
    ) -> Pictures:
        """The ray caster takes a camera for every frame, and each frame once."""
        parts = []
        for frame, row in zip(frames, rows):
            every = cameras[torch.full((self.frames,), row)]
            parts.append(self._renderer.draw_from(every, [frame], smooth=smooth))
        names = ("images", "depths", "segmentations", "normals", "flows")
        return Pictures(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
