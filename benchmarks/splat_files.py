"""What each format of Gaussians keeps: bytes, seconds, and PSNR of pictures before and after.

    python benchmarks/splat_files.py [FILE] [--up=-y] [--rounds 3] [--only .ply .spz]

FILE is anything that `clay4d.load` reads; without it, a seed makes 150,000 Gaussians of degree 3. Seconds are the
least of some rounds, by the clock and (of one thread) of the processor, which says more on a busy machine. Eight views from a circle, 400 × 400, on white.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from made import machine, made_scene

from clay4d.renderers.around import around_scene
from clay4d.renderers.render import render
from clay4d.scenes.exchange import READERS, WRITERS
from clay4d.scenes.store import load_scene
from clay4d.training.metrics import psnr

WHITE = (1.0, 1.0, 1.0)


def timed(act: Callable[[], Any], rounds: int) -> tuple[str, Any]:
    """The least seconds of some rounds, by the clock and of the processor, and what came of the last."""
    took, made = [], None
    for _ in range(rounds):
        began, worked = time.perf_counter(), time.process_time()
        made = act()
        took.append((time.perf_counter() - began, time.process_time() - worked))
    wall, cpu = (min(column) for column in zip(*took))
    return f"{wall:>8.2f} {cpu:>7.2f}", made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--up", default="z")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="SUFFIX", choices=list(WRITERS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    scene = made_scene(150_000, degree=3, nodes=0) if args.file is None else load_scene(args.file)
    cameras = around_scene(scene, frames=8, up=args.up, size=400)
    cameras.times[:] = 0  # a file holds one moment
    degree = scene.at(0.0).sh_degree
    print(f"{machine('numpy')}; {len(scene)} Gaussians of degree {degree}")
    print(f"{'format':<16} {'MB':>7} {'s to write, CPU':>16} {'to read, CPU':>16} {'PSNR, dB':>9}")

    def seen(shown: Any) -> Any:
        return render(shown, cameras, depth=False, background=WHITE).images.clamp(0, 1)

    before = seen(scene)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in args.only or WRITERS:
            path = Path(folder) / f"scene{suffix}"
            if path.suffix not in READERS:
                continue
            written, _ = timed(lambda: WRITERS[suffix](scene, path, times=None), args.rounds)  # noqa: B023
            read, again = timed(lambda: load_scene(path), args.rounds)  # noqa: B023
            each = [psnr(a, b) for a, b in zip(before, seen(again))]
            print(
                f"{suffix:<16} {path.stat().st_size / 1e6:>7.2f} {written} {read} "
                f"{min(sum(each) / len(each), 100):>9.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
