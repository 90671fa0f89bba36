"""Tracks of points that another tool has found in the film that `prepare` is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clay4d.files import written_whole
from clay4d.scenes.loaders.images import read_npz
from clay4d.scenes.loaders.lens import Lens
from clay4d.scenes.loaders.tracks import checked_tracks, through
from clay4d.scenes.prepare.sources import Source

FILE = "tracks.npz"
"""Its name in the data set."""


class GivenTracks:
    """An npz file: `tracks` [P, T, 2] over all T frames of the film (or pictures in the order of their names),
    `visible` [P, T], and `size`, width and height of the pictures in which they were followed.

    Pixels have the first one's centre at (0.5, 0.5), pictures are upright. With several cameras it is a folder
    of such files, named as the cameras' films or folders.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is none of tracks, or of another number of frames than its film.
    """

    def __init__(self, path: Path, sources: list[Source]) -> None:
        if not path.exists():
            raise FileNotFoundError(
                f"tracks got {str(path)!r}, which is not there; expected an npz file with tracks, "
                "visible and size. Correct the path."
            )
        self.parts: dict[int, tuple[Any, Any, Any]] = {}
        self.columns: list[tuple[str, int, Any, Any]] = []
        for camera, source in enumerate(sources):
            file = path / f"{source.name}.npz" if path.is_dir() else path
            if file.is_file() and (path.is_dir() or len(sources) == 1):
                self.parts[camera] = _read(file, source)
        if not self.parts:
            wanted = " or ".join(f"{source.name}.npz" for source in sources[:2])
            raise ValueError(
                f"tracks got {path.name} for {len(sources)} cameras; expected a folder with a file for "
                f"each, such as {wanted}. Name the files as the films."
            )

    def note(self, source: int, index: int, name: str, lens: Lens) -> None:
        """Take the tracks of a picture that is written under `name`, seen through `lens` before."""
        if source not in self.parts:
            return
        xy, seen, size = self.parts[source]
        here = xy[:, index] * ((lens.width, lens.height) / size)
        self.columns.append((name, source, *through(lens, here, seen[:, index])))

    def write(self, data: Path) -> str:
        """Write what was noted into the data set; gives the file's name.

        Raises:
            ValueError: no point is seen in two pictures.
        """
        first, total = {}, 0
        for camera in sorted(self.parts):
            first[camera], total = total, total + len(self.parts[camera][0])
        xy = np.zeros((total, len(self.columns), 2), np.float32)
        seen = np.zeros((total, len(self.columns)), bool)
        for k, (_, camera, moved, there) in enumerate(self.columns):
            rows = slice(first[camera], first[camera] + len(there))
            xy[rows, k], seen[rows, k] = moved, there
        kept = seen.sum(1) >= 2
        if not kept.any():
            raise ValueError(
                f"tracks got {total} points of which none is visible in two of the pictures kept; "
                "expected some. Check visible, and that the pixels fit size."
            )
        names = np.array([name for name, *_ in self.columns])
        with written_whole(data / FILE) as place, place.open("wb") as file:
            np.savez_compressed(file, tracks=xy[kept], visible=seen[kept], pictures=names)
        return FILE


def _read(file: Path, source: Source) -> tuple[Any, Any, Any]:
    """Pixels [P, T, 2], visibility [P, T] and the size [2] they speak of."""
    xy, seen, size = read_npz(file, "tracks", "visible", "size")
    xy, seen = checked_tracks(xy, seen, file.name)
    if xy.shape[1] != len(source):
        raise ValueError(
            f"{file.name} got tracks over {xy.shape[1]} frames; expected {len(source)}, as many as "
            f"{source.name} has. Track every frame."
        )
    if size.shape != (2,) or size.dtype.kind not in "iuf" or not (size > 0).all():
        raise ValueError(
            f"{file.name} got size {str(size.tolist())[:60]}; expected width and height, pixels, of the "
            "pictures that were tracked. Write it again."
        )
    return xy, seen, size.astype(np.float64)
