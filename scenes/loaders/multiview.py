"""Cameras that stand still, a folder or a film each, with one file that says where they are.

The file is one of: cameras.json as 3D Gaussian Splatting writes it (a list of id, img_name, width,
height, position, rotation (camera to world, OpenCV axes), fx, fy; here img_name is the camera's
folder or film, and cx, cy and nerfstudio's camera_model, k1…k4, p1, p2 may be added; or an object
with that list as "cameras" and "fps"); or a COLMAP model with one picture for each camera, in
sparse_ (4DGaussians' multipleview layout) or sparse, whose picture is named like the camera, lies in
its folder, or is imageNN for camNN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset
from clay4d.scenes.loaders.bounds import camera_bounds
from clay4d.scenes.loaders.colmap import colmap_folders
from clay4d.scenes.loaders.colmap_model import read_model
from clay4d.scenes.loaders.fields import array, inverse, objects, parse_json, positive, rigid
from clay4d.scenes.loaders.film import SUFFIXES as FILMS
from clay4d.scenes.loaders.images import inside
from clay4d.scenes.loaders.lens import Lens, read_lens
from clay4d.scenes.loaders.rig import FPS, Track, held_out, rig_reader, rig_shots, tracks
from clay4d.scenes.loaders.shots import Color, views_of
from clay4d.scenes.loaders.upright import turned, upright

Posed = tuple[Lens, Float[np.ndarray, "4 4"]]
NESTED = ("", "videos", "images")
"""Where the cameras' folders or films may be."""


def is_multiview(root: Path) -> bool:
    """Whether a folder has one film or folder of pictures for each camera, and a file of cameras."""
    if (root / "cameras.json").is_file() or (root / "sparse_").is_dir():
        return True
    if not (root / "sparse").is_dir():
        return False
    # An ordinary COLMAP folder may have one folder a camera too: then every picture has a pose.
    return any(f.suffix.lower() in FILMS for f in root.iterdir())


def load_multiview(
    root: Path,
    *,
    background: Color | None = None,
    memory_budget: int = MEMORY_BUDGET,
    factor: int | None = None,
) -> Dataset:
    """The data set in a folder of synchronised cameras.

    Cameras are films beside each other or folders of pictures, in the folder itself, in videos or in
    images; they begin together, and a film's times are its own while pictures follow each other by
    the file's fps, 30 without. The first camera by name is "test", as in Neural 3D Video; films wider
    than 2000 pixels are read at half their size unless `factor` says else. The world is turned so
    that the cameras' mean up is z.

    Raises:
        ValueError: a file of cameras, films or pictures that cannot be right, or a camera without
            pose or pictures.
        FileNotFoundError: no films or folders of pictures.
    """
    listed = (root / "cameras.json").is_file()
    posed, points, fps = _listed(root) if listed else _colmap(root)
    found: dict[str, Track] = {}
    for folder in NESTED:
        if not found and (not folder or inside(root, folder).is_dir()):
            found = {
                name: t
                for name, t in tracks(root, fps=fps, factor=factor, folder=folder).items()
                if name not in ("images", "videos", "masks", "sparse", "sparse_")
            }
    if not found:
        raise FileNotFoundError(
            f"{root.name} got neither films nor folders of pictures; expected one a camera. "
            "Copy them into the folder."
        )
    poses = _matched(found, posed)
    turn = upright(np.stack([pose for _, pose in poses.values()]))
    back = inverse(turn)
    cameras = {n: (found[n], lens, pose @ back) for n, (lens, pose) in poses.items()}
    read = rig_reader(root, found)
    splits = {
        s: views_of(root, s, g, background=background, memory_budget=memory_budget, read=read)
        for s, g in held_out(rig_shots(cameras), 0).items()
    }
    last = max(float(v.cameras.times.max()) for v in splits.values())
    notes = {
        "format": "multi-view",
        "cameras": list(cameras),
        "undistorted": any(lens.distorted for lens, _ in poses.values()),
        "world": "turned so that the cameras' mean up is z",
        "world_from_file": turn.tolist(),
        "bounds": "cube about the point that the training cameras look at",
    }
    return Dataset(
        root.name, splits, last, camera_bounds(splits["train"].cameras), background=background,
        points=None if points is None else torch.from_numpy(turned(points, turn)), notes=notes,
    )  # fmt: skip


def _matched(found: Mapping[str, Track], posed: Mapping[str, Posed]) -> dict[str, Posed]:
    """Each camera's pose; all films and folders must have one."""
    missing = [name for name in found if name not in posed]
    if missing:
        raise ValueError(
            f"camera {missing[0]} got no pose; expected one of {', '.join(list(posed)[:8])}. "
            "Name the cameras alike in both, or remove what has no pose."
        )
    return {name: posed[name] for name in found}


def _listed(root: Path) -> tuple[dict[str, Posed], None, float]:
    file = "cameras.json"
    value = parse_json(root, file)
    meta: dict[str, Any] = value if isinstance(value, dict) else {"cameras": value}
    posed: dict[str, Posed] = {}
    for entry in objects(meta, "cameras", file):
        name = PurePosixPath(str(entry.get("img_name", entry.get("id", "")))).stem
        where = f"{file}, camera {name[:60]}"
        if not name or name in posed:
            raise ValueError(
                f"{where} got a name that is empty or there twice; expected the camera's folder or "
                "film as img_name. Correct it."
            )
        posed[name] = _camera(entry, where)
    return posed, None, positive(meta, "fps", file, default=FPS)


def _camera(entry: Mapping[str, Any], where: str) -> Posed:
    width, height = (int(positive(entry, key, where)) for key in ("width", "height"))
    if max(width, height) > 1 << 16:
        raise ValueError(f"{where} got {width}×{height} pixels; expected up to 65536. Correct it.")
    fields = {"camera_model": "OPENCV", **entry, "fl_x": entry.get("fx")}
    fields["fl_y"] = entry.get("fy", entry.get("fx"))
    pose = np.eye(4)
    pose[:3, :3] = array(entry.get("rotation"), (3, 3), f"rotation of {where}")
    pose[:3, 3] = array(entry.get("position"), (3,), f"position of {where}")
    lens = read_lens(fields, width, height, where)
    return lens, inverse(rigid(pose.tolist(), f"rotation of {where}"))


def _colmap(root: Path) -> tuple[dict[str, Posed], Float[np.ndarray, "P 6"] | None, float]:
    folder = (
        "sparse_" if (root / "sparse_").is_dir() else next(iter(colmap_folders(root)), "sparse")
    )
    model = read_model(root, folder)
    posed: dict[str, Posed] = {}
    for image in model.images:
        path = PurePosixPath(image.name)
        number = re.fullmatch(r"image(\d+)", path.stem)
        names = {path.stem, *path.parts[:-1]}
        if number:
            names |= {f"cam{int(number[1]):02d}", f"cam{number[1]}"}
        for name in names:
            posed.setdefault(name, (model.lenses[image.camera], image.viewmat))
    return posed, model.points, FPS
