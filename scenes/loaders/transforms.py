"""One reader for the transforms.json family: Blender, D-NeRF, instant-ngp, nerfstudio.

Sources: NeRF's and D-NeRF's transforms_{train,val,test}.json (camera_angle_x in radians, `time`
from 0 to 1), instant-ngp's colmap2nerf.py, nerfstudio's docs/quickstart/data_conventions.md. All
hold OpenGL camera-to-world poses (x right, y up, z back), which are turned here into OpenCV
world-to-camera ones. Two fields are clay4d's own, at the top of each file: `duration`, the seconds
for which `time` 0 to 1 stands (1 where absent), and `bounds`, the starting box in metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset, Views
from clay4d.scenes.loaders.bounds import camera_bounds, synthetic_bounds
from clay4d.scenes.loaders.fields import array, inverse, number, objects, positive, read_json, rigid
from clay4d.scenes.loaders.images import (
    SUFFIXES,
    check_size,
    find,
    header,
    inside,
    read_image,
    read_mask,
    with_mask,
)
from clay4d.scenes.loaders.lens import Lens, pinhole, read_lens, undistort

SPLITS = ("train", "val", "test")
WHITE = (1.0, 1.0, 1.0)
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL's camera axes to OpenCV's, and back."""
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Shot:
    """One entry of `frames`, checked."""

    name: str
    """The picture, from the data folder, with its suffix."""
    lens: Lens
    """As the file states it; the picture is undistorted when decoded."""
    viewmat: Float[np.ndarray, "4 4"]
    """World to camera, OpenCV axes, float64."""
    time: float | None
    """Seconds."""
    mask: str | None
    alpha: bool


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
    splits = {s: _views(root, s, group, background, memory_budget) for s, group in shots.items()}
    bounds, how = _bounds(metas["train"], splits["train"].cameras)
    alpha = any(shot.alpha for shot in everything)
    notes = {
        "format": "transforms.json",
        "poses": "OpenGL camera-to-world, turned into OpenCV world-to-camera",
        "undistorted": any(shot.lens.distorted for shot in everything),
        "bounds": how,
    }
    background = background or (WHITE if alpha else None)
    return Dataset(root.name, splits, duration, bounds, background=background, notes=notes)


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
    return {"train": meta}, _divide(root, meta, shots) or _every(shots, test_every)


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
    if frame.get("mask_path") is not None:
        mask = find(root, frame["mask_path"], suffixes=("",))
        check_size(mask, header(root, mask), (width, height), whose=f"picture {name}")
    lens = read_lens(both, width, height, where)
    if lens.distorted:
        pinhole(lens)  # a lens that cannot be undistorted is refused now, not in mid-training
    return Shot(name, lens, inverse(c2w @ FLIP), _time(meta, frame, where), mask, alpha)


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


def _every(shots: Sequence[Shot], test_every: int) -> dict[str, list[Shot]]:
    """Every `test_every`-th view by name is held out, as mip-NeRF 360 and gsplat do."""
    ordered = sorted(shots, key=lambda shot: shot.name)
    train = [shot for i, shot in enumerate(ordered) if i % test_every]
    return {"train": train, "test": ordered[::test_every]}


def _views(
    root: Path, split: str, shots: Sequence[Shot], background: Color | None, memory_budget: int
) -> Views:
    if not shots:
        raise ValueError(
            f"split {split} of {root.name} got no pictures; expected at least one. "
            "Add pictures, or list fewer for the other splits."
        )
    width, height = shots[0].lens.width, shots[0].lens.height
    for shot in shots:
        check_size(
            shot.name,
            (shot.lens.width, shot.lens.height),
            (width, height),
            whose=f"{shots[0].name} of the same split",
        )
    new = [pinhole(shot.lens) for shot in shots]
    Ks = [[[n.fx, 0, n.cx], [0, n.fy, n.cy], [0, 0, 1]] for n in new]
    cameras = Cameras(
        torch.from_numpy(np.stack([shot.viewmat for shot in shots])).float(),
        torch.tensor(Ks, dtype=torch.float32),
        width,
        height,
        torch.tensor([shot.time or 0.0 for shot in shots], dtype=torch.float32),
    )
    alpha = any(shot.alpha for shot in shots)
    return Views(
        cameras,
        [shot.name for shot in shots],
        partial(_decode, root, shots),
        background=(background or WHITE) if alpha else None,
        memory_budget=memory_budget,
    )


def _decode(root: Path, shots: Sequence[Shot], index: int) -> UInt8[np.ndarray, "H W D"]:
    """Picture `index`, with its mask as fourth channel, undistorted."""
    shot = shots[index]
    size = (shot.lens.width, shot.lens.height)
    pixels = read_image(root, shot.name)
    check_size(shot.name, pixels.shape[1::-1], size)
    if shot.mask is not None:
        mask = read_mask(root, shot.mask)
        check_size(shot.mask, mask.shape[::-1], size)
        pixels = with_mask(pixels, mask)
    return undistort(shot.lens, pixels, alpha=shot.alpha)


def _bounds(meta: Mapping[str, Any], cameras: Cameras) -> tuple[Float[Tensor, "2 3"], str]:
    """The starting box, and how it was found."""
    if meta.get("bounds") is not None:
        box = torch.from_numpy(array(meta["bounds"], (2, 3), "bounds")).float()
        return box, "as the file says"
    frames = objects(meta, "frames", "transforms")
    if "fl_x" not in meta and all("fl_x" not in frame for frame in frames):
        return synthetic_bounds(), "Blender's synthetic scenes: [-1.3, 1.3]³"
    return camera_bounds(cameras), "cube about the point that the training cameras look at"
