"""Small data sets that the tests of scenes write and read."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.scenes import Cameras
from clay4d.scenes.loaders import load_dataset


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """OpenGL camera-to-world pose, z up."""
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0, 0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, eye], 1)
    return pose


def ring(n: int, radius: float = 4.0, target: tuple[float, float, float] = (0, 0, 0)) -> list:
    angles = np.arange(n) * 2 * np.pi / n
    eyes = np.stack([np.cos(angles), np.sin(angles), 0.4 + 0.1 * np.sin(3 * angles)], 1)
    return [look_at(radius * eye + target, np.array(target)) for eye in eyes]


def save(path: Path, channels: int = 3, size: tuple[int, int] = (8, 6), value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], channels), value, np.uint8)).save(path)


def blender(root: Path, *, n: int = 3, channels: int = 4, time: bool = True) -> dict[str, Any]:
    """A D-NeRF folder with train, val and test; gives the contents of transforms_train.json."""
    metas = {}
    for split in ("train", "val", "test"):
        frames = []
        for i, pose in enumerate(ring(n)):
            save(root / split / f"r_{i:03d}.png", channels)
            frame = {"file_path": f"./{split}/r_{i:03d}", "transform_matrix": pose.tolist()}
            frames.append(frame | ({"time": i / (n - 1)} if time else {}))
        metas[split] = {"camera_angle_x": 0.7, "frames": frames}
        put(root, metas[split], f"transforms_{split}.json")
    return metas["train"]


def single(root: Path, n: int = 10, **top: Any) -> dict[str, Any]:
    """An instant-ngp folder; gives the contents of transforms.json."""
    frames = []
    for i in reversed(range(n)):  # out of order on purpose
        save(root / f"images/{i:04d}.jpg")
        frames.append({"file_path": f"images/{i:04d}.jpg", "transform_matrix": ring(n)[i].tolist()})
    meta = {"fl_x": 9.0, "fl_y": 8.0, "cx": 4.5, "cy": 3.5, "w": 8, "h": 6.0, **top}
    meta["frames"] = frames
    put(root, meta)
    return meta


def put(root: Path, meta: object, name: str = "transforms.json") -> None:
    (root / name).write_text(json.dumps(meta))


def refused(root: Path, match: str, error: type[Exception] = ValueError, **options: Any) -> None:
    with pytest.raises(error, match=match) as caught:
        load_dataset(root, **options)
    assert "\n" not in str(caught.value) and str(root) not in str(caught.value)


def panoptic(root: Path, frames: int = 4) -> dict[str, Any]:
    """Three cameras, 2, 5 and 9, about (1, -2, 3) in a world whose y points down; 9 is held out."""
    turn = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # z up → y down
    poses = [turn @ p @ np.diag([1.0, -1, -1, 1]) for p in ring(3, target=(1, 3, 2))]
    K = [[9.0, 0, 4], [0, 9, 3], [0, 0, 1]]
    metas = {}
    for split, ids in (("train", (2, 5)), ("test", (9,))):
        meta: dict[str, Any] = {"w": 8, "h": 6, "fn": [], "cam_id": [], "k": [], "w2c": []}
        for t in range(frames):
            meta["fn"].append([f"{i}/{t:06d}.jpg" for i in ids])
            meta["cam_id"].append(list(ids))
            meta["k"].append([K for _ in ids])
            meta["w2c"].append([np.linalg.inv(poses[(2, 5, 9).index(i)]).tolist() for i in ids])
            for i in ids:
                save(root / f"ims/{i}/{t:06d}.jpg", value=40 * t)
                if split == "train":
                    (root / f"seg/{i}").mkdir(parents=True, exist_ok=True)
                    Image.new("L", (8, 6), t % 2).save(root / f"seg/{i}/{t:06d}.png")
        put(root, meta, f"{split}_meta.json")
        metas[split] = meta
    return metas["train"]


def cameras_of(poses: list) -> Cameras:
    w2c = [np.linalg.inv(p @ np.diag([1.0, -1, -1, 1])) for p in poses]
    n = len(poses)
    viewmats = torch.tensor(np.stack(w2c)).float()
    return Cameras(viewmats, torch.eye(3).repeat(n, 1, 1), 8, 6, torch.linspace(0, 0.7, n))


@pytest.fixture
def posed() -> SimpleNamespace:
    """Makers of small data sets; a fixture, since test files cannot import each other here."""
    return SimpleNamespace(
        look_at=look_at,
        ring=ring,
        save=save,
        blender=blender,
        single=single,
        put=put,
        refused=refused,
        panoptic=panoptic,
        cameras_of=cameras_of,
    )
