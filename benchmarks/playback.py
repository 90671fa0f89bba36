"""How fast a trained scene is drawn, its motion included: pictures a second over a turn about it.

.venv/bin/python benchmarks/playback.py RUN [--frames 120] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import date
from pathlib import Path

import clay4d  # noqa: F401 — first: it lets idle OpenMP threads sleep

# isort: split
import numba
import numpy as np
import torch

from clay4d.renderers import render
from clay4d.renderers.paths import camera_path
from clay4d.scenes.fields import AnyField
from clay4d.scenes.loaders import load_dataset
from clay4d.training.memory import keep_freed_memory
from clay4d.training.run import load_run


def main() -> None:
    """Print the median and the best of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--frames", type=int, default=120, help="pictures in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=numba.config.NUMBA_NUM_THREADS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(args.threads)
    keep_freed_memory()
    scene, _, data = load_run(args.run)
    cameras = camera_path("orbit", load_dataset(data), frames=args.frames)
    rates = []
    with torch.no_grad():
        for _ in range(args.rounds + 1):
            began = time.perf_counter()
            for i in range(args.frames):
                render(scene, cameras[i], depth=False)
            rates.append(args.frames / (time.perf_counter() - began))
    rates = rates[1:]  # the first compiles
    what = "a radiance field"
    if not isinstance(scene, AnyField):
        what = f"{len(scene)} Gaussians"
    size = f"{cameras.width}x{cameras.height}"
    print(
        f"{date.today()}, {os.cpu_count()} cores, {args.threads} threads: {what}, "
        f"{size}: median {np.median(rates):.1f}, best {max(rates):.1f} pictures/s"
    )


if __name__ == "__main__":
    main()
