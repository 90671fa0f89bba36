"""Folders with a COLMAP model: sparse/0 and images, as COLMAP, mip-NeRF 360 and 3DGS lay them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset
from clay4d.scenes.loaders.bounds import camera_bounds
from clay4d.scenes.loaders.colmap_model import ColmapImage, ColmapModel, read_model
from clay4d.scenes.loaders.fields import inverse
from clay4d.scenes.loaders.images import find, header, inside
from clay4d.scenes.loaders.shots import Color, Shot, every, views_of
from clay4d.scenes.loaders.upright import turned, upright

FOLDERS = ("sparse", "colmap/sparse", "")
"""Where a model may be, itself or in numbered folders."""
SHAPE = 0.01
"""How far the sides' ratio of a scaled picture may be from its camera's: sizes are whole pixels."""


def colmap_folders(root: Path) -> list[str]:
    """Folders of `root` with cameras and images files, by size of the model, largest first."""
    found = []
    for place in FOLDERS:
        base = inside(root, place) if place else root
        if not base.is_dir():
            continue
        inner = sorted((d.name for d in base.iterdir() if d.name.isdigit()), key=int)
        found += [f"{place}/{d}".lstrip("/") for d in inner] + [place]
    sizes = {}
    for folder in found:
        at = inside(root, folder) if folder else root
        files = [at / f"images{suffix}" for suffix in (".bin", ".txt")]
        sizes[folder] = max((f.stat().st_size for f in files if f.is_file()), default=0)
    return sorted((f for f in found if sizes[f]), key=lambda f: (-sizes[f], found.index(f)))


def load_colmap(
    root: Path,
    *,
    background: Color | None = None,
    test_every: int = 8,
    memory_budget: int = MEMORY_BUDGET,
    factor: int | None = None,
) -> Dataset:
    """The data set in a folder with a COLMAP model and its pictures.

    The model is the largest of sparse/0, sparse/1, …, colmap/sparse/…, sparse, or the folder itself;
    its pictures are in images, or in images_{factor} where `factor` is given; without images the
    smallest factor there is. Pictures smaller than their camera says scale it. The world is turned
    so that the cameras' mean up is z; the points come along. Every `test_every`-th view by name, from
    the first on, is "test".

    Raises:
        ValueError: a broken model, or pictures that do not fit it.
        FileNotFoundError: a model's file or a picture is missing.
    """
    folders = colmap_folders(root)
    if not folders:
        raise FileNotFoundError(
            f"{root.name} got sparse/ without images.bin or images.txt; expected a COLMAP model "
            "(cameras, images, points3D) in it. Run `colmap mapper`, or `clay4d prepare`."
        )
    model = read_model(root, folders[0])
    pictures = picture_folder(root, [image.name for image in model.images], factor)
    turn = upright(np.stack([image.viewmat for image in model.images]))
    shots = [_shot(root, model, image, pictures, turn) for image in model.images]
    splits = {
        split: views_of(root, split, group, background=background, memory_budget=memory_budget)
        for split, group in every(shots, test_every).items()
    }
    points = None if model.points is None else torch.from_numpy(turned(model.points, turn))
    notes = {
        "format": "COLMAP",
        "model": folders[0] or ".",
        "other_models": folders[1:],
        "pictures": pictures or ".",
        "undistorted": any(shot.lens.distorted for shot in shots),
        "world": "turned so that the cameras' mean up is z",
        "world_from_file": turn.tolist(),
        "bounds": "cube about the point that the training cameras look at",
    }
    return Dataset(
        root.name, splits, 0.0, camera_bounds(splits["train"].cameras),
        background=background, points=points, notes=notes,
    )  # fmt: skip


def picture_folder(root: Path, names: Sequence[str], factor: int | None) -> str:
    """The folder in which a model's pictures are.

    Raises:
        FileNotFoundError: images_{factor} is not there.
    """
    there = sorted(
        int(d.name[7:])
        for d in root.glob("images_*")
        if d.is_dir() and d.name[7:].isdigit() and int(d.name[7:]) > 0
    )
    if factor is not None and factor > 1:
        if factor not in there:
            raise FileNotFoundError(
                f"factor got {factor}, but images_{factor} is not in {root.name}; expected one of "
                f"1, {', '.join(map(str, there)) or 'no other'}. Choose one that is there."
            )
        return f"images_{factor}"
    for folder in ("images", *(f"images_{f}" for f in there), "input", ""):
        if inside(root, f"{folder}/{names[0]}".lstrip("/")).is_file():
            return folder
    return "images"  # the first picture is then told to be missing there


def _shot(
    root: Path, model: ColmapModel, image: ColmapImage, folder: str, turn: np.ndarray
) -> Shot:
    name = find(root, f"{folder}/{image.name}".lstrip("/"), suffixes=("",))
    width, height, alpha = header(root, name)
    lens = model.lenses[image.camera]
    stretch = (width / lens.width) / (height / lens.height)
    # A whole pixel more or less is allowed on the shorter side.
    if abs(stretch - 1) > max(SHAPE, 1.0 / min(width, height)):
        raise ValueError(
            f"{name} got {width}×{height} pixels; expected {lens.width}×{lens.height} as its "
            "camera says, or the same shape scaled. Use the pictures that the model was made of."
        )
    pose = image.viewmat @ inverse(turn)
    return Shot(name, lens.scaled(width, height), pose, None, None, alpha, camera=image.camera)
