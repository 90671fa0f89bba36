"""What refining camera poses is worth: known errors are put into a set's poses and taken out again.

Each training camera is turned about a random axis and shifted in a random direction by a known amount.
The preset `static` is trained on the data's own poses, on the wrong ones, and on the wrong ones with
`losses.poses`. Held-out cameras keep the data's poses and are carried into the learned scene's world by
the similarity between true and learned *training* cameras; their pictures have no part in it. A trial that
has ended is not run again:

.venv/bin/python benchmarks/pose_refinement.py DATA --out DIR [--turn 0.5] [--shift 0.5] [--steps 2000]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import clay4d  # noqa: F401 — first: it lets idle OpenMP threads sleep

# isort: split
import torch
from torch import Tensor

from clay4d.config import preset_folder, presets
from clay4d.files import written_whole
from clay4d.jit import one_torch_thread
from clay4d.scenes import Cameras, Dataset
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.quaternions import from_rotation_vector, rotate
from clay4d.training.config import TrainConfig
from clay4d.training.evaluate import evaluate
from clay4d.training.memory import keep_freed_memory
from clay4d.training.trainer import Trainer
from clay4d.training.warm import ensure_kernels

TRIALS = ("given", "wrong", "refined")


def posed(rotations: Tensor, centres: Tensor) -> Tensor:
    """Viewmats [C, 4, 4] of cameras with these axes [C, 3, 3] (world to camera) and centres [C, 3]."""
    found = torch.eye(4).repeat(len(centres), 1, 1)
    found[:, :3, :3] = rotations
    found[:, :3, 3] = -(rotations @ centres[..., None])[..., 0]
    return found


def radius(cameras: Cameras) -> float:
    """Mean distance of cameras from their middle, metres."""
    return float((cameras.centres - cameras.centres.mean(0)).norm(dim=1).mean())


def disturbed(cameras: Cameras, *, turn: float, shift: float, seed: int) -> Cameras:
    """Each camera turned by `turn` degrees and shifted by `shift` metres, about and along random axes."""
    draws = torch.Generator().manual_seed(seed)
    axes, ways = (torch.randn(len(cameras), 3, generator=draws) for _ in range(2))
    axes, ways = (x / x.norm(dim=1, keepdim=True) for x in (axes, ways))
    quats = from_rotation_vector(axes * math.radians(turn))
    rotations = rotate(quats[:, None].expand(-1, 3, 4), cameras.viewmats[:, :3, :3])
    return dataclasses.replace(cameras, viewmats=posed(rotations, cameras.centres + shift * ways))


def similarity(source: Cameras, target: Cameras) -> tuple[float, Tensor, Tensor]:
    """Scale, rotation and shift that carry one set of cameras onto another: x to scale · R · x + shift.

    R is the mean of the cameras' own turns (chordal), scale and shift are least squares of the centres.
    """
    turns = target.viewmats[:, :3, :3].transpose(1, 2) @ source.viewmats[:, :3, :3]
    U, _, V = torch.linalg.svd(turns.double().mean(0))
    R = (U @ torch.diag(torch.tensor([1.0, 1.0, torch.det(U @ V)]).double()) @ V).float()
    a, b = source.centres, target.centres
    x, y = (a - a.mean(0)) @ R.T, b - b.mean(0)
    scale = float((x * y).sum() / x.square().sum())
    return scale, R, b.mean(0) - scale * (R @ a.mean(0))


def carried(cameras: Cameras, by: tuple[float, Tensor, Tensor]) -> Cameras:
    """Cameras in another world, as `similarity` gives it."""
    scale, R, shift = by
    rotations = cameras.viewmats[:, :3, :3] @ R.T
    return dataclasses.replace(
        cameras, viewmats=posed(rotations, scale * cameras.centres @ R.T + shift)
    )


def pose_error(found: Cameras, truth: Cameras) -> tuple[float, float]:
    """Mean turn in degrees and mean distance of centres as a share of the radius, once aligned."""
    there = carried(found, similarity(found, truth))
    R = there.viewmats[:, :3, :3] @ truth.viewmats[:, :3, :3].transpose(1, 2)
    # From the skew part: the trace has no digits left for small angles.
    skew = torch.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]])
    degrees = torch.rad2deg(torch.asin((skew.norm(dim=0) / 2).clamp(max=1)))
    apart = (there.centres - truth.centres).norm(dim=1).mean() / radius(truth)
    return float(degrees.mean()), float(apart)


def trial(name: str, data: Dataset, config: TrainConfig, wrong: Cameras) -> dict[str, Any]:
    """Train with one kind of poses and measure."""
    truth, test = data.train.cameras, data.split("test")
    start = truth if name == "given" else wrong
    splits = {**data.splits, "train": data.train.seen_by(start)}
    if name == "refined":
        config = dataclasses.replace(config, losses=dataclasses.replace(config.losses, poses=True))
    trainer, began = Trainer(config, dataclasses.replace(data, splits=splits)), time.process_time()
    while trainer.step_done < config.steps:
        report = trainer.step()
        if report.step % 500 == 0:
            print(f"{name}: step {report.step}, {report.psnr:.2f} dB", flush=True)
    spent, found = time.process_time() - began, start
    if trainer.poses is not None:
        with torch.no_grad():
            views = torch.cat([trainer.poses(k) for k in range(len(start))])
        found = dataclasses.replace(start, viewmats=views)
    held = test.seen_by(carried(test.cameras, similarity(truth, found)))
    kept, aligned = (evaluate(trainer.scene, views) for views in (test, held))
    degrees, apart = pose_error(found, truth)
    return {
        "name": name, "date": str(date.today()), "steps": config.steps, "cpu_seconds": spent,
        "cores": os.cpu_count(), "psnr": aligned["psnr"], "ssim": aligned["ssim"],
        "psnr_unaligned": kept["psnr"], "degrees": degrees, "share_of_radius": apart,
    }  # fmt: skip


def main() -> None:
    """Run the trials that have not ended and print all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--turn", type=float, default=0.5, help="degrees")
    parser.add_argument("--shift", type=float, default=0.5, help="per cent of the cameras' radius")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=TRIALS, choices=TRIALS)
    args = parser.parse_args()
    one_torch_thread()
    keep_freed_memory()
    ensure_kernels()
    args.out.mkdir(parents=True, exist_ok=True)
    data = load_dataset(args.data)
    truth = data.train.cameras
    shift = args.shift / 100 * radius(truth)
    wrong = disturbed(truth, turn=args.turn, shift=shift, seed=args.seed)
    config = presets(TrainConfig, preset_folder())["static"][1]
    config = dataclasses.replace(config, steps=args.steps, seed=args.seed)
    print("poses, dB, SSIM, dB without alignment, degrees off, % of the radius off, CPU seconds")
    for name in args.only:
        done = args.out / f"{name}.json"
        if not done.exists():
            row = trial(name, data, config, wrong)
            with written_whole(done) as place:
                place.write_text(json.dumps(row, indent=1) + "\n")
        row = json.loads(done.read_text())
        print(
            f"{name}, {row['psnr']:.2f}, {row['ssim']:.4f}, {row['psnr_unaligned']:.2f}, "
            f"{row['degrees']:.3f}, {100 * row['share_of_radius']:.3f}, {row['cpu_seconds']:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
