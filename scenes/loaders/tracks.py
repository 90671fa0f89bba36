"""Tracks in a data folder: an npz file that transforms.json names as `tracks_file_path`.

`tracks` [P, F, 2] are pixels of the pictures as stored, the first pixel's centre at (0.5, 0.5), `visible`
[P, F] says where a point is seen, and `pictures` [F] are the file paths of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clay4d.scenes.loaders.images import find, inside, read_npz
from clay4d.scenes.loaders.lens import Lens, undistort_points
from clay4d.scenes.loaders.shots import Shot
from clay4d.scenes.tracks import Tracks


def checked_tracks(xy: Any, seen: Any, name: str) -> tuple[Any, Any]:
    """Float32 pixels [P, F, 2] and booleans [P, F] of a file's arrays.

    Raises:
        ValueError: arrays of other shapes or kinds.

    >>> checked_tracks(np.zeros((4, 3, 2)), np.ones((4, 3)), "t.npz")[1].dtype
    dtype('bool')
    """
    right = xy.ndim == 3 and xy.shape == (*seen.shape, 2) and xy.size > 0
    if not right or xy.dtype.kind not in "iuf" or seen.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} got tracks {xy.dtype} {list(xy.shape)[:6]} and visible {seen.dtype} "
            f"{list(seen.shape)[:6]}; expected numbers [P, F, 2] and [P, F]. Write it again."
        )
    xy, seen = xy.astype(np.float32), np.nan_to_num(seen.astype(np.float32)) > 0.5
    return xy, seen & np.isfinite(xy).all(-1)


def read_tracks(root: Path, name: object, shots: Sequence[Shot]) -> Tracks:
    """Tracks over a split's pictures, as their undistorted lenses see them.

    A picture that the file does not name sees none of the points.

    Raises:
        ValueError: not such a file, or none of its pictures in the data.
        FileNotFoundError: no such file.
    """
    file = find(root, name, suffixes=("",))
    xy, seen, pictures = read_npz(inside(root, file), "tracks", "visible", "pictures")
    xy, seen = checked_tracks(xy, seen, file)
    if pictures.dtype.kind != "U" or pictures.shape != (xy.shape[1],):
        raise ValueError(
            f"{file} got pictures {pictures.dtype} {list(pictures.shape)[:6]}; expected "
            f"{xy.shape[1]} names, the file paths of the frames. Write it again."
        )
    columns = {str(picture).removeprefix("./"): k for k, picture in enumerate(pictures)}
    found = [
        columns.get(shot.name, columns.get(str(Path(shot.name).with_suffix("")))) for shot in shots
    ]
    if all(column is None for column in found):
        raise ValueError(
            f"{file} got pictures {', '.join(list(columns)[:3])}; expected file paths of frames such "
            f"as {shots[0].name}. Write it again."
        )
    places, there = (
        np.zeros((len(xy), len(shots), 2), np.float32),
        np.zeros((len(xy), len(shots)), bool),
    )
    for k, (shot, column) in enumerate(zip(shots, found)):
        if column is not None:
            places[:, k], there[:, k] = through(shot.lens, xy[:, column], seen[:, column])
    return Tracks(torch.from_numpy(places), torch.from_numpy(there))


def through(lens: Lens, xy: Any, seen: Any) -> tuple[Any, Any]:
    """Pixels [P, 2] of a lens's pictures as `pinhole(lens)` sees them, and which of the points it sees.

    >>> through(Lens(4, 4, 4.0, 4.0, 2.0, 2.0), np.array([[1.0, 2], [9, 9]]), np.ones(2, bool))[1].tolist()
    [True, False]
    """
    size = np.array([lens.width, lens.height])
    seen = seen & (xy >= 0).all(1) & (xy <= size).all(1)
    moved = np.zeros(xy.shape, np.float32)
    if seen.any():
        moved[seen] = undistort_points(lens, xy[seen].astype(np.float64))
    seen = seen & np.isfinite(moved).all(1) & (moved >= 0).all(1) & (moved < size).all(1)
    return np.where(seen[:, None], moved, np.float32(0)), seen
