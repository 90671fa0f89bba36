"""poses_bounds.npy: Neural 3D Video's films and LLFF's forward-facing pictures.

Sources: LLFF (Mildenhall et al. 2019, README "Using your own poses") and Neural 3D Video (Li et al.
2022). Each of the N rows has 17 numbers: a 3×5 matrix, row by row, of which the first four columns
are the camera-to-world pose with axes down, right, back, and the last is height, width, focal length
in pixels; then the nearest and the farthest depth. Rows go with the films, or pictures, by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset
from clay4d.scenes.loaders.fields import inverse, rigid
from clay4d.scenes.loaders.film import SUFFIXES as FILMS
from clay4d.scenes.loaders.images import find, header, inside, read_npy
from clay4d.scenes.loaders.lens import Lens
from clay4d.scenes.loaders.rig import PICTURES, held_out, rig_reader, rig_shots, tracks
from clay4d.scenes.loaders.shots import Color, Shot, every, views_of
from clay4d.scenes.loaders.upright import upright

FILE = "poses_bounds.npy"
DEEPEST = 4.0
"""How many times the nearest depth the starting box reaches: what is farther grows by training."""


def load_llff(
    root: Path,
    *,
    background: Color | None = None,
    test_every: int = 8,
    memory_budget: int = MEMORY_BUDGET,
    factor: int | None = None,
) -> Dataset:
    """The data set in a folder with poses_bounds.npy and films (N3DV) or pictures (LLFF).

    Films go with the rows in order of their names; the first camera, cam00, is "test" as in the
    paper, and films wider than 2000 pixels are read at half their size unless `factor` says else.
    Frames are decoded when asked for; their times are the films' own. Pictures are in images or
    images_{factor}; every `test_every`-th is "test". The world is turned so that the cameras' mean up
    is z, and the starting box holds what the cameras see from the nearest depth to four times it.

    Raises:
        ValueError: rows that cannot be right, or as many films as there are no rows for.
        FileNotFoundError: neither films nor pictures.
    """
    poses, lenses, near_far = _rows(root)
    turn = upright(poses)
    poses = poses @ inverse(turn)
    filmed = any(f.suffix.lower() in FILMS for f in root.iterdir())
    read = None
    if filmed:
        found = tracks(root, factor=factor)
        _agree(len(poses), len(found), "films", list(found)[:1])
        cameras = {
            name: (track, lenses[i], poses[i]) for i, (name, track) in enumerate(found.items())
        }
        groups, read = held_out(rig_shots(cameras), 0), rig_reader(root, found)
    else:
        groups = every(_pictures(root, poses, lenses, factor), test_every)
    splits = {
        s: views_of(root, s, g, background=background, memory_budget=memory_budget, read=read)
        for s, g in groups.items()
    }
    last = max(float(v.cameras.times.max()) for v in splits.values())
    notes = {
        "format": "N3DV" if filmed else "LLFF",
        "poses": "axes down, right, back, turned into OpenCV world-to-camera",
        "undistorted": False,
        "world": "turned so that the cameras' mean up is z",
        "world_from_file": turn.tolist(),
        "bounds": f"what the cameras see from the nearest depth to {DEEPEST:g} times it",
    }
    bounds = _bounds(splits["train"].cameras, near_far)
    return Dataset(root.name, splits, last, bounds, background=background, notes=notes)


def _rows(
    root: Path,
) -> tuple[Float[np.ndarray, "C 4 4"], list[Lens], Float[np.ndarray, "C 2"]]:
    """World-to-camera poses, lenses, and depths from near to far."""
    table = read_npy(root, FILE)
    if table.ndim != 2 or table.shape[1] != 17 or not 0 < len(table) <= 1 << 16:
        raise ValueError(
            f"{FILE} got shape {list(table.shape)[:6]}; expected [N, 17], a row a camera. "
            "Write 3×5 numbers, near and far for each."
        )
    rows = np.array(table, np.float64)
    poses, lenses = [], []
    for i, row in enumerate(rows):
        where = f"{FILE}, row {i}"
        if not np.isfinite(row).all():
            raise ValueError(f"{where} got NaN or infinity; expected finite numbers. Correct it.")
        matrix = row[:15].reshape(3, 5)
        down, right, back, centre, (height, width, focal) = matrix.T
        c2w = np.eye(4)
        c2w[:3] = np.stack([right, down, -back, centre], 1)
        poses.append(inverse(rigid(c2w.tolist(), where)))
        if not (1 <= height <= 1 << 16 and 1 <= width <= 1 << 16 and focal > 0):
            raise ValueError(
                f"{where} got height {height:g}, width {width:g}, focal length {focal:g}; expected "
                "numbers above 0. Check the order of the columns."
            )
        w, h = round(width), round(height)
        lenses.append(Lens(w, h, float(focal), float(focal), w / 2, h / 2))
        if not 0 < row[15] < row[16]:
            raise ValueError(
                f"{where} got depths {row[15]:g} to {row[16]:g}; expected 0 < near < far. "
                "Estimate them again."
            )
    return np.stack(poses), lenses, rows[:, 15:]


def _agree(rows: int, count: int, what: str, first: list[str]) -> None:
    if rows != count:
        raise ValueError(
            f"{FILE} got {rows} rows for {count} {what} (first: {', '.join(first) or 'none'}); "
            f"expected one each. Remove the {what} that have no pose, or the rows."
        )


def _pictures(
    root: Path, poses: Float[np.ndarray, "C 4 4"], lenses: list[Lens], factor: int | None
) -> list[Shot]:
    folders = sorted(d.name for d in root.glob("images_*") if d.is_dir())
    folders = ["images", *folders] if factor in (None, 1) else [f"images_{factor}"]
    for folder in folders:
        base = inside(root, folder)
        names = sorted(f.name for f in base.glob("*") if f.suffix.lower() in PICTURES)
        if names:
            break
    else:
        raise FileNotFoundError(
            f"{root.name} got {FILE} without films (cam00.mp4, …) or pictures in {folder}; "
            "expected one of them. "
            "Copy them into the folder."
        )
    _agree(len(poses), len(names), "pictures", names[:1])
    shots = []
    for name, pose, lens in zip(names, poses, lenses):
        path = find(root, f"{folder}/{name}", suffixes=("",))
        width, height, alpha = header(root, path)
        shots.append(Shot(path, lens.scaled(width, height), pose, alpha=alpha))
    return shots


def _bounds(cameras: Cameras, near_far: Float[np.ndarray, "C 2"]) -> Float[Tensor, "2 3"]:
    """The box about the corners of what the cameras see, near and far."""
    near = float(np.median(near_far[:, 0]))
    far = min(float(np.median(near_far[:, 1])), DEEPEST * near)
    w, h = cameras.width, cameras.height
    corners = torch.tensor([[0.0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]])
    rays = corners @ torch.linalg.inv(cameras.Ks).transpose(1, 2)
    R, centres = cameras.viewmats[:, :3, :3], cameras.centres
    seen = torch.cat([(depth * rays) @ R + centres[:, None] for depth in (near, far)], 1)
    points = seen.reshape(-1, 3)
    return torch.stack([points.amin(0), points.amax(0)])
