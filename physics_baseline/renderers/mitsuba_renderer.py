"""Mitsuba 3 as a renderer: path-traced colours, on any CPU. Extra `mitsuba`.

Depth, segmentation, normals and flow are the ray caster's, whose geometry is the same. Patterns are the ray
caster's too, as textures (see `exchange.bake`), so those of cloths and soft bodies stick to them. The variant is
scalar_rgb: the compiled ones need LLVM, and some of its versions end the process.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.exchange.shapes import Thing, things
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.renderers.raycast import Raycaster
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.scenes.colours import linear, srgb

SAMPLES = 64
BOUNCES = 5
HORIZON = 200.0
"""Half the floor's side, metres."""


def mitsuba() -> Any:
    """The package mitsuba, set to its plain variant.

    Raises:
        ImportError: the extra `mitsuba` is missing.
    """
    try:
        import mitsuba as found
    except ModuleNotFoundError as error:
        raise ImportError(
            "renderer got mitsuba, but the package is not here; expected the extra mitsuba. "
            "Run: pip install 'clay4d[mitsuba]'"
        ) from error
    found.set_variant("scalar_rgb")
    return found


class Mitsuba:
    """Draws the frames of a simulated scene with Mitsuba's path tracer.

    Raises:
        ImportError: the extra `mitsuba` is missing.
    """

    name = "mitsuba"

    def __init__(self, scene: SceneSpec, trajectory: Trajectory, *, samples: int = SAMPLES) -> None:
        self.mi, self.samples = mitsuba(), samples
        self.scene, self.trajectory = scene, trajectory
        self.rays = Raycaster(scene, trajectory)
        self.cameras = self.rays.cameras
        self._folder = tempfile.TemporaryDirectory(prefix="clay4d-mitsuba-")
        self._things = [wide(t) for t in things(scene, trajectory)]
        self._looks = [self._look(k, t) for k, t in enumerate(self._things)]
        self._lights = _lights(scene)

    def draw(self, camera: str, frames: Sequence[int]) -> Pictures:
        """Pictures of one of the scene's cameras at some frames.

        Raises:
            ValueError: no such camera, or no such frame.
        """
        if camera not in self.cameras:
            raise ValueError(f"camera got {camera!r}; expected one of {', '.join(self.cameras)}.")
        exact = self.rays.draw_geometry(camera, frames)
        images = np.empty_like(exact.images)
        for k, frame in enumerate(frames):
            images[k] = self._draw(camera, frame)
        return replace(exact, images=images)

    def _draw(self, camera: str, frame: int) -> UInt8[np.ndarray, "H W 3"]:
        world: dict[str, Any] = {
            "type": "scene", **self._lights,
            "integrator": {"type": "path", "max_depth": BOUNCES, "hide_emitters": True},
            "sensor": self._sensor(camera, frame),
        }  # fmt: skip
        for k in range(len(self._things)):
            world[f"thing{k}"] = self._shape(k, frame)
        made = self.mi.load_dict(world)
        seen = np.array(self.mi.render(made, spp=self.samples, seed=frame), np.float64)
        behind = (1 - seen[..., 3:4]) * linear(self.scene.background)
        shown: UInt8[np.ndarray, "H W 3"] = np.rint(255 * srgb(seen[..., :3] + behind)).astype(np.uint8)  # fmt: skip
        return shown

    def _sensor(self, camera: str, frame: int) -> dict[str, Any]:
        """Mitsuba's cameras look along +z with x to the left and y up."""
        cameras = self.cameras[camera]
        view, K = cameras.viewmats[frame].double().numpy(), cameras.Ks[frame].double().numpy()
        width, height = cameras.width, cameras.height
        pose = np.linalg.inv(view) @ np.diag([-1.0, -1, 1, 1])
        return {
            "type": "perspective", "to_world": self.mi.ScalarTransform4f(pose.tolist()),
            "fov": math.degrees(2 * math.atan(width / 2 / K[0, 0])), "fov_axis": "x",
            "near_clip": 0.01, "far_clip": 1000.0,
            "principal_point_offset_x": 0.5 - float(K[0, 2]) / width,
            "principal_point_offset_y": 0.5 - float(K[1, 2]) / height,
            "film": {
                "type": "hdrfilm", "width": width, "height": height, "pixel_format": "rgba",
                "rfilter": {"type": "box"},
            },
            "sampler": {"type": "independent", "sample_count": self.samples},
        }  # fmt: skip

    def _shape(self, k: int, frame: int) -> dict[str, Any]:
        thing = self._things[k]
        moment = min(frame, len(thing.vertices) - 1)
        file = Path(self._folder.name) / f"{k}_{moment}.ply"
        if not file.exists():
            write_ply(file, thing, moment)
        place = min(frame, len(thing.positions) - 1)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = _matrix(thing.quats[place]), thing.positions[place]
        return {
            "type": "ply", "filename": str(file), "bsdf": self._looks[k],
            "to_world": self.mi.ScalarTransform4f(pose.tolist()),
        }  # fmt: skip

    def _look(self, k: int, thing: Thing) -> dict[str, Any]:
        m = thing.material
        colour: dict[str, Any] = {"type": "rgb", "value": linear(m.colour).tolist()}
        if thing.uvs is not None:
            file = Path(self._folder.name) / f"{k}.png"
            file.write_bytes(thing.png)
            colour = {"type": "bitmap", "filename": str(file), "wrap_mode": "repeat"}
        made: dict[str, Any] = {
            "type": "principled", "base_color": colour, "metallic": float(m.metallic),
            "roughness": max(0.05, float(m.roughness)),
        }  # fmt: skip
        made = {"type": "twosided", "bsdf": made} if m.opacity == 1 or thing.thin else made
        return (
            {"type": "mask", "opacity": float(m.opacity), "bsdf": made} if m.opacity < 1 else made
        )


def wide(thing: Thing) -> Thing:
    """A floor (four corners) whose pattern goes on or that has none, as far as the horizon; others as they are."""
    corners = thing.vertices[0]
    if len(corners) != 4 or (thing.uvs is not None and np.ptp(thing.uvs) <= 1):
        return thing
    low, span = corners[0, :2], corners[2, :2] - corners[0, :2]
    grown = corners.copy()
    grown[:, :2] = np.where(corners[:, :2] > low + span / 2, HORIZON, -HORIZON)
    uvs = None
    if thing.uvs is not None:
        rate = (thing.uvs[2] - thing.uvs[0]) / span
        uvs = thing.uvs[0] + (grown[:, :2] - low) * rate
    return replace(thing, vertices=grown[None], uvs=uvs)


def write_ply(path: Path, thing: Thing, moment: int) -> None:
    """A thing's mesh as a binary PLY; Mitsuba's v counts from above, as ours."""
    vertices, normals = thing.vertices[moment], thing.normals[moment]
    uvs = np.zeros((len(vertices), 2)) if thing.uvs is None else thing.uvs
    names = ("x", "y", "z", "nx", "ny", "nz", "u", "v")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property float {n}" for n in names]
    header += [f"element face {len(thing.faces)}", "property list uchar int vertex_indices"]
    rows = np.concatenate([vertices, normals, uvs], 1).astype("<f4")
    faces = np.empty(len(thing.faces), [("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, thing.faces
    words = "\n".join([*header, "end_header"]) + "\n"
    path.write_bytes(words.encode() + rows.tobytes() + faces.tobytes())


def _matrix(quat: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "3 3"]:
    from scipy.spatial.transform import Rotation

    made: Float[np.ndarray, "3 3"] = Rotation.from_quat(quat, scalar_first=True).as_matrix()
    return made


def _lights(scene: SceneSpec) -> dict[str, Any]:
    """Emitters under which a white surface that faces a light of intensity 1 is white."""
    found: dict[str, Any] = {}
    ambient = np.zeros(3)
    for k, light in enumerate(scene.lights):
        strength = linear(light.colour) * light.intensity
        given = {"type": "rgb", "value": (math.pi * strength).tolist()}
        if light.kind == "ambient":
            ambient += strength
        elif light.kind == "sun":
            found[f"light{k}"] = {"type": "directional", "direction": list(light.direction), "irradiance": given}  # fmt: skip
        else:
            found[f"light{k}"] = {"type": "point", "position": list(light.position), "intensity": given}  # fmt: skip
    sky = {"type": "rgb", "value": ambient.tolist()}
    return found | {"ambient": {"type": "constant", "radiance": sky}}
