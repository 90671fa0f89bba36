"""A folder of numbered .ply files as a scene that moves: one file a moment.

Files are in the order of the last number in their names, as SuperSplat takes them. Names hold no times:
clay4d writes them as comments of the headers (`time SECONDS`), and where not all files have one, 30 files
are a second. A moment shows the file nearest to it; Gaussians of two files have nothing to do with each
other, so nothing is interpolated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from clay4d.scenes.exchange.ply_reading import read_ply_and_comments
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.ply_elements import LONGEST, read_header
from clay4d.scenes.splat_scene import SplatScene

RATE = 30.0
"""Files a second where nothing says it."""


@dataclass
class SplatSequence:
    """One file of Gaussians for each moment; one of them is in memory at a time."""

    paths: tuple[Path, ...]
    times: tuple[float, ...]
    """Seconds, rising from 0."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    near: float = 0.01
    """As in `SplatScene`."""
    duration: float = field(init=False)
    """Seconds from the first file to the last."""
    _shown: tuple[int, SplatScene] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.duration = self.times[-1]

    def at(self, time: float) -> Gaussians:
        """The Gaussians of the file nearest to `time`, the earlier of two; read when they are asked for.

        Raises:
            ValueError: the file is none of Gaussians.
        """
        return self._scene(time).at(0.0)

    def _scene(self, time: float) -> SplatScene:
        nearest = min(range(len(self.times)), key=lambda k: abs(self.times[k] - time))
        if self._shown is None or self._shown[0] != nearest:
            self._shown = None  # so that two are never in memory
            self._shown = nearest, read_ply_and_comments(self.paths[nearest])[0]
        return self._shown[1]

    def __len__(self) -> int:
        """Gaussians of the first moment."""
        return len(self._scene(0.0))


def is_sequence(folder: str | Path) -> bool:
    """Whether a folder holds numbered .ply files."""
    return Path(folder).is_dir() and next(iter(numbered(Path(folder))), None) is not None


def numbered(folder: Path) -> list[Path]:
    """The .ply files of a folder that have a number, in its order.

    >>> numbered(Path("no/such/folder"))
    []
    """
    if not folder.is_dir():
        return []
    found = [
        (int(digits[-1]), path.name, path)
        for path in folder.iterdir()
        if path.suffix.lower() == ".ply"
        and path.is_file()
        and (digits := re.findall(r"\d{1,18}", path.stem))
    ]
    return [path for _, _, path in sorted(found)]


def read_ply_sequence(folder: str | Path) -> SplatSequence:
    """Read a folder of numbered .ply files, compressed or not, as a scene that moves.

    Only headers are read at first. Other files in the folder are left alone.

    Raises:
        FileNotFoundError: no numbered .ply file there.
        ValueError: a file that is no PLY file, two with one number, times that do not rise.

    >>> import tempfile, torch
    >>> from clay4d.scenes.exchange.ply import write_ply_sequence
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import raw_from_gaussians
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ply_sequence(SplatScene(raw_from_gaussians(g), Static()), folder, times=[0.0, 0.5])
    ...     read_ply_sequence(folder).duration
    0.5
    """
    folder = Path(folder)
    paths = numbered(folder)
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no numbered .ply files; expected frame_0000.ply and on."
        )
    said = [_time(path) for path in paths]
    times = [k / RATE for k in range(len(paths))]
    if all(t is not None for t in said):
        times = [t - said[0] for t in said]  # type: ignore[operator]
    if not all(a < b for a, b in zip(times, times[1:])):
        raise ValueError(
            f"{folder.name} got times that do not rise with the files' numbers; expected one for each. "
            "Rename the files."
        )
    return SplatSequence(tuple(paths), tuple(times))


def _time(path: Path) -> float | None:
    """Seconds that a file's header says."""
    with path.open("rb") as file:
        header = read_header(file.read(LONGEST), path.name)
    for comment in header.comments:
        words = comment.split()
        if len(words) == 2 and words[0] == "time":
            try:
                time = float(words[1])
            except ValueError:
                continue
            return time if math.isfinite(time) else None
    return None
