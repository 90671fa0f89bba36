"""Writes a data set in D-NeRF's layout, with exact intrinsics."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from clay4d.files import check_new_folder, folder_written_whole
from clay4d.scenes.cameras import Cameras
from clay4d.scenes.loaders.fields import inverse, rigid
from clay4d.scenes.loaders.transforms import FLIP, SPLITS

Pictures = Iterable[UInt8[np.ndarray, "H W D"]]


def write_transforms(
    path: str | Path,
    splits: Mapping[str, tuple[Cameras, Pictures]],
    *,
    duration: float | None = None,
    bounds: Float[Tensor, "2 3"] | None = None,
) -> None:
    """Write cameras and their pictures as transforms_{split}.json and PNG files.

    The layout is D-NeRF's (OpenGL camera-to-world poses, `time` from 0 to 1 where the cameras'
    times differ from 0), with fl_x, fl_y, cx, cy, w, h in pixels and, at the top, `duration` in
    seconds and `bounds` in metres, which `load_dataset` reads back. `duration` is the last time
    unless given. Pictures are taken one by one, so a generator will do. Everything is written to a
    temporary folder beside `path`, which is then renamed: there is never half a data set.

    Raises:
        ValueError: a split of another name, no "train", pictures that do not fit their cameras,
            times outside 0 to `duration`, skewed intrinsics, or a `path` that holds something.

    >>> import os, tempfile, torch
    >>> cameras = Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 6, torch.zeros(1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_transforms(folder, {"train": (cameras, np.zeros((1, 6, 8, 3), np.uint8))})
    ...     sorted(os.listdir(folder))
    ['train', 'transforms_train.json']
    """
    target = Path(path)
    check_new_folder(target)
    _check(splits)
    seconds = _duration([cameras for cameras, _ in splits.values()], duration)
    with folder_written_whole(target) as work:
        for name, (cameras, pictures) in splits.items():
            _write_split(work, name, cameras, pictures, seconds, bounds)


def _check(splits: Mapping[str, object]) -> None:
    if "train" not in splits or any(name not in SPLITS for name in splits):
        raise ValueError(
            f"splits got {', '.join(splits) or 'nothing'}; expected train and perhaps val, test. "
            "Rename the splits."
        )


def _write_split(
    work: Path,
    name: str,
    cameras: Cameras,
    pictures: Pictures,
    seconds: float,
    bounds: Float[Tensor, "2 3"] | None,
) -> None:
    meta = _meta(name, cameras, seconds)
    if bounds is not None:
        meta["bounds"] = bounds.tolist()
    _write_pictures(work / name, cameras, pictures)
    text = json.dumps(meta, indent=1, allow_nan=False) + "\n"
    (work / f"transforms_{name}.json").write_text(text, encoding="utf-8")


def _duration(cameras: list[Cameras], duration: float | None) -> float:
    """Seconds for which time 1 stands; 0 for a set that stands still."""
    times = np.concatenate([c.times.double().numpy() for c in cameras])
    if not len(times):
        raise ValueError("cameras got none; expected at least one. Add views.")
    last = float(times.max()) if duration is None else duration
    if not math.isfinite(last) or times.min() < 0 or times.max() > last * (1 + 1e-6):
        raise ValueError(
            f"times got {times.min():g} to {times.max():g} s; expected 0 to {last:g} s. "
            "Shift the times or give a longer duration."
        )
    return last


def _meta(split: str, cameras: Cameras, seconds: float) -> dict[str, Any]:
    """The contents of one transforms file."""
    Ks = cameras.Ks.double().numpy()
    if np.any(Ks[:, [0, 1], [1, 0]] != 0):
        raise ValueError(
            f"Ks of {split} got skew; expected none, since the format has no field for it. "
            "Set Ks[:, 0, 1] to 0."
        )
    lenses = [_lens(K) for K in Ks]
    same = all(lens == lenses[0] for lens in lenses)
    meta: dict[str, Any] = {"w": cameras.width, "h": cameras.height}
    if same:
        # Readers of plain D-NeRF know only the angle.
        angle = 2 * math.atan(0.5 * cameras.width / lenses[0]["fl_x"])
        meta |= {"camera_angle_x": angle, **lenses[0]}
    if seconds > 0:
        meta["duration"] = seconds
    meta["frames"] = []
    for i, viewmat in enumerate(cameras.viewmats.double().numpy()):
        frame: dict[str, Any] = {"file_path": f"./{split}/{i:05d}"}
        if seconds > 0:
            frame["time"] = min(float(cameras.times[i]) / seconds, 1.0)
        c2w = inverse(rigid(viewmat, f"viewmats[{i}] of {split}")) @ FLIP
        frame |= {} if same else lenses[i]
        meta["frames"].append(frame | {"transform_matrix": c2w.tolist()})
    return meta


def _lens(K: Float[np.ndarray, "3 3"]) -> dict[str, float]:
    return {
        "fl_x": float(K[0, 0]), "fl_y": float(K[1, 1]), "cx": float(K[0, 2]), "cy": float(K[1, 2]),
    }  # fmt: skip


def _write_pictures(folder: Path, cameras: Cameras, pictures: Pictures) -> None:
    folder.mkdir()
    count = 0
    for count, pixels in enumerate(pictures, 1):
        shape = (cameras.height, cameras.width)
        fits = pixels.ndim == 3 and pixels.shape[:2] == shape and pixels.shape[2] in (3, 4)
        if pixels.dtype != np.uint8 or not fits:
            raise ValueError(
                f"picture {count - 1} of {folder.name} got {pixels.dtype} {list(pixels.shape)}; "
                f"expected uint8 [{shape[0]}, {shape[1]}, 3 or 4]. Convert it first."
            )
        if count <= len(cameras):
            Image.fromarray(pixels).save(folder / f"{count - 1:05d}.png")
    if count != len(cameras):
        raise ValueError(
            f"pictures of {folder.name} got {count}; expected {len(cameras)}, one per camera. "
            "Give as many pictures as cameras."
        )
