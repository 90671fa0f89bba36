"""How soon a still scene is learned: seconds until one held-out picture of `fox` reaches a loss.

    .venv/bin/python benchmarks/time_to_quality.py ../shared/data/fox

OpenSplat's CPU build took 49 s for 500 steps from 20,000 random points to a loss (0.8 L1 + 0.2 (1 −
SSIM)) of 0.103 on view 0025 at 270 × 480. This trains on all other views with the preset `glance` and
gives the first moment at which that view, drawn at full size, is as good. Seconds are those of the
steps, after a warm-up that compiles the kernels; drawing the held-out view is not counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import time
from datetime import date
from pathlib import Path

import clay4d  # noqa: F401 — first: it lets idle OpenMP threads sleep

# isort: split
import torch

from clay4d.config import preset_folder, presets
from clay4d.renderers import render
from clay4d.scenes import Dataset, Views
from clay4d.scenes.loaders import load_dataset
from clay4d.training.config import TrainConfig
from clay4d.training.losses import photometric_loss
from clay4d.training.memory import keep_freed_memory
from clay4d.training.trainer import Trainer

LOOK_EVERY = 50


def without(data: Dataset, name: str) -> Dataset:
    """The data with one training view as its only test view."""
    views = data.train
    found = [k for k, other in enumerate(views.names) if name in other]
    if not found:
        raise ValueError(f"view got {name!r}; expected one of {', '.join(views.names)}.")
    rest = [k for k in range(len(views)) if k not in found]

    def part(rows: list[int]) -> Views:
        cameras, names = views.cameras[torch.tensor(rows)], [views.names[k] for k in rows]
        return Views(cameras, names, lambda i: views.pixels(rows[i]))

    return dataclasses.replace(data, splits={"train": part(rest), "test": part(found)})


def held_out_loss(trainer: Trainer) -> float:
    """Loss of the held-out view, at full size."""
    test = trainer.dataset.split("test")
    image = render(trainer.scene, test.cameras[0], depth=False).images[0]
    return float(photometric_loss(image, test[0].image))


def main() -> None:
    """Train, and print the loss over time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--view", default="0025")
    parser.add_argument("--loss", type=float, default=0.103)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    data = without(load_dataset(args.data), args.view)
    config = presets(TrainConfig, preset_folder())["glance"][1]
    config = dataclasses.replace(config, seed=args.seed)
    _ = [data.train[k].image for k in range(len(data.train))]  # decoded before the clock runs
    warm = Trainer(config, data)
    for _k in range(5):
        warm.step()
    trainer, spent, first = Trainer(config, data), 0.0, None
    print(f"{platform.machine()}, {os.cpu_count()} cores, {date.today()}, {config.steps} steps")
    while trainer.step_done < config.steps:
        began = time.monotonic()
        trainer.step()
        spent += time.monotonic() - began
        if trainer.step_done % LOOK_EVERY == 0:
            loss = held_out_loss(trainer)
            print(f"{spent:6.1f} s  step {trainer.step_done:5d}  loss {loss:.4f}")
            if first is None and loss <= args.loss:
                first = spent
    reached = "not reached" if first is None else f"after {first:.1f} s"
    print(f"loss {args.loss} on view {args.view}: {reached} (OpenSplat, CPU: 49 s)")


if __name__ == "__main__":
    main()
