"""One reader for the transforms.json family: Blender, D-NeRF, instant-ngp, nerfstudio.

Sources: NeRF's and D-NeRF's transforms_{train,val,test}.json (camera_angle_x in radians, `time`
from 0 to 1), instant-ngp's colmap2nerf.py, nerfstudio's docs/quickstart/data_conventions.md. All
hold OpenGL camera-to-world poses (x right, y up, z back), which are turned here into OpenCV
world-to-camera ones. Four fields are clay4d's own: at the top of each file `duration`, the seconds
for which `time` 0 to 1 stands (1 where absent), `bounds`, the starting box in metres, and
`tracks_file_path`, points followed over the pictures (see `tracks`); in a frame `moving_path`, a mask of what moves, which is read where there is no mask_path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset
from clay4d.scenes.loaders.bounds import camera_bounds, synthetic_bounds
from clay4d.scenes.loaders.fields import array, inverse, number, objects, positive, read_json, rigid
from clay4d.scenes.loaders.images import (
    SUFFIXES,
    check_size,
    find,
    header,
    inside,
)
from clay4d.scenes.loaders.lens import pinhole, read_lens
from clay4d.scenes.loaders.ply import read_points
from clay4d.scenes.loaders.shots import WHITE, Color, Shot, every, views_of
from clay4d.scenes.loaders.tracks import read_tracks
from clay4d.scenes.tracks import Tracks

MILLIMETRE = 1e-3
"""Metres for which 1 stands in depth files, unless depth_unit_scale_factor says else."""
SPLITS = ("train", "val", "test")
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL's camera axes to OpenCV's, and back."""


def load_transforms(
    root: Path,
    *,
    background: Color | None = None,
    test_every: int = 8,
    memory_budget: int = MEMORY_BUDGET,
) -> Dataset:
    """The data set in a folder with transforms_{train,val,test}.json or one transforms.json.

    Every transforms_*.json on disk becomes a split and leaves transforms.json unread. One
    transforms.json is divided by its train_filenames, val_filenames and test_filenames; without
    them every `test_every`-th view of the frames sorted by name, from the first on, is "test" and
    the rest "train". Pictures with alpha are laid over `background`, white unless told otherwise;
    masks from mask_path are given with the frame and hide nothing.

    Raises:
        ValueError: fields, poses, times, sizes or pictures that cannot be right.
        FileNotFoundError: a file that the folder speaks of is missing.
    """
    metas, shots = _read(root, test_every)
    everything = [shot for group in shots.values() for shot in group]
    duration = _shared_duration(metas) if _timed(everything) else 0.0
    tracks = _tracks(root, metas["train"], shots["train"])
    splits = {
        s: views_of(
            root, s, group, background=background, memory_budget=memory_budget,
            tracks=tracks if s == "train" else None,
        )
        for s, group in shots.items()
    }  # fmt: skip
    bounds, how = _bounds(metas["train"], splits["train"].cameras)
    alpha = any(shot.alpha for shot in everything)
    notes = {
        "format": "transforms.json",
        "poses": "OpenGL camera-to-world, turned into OpenCV world-to-camera",
        "undistorted": any(shot.lens.distorted for shot in everything),
        "bounds": how,
    }
    background = background or (WHITE if alpha else None)
    return Dataset(
        root.name, splits, duration, bounds, background=background,
        points=_points(root, metas["train"]), notes=notes,
    )  # fmt: skip


def _points(root: Path, meta: Mapping[str, Any]) -> Float[Tensor, "P 6"] | None:
    """nerfstudio's ply_file_path: points of the same world as the poses."""
    if meta.get("ply_file_path") is None:
        return None
    return torch.from_numpy(read_points(root, find(root, meta["ply_file_path"], suffixes=("",))))


def _tracks(root: Path, meta: Mapping[str, Any], shots: Sequence[Shot]) -> Tracks | None:
    """Points followed over the training pictures; those of other splits are not looked at."""
    file = meta.get("tracks_file_path")
    return None if file is None else read_tracks(root, file, shots)


def _read(root: Path, test_every: int) -> tuple[dict[str, dict[str, Any]], dict[str, list[Shot]]]:
    """The files' contents and the checked frames, by split; "train" is always there."""
    files = {s: f"transforms_{s}.json" for s in SPLITS if (root / f"transforms_{s}.json").exists()}
    if files and "train" not in files:
        raise ValueError(
            f"{root.name} got {', '.join(files.values())} alone; expected transforms_train.json "
            "beside it. Add the training views."
        )
    metas = {s: read_json(root, f) for s, f in files.items()}
    if metas:
        return metas, {s: _shots(root, metas[s], files[s]) for s in metas}
    meta = read_json(root, "transforms.json")
    shots = _shots(root, meta, "transforms.json")
    return {"train": meta}, _divide(root, meta, shots) or every(shots, test_every)


def _shots(root: Path, meta: Mapping[str, Any], file: str) -> list[Shot]:
    return [_shot(root, meta, frame, file) for frame in objects(meta, "frames", file)]


def _shot(root: Path, meta: Mapping[str, Any], frame: Mapping[str, Any], file: str) -> Shot:
    """One frame; what it does not say itself, the top of the file says for all."""
    name = find(root, frame.get("file_path"))
    where = f"{file}, frame {name}"
    width, height, alpha = header(root, name)
    both = {**meta, **frame}
    stated = tuple(
        int(positive(both, key, where, default=size)) for key, size in zip("wh", (width, height))
    )
    check_size(name, (width, height), (stated[0], stated[1]), whose=file)
    if frame.get("transform_matrix") is None:
        raise ValueError(
            f"{where} got no transform_matrix; expected a 4×4 pose. Remove the frame or add it."
        )
    c2w = rigid(frame["transform_matrix"], f"transform_matrix of {where}")
    mask = None
    masked = frame.get("mask_path", frame.get("moving_path"))
    if masked is not None:
        mask = find(root, masked, suffixes=("",))
        check_size(mask, header(root, mask), (width, height), whose=f"picture {name}")
    depth = frame.get("depth_file_path")
    if depth is not None:
        depth = find(root, depth, suffixes=("",))
    unit = positive(meta, "depth_unit_scale_factor", file, default=MILLIMETRE)
    lens = read_lens(both, width, height, where)
    if lens.distorted:
        pinhole(lens)  # a lens that cannot be undistorted is refused now, not in mid-training
    time = _time(meta, frame, where)
    return Shot(
        name, lens, inverse(c2w @ FLIP), time, mask, alpha,
        camera=_camera_id(frame, where), depth=depth, depth_unit=unit,
    )  # fmt: skip


def _camera_id(frame: Mapping[str, Any], where: str) -> int | None:
    value = frame.get("camera_id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 31:
        raise ValueError(
            f"{where} got camera_id = {str(value)[:60]!r}; expected a whole number. Correct it."
        )
    return value


def _duration(meta: Mapping[str, Any], where: str) -> float:
    return positive(meta, "duration", where, default=1.0)


def _shared_duration(metas: Mapping[str, Mapping[str, Any]]) -> float:
    seen = {_duration(meta, f"transforms_{split}.json") for split, meta in metas.items()}
    if len(seen) > 1:
        values = ", ".join(f"{value:g}" for value in sorted(seen))
        raise ValueError(
            f"duration got {values} in one data set; expected one value. Write the same in all."
        )
    return seen.pop()


def _time(meta: Mapping[str, Any], frame: Mapping[str, Any], where: str) -> float | None:
    if "time" not in frame:
        return None
    time = number(frame, "time", where)
    if not 0 <= time <= 1:
        raise ValueError(
            f"{where} got time = {time:g}; expected 0 to 1. Divide all times by the length in "
            "seconds and write that as `duration` at the top of the file."
        )
    return time * _duration(meta, where)


def _timed(shots: Sequence[Shot]) -> bool:
    """Whether the frames have times; all of them must, or none."""
    without = [shot.name for shot in shots if shot.time is None]
    if without and len(without) < len(shots):
        raise ValueError(
            f"time got no value in {len(without)} of {len(shots)} frames, first {without[0]}; "
            "expected one in all frames or in none. Add the missing times."
        )
    return not without


def _divide(
    root: Path, meta: Mapping[str, Any], shots: Sequence[Shot]
) -> dict[str, list[Shot]] | None:
    """The splits that nerfstudio's *_filenames give; None where there are no such lists."""
    given = {s: meta[f"{s}_filenames"] for s in SPLITS if meta.get(f"{s}_filenames") is not None}
    if not given:
        return None
    by_name = {shot.name: shot for shot in shots}
    splits = {}
    for split, names in given.items():
        if not isinstance(names, list):
            raise ValueError(
                f"{split}_filenames got {str(names)[:60]!r}; expected a list. Correct the field."
            )
        for name in names:
            inside(root, name)
        unknown = [n for n in names if _named(by_name, n) is None]
        if unknown:
            raise ValueError(
                f"{split}_filenames got {str(unknown[0])[:200]!r}; expected the file_path of a "
                "frame. Correct the list."
            )
        splits[split] = [by_name[str(_named(by_name, n))] for n in names]
    if "train" not in splits:
        raise ValueError(
            f"transforms.json got {', '.join(f'{s}_filenames' for s in splits)} alone; expected "
            "train_filenames beside it. Add the training views."
        )
    return splits


def _named(by_name: Mapping[str, Shot], name: str) -> str | None:
    plain = str(PurePosixPath(name))
    return next((plain + s for s in SUFFIXES if plain + s in by_name), None)


def _bounds(meta: Mapping[str, Any], cameras: Cameras) -> tuple[Float[Tensor, "2 3"], str]:
    """The starting box, and how it was found."""
    if meta.get("bounds") is not None:
        box = torch.from_numpy(array(meta["bounds"], (2, 3), "bounds")).float()
        return box, "as the file says"
    frames = objects(meta, "frames", "transforms")
    if "fl_x" not in meta and all("fl_x" not in frame for frame in frames):
        return synthetic_bounds(), "Blender's synthetic scenes: [-1.3, 1.3]³"
    return camera_bounds(cameras), "cube about the point that the training cameras look at"
