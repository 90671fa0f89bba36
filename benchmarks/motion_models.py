"""Every motion model on one data set with one protocol: quality on held-out pictures, seconds a step.

Every tenth training picture is held out; the val and test views are never opened. Pictures are
halved. All models share their start, density control, rates and steps. A trial that has ended is not
run again, and several may share a folder:

.venv/bin/python benchmarks/motion_models.py DATA --out DIR [--only KIND …] [--steps 3000]
    [--name NAME --set motion.lr=0.01 …]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import clay4d  # noqa: F401 — first: it lets idle OpenMP threads sleep

# isort: split
import numba
import numpy as np
import torch
import yaml

from clay4d.config import from_dict
from clay4d.files import written_whole
from clay4d.scenes import Dataset, Views
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.store import save_scene
from clay4d.training.config import TrainConfig
from clay4d.training.evaluate import evaluate
from clay4d.training.memory import keep_freed_memory
from clay4d.training.trainer import Trainer

KINDS = (
    "static", "polynomial", "control-nodes", "motion-bases", "hex-plane", "deformation",
    "space-time",
)  # fmt: skip
HELD_OUT = 10


def chosen(views: Views, rows: Sequence[int], size: float) -> Views:
    """Some of the pictures, over their background, averaged down."""
    cameras = views.cameras[list(rows)].resized(size)

    def decode(i: int) -> Any:
        image = views[rows[i]].image.permute(2, 0, 1)[None]
        shape = (cameras.height, cameras.width)
        image = torch.nn.functional.interpolate(image, shape, mode="area")[0].permute(1, 2, 0)
        return (image * 255).round().byte().numpy()

    ids = [views.camera_ids[r] for r in rows]
    names = [views.names[r] for r in rows]
    return Views(cameras, names, decode, camera_ids=ids, background=views.background)


def halves(data: Path, size: float) -> Dataset:
    """The data with its training pictures alone, parted into train and held-out."""
    whole = load_dataset(data)
    rows = range(len(whole.train))
    held = [r for r in rows if r % HELD_OUT == HELD_OUT // 2]
    kept = [r for r in rows if r % HELD_OUT != HELD_OUT // 2]
    splits = {"train": chosen(whole.train, kept, size), "held-out": chosen(whole.train, held, size)}
    return dataclasses.replace(whole, splits=splits)


def config_of(kind: str, steps: int, changes: Sequence[str]) -> TrainConfig:
    """The shared settings with one kind of motion; each change reads `motion.lr=0.01`."""
    raw: dict[str, Any] = {
        "motion": {"kind": kind},
        "start": {"count": 10_000},
        "density": {"kind": "default-density", "cap": 20_000},
        "schedule": {"coarse": [[0.0, 0.5], [0.3, 1.0]], "sh_degree": 1},
        "steps": steps,
    }
    for change in changes:
        path, _, value = change.partition("=")
        *parents, last = path.split(".")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = yaml.safe_load(value)
    return from_dict(TrainConfig, raw, where="--set")


def trial(config: TrainConfig, dataset: Dataset, out: Path, name: str) -> dict[str, Any]:
    """Train, measure on what was held out, and leave the scene and a line of figures."""
    trainer, steps, began = Trainer(config, dataset), [], time.process_time()
    while trainer.step_done < config.steps:
        start = time.process_time()
        report = trainer.step()
        steps.append(time.process_time() - start)
        if report.step % 500 == 0:
            print(f"{name}: {report.step}, {report.gaussians} Gaussians", flush=True)
    spent = time.process_time() - began
    metrics = evaluate(trainer.scene, dataset.split("held-out"), name="held-out")
    result = {
        "name": name, "date": str(date.today()), "psnr": metrics["psnr"], "ssim": metrics["ssim"],
        "gaussians": len(trainer.scene), "cpu_seconds_a_step": spent / config.steps,
        "median_of_last_500": float(np.median(steps[-500:])), "steps": config.steps,
        "cores": os.cpu_count(), "load": os.getloadavg()[0],
    }  # fmt: skip
    save_scene(out / f"{name}.safetensors", trainer.scene)
    with written_whole(out / f"{name}.json") as place:
        place.write_text(json.dumps(result, indent=1) + "\n")
    return result


def main() -> None:
    """Run the trials that have not ended and print all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--size", type=float, default=0.5)
    parser.add_argument("--name", help="added to the trial's name, where settings are changed")
    parser.add_argument("--set", nargs="+", default=[], dest="changes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    keep_freed_memory()
    args.out.mkdir(parents=True, exist_ok=True)
    dataset = halves(args.data, args.size)
    print("trial, dB, SSIM, Gaussians, CPU seconds a step, median of the last 500")
    for kind in args.only:
        name = f"{kind}.{args.name}" if args.name else kind
        done = args.out / f"{name}.json"
        if done.exists():
            row = json.loads(done.read_text())
        else:
            row = trial(config_of(kind, args.steps, args.changes), dataset, args.out, name)
        print(
            f"{name}, {row['psnr']:.2f}, {row['ssim']:.4f}, {row['gaussians']}, "
            f"{row['cpu_seconds_a_step']:.4f}, {row['median_of_last_500']:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
