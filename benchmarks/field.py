"""What a step of training a radiance field costs, part by part, and how fast the field is drawn.

    .venv/bin/python benchmarks/field.py [DATA] [--steps 100] [--threads 1]

DATA is D-NeRF's mutant beside the checkout by default, or dots where that is not there. The parts are those of
`FieldTrainer.step`; networks are what is left: both networks and the sums along rays, forwards and backwards.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import clay4d  # noqa: F401 — first: it lets idle OpenMP threads sleep

# isort: split
import numba

from clay4d.jit import one_torch_thread
from clay4d.renderers import render
from clay4d.scenes.loaders import load_dataset
from clay4d.training.config import KPlanes, TrainConfig
from clay4d.training.fields import FieldTrainer, trainer
from clay4d.training.memory import keep_freed_memory
from clay4d.training.warm import _dataset, ensure_kernels

MUTANT = Path(__file__).resolve().parents[2] / "shared" / "data" / "dnerf_mutant"


class Clock:
    """Seconds of the process by part, gathered by wrapping what a step calls."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def on(self, owner: Any, name: str, part: str) -> None:
        """Count every call of `owner.name`."""
        call: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            began = time.process_time()
            try:
                return call(*args, **options)
            finally:
                self.spent[part] = self.spent.get(part, 0.0) + time.process_time() - began

        setattr(owner, name, timed)


def main() -> None:
    """Print milliseconds of a step by part, and pictures a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=MUTANT)
    parser.add_argument("--steps", type=int, default=100, help="timed, after as many that are not")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    one_torch_thread()
    numba.set_num_threads(args.threads)
    keep_freed_memory()
    ensure_kernels()
    data = load_dataset(args.data) if args.data.is_dir() else _dataset()
    run, clock = FieldTrainer(TrainConfig(field=KPlanes(), steps=12_000), data), Clock()
    for _ in range(args.steps):
        run.step()
    clock.on(run.pool, "draw", "rays")
    clock.on(trainer, "rays_through", "rays")
    clock.on(trainer, "find_places", "places")
    clock.on(run, "_gather", "planes' gradient")
    clock.on(run, "_move", "Adam")
    clock.on(run.occupancy, "note", "occupancy")
    clock.on(run.occupancy, "update", "occupancy")
    began = time.process_time()
    for _ in range(args.steps):
        report = run.step()
    whole = time.process_time() - began
    clock.spent["networks"] = whole - sum(clock.spent.values())
    cameras, began = data.train.cameras[range(min(args.pictures, len(data.train)))], time.time()
    for k in range(len(cameras)):
        render(run.scene, cameras[k], depth=False)
    rate = len(cameras) / (time.time() - began)
    parts = ", ".join(f"{name} {1e3 * s / args.steps:.1f}" for name, s in clock.spent.items())
    print(
        f"{date.today()}, {os.cpu_count()} cores, {args.threads} threads, {data.name}: "
        f"{1e3 * whole / args.steps:.1f} ms of the process a step of {report.rays} rays ({parts}); "
        f"{rate:.1f} pictures/s of {cameras.width}x{cameras.height}, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
