"""`params.npz` of Dynamic 3D Gaussians: every Gaussian's place and rotation in every frame.

Source: Luiten et al., 3DV 2024, `save_params` of their train.py (MIT): means3D [T, N, 3], rgb_colors [T, N, 3],
unnorm_rotations [T, N, 4] (wxyz), logit_opacities [N, 1], log_scales [N, 3]. Their world is Panoptic's,
whose y points down; it is turned as the loader of that data turns it, so that scene and data fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from clay4d.scenes.exchange.still import Still, constant, opened, still_scene
from clay4d.scenes.loaders.images import read_npz
from clay4d.scenes.loaders.panoptic import FPS, WORLD_FROM_FILE
from clay4d.scenes.motion import RigidPaths
from clay4d.scenes.quaternions import multiply
from clay4d.scenes.splat_scene import SplatScene

SHAPES = {
    "means3D": ("T", "N", 3), "rgb_colors": ("T", "N", 3), "unnorm_rotations": ("T", "N", 4),
    "logit_opacities": ("N", 1), "log_scales": ("N", 3),
}  # fmt: skip
QUARTER = torch.tensor([0.5**0.5, -(0.5**0.5), 0.0, 0.0])
"""The quaternion of `WORLD_FROM_FILE`: a quarter turn about x that takes y to −z."""


def read_dynamic3d(path: str | Path, *, fps: float = FPS) -> SplatScene:
    """Read a sequence of Dynamic 3D Gaussians as a scene that moves smoothly between its frames.

    Each Gaussian that moves follows a path of its own (`RigidPaths`); colours are means over the frames.

    Args:
        fps: frames a second; the file does not say.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, or its numbers cannot be.

    >>> import tempfile
    >>> frames = {n: np.ones([{"T": 4, "N": 2}.get(k, k) for k in s]) for n, s in SHAPES.items()}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/params.npz", **frames)
    ...     scene = read_dynamic3d(f"{folder}/params.npz")
    >>> len(scene), round(scene.duration, 3)
    (2, 0.1)
    """
    path = opened(path, "Dynamic 3D Gaussians")
    if not fps > 0:
        raise ValueError(f"fps got {fps}; expected more than 0. Correct it.")
    arrays = dict(zip(SHAPES, read_npz(path, *SHAPES)))
    moments, count = _check(arrays, path.name)
    places = np.asarray(arrays["means3D"], np.float32) @ WORLD_FROM_FILE[:3, :3].T.astype(
        np.float32
    )
    quats = torch.from_numpy(np.array(arrays["unnorm_rotations"], np.float32))
    turned = multiply(QUARTER.expand(moments, count, 4), quats)
    colours = np.asarray(np.mean(arrays["rgb_colors"], 0, dtype=np.float64))
    first = Still(
        places[0], turned[0].numpy(), arrays["log_scales"], arrays["logit_opacities"][:, 0],
        constant(colours),
    )  # fmt: skip
    scene = still_scene(first, path.name)
    if moments == 1:
        return scene
    moves = np.ptp(places, axis=0).max(1) > 0
    moves |= np.ptp(arrays["unnorm_rotations"], axis=0).max(1) > 0
    motion = RigidPaths(objects=int(moves.sum()), knots=moments)
    motion.positions.copy_(torch.from_numpy(places[:, moves]).transpose(0, 1))
    motion.quats.copy_(turned[:, moves].transpose(0, 1))
    chosen = torch.from_numpy(moves)
    owner = torch.full((count,), -1, dtype=torch.int64)
    owner[chosen] = torch.arange(len(motion.positions))
    scene.raw["means"][chosen] = 0.0
    scene.raw["quats"][chosen] = torch.tensor([1.0, 0, 0, 0])
    return SplatScene(scene.raw | {"object": owner}, motion, (moments - 1) / fps)


def _check(arrays: dict[str, Any], name: str) -> tuple[int, int]:
    """Numbers of frames and of Gaussians, which all arrays must share."""
    sizes: dict[Any, int] = {}
    for key, shape in SHAPES.items():
        value = arrays[key]
        fits = value.ndim == len(shape) and value.dtype.kind in "iuf" and value.size > 0
        if fits:
            pairs = zip(shape, value.shape)
            fits = all((sizes.setdefault(s, n) if isinstance(s, str) else s) == n for s, n in pairs)
        if not fits:
            raise ValueError(
                f"{name} got {key} {value.dtype} {list(value.shape)[:6]}; expected numbers "
                f"[{', '.join(map(str, shape))}], frames and Gaussians as in the rest. Save it again."
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{name} got {key} with NaN or infinity; expected finite numbers.")
    if not (np.asarray(arrays["unnorm_rotations"]) != 0).any(-1).all():
        raise ValueError(f"{name} got unnorm_rotations of length 0; expected quaternions.")
    return sizes["T"], sizes["N"]
