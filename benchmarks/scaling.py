"""Seconds of a reasoning step against parameters, and of making worlds against their number, at 1×, 2×, 4×, 8×.

python benchmarks/scaling.py            prints both tables; about two minutes of one core
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import torch

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


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=7, help="of which the median is taken")
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        print("| worlds | seconds | bytes |\n|---|---|---|")
        for count in TIMES:
            spent, size = worlds_seconds(Path(place) / str(count), count)
            print(f"| {count} | {spent:.2f} | {size} |", flush=True)
        worlds = open_worlds(Path(place) / "8", split="train")
        print("\n| layers | parameters | seconds a step |\n|---|---|---|")
        for layers in (4 * k for k in TIMES):
            parameters, spent = step_seconds(worlds, Path(place), layers, steps=steps)
            print(f"| {layers} | {parameters} | {spent:.3f} |", flush=True)


if __name__ == "__main__":
    main()
