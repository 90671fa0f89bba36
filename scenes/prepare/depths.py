"""Depth that another tool has found for the pictures that `prepare` is given."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from clay4d.scenes.loaders.images import read_depth
from clay4d.scenes.prepare.sources import Source

SUFFIXES = (".png", ".npy")
ASPECT = 0.02
"""Share by which the ratio of a depth's sides may differ from its picture's: sizes are rounded."""


class Depths:
    """A folder of 16-bit PNGs or npy files, one a picture, in any unit, 0 where unknown.

    A file is named as its picture, or for films by the frame's number from 0 with five digits; with
    several cameras in a folder for each, named as the camera's film or folder.

    Raises:
        FileNotFoundError: no such folder.
    """

    def __init__(self, root: Path, *, cameras: int) -> None:
        if not root.is_dir():
            raise FileNotFoundError(
                f"depths got {str(root)!r}, which is no folder; expected one of 16-bit PNG or npy "
                "files. Correct the path."
            )
        self.root, self.cameras, self.found = root, cameras, 0

    def read(
        self, source: Source, index: int, *, width: int, height: int
    ) -> Float[np.ndarray, "H W"] | None:
        """Depth of one picture at the picture's size, by the nearest pixel; None without a file.

        Raises:
            ValueError: a file that is no depth, or whose sides have another ratio than the picture's.
        """
        stem = f"{index:05d}" if source.film else Path(source.pictures[index]).stem
        at = f"{source.name}/{stem}" if self.cameras > 1 else stem
        name = next((at + s for s in SUFFIXES if (self.root / (at + s)).is_file()), None)
        if name is None:
            return None
        depth = read_depth(self.root, name)
        rows, columns = depth.shape
        if not depth.size or abs(columns * height / (rows * width) - 1) > ASPECT:
            raise ValueError(
                f"{name} got {columns}×{rows} pixels for a picture of {width}×{height}; expected "
                "the picture's shape, upright, at any size. Make depth of the pictures as they are."
            )
        self.found += 1
        nearest = cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.asarray(nearest, np.float32)

    def check_used(self) -> None:
        """Refuse a folder of which nothing fitted a picture.

        Raises:
            ValueError: says how files should be named.
        """
        if not self.found:
            some = ", ".join(sorted(f.name for f in self.root.iterdir())[:3]) or "nothing"
            raise ValueError(
                f"depths folder {self.root.name} got {some}; expected files named as the pictures, or "
                "for films by the frame's number, as 00000.png or 00000.npy. Rename them."
            )
