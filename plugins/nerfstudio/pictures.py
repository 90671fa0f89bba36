"""nerfstudio's training data, whatever dataparser brought it, as a `Dataset`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from clay4d.plugins.nerfstudio.data import viewmats_of
from clay4d.scenes import Cameras, Dataset, Views


def dataset_of(manager: Any) -> Dataset:
    """The training pictures of a FullImageDatamanager, which has straightened them, and its points.

    Raises:
        ValueError: pictures of more than one size.
    """
    kept, known = manager.cached_train, manager.train_dataset
    metadata, outputs = known.metadata, manager.train_dataparser_outputs
    background = metadata.get("background")
    if background is None and outputs.alpha_color is not None:
        background = tuple(float(v) for v in outputs.alpha_color)
    duration = float(metadata.get("duration", 1.0 if known.cameras.times is not None else 0.0))

    def decode(i: int) -> UInt8[np.ndarray, "H W D"]:
        image = kept[i]["image"]
        if image.dtype != torch.uint8:
            image = (image * 255 + 0.5).to(torch.uint8)
        return np.asarray(image.cpu().numpy())

    views = Views(
        _cameras(known.cameras, duration), [str(p.name) for p in outputs.image_filenames], decode,
        camera_ids=metadata.get("camera_ids"), background=background,
    )  # fmt: skip
    points, times = _points(metadata)
    box = known.scene_box.aabb.float()
    return Dataset(
        "nerfstudio", {"train": views}, duration, box, background, points, times
    )  # fmt: skip


def _cameras(theirs: Any, duration: float) -> Cameras:
    sizes = {(int(w), int(h)) for w, h in zip(theirs.width.reshape(-1), theirs.height.reshape(-1))}
    if len(sizes) != 1:
        raise ValueError(
            f"pictures got {len(sizes)} sizes; expected one. Use a dataparser that makes them alike."
        )
    (size,) = sizes
    count = len(theirs)
    times = torch.zeros(count) if theirs.times is None else theirs.times.reshape(-1).float()
    Ks = theirs.get_intrinsics_matrices().float().reshape(count, 3, 3)
    return Cameras(viewmats_of(theirs), Ks, *size, times * duration)


def _points(metadata: dict[str, Any]) -> tuple[Tensor | None, Tensor | None]:
    if metadata.get("points3D_xyz") is None:
        return None, None
    colours = metadata["points3D_rgb"].float() / 255
    both = torch.cat([metadata["points3D_xyz"].float(), colours], 1)
    return both, metadata.get("points3D_times")
