"""A simulated scene as glTF: meshes on animated nodes, materials, cameras, KHR_lights_punctual.

A cloth or soft body has one morph target a frame, whose weights go from one to the next, so that its
vertices move in straight lines between frames. Patterns are textures of base colour (see `bake`). A white surface that faces a light of intensity 1 is white, so intensities are times π
(Lambert). Ambient light, which glTF lacks, is in the scene's extras.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.exchange.shapes import Thing, things
from clay4d.physics_baseline.renderers.cameras import look_at, scene_cameras
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.scenes.colours import linear
from clay4d.scenes.exchange.gltf_file import INDICES, VERTICES, Z_UP, GltfFile
from clay4d.scenes.exchange.parts import steady, thin

LIGHTS = "KHR_lights_punctual"


def write_gltf_scene(scene: SceneSpec, trajectory: Trajectory, path: str | Path) -> None:
    """Write a simulated scene to one .gltf or .glb file, whole or not at all.

    Raises:
        ValueError: another suffix, or a scene with nothing in it.

    >>> import tempfile
    >>> from clay4d.physics_baseline.engines import simulate
    >>> from clay4d.physics_baseline.spec import Sphere
    >>> spec = SceneSpec(bodies=(Sphere(name="a", position=(0, 0, 1)),), duration=0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_gltf_scene(spec, simulate(spec), Path(folder) / "a.glb")
    """
    file, animation = GltfFile(), {"name": "simulation"}
    root = file.node(name="world", rotation=list(Z_UP))
    for thing in things(scene, trajectory):
        _add_thing(file, root, thing, trajectory.times, animation)
    if scene.cameras:
        _add_cameras(file, root, scene, trajectory, animation)
    _add_lights(file, root, scene)
    if "channels" in animation:
        file.json["animations"] = [animation]
    file.write(Path(path))


def _pose(
    file: GltfFile, node: int, positions: Any, quats: Any, times: Any, animation: dict[str, Any]
) -> None:
    xyzw = quats[:, [1, 2, 3, 0]]
    file.json["nodes"][node] |= {"translation": positions[0].tolist(), "rotation": xyzw[0].tolist()}
    if len(positions) > 1:
        file.channel(animation, node, "translation", times, positions)
        file.channel(animation, node, "rotation", times, xyzw)


def _add_thing(
    file: GltfFile, root: int, thing: Thing, times: Any, animation: dict[str, Any]
) -> None:
    m = thing.material
    look: dict[str, Any] = {
        "name": thing.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*linear(m.colour).tolist(), m.opacity],
            "metallicFactor": m.metallic, "roughnessFactor": m.roughness,
        },
    }  # fmt: skip
    if thing.uvs is not None:
        shown = look["pbrMetallicRoughness"]
        shown["baseColorFactor"] = [1.0, 1.0, 1.0, m.opacity]
        shown["baseColorTexture"] = {"index": _texture(file, thing)}
    look |= {"alphaMode": "BLEND"} if m.opacity < 1 else {}
    look |= {"doubleSided": True} if thing.thin else {}
    vertices, normals = thing.vertices.astype(np.float32), thing.normals.astype(np.float32)
    kind = np.uint16 if vertices.shape[1] < 65535 else np.uint32
    primitive: dict[str, Any] = {
        "attributes": {
            "POSITION": file.accessor(vertices[0], target=VERTICES, bounds=True),
            "NORMAL": file.accessor(normals[0], target=VERTICES),
        },
        "indices": file.accessor(thing.faces.astype(kind).ravel(), target=INDICES),
        "material": file.add("materials", look),
    }
    if thing.uvs is not None:
        at = file.accessor(thing.uvs.astype(np.float32), target=VERTICES)
        primitive["attributes"]["TEXCOORD_0"] = at
    mesh: dict[str, Any] = {"name": thing.name, "primitives": [primitive]}
    count = len(vertices) - 1
    if count:
        primitive["targets"] = [
            {
                "POSITION": file.accessor(vertices[k] - vertices[0], target=VERTICES, bounds=True),
                "NORMAL": file.accessor(normals[k] - normals[0], target=VERTICES),
            }
            for k in range(1, count + 1)
        ]
        mesh["weights"] = [0.0] * count
    node = file.node(root, name=thing.name, mesh=file.add("meshes", mesh))
    _pose(file, node, thing.positions, thing.quats, times, animation)
    if count:
        file.channel(animation, node, "weights", times, np.eye(count + 1)[:, 1:].ravel())


def _texture(file: GltfFile, thing: Thing) -> int:
    """A texture that repeats, smoothed between texels and levels."""
    if "samplers" not in file.json:
        wrap = {"wrapS": 10497, "wrapT": 10497}
        file.add("samplers", {"magFilter": 9729, "minFilter": 9987, **wrap})
    view = file.view(thing.png)
    image = file.add("images", {"name": thing.name, "mimeType": "image/png", "bufferView": view})
    return file.add("textures", {"name": thing.name, "sampler": 0, "source": image})


def _add_cameras(
    file: GltfFile, root: int, scene: SceneSpec, trajectory: Trajectory, animation: dict[str, Any]
) -> None:
    for spec in scene.cameras:
        lens = {"yfov": math.radians(spec.fov), "aspectRatio": spec.width / spec.height, "znear": 0.01, "zfar": 1000.0}  # fmt: skip
        index = file.add("cameras", {"type": "perspective", "name": spec.name, "perspective": lens})
        node = file.node(root, name=f"camera_{spec.name}", camera=index)
        _pose(file, node, *camera_path(scene, trajectory, spec.name), trajectory.times, animation)


def camera_path(scene: SceneSpec, trajectory: Trajectory, name: str) -> tuple[Any, Any]:
    """Positions [T, 3] and quaternions wxyz [T, 4] of a camera that looks along −z, y up; T is 1 if still."""
    from scipy.spatial.transform import Rotation

    cameras = scene_cameras(scene, trajectory)[name]
    turns = cameras.viewmats[:, :3, :3].numpy().transpose(0, 2, 1) @ np.diag([1.0, -1.0, -1.0])
    return thin(
        cameras.centres.numpy(), steady(Rotation.from_matrix(turns).as_quat(scalar_first=True))
    )


def sun_turn(direction: Any) -> Any:
    """The quaternion wxyz [4] that turns −z to a direction."""
    from scipy.spatial.transform import Rotation

    view = look_at((0, 0, 0), np.asarray(direction, float) / np.linalg.norm(direction))
    return Rotation.from_matrix(view[:3, :3].T @ np.diag([1.0, -1, -1])).as_quat(scalar_first=True)


def _add_lights(file: GltfFile, root: int, scene: SceneSpec) -> None:
    lights, ambient = [], np.zeros(3)
    for k, light in enumerate(scene.lights):
        if light.kind == "ambient":
            ambient += linear(light.colour) * light.intensity
            continue
        name = f"{light.kind}_{k}"
        kind = "directional" if light.kind == "sun" else "point"
        lights.append({"name": name, "type": kind, "color": linear(light.colour).tolist(), "intensity": math.pi * light.intensity})  # fmt: skip
        place: dict[str, Any] = (
            {"rotation": sun_turn(light.direction)[[1, 2, 3, 0]].tolist()}
            if light.kind == "sun" else {"translation": list(light.position)}
        )  # fmt: skip
        file.node(root, name=name, extensions={LIGHTS: {"light": len(lights) - 1}}, **place)
    if lights:
        file.use(LIGHTS)
        file.json["extensions"] = {LIGHTS: {"lights": lights}}
    file.json["scenes"][0]["extras"] = {
        "background": list(scene.background), "ambient": ambient.tolist()
    }  # fmt: skip
