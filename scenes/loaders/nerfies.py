"""Nerfies, HyperNeRF and DyCheck's iPhone captures: one layout, of which DyCheck has more.

Sources: the README of google/nerfies (dataset.json, metadata.json, scene.json, camera/ID.json,
rgb/{1,2,4,8}x/ID.png, points.npy), and DyCheck's data sets (Gao et al. 2022; extra.json, splits,
depth/{1,2}x/ID.npy in the world's unit along the camera's axis, covisible/{2}x/val/ID.png).
A camera's orientation turns world to camera (x right, y down, z forward), its position is the centre,
the first pixel's centre is at (0.5, 0.5) and intrinsics are those of rgb/1x. scene.json's centre and
scale, which other readers apply to make the scene small, are left out: the world keeps the file's
unit, metres in DyCheck's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset
from clay4d.scenes.loaders.bounds import camera_bounds
from clay4d.scenes.loaders.fields import array, inverse, number, positive, read_json, rigid
from clay4d.scenes.loaders.images import check_size, find, header, inside, read_npy
from clay4d.scenes.loaders.lens import Lens
from clay4d.scenes.loaders.lens_models import LENSES
from clay4d.scenes.loaders.shots import Color, Shot, views_of
from clay4d.scenes.loaders.upright import turned, upright

FPS = 15.0
"""Pictures a second of Nerfies' and HyperNeRF's captures, as DyCheck lists them."""
FACTOR = 2
"""How many times smaller the pictures are that the field trains on."""


def load_nerfies(
    root: Path,
    *,
    background: Color | None = None,
    memory_budget: int = MEMORY_BUDGET,
    factor: int | None = None,
) -> Dataset:
    """The data set in a folder with dataset.json, metadata.json, camera and rgb.

    "train" and "test" are splits/train.json and splits/val.json (DyCheck), else train_ids and
    val_ids; where there are no val_ids, every fourth id is trained on and the second after each is
    held out, as 4DGaussians does. Pictures are those of rgb/{factor}x: extra.json's factor by
    default, else 2, else the smallest there is. Times are time_id, or warp_id, over extra.json's fps
    (15 without). DyCheck's depth and covisible masks come with the frames. The world is turned so
    that the training cameras' mean up is z.

    Raises:
        ValueError: fields, sizes or pictures that cannot be right.
        FileNotFoundError: a file that the folder speaks of is missing.
    """
    listed, metadata = read_json(root, "dataset.json"), read_json(root, "metadata.json")
    extra = read_json(root, "extra.json") if _there(root, "extra.json") else {}
    folder = _pictures(root, extra, factor)
    ids = _splits(root, listed)
    fps = positive(extra, "fps", "extra.json", default=FPS)
    read = partial(_shot, root, metadata, folder, fps)
    shots = {split: [read(name) for name in names] for split, names in ids.items()}
    turn = upright(np.stack([shot.viewmat for shot in shots["train"]]))
    shots = {s: _moved(group, turn) for s, group in shots.items()}
    everything = [shot for group in shots.values() for shot in group]
    splits = {
        s: views_of(root, s, group, background=background, memory_budget=memory_budget)
        for s, group in shots.items()
    }
    bounds, how = _bounds(root, extra, turn)
    notes = {
        "format": "DyCheck iPhone" if extra else "Nerfies",
        "pictures": folder,
        "undistorted": any(shot.lens.distorted for shot in everything),
        "fps": fps,
        "world": "turned so that the cameras' mean up is z",
        "world_from_file": turn.tolist(),
        "bounds": how,
    }
    return Dataset(
        root.name,
        splits,
        max(shot.time or 0.0 for shot in everything),
        camera_bounds(splits["train"].cameras) if bounds is None else bounds,
        background=background,
        points=_points(root, turn),
        notes=notes,
    )


def _there(root: Path, name: str) -> bool:
    return inside(root, name).is_file()


def _moved(shots: Sequence[Shot], turn: Float[np.ndarray, "4 4"]) -> list[Shot]:
    return [replace(shot, viewmat=shot.viewmat @ inverse(turn)) for shot in shots]


def _pictures(root: Path, extra: Mapping[str, Any], factor: int | None) -> str:
    there = sorted(
        int(d.name[:-1]) for d in root.glob("rgb/*x") if d.name[:-1].isdigit() and d.is_dir()
    )
    if not there:
        raise FileNotFoundError(
            f"{root.name} got no rgb/1x, rgb/2x, …; expected pictures in one of them. "
            "Copy the pictures too."
        )
    wanted = factor
    if wanted is None and "factor" in extra:
        wanted = int(positive(extra, "factor", "extra.json"))
    if wanted is None:
        wanted = FACTOR if FACTOR in there else there[0]
    if wanted not in there:
        raise FileNotFoundError(
            f"factor got {wanted}, but rgb/{wanted}x is not in {root.name}; expected one of "
            f"{', '.join(map(str, there))}. Choose one that is there."
        )
    return f"rgb/{wanted}x"


def _names(meta: Mapping[str, Any], key: str, file: str) -> list[str]:
    value = meta.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise ValueError(
            f"{file} got {key} = {str(value)[:60]!r}; expected a list of names. Check the file."
        )
    return list(value)


def _splits(root: Path, listed: Mapping[str, Any]) -> dict[str, list[str]]:
    if _there(root, "splits/train.json") and _there(root, "splits/val.json"):
        files = {"train": "splits/train.json", "test": "splits/val.json"}
        found = {s: _names(read_json(root, f), "frame_names", f) for s, f in files.items()}
    else:
        ids = _names(listed, "ids", "dataset.json")
        keys = {"train": "train_ids", "test": "val_ids"}
        found = {split: _names(listed, key, "dataset.json") for split, key in keys.items()}
        if not found["test"]:
            found = {"train": ids[::4], "test": ids[2::4]}
        elif not found["train"]:
            found["train"] = [name for name in ids if name not in set(found["test"])]
    if not found["train"]:
        raise ValueError(
            "dataset.json got no training pictures; expected ids or train_ids. Check the file."
        )
    return {split: names for split, names in found.items() if names}


def _whole(meta: Mapping[str, Any], key: str, where: str) -> int:
    value = meta.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise ValueError(
            f"{where} got {key} = {str(value)[:60]!r}; expected a whole number, 0 or more. "
            "Correct the value."
        )
    return value


def _shot(root: Path, metadata: Mapping[str, Any], folder: str, fps: float, name: str) -> Shot:
    """The picture with the id `name`, in the file's own world."""
    picture = find(root, f"{folder}/{name}.png", suffixes=("",))
    entry = metadata.get(name)
    where = f"metadata.json, {name}"
    if not isinstance(entry, dict):
        raise ValueError(
            f"{where} got {str(entry)[:60]!r}; expected warp_id and camera_id. Add the entry."
        )
    time = _whole(entry, "time_id" if "time_id" in entry else "warp_id", where)
    width, height, _ = header(root, picture)
    lens, viewmat = _camera(root, name)
    scaled = lens.scaled(width, height)
    stretch = (width / lens.width) / (height / lens.height)
    if abs(stretch - 1) > max(0.01, 1.0 / min(width, height)):
        check_size(picture, (width, height), (lens.width, lens.height))
    at = folder.removeprefix("rgb/")
    depth, covisible = f"depth/{at}/{name}.npy", f"covisible/{at}/val/{name}.png"
    return Shot(
        picture,
        scaled,
        viewmat,
        time / fps,
        # Alpha, where there is one, says where the lidar saw something: a mask, no transparency.
        camera=_whole(entry, "camera_id", where) if "camera_id" in entry else 0,
        depth=depth if _there(root, depth) else None,
        covisible=covisible if _there(root, covisible) else None,
    )


def _camera(root: Path, name: str) -> tuple[Lens, Float[np.ndarray, "4 4"]]:
    file = f"camera/{name}.json"
    meta = read_json(root, file)
    size = array(meta.get("image_size"), (2,), f"image_size of {file}")
    if not ((size >= 1) & (size <= 1 << 16) & (size == np.round(size))).all():
        raise ValueError(
            f"image_size of {file} got {size.tolist()}; expected whole numbers above 0. Correct it."
        )
    if number(meta, "skew", file, default=0.0) != 0:
        raise ValueError(
            f"{file} got skew = {meta['skew']}; expected 0. Rectify the pictures first."
        )
    focal = positive(meta, "focal_length", file)
    aspect = positive(meta, "pixel_aspect_ratio", file, default=1.0)
    cx, cy = array(meta.get("principal_point"), (2,), f"principal_point of {file}")
    k1, k2, k3 = _coefficients(meta, ("radial_distortion", "radial"), 3, file)
    p1, p2 = _coefficients(meta, ("tangential_distortion", "tangential"), 2, file)
    named = {"k1": k1, "k2": k2, "k3": k3, "p1": p1, "p2": p2}
    coefficients = tuple(named.get(key, 0.0) for key in LENSES["perspective"].names)
    lens = Lens(
        int(size[0]), int(size[1]), focal, focal * aspect, float(cx), float(cy),
        "perspective", coefficients,
    )  # fmt: skip
    pose = np.eye(4)
    pose[:3, :3] = array(meta.get("orientation"), (3, 3), f"orientation of {file}")
    pose = rigid(pose.tolist(), f"orientation of {file}")
    centre = array(meta.get("position"), (3,), f"position of {file}")
    pose[:3, 3] = -pose[:3, :3] @ centre
    return lens, pose


def _coefficients(
    meta: Mapping[str, Any], keys: tuple[str, str], count: int, file: str
) -> list[float]:
    """Under the name that files have, or the one that the README has."""
    key = next((k for k in keys if meta.get(k) is not None), None)
    if key is None:
        return [0.0] * count
    return [float(v) for v in array(meta[key], (count,), f"{key} of {file}")]


def _bounds(
    root: Path, extra: Mapping[str, Any], turn: Float[np.ndarray, "4 4"]
) -> tuple[Float[Tensor, "2 3"] | None, str]:
    """The starting box from extra.json's bbox, which is of the world made small by scene.json."""
    if "bbox" not in extra or not _there(root, "scene.json"):
        return None, "cube about the point that the training cameras look at"
    scene = read_json(root, "scene.json")
    centre = array(scene.get("center"), (3,), "center of scene.json")
    scale = positive(scene, "scale", "scene.json")
    box = array(extra["bbox"], (2, 3), "bbox of extra.json") / scale + centre
    corners = np.stack(np.meshgrid(*box.T, indexing="ij"), -1).reshape(-1, 3)
    corners = turned(corners, turn)
    bounds = torch.from_numpy(np.stack([corners.min(0), corners.max(0)]))
    return bounds, "extra.json's bbox"


def _points(root: Path, turn: Float[np.ndarray, "4 4"]) -> Float[Tensor, "P 6"] | None:
    """The background's points, grey, since the file has no colours."""
    if not _there(root, "points.npy"):
        return None
    points = read_npy(root, "points.npy")
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(
            f"points.npy got shape {list(points.shape)[:6]}; expected finite numbers [P, 3]. "
            "Copy it again."
        )
    colored = np.concatenate([points, np.full((len(points), 3), 0.5)], 1)
    return torch.from_numpy(turned(colored, turn))
