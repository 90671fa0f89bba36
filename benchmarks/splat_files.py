"""What each format of Gaussians keeps: bytes, seconds, and PSNR of pictures before and after.

    python benchmarks/splat_files.py FILE [--up -y]

FILE is anything that `clay4d.load` reads. Eight views from a circle, 400 × 400, on white.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from clay4d.renderers.around import around_scene
from clay4d.renderers.render import render
from clay4d.scenes.exchange import READERS, WRITERS
from clay4d.scenes.store import load_scene
from clay4d.training.metrics import psnr

WHITE = (1.0, 1.0, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--up", default="z")
    args = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    scene = load_scene(args.file)
    print(f"{args.file.name}: {len(scene)} Gaussians, read in {time.perf_counter() - began:.2f} s")
    cameras = around_scene(scene, frames=8, up=args.up, size=400)
    cameras.times[:] = 0  # a file holds one moment
    before = render(scene, cameras, depth=False, background=WHITE).images.clamp(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in WRITERS.items():
            path = Path(folder) / f"scene{suffix}"
            if path.suffix not in READERS:
                continue
            times = [time.perf_counter()]
            write(scene, path, times=None)
            times.append(time.perf_counter())
            again = load_scene(path)
            times.append(time.perf_counter())
            after = render(again, cameras, depth=False, background=WHITE).images.clamp(0, 1)
            each = [psnr(a, b) for a, b in zip(before, after)]
            print(
                f"{suffix:16} {path.stat().st_size / 1e6:7.2f} MB  written {times[1] - times[0]:5.2f} s, "
                f"read {times[2] - times[1]:5.2f} s  {min(sum(each) / len(each), 100):6.2f} dB"
            )


if __name__ == "__main__":
    main()
