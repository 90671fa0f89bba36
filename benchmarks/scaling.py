"""Costs at 1×, 2×, 4× and 8× the work: making worlds, a reasoning step by parameters, training scenes.

python benchmarks/scaling.py [worlds|reasoner|scenes …]        prints the tables; about five minutes of one core
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
import time
from pathlib import Path

import torch

from clay4d.config import load_config, preset_folder
from clay4d.jit import one_torch_thread
from clay4d.renderers import render
from clay4d.scenes import Cameras, Gaussians
from clay4d.scenes.loaders import load_dataset, write_transforms
from clay4d.training.config import McmcDensity, Start, TrainConfig
from clay4d.training.run import train
from clay4d.training.trainer import Trainer
from clay4d.training.warm import ensure_kernels
from clay4d.world_model.reasoners import Size
from clay4d.world_model.training.cache import CachedWorlds, cached_worlds
from clay4d.world_model.training.config import WorldModelConfig
from clay4d.world_model.training.reasoning import ReasoningStage, set_scales
from clay4d.world_model.training.run import new_model
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import WorldSet, open_worlds
from clay4d.world_model.worlds.make import make_worlds
from clay4d.world_model.worlds.settings import WorldsConfig

WORLDS = WorldsConfig(size=32, frames=24, supersample=1, step=1 / 240, shard=1, cameras=1)
"""Small pictures: the curve over their number is what is asked."""
TIMES = (1, 2, 4, 8)


def worlds_seconds(folder: Path, count: int) -> tuple[float, int]:
    """Seconds and bytes of making `count` worlds."""
    began = time.perf_counter()
    make_worlds(WORLDS, folder, count=count)
    spent = time.perf_counter() - began
    return spent, sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def step_seconds(worlds: WorldSet, folder: Path, layers: int, *, steps: int) -> tuple[int, float]:
    """Parameters that are trained, and the least seconds of a step with a batch of 8."""
    base = WorldModelConfig()
    config = dataclasses.replace(
        base, reasoning=dataclasses.replace(base.reasoning, size=Size(128, layers, 4, 384), batch=8)
    )
    model = new_model(config, worlds)
    cached: CachedWorlds = cached_worlds(
        worlds,
        model.encoder,
        folder / "slots.safetensors",
        context=config.reasoning.segment,
        seed=0,
    )
    set_scales(model, cached)
    run = Run(ReasoningStage(config.reasoning, model, cached, seed=0))
    spent = []
    for _ in range(steps):
        began = time.perf_counter()
        run.step()
        spent.append(time.perf_counter() - began)
    return sum(p.numel() for p in model.dynamics.parameters()), sorted(spent)[len(spent) // 2]


class Swaying:
    """A thousand dots in a cube that sway as one."""

    duration, background = 1.0, (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        draws = torch.Generator().manual_seed(0)
        places, colours = (torch.rand(1000, 3, generator=draws) for _ in range(2))
        self.dots = Gaussians.from_points(2 * places - 1, colours)

    def at(self, time: float) -> Gaussians:
        """The dots, moved along x by a height's share of a sine."""
        moved = self.dots.means.clone()
        moved[:, 0] += 0.2 * moved[:, 2] * math.sin(2 * math.pi * time)
        return dataclasses.replace(self.dots, means=moved)


def make_pictures(folder: Path, *, count: int = 60, size: int = 200) -> None:
    """Pictures of `Swaying` from a circle of cameras, as a data set."""
    views = []
    for k in range(count):
        angle = 2.4 * k
        eye = torch.tensor([4 * math.cos(angle), 4 * math.sin(angle), 1.5])
        forward = -eye / eye.norm()
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0]))
        right = right / right.norm()
        view = torch.eye(4)
        view[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
        view[:3, 3] = -view[:3, :3] @ eye
        views.append(view)
    K = torch.tensor([[1.3 * size, 0, size / 2], [0, 1.3 * size, size / 2], [0, 0, 1]])
    times = torch.linspace(0, 1, count)
    cameras = Cameras(torch.stack(views), K.expand(count, 3, 3), size, size, times)
    images = (render(Swaying(), cameras).images.clamp(0, 1) * 255 + 0.5).byte().numpy()
    bounds = torch.tensor([[-1.3] * 3, [1.3] * 3])
    write_transforms(folder, {"train": (cameras, list(images))}, duration=1.0, bounds=bounds)


def scene_config(*, gaussians: int, steps: int) -> TrainConfig:
    """The preset quick with at most so many Gaussians, of which half are there from the start."""
    config = load_config(TrainConfig, preset_folder() / "quick.yaml")
    start, density = Start(count=gaussians // 2), McmcDensity(cap=gaussians)
    return dataclasses.replace(config, steps=steps, start=start, density=density)


def run_seconds(data: Path, out: Path, steps: int) -> tuple[float, int]:
    """CPU seconds and bytes of a whole run, from the data on the disk to the scene on it."""
    began = time.process_time()
    train(scene_config(gaussians=10_000, steps=steps), data, out)
    spent = time.process_time() - began
    return spent, sum(p.stat().st_size for p in out.rglob("*") if p.is_file())


def scene_step_seconds(data: Path, gaussians: int, *, steps: int) -> float:
    """The median CPU seconds of a step with full pictures and so many Gaussians."""
    trainer = Trainer(scene_config(gaussians=2 * gaussians, steps=2000), load_dataset(data))
    trainer.step_done = 1001
    spent = []
    for _ in range(3 + steps):
        began = time.process_time()
        trainer.step()
        spent.append(time.process_time() - began)
    return sorted(spent[3:])[steps // 2]


def print_scenes(place: Path, steps: int) -> None:
    """Whole runs by their steps, and steps by their Gaussians."""
    data = place / "pictures"
    make_pictures(data)
    print("\n| steps of a run | CPU seconds | bytes |\n|---|---|---|")
    for count in (40 * k for k in TIMES):
        spent, size = run_seconds(data, place / f"run{count}", count)
        print(f"| {count} | {spent:.2f} | {size} |", flush=True)
    print("\n| Gaussians | CPU seconds a step |\n|---|---|")
    for count in (5000 * k for k in TIMES):
        print(f"| {count} | {scene_step_seconds(data, count, steps=steps):.4f} |", flush=True)


def print_worlds(place: Path) -> None:
    """Worlds by their number."""
    print("| worlds | seconds | bytes |\n|---|---|---|")
    for count in TIMES:
        spent, size = worlds_seconds(place / str(count), count)
        print(f"| {count} | {spent:.2f} | {size} |", flush=True)


def print_reasoner(place: Path, steps: int) -> None:
    """Steps by the reasoner's layers."""
    make_worlds(WORLDS, place / "eight", count=8)
    worlds = open_worlds(place / "eight", split="train")
    print("\n| layers | parameters | seconds a step |\n|---|---|---|")
    for layers in (4 * k for k in TIMES):
        parameters, spent = step_seconds(worlds, place, layers, steps=steps)
        print(f"| {layers} | {parameters} | {spent:.3f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["worlds", "reasoner", "scenes"])
    parser.add_argument("--steps", type=int, default=7, help="of which the median is taken")
    given = parser.parse_args()
    one_torch_thread()
    ensure_kernels()
    with tempfile.TemporaryDirectory() as place:
        for what in given.what:
            if what == "worlds":
                print_worlds(Path(place))
            elif what == "reasoner":
                print_reasoner(Path(place), given.steps)
            else:
                print_scenes(Path(place), given.steps)


if __name__ == "__main__":
    main()
