"""clay4d's loaders as a dataparser of nerfstudio: every layout that `load_dataset` knows.

nerfstudio reads pictures from files, and ours may come from films or through lenses that are straightened.
So each is written once, losslessly, to the user's cache folder; a second run finds it there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras as NerfstudioCameras
from nerfstudio.cameras.cameras import CameraType
from nerfstudio.data.dataparsers.base_dataparser import (
    DataParser,
    DataParserConfig,
    DataparserOutputs,
)
from nerfstudio.data.scene_box import SceneBox
from PIL import Image
from torch import Tensor

from clay4d.files import written_whole
from clay4d.jit import cache_folder
from clay4d.scenes import Dataset, Views
from clay4d.scenes.loaders import load_dataset

FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
"""From OpenCV's camera axes to OpenGL's, and back."""
STANDINS = {"train": ("train",), "val": ("val", "test", "train"), "test": ("test", "val", "train")}
"""Splits that are taken for those nerfstudio asks for, the first that is there."""


@dataclass
class Clay4dDataParserConfig(DataParserConfig):  # type: ignore[misc]
    """Posed pictures with times, in any layout that clay4d reads."""

    _target: type = field(default_factory=lambda: Clay4dDataParser)
    data: Path = Path("data")
    """Folder with posed pictures, as for `clay4d train`."""
    pictures: Path | None = None
    """Folder for the pictures as files; in the user's cache folder by default."""


@dataclass
class Clay4dDataParser(DataParser):  # type: ignore[misc]
    """Gives nerfstudio the cameras, times, pictures and points of a clay4d data set."""

    config: Clay4dDataParserConfig
    includes_time: bool = True

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        dataset = load_dataset(self.config.data)
        name = next(s for s in STANDINS[split] if s in dataset.splits)
        views = dataset.splits[name]
        folder = self.config.pictures or picture_folder(self.config.data)
        return DataparserOutputs(
            image_filenames=write_pictures(folder / name, views),
            cameras=to_nerfstudio(views, dataset.duration),
            scene_box=SceneBox(aabb=dataset.bounds),
            metadata=_metadata(dataset, views),
        )


def picture_folder(data: Path) -> Path:
    """Where a data folder's pictures are kept as files."""
    digest = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]
    return cache_folder().parent / "nerfstudio" / digest


def write_pictures(folder: Path, views: Views) -> list[Path]:
    """Each view as a PNG; those whose file is there are left alone if they have its pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(len(views)):
        pixels = views.pixels(i)
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
        path = folder / f"{i:05d}-{digest}.png"
        if not path.is_file():
            with written_whole(path) as place:
                Image.fromarray(pixels).save(place, format="PNG", compress_level=1)
        paths.append(path)
    return paths


def to_nerfstudio(views: Views, duration: float) -> NerfstudioCameras:
    """Cameras with OpenGL axes and times 0–1."""
    ours = views.cameras
    c2w = torch.linalg.inv(ours.viewmats.double()).float() @ FLIP
    times = ours.times / duration if duration > 0 else torch.zeros_like(ours.times)
    return NerfstudioCameras(
        camera_to_worlds=c2w[:, :3], fx=ours.Ks[:, 0, 0], fy=ours.Ks[:, 1, 1],
        cx=ours.Ks[:, 0, 2], cy=ours.Ks[:, 1, 2], width=ours.width, height=ours.height,
        camera_type=CameraType.PERSPECTIVE, times=times[:, None],
    )  # fmt: skip


def viewmats_of(cameras: NerfstudioCameras) -> Float[Tensor, "C 4 4"]:
    """World to camera in OpenCV axes, of nerfstudio's camera to world in OpenGL's."""
    c2w = torch.eye(4, dtype=torch.float64).repeat(len(cameras), 1, 1)
    c2w[:, :3] = cameras.camera_to_worlds.double().reshape(-1, 3, 4)
    found: Tensor = torch.linalg.inv(c2w @ FLIP.double()).float()
    return found


def _metadata(dataset: Dataset, views: Views) -> dict[str, Any]:
    found: dict[str, Any] = {
        "duration": dataset.duration,
        "background": dataset.background,
        "camera_ids": list(views.camera_ids),
    }
    if dataset.points is not None:
        found["points3D_xyz"] = dataset.points[:, :3].contiguous()
        found["points3D_rgb"] = (dataset.points[:, 3:] * 255 + 0.5).to(torch.uint8)
        found["points3D_times"] = dataset.point_times
    return found
