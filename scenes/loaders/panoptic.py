"""CMU Panoptic Studio as Dynamic 3D Gaussians (Luiten et al., 3DV 2024) lays it out.

train_meta.json and test_meta.json hold w, h and, per frame and camera, fn ("CAM/000000.jpg"),
cam_id, k (3×3, pixels, first pixel's centre at 0.5) and w2c (4×4, OpenCV axes, metres); pictures
are in ims/, foreground masks in seg/ under the same name with .png, known points perhaps in
init_pt_cld.npz. The world's y points down there: it is turned once, here, so that z is up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset, Views
from clay4d.scenes.loaders.bounds import camera_bounds
from clay4d.scenes.loaders.fields import array, inverse, positive, read_json, rigid
from clay4d.scenes.loaders.images import (
    check_size,
    find,
    header,
    inside,
    read_image,
    read_mask,
    read_npz,
    with_mask,
)

FPS = 30.0
"""Pictures a second where the file does not say."""
WORLD_FROM_FILE = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""Quarter turn about x: the file's y, which points down, becomes -z."""


def load_panoptic(
    root: Path,
    *,
    background: tuple[float, float, float] | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Dataset:
    """The data set in a folder with train_meta.json and perhaps test_meta.json.

    Views are ordered by frame, then by camera; `camera_ids` are the studio's camera numbers and
    times the frame's number over 30 frames a second. Masks come with the frames of a split that
    has them and hide nothing: `background` is only noted.

    Raises:
        ValueError: fields, poses, sizes or pictures that cannot be right.
        FileNotFoundError: a file that the folder speaks of is missing.
    """
    files = {"train": "train_meta.json", "test": "test_meta.json"}
    metas = {s: read_json(root, f) for s, f in files.items() if s == "train" or _there(root, f)}
    splits = {s: _views(root, meta, files[s], memory_budget) for s, meta in metas.items()}
    last = max(float(views.cameras.times.max()) for views in splits.values())
    notes = {
        "format": "panoptic",
        "world": "the file's y, which points down, was turned into -z, so that z is up",
        "world_from_file": WORLD_FROM_FILE.tolist(),
        "bounds": "cube about the point that the training cameras look at",
    }
    return Dataset(
        root.name,
        splits,
        last,
        camera_bounds(splits["train"].cameras),
        background=background,
        points=_points(root),
        notes=notes,
    )


def _there(root: Path, name: str) -> bool:
    return inside(root, name).is_file()


def _table(meta: Mapping[str, Any], key: str, file: str, like: list[int] | None) -> list[Any]:
    """One field's entries over frames and cameras in one list; `like` are the expected counts."""
    value = meta.get(key)
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise ValueError(
            f"{file} got {key} = {str(value)[:60]!r}; expected a list of lists, frames by cameras. "
            "Check which file this is."
        )
    counts = [len(row) for row in value]
    if like is not None and counts != like:
        raise ValueError(
            f"{file} got {sum(counts)} entries of {key} in {len(counts)} frames; expected "
            f"{sum(like)} in {len(like)}, as fn has. Make the fields agree."
        )
    return [entry for row in value for entry in row]


def _views(root: Path, meta: Mapping[str, Any], file: str, memory_budget: int) -> Views:
    names = _table(meta, "fn", file, None)
    counts = [len(row) for row in meta["fn"]]
    if not names:
        raise ValueError(f"{file} got no pictures; expected at least one. Add pictures.")
    names = [find(root, f"ims/{name}", suffixes=("",)) for name in names]
    size = (int(positive(meta, "w", file)), int(positive(meta, "h", file)))
    for name in names:
        check_size(name, header(root, name), size, whose=file)
    fps = positive(meta, "fps", file, default=FPS)
    frames = np.repeat(np.arange(len(counts)), counts)
    cameras = Cameras(
        torch.from_numpy(_poses(meta, file, names, counts)).float(),
        torch.from_numpy(_intrinsics(meta, file, names, counts)).float(),
        *size,
        torch.from_numpy(frames / fps).float(),
    )
    return Views(
        cameras,
        names,
        partial(_decode, root, names, _masks(root, file, names, size)),
        camera_ids=_camera_ids(meta, file, names, counts),
        memory_budget=memory_budget,
    )


def _poses(
    meta: Mapping[str, Any], file: str, names: Sequence[str], counts: list[int]
) -> Float[np.ndarray, "C 4 4"]:
    """World-to-camera poses in the turned world."""
    table = _table(meta, "w2c", file, counts)
    back = inverse(WORLD_FROM_FILE)
    return np.stack([rigid(p, f"w2c of {file}, frame {n}") @ back for p, n in zip(table, names)])


def _intrinsics(
    meta: Mapping[str, Any], file: str, names: Sequence[str], counts: list[int]
) -> Float[np.ndarray, "C 3 3"]:
    table = _table(meta, "k", file, counts)
    Ks = np.stack([array(k, (3, 3), f"k of {file}, frame {n}") for k, n in zip(table, names)])
    bad = np.flatnonzero((Ks[:, 0, 0] <= 0) | (Ks[:, 1, 1] <= 0))
    if len(bad):
        i = int(bad[0])
        raise ValueError(
            f"k of {file}, frame {names[i]} got focal lengths {Ks[i, 0, 0]:g} and {Ks[i, 1, 1]:g}; "
            "expected numbers above 0. Correct the value."
        )
    return Ks


def _camera_ids(
    meta: Mapping[str, Any], file: str, names: Sequence[str], counts: list[int]
) -> list[int]:
    ids = _table(meta, "cam_id", file, counts)
    for value, name in zip(ids, names):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(
                f"cam_id of {file}, frame {name} got {str(value)[:60]!r}; expected a whole number. "
                "Correct the value."
            )
    return list(ids)


def _masks(root: Path, file: str, names: Sequence[str], size: tuple[int, int]) -> list[str] | None:
    """The masks of a split's pictures; None where it has none at all."""
    masks = [
        str(PurePosixPath("seg", *PurePosixPath(n).parts[1:]).with_suffix(".png")) for n in names
    ]
    missing = [mask for mask in masks if not _there(root, mask)]
    if len(missing) == len(masks):
        return None
    if missing:
        raise ValueError(
            f"{file} got pictures without masks, first {missing[0]}; expected masks for all "
            "pictures of a split or for none. Add the missing masks or remove seg."
        )
    for mask in masks:
        check_size(mask, header(root, mask), size, whose=file)
    return masks


def _decode(
    root: Path, names: Sequence[str], masks: Sequence[str] | None, index: int
) -> UInt8[np.ndarray, "H W D"]:
    pixels = read_image(root, names[index])[..., :3]
    if masks is None:
        return pixels
    # Some copies write the foreground as 1, some as 255.
    mask = (read_mask(root, masks[index]) > 0).astype(np.uint8) * 255
    check_size(masks[index], mask.shape[::-1], pixels.shape[1::-1], whose="its picture")
    return with_mask(pixels, mask)


def _points(root: Path) -> Float[Tensor, "P 6"] | None:
    """Known points in the turned world, from init_pt_cld.npz: xyz, RGB in 0–1, segmentation."""
    name = "init_pt_cld.npz"
    if not _there(root, name):
        return None
    (data,) = read_npz(inside(root, name), "data")
    if data.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} got entries of type {data.dtype}; expected numbers. Copy it again."
        )
    data = data.astype(np.float32)
    if data.ndim != 2 or data.shape[1] < 6 or not np.isfinite(data).all():
        raise ValueError(
            f"{name} got data of shape {list(data.shape)}; expected finite numbers [P, 6 or more]. "
            "Copy it again."
        )
    xyz = data[:, :3] @ WORLD_FROM_FILE[:3, :3].T.astype(np.float32)
    return torch.from_numpy(np.concatenate([xyz, data[:, 3:6]], 1))
