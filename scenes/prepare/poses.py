"""Runs the mapper in a process of its own and reads what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from clay4d.scenes.loaders.colmap_model import ColmapModel, read_model

MAPPER = Path(__file__).with_name("mapper.py")
ALL_PAIRS = 60
"""Pictures up to which each is matched with each."""
NEAR = 8
"""Neighbours in order that each picture is matched with beyond that, besides leaps of powers of two."""
FEATURES = 4096
"""SIFT features a picture, at the most: matching grows with their square."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """The mapper's result."""

    model: ColmapModel | None
    error: float
    """Mean reprojection error, pixels."""


def check_sfm() -> None:
    """Refuse to begin where pycolmap is not installed.

    Raises:
        ImportError: names the extra.
    """
    if find_spec("pycolmap") is None:
        raise ImportError(
            "pycolmap got no installation; expected it for camera poses. "
            "Install it with: pip install 'clay4d[sfm]'"
        )


def pairs(names: Sequence[str], *, ordered: bool) -> list[tuple[str, str]]:
    """Which pictures to match: all with all up to 60, or if they have no order.

    In order each is matched with its next 8 and those 16, 32, 64, … on; and every tenth with every
    tenth, so that a camera that comes back is noticed.

    >>> pairs(["a", "b", "c"], ordered=True)
    [('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    count = len(names)
    everything = count <= ALL_PAIRS or not ordered
    leaps = {*range(1, NEAR + 1), *(1 << k for k in range(4, 12))}
    chosen = []
    for i in range(count):
        for j in range(i + 1, count):
            if everything or j - i in leaps or (i % 10 == 0 and j % 10 == 0):
                chosen.append((names[i], names[j]))
    return chosen


def find_poses(
    work: Path,
    names: Sequence[str],
    *,
    ordered: bool,
    masks: bool,
    focal: float | None,
    size: tuple[int, int],
    say: Say,
) -> Found:
    """Camera poses of the pictures `names` in `work`/images; the mapper's files stay in `work`.

    `masks` says that `work`/masks has NAME.png of which black hides features; `focal` is in pixels
    at `size`, where something is known of it.

    Raises:
        ImportError: pycolmap is not installed.
        ValueError: the mapper stopped without a result.
    """
    check_sfm()
    job = {
        "names": list(names),
        "pairs": pairs(names, ordered=ordered),
        "masks": masks,
        "focal": focal,
        "size": size,
        "model": "SIMPLE_RADIAL",
        "features": FEATURES,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1,
    }
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    log = work / "log.txt"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, str(MAPPER), str(work / "job.json")],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                say(line.strip())
        except BaseException:
            process.kill()
            raise
    result = work / "result.json"
    if process.returncode != 0 or not result.is_file():
        last = " ".join(log.read_text(errors="replace").split())[-200:]
        raise ValueError(
            f"pose estimation got exit code {process.returncode} ({last or 'no message'}); expected "
            "0. Run it again; if that happens again, prepare fewer frames (--frames 60)."
        )
    stats = json.loads(result.read_text())
    if stats["registered"] < 2:
        return Found(None, 0.0)
    return Found(read_model(work, "model"), float(stats["error"]))
