"""How much memory a long set of many films takes, loaded and gone through as training does.

    .venv/bin/python benchmarks/loading.py [--cameras 20] [--frames 300] [--size 676 506] [--pictures 1300]

Films are made in a temporary folder (one is encoded and stands for all cameras) in Neural 3D Video's layout; a
process of its own loads them and looks at pictures until every store of decoded ones is full.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np


def pictures(frames: int, width: int, height: int) -> Iterator[np.ndarray[Any, Any]]:
    """Waves that wander, so that frames differ."""
    y, x = np.mgrid[:height, :width]
    for t in range(frames):
        waves = [127 + 120 * np.sin(x / (9 + k) + y / (13 - k) + t / 5 * (k + 1)) for k in range(3)]
        yield np.stack(waves, -1).astype(np.uint8)


def write(folder: Path, cameras: int, frames: int, size: tuple[int, int]) -> None:
    """The films, and poses on a bow that looks inwards."""
    import av

    width, height = size
    first = folder / "cam00.mp4"
    with av.open(str(first), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "30"}
        for i, pixels in enumerate(pictures(frames, width, height)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    rows = []
    for k in range(cameras):
        angle = (k / max(cameras - 1, 1) - 0.5) * 1.2
        right = np.array([np.cos(angle), 0, -np.sin(angle)])
        back, down = np.array([np.sin(angle), 0, np.cos(angle)]), np.array([0.0, -1, 0])
        matrix = np.stack([down, right, back, 4 * back, [height, width, width]], 1)
        rows.append([*matrix.reshape(-1), 1.0, 8.0])
        if k:
            os.link(first, folder / f"cam{k:02d}.mp4")
    np.save(folder / "poses_bounds.npy", np.array(rows))


def visit(folder: Path, count: int) -> None:
    """Load, look at pictures in full and at half size, and say what it took."""
    began = time.monotonic()
    import clay4d  # noqa: F401 — here, so that the parent's memory is not counted
    from clay4d.scenes.loaders import load_dataset
    from clay4d.training.frames import Frames

    data = load_dataset(folder)
    loaded, views = time.monotonic() - began, data.train
    frames = Frames(views, seed=0)
    for k in range(min(count, len(views))):
        frames.image(k, 1.0)
        frames.image(k, 0.5)
    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    print(
        f"{date.today()}, {os.cpu_count()} cores: {len(views)} training pictures of "
        f"{views.cameras.width}x{views.cameras.height}, {min(count, len(views))} looked at: "
        f"{peak / 1e9:.2f} GB at the most; {loaded:.1f} s to load, imports included",
        flush=True,
    )


def main() -> None:
    """Make the films, then measure in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", type=int, nargs=2, default=(676, 506))
    parser.add_argument("--pictures", type=int, default=1300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, args.cameras, args.frames, tuple(args.size))
        child = multiprocessing.get_context("spawn").Process(
            target=visit, args=(folder, args.pictures)
        )
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(child.exitcode)


if __name__ == "__main__":
    main()
