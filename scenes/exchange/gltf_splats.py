"""Gaussian scenes as glTF: KHR_gaussian_splatting on points, animated nodes for rigid parts.

Source: KHR_gaussian_splatting (Khronos, ratified 2026): POSITION, unit ROTATION xyzw, linear SCALE,
OPACITY from 0 to 1, harmonics a coefficient, colours as they are shown (sRGB). COLOR_0 is for readers
without the extension, which draw points. Harmonics turn with the node, so a part that turns takes its
gloss along; clay4d's own pictures keep it with the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.scenes.colours import linear
from clay4d.scenes.exchange.gltf_file import VERTICES, Z_UP, GltfFile
from clay4d.scenes.exchange.parts import Part, check_times, rigid_parts
from clay4d.scenes.gaussians import C0, Gaussians
from clay4d.scenes.scene import Scene

NAME = "KHR_gaussian_splatting"
TINY = 1e-4
"""Opacity below which a Gaussian is left out: it would not show."""


def write_gltf_splats(
    scene: Scene, path: str | Path, *, times: Sequence[float] | None = None
) -> None:
    """Write a scene of Gaussians to one .gltf or .glb file, whole or not at all.

    A scene of rigid parts keeps its motion at `times` (seconds), a node for each part. Any other scene
    is written at one time.

    Raises:
        ValueError: several times of a scene that bends, another suffix, NaN.

    >>> import tempfile, torch
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_gltf_splats(SplatScene(raw_from_gaussians(g), Static()), Path(folder) / "a.glb")
    ...     (Path(folder) / "a.glb").read_bytes()[:4]
    b'glTF'
    """
    moments = check_times(scene, times)
    parts = rigid_parts(scene, moments)
    if parts is None:
        if len(moments) > 1:
            raise ValueError(
                f"times got {len(moments)} moments of a scene that bends; expected one, since glTF moves "
                "Gaussians as rigid parts only. Choose one time, or write .usdc or numbered PLY files."
            )
        still = scene.at(moments[0]).detach()
        parts = [Part("splats", still, np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]))]
    file = GltfFile()
    root = file.node(name="world", rotation=list(Z_UP))
    background = [round(float(c), 6) for c in scene.background]
    file.json["scenes"][0]["extras"] = {"background": background}
    animation: dict[str, Any] = {"name": "motion"}
    for part in parts:
        _add(file, root, part, moments, animation)
    if "channels" in animation:
        file.json["animations"] = [animation]
    file.write(Path(path))


def _add(
    file: GltfFile, root: int, part: Part, times: Sequence[float], animation: dict[str, Any]
) -> None:
    primitive = splat_primitive(file, part.gaussians)
    if primitive is None:
        return
    mesh = file.add("meshes", {"name": part.name, "primitives": [primitive]})
    xyzw = part.quats[:, [1, 2, 3, 0]]
    node = file.node(
        root, name=part.name, mesh=mesh, translation=part.positions[0].tolist(),
        rotation=xyzw[0].tolist(),
    )  # fmt: skip
    if part.moves:
        began = np.asarray(times) - times[0]
        file.channel(animation, node, "translation", began, part.positions)
        file.channel(animation, node, "rotation", began, xyzw)


def splat_primitive(file: GltfFile, gaussians: Gaussians) -> dict[str, Any] | None:
    """A primitive of KHR_gaussian_splatting; None if nothing of them shows.

    Raises:
        ValueError: NaN or infinity.
    """
    shown = gaussians.opacities.detach() > TINY
    values = {k: v.detach()[shown].cpu().float().numpy() for k, v in gaussians.tensors().items()}
    if not len(values["means"]):
        return None
    quats = values["quats"][:, [1, 2, 3, 0]].astype(np.float64)
    quats /= np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)
    opacities = values["opacities"].clip(0, 1)
    plain = (values["sh"][:, 0] * C0 + 0.5).clip(0, 1)
    # Bytes, for points only need to look alike; the standard wants linear light here.
    shade = np.concatenate([linear(plain), opacities[:, None]], 1)
    colours = np.rint(255 * shade).astype(np.uint8)
    colour = file.accessor(colours, target=VERTICES)
    file.json["accessors"][colour]["normalized"] = True
    named = {
        "ROTATION": quats.astype(np.float32), "SCALE": values["scales"], "OPACITY": opacities
    }  # fmt: skip
    k = 0
    for degree in range(gaussians.sh_degree + 1):
        for n in range(2 * degree + 1):
            named[f"SH_DEGREE_{degree}_COEF_{n}"] = values["sh"][:, k]
            k += 1
    attributes = {
        "POSITION": file.accessor(values["means"], target=VERTICES, bounds=True), "COLOR_0": colour
    }  # fmt: skip
    for name, array in named.items():
        attributes[f"{NAME}:{name}"] = file.accessor(array, target=VERTICES)
    file.use(NAME)
    extension = {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }  # fmt: skip
    return {"attributes": attributes, "mode": 0, "extensions": {NAME: extension}}
