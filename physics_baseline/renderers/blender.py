"""Blender's Cycles as a renderer: path-traced colours, in a process of its own with its own Python.

`bpy` pins a NumPy that the rest cannot use, so it lives in a virtual environment of its own (`make blender`) and
is told what to draw by lines of JSON. Depth, segmentation, normals and flow are the ray caster's, whose geometry
is the same. Patterns are Blender's own and look alike, not the same; gloss, glass and shadows are traced.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.engines.tree import SOFT_KINDS
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.renderers.raycast import Raycaster
from clay4d.physics_baseline.spec import Material, SceneSpec
from clay4d.physics_baseline.surfaces import body_triangles
from clay4d.scenes.colours import linear

SAMPLES = 32
SIDES = 64
"""Of round bodies."""
FLOOR = "floor"
WORKER = Path(__file__).with_name("blender_worker.py")
CELL = 7
"""Column of a pattern's cell, metres, in `World.looks`."""
SENSOR = 36.0
"""Millimetres, of Blender's camera."""


def blender_python() -> Path:
    """The Python that has `bpy`: CLAY4D_BLENDER, else `blender/bin/python` in this environment's folder.

    Raises:
        ImportError: there is none; the message says how to get one.
    """
    named = os.environ.get("CLAY4D_BLENDER")
    place = Path(named) if named else Path(sys.prefix) / "blender" / "bin" / "python"
    if not place.is_file():
        raise ImportError(
            f"renderer got blender, but {place} is not there; expected a Python with bpy. Install it with: "
            f"make blender, or python3.11 -m venv {Path(sys.prefix) / 'blender'} and its pip install bpy==5.0.1"
        )
    return place


class Blender:
    """Draws the frames of a simulated scene with Cycles on the CPU.

    Raises:
        ImportError: no Python with `bpy`.
        RuntimeError: Blender stopped; the message has its last words.
    """

    name = "blender"

    def __init__(
        self, scene: SceneSpec, trajectory: Trajectory, *, samples: int = SAMPLES, threads: int = 0
    ) -> None:
        python = blender_python()
        self.scene, self.trajectory = scene, trajectory
        self.rays = Raycaster(scene, trajectory)
        self.cameras = self.rays.cameras
        self._folder = tempfile.TemporaryDirectory(prefix="clay4d-blender-")
        self._log = (Path(self._folder.name) / "log.txt").open("w+b")
        self._process = subprocess.Popen(
            [str(python), "-I", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True,
        )  # fmt: skip
        job, arrays = scene_job(
            scene, trajectory, self.rays.world.looks, samples=samples, threads=threads or os.cpu_count() or 1
        )  # fmt: skip
        self._tell(job | {"arrays": self._saved("scene", arrays)})

    def draw(self, camera: str, frames: Sequence[int]) -> Pictures:
        """Pictures of one of the scene's cameras at some frames.

        Raises:
            ValueError: no such camera, or no such frame.
            RuntimeError: Blender stopped.
        """
        import cv2

        if camera not in self.cameras:
            raise ValueError(f"camera got {camera!r}; expected one of {', '.join(self.cameras)}.")
        exact = self.rays.draw_geometry(camera, frames)
        images: list[UInt8[np.ndarray, "H W 3"]] = []
        file = Path(self._folder.name) / "picture.png"
        for frame in frames:
            job = self._picture(camera, frame)
            self._tell(job | {"file": str(file)})
            drawn = cv2.imread(str(file))
            if drawn is None:
                raise RuntimeError(self._last_words("it wrote no picture"))
            images.append(np.ascontiguousarray(drawn[..., ::-1]))
            file.unlink()
        return replace(exact, images=np.array(images))

    def close(self) -> None:
        """Stop Blender and remove its files; what is left of a renderer that is dropped does so too."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # of a line that a dead Blender never took
                    pipe.close()
        self._log.close()
        self._folder.cleanup()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()

    def _picture(self, camera: str, frame: int) -> dict[str, Any]:
        moving = {
            body.name: self.trajectory.vertices[body.name][frame]
            for body in self.scene.bodies if body.kind in SOFT_KINDS
        }  # fmt: skip
        poses = {
            body.name: (self.trajectory.positions[frame, i].tolist(), self.trajectory.quats[frame, i].tolist())
            for i, body in enumerate(self.scene.bodies) if body.kind not in SOFT_KINDS
        }  # fmt: skip
        cameras = self.cameras[camera]
        view = cameras.viewmats[frame].double().numpy()
        K = cameras.Ks[frame].double().numpy()
        job: dict[str, Any] = camera_job(view, K, cameras.width, cameras.height) | {"poses": poses}
        return job | ({"arrays": self._saved("moving", moving)} if moving else {})

    def _saved(self, name: str, arrays: dict[str, Any]) -> str:
        path = Path(self._folder.name) / f"{name}.npz"
        np.savez(path, **arrays)
        return str(path)

    def _tell(self, job: dict[str, Any]) -> None:
        """Send a job and wait until it is done."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job, allow_nan=False) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer != "done\n":
            raise RuntimeError(self._last_words("it stopped"))

    def _last_words(self, what: str) -> str:
        self._log.flush()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "nothing"
        return f"Blender got into trouble: {what}, and its last words were: {last[:300]}. Try --renderer raycast."


def scene_job(
    scene: SceneSpec,
    trajectory: Trajectory,
    looks: Float[np.ndarray, "N L"],
    *,
    samples: int,
    threads: int,
) -> tuple[dict[str, Any], dict[str, Float[np.ndarray, "N 3"]]]:
    """A scene as the worker reads it: JSON values, and the bodies' vertices and faces as arrays.

    `looks` are the `World`'s. Colours are linear. The floor is one more body, a square about the origin.
    """
    arrays: dict[str, Any] = {}
    bodies = []
    for i, body in enumerate(scene.bodies):
        if body.kind in SOFT_KINDS:
            corners, faces = trajectory.vertices[body.name][0], trajectory.faces[body.name]
        else:
            corners, faces = body_triangles(body, sides=SIDES)
        arrays[f"vertices{i}"], arrays[f"faces{i}"] = np.asarray(corners, float), np.asarray(faces)
        bodies.append(
            {"name": body.name, "smooth": body.kind not in ("box", "mesh"), "material": _look(body.material, looks[i])}
        )  # fmt: skip
    if scene.floor is not None:
        side, z, k = 200.0, scene.floor.height, len(bodies)
        arrays[f"vertices{k}"] = np.array(
            [(-side, -side, z), (side, -side, z), (side, side, z), (-side, side, z)]
        )
        arrays[f"faces{k}"] = np.array([(0, 1, 2), (0, 2, 3)])
        bodies.append({"name": FLOOR, "smooth": False, "material": _look(scene.floor.material, looks[-1])})  # fmt: skip
    ambient = np.zeros(3)
    lights = []
    for light in scene.lights:
        colour = linear(light.colour).tolist()
        if light.kind == "ambient":
            ambient += light.intensity * np.array(colour)
        elif light.kind == "sun":
            lights.append({"kind": "sun", "quat": _towards(light.direction), "intensity": light.intensity, "colour": colour})  # fmt: skip
        else:
            lights.append({"kind": "point", "position": list(light.position), "intensity": light.intensity, "colour": colour})  # fmt: skip
    job = {
        "samples": samples, "threads": threads, "denoise": True, "bodies": bodies, "lights": lights,
        "ambient": ambient.tolist(), "background": linear(scene.background).tolist(),
    }  # fmt: skip
    return job, arrays


def camera_job(
    view: Float[np.ndarray, "4 4"], K: Float[np.ndarray, "3 3"], width: int, height: int
) -> dict[str, Any]:
    """Blender's camera for a pose (OpenCV axes) and intrinsics in pixels.

    Blender's looks along −z with y up; its shifts are in widths of the picture.

    >>> job = camera_job(np.eye(4), np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]), 64, 48)
    >>> job["lens"], job["shift"], job["camera"][1]
    (28.125, [0.0, 0.0], [0.0, -1.0, 0.0, 0.0])
    """
    pose = np.linalg.inv(view) @ np.diag([1.0, -1, -1, 1]) + 0.0
    return {
        "width": width, "height": height, "camera": pose.tolist(), "lens": float(K[0, 0] * SENSOR / width),
        "shift": [float(0.5 - K[0, 2] / width), float((K[1, 2] - height / 2) / width)],
    }  # fmt: skip


def _look(material: Material, look: Float[np.ndarray, " L"]) -> dict[str, Any]:
    return {
        "colour": linear(material.colour).tolist(), "texture_colour": linear(material.texture_colour).tolist(),
        "texture": material.texture, "roughness": material.roughness, "metallic": material.metallic,
        "opacity": material.opacity, "cell": float(look[CELL]),
    }  # fmt: skip


def _towards(direction: Sequence[float]) -> list[float]:
    """The quaternion that turns a lamp's −z into a direction."""
    way = np.array(direction) / np.linalg.norm(direction)
    half = np.array([1 - way[2], way[1], -way[0], 0.0])
    if np.linalg.norm(half) < 1e-9:
        return [0.0, 1.0, 0.0, 0.0]
    return [float(x) for x in half / np.linalg.norm(half)]
