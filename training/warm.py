"""Compile the kernels of training in a process of their own, so that every run takes them from the cache.

Numba runs a kernel that it has just compiled from other machine code than the one that it writes to the
cache (the body of a parallel loop is optimised once more on its way there), and the two differ in the last
bits. A run that compiled its kernels would not have the bits of the runs after it.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numba
import torch

from clay4d.jit import cache_folder, one_torch_thread, source_key
from clay4d.renderers import render
from clay4d.scenes import Cameras, Dataset, Gaussians, Views
from clay4d.scenes.motion import Static as Still
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.training import config as options
from clay4d.training.config import TrainConfig
from clay4d.training.fields import FieldTrainer
from clay4d.training.trainer import Trainer

FOLDERS = ("scenes", "renderers", "training")
STEPS = 40


def ensure_kernels(
    *, module: str = "clay4d.training.warm", folders: Sequence[str] = FOLDERS
) -> None:
    """Fill the cache where it may lack a kernel: about a minute once, then nothing.

    Args:
        module: what is run to compile them. folders: the package's folders that kernels come from.

    Raises:
        RuntimeError: the kernels do not compile.
    """
    marker = cache_folder() / f"complete-{_key(module, folders)}"
    if marker.exists():
        return
    print("compiling kernels once, about 60 s", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", module], capture_output=True)
    if done.returncode:
        raise RuntimeError(f"kernels did not compile: {done.stderr.decode()[-500:]}")
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _key(module: str, folders: Sequence[str]) -> str:
    """Changes with every source that kernels may come from, with Numba and with the machine."""
    root = Path(__file__).resolve().parents[1]
    parts = [module, numba.__version__, platform.machine(), platform.processor()]
    parts += [source_key("clay4d.jit"), source_key("clay4d.kernel_maths")]
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _dataset() -> Dataset:
    """Some dots, seen by four cameras at four moments."""
    g = torch.Generator().manual_seed(0)
    dots = Gaussians.from_points(torch.rand(30, 3, generator=g), torch.rand(30, 3, generator=g))
    scene = SplatScene(raw_from_gaussians(dots), Still(), 1.0, (1.0, 1.0, 1.0))
    views = torch.eye(4).repeat(4, 1, 1)
    views[:, :3, 3] = torch.tensor([[-0.5 + 0.1 * k, -0.5, 2.0] for k in range(4)])
    K = torch.tensor([[32.0, 0, 16], [0, 32, 16], [0, 0, 1]]).repeat(4, 1, 1)
    cameras = Cameras(views, K, 32, 32, torch.linspace(0, 1, 4))
    images = (render(scene, cameras).images.clamp(0, 1) * 255).byte().numpy()
    train = Views(cameras, list("abcd"), lambda i: images[i], background=(1.0, 1.0, 1.0))
    bounds = torch.tensor([[0.0, 0, 0], [1, 1, 1]])
    return Dataset("dots", {"train": train}, 1.0, bounds, (1.0, 1.0, 1.0))


def _configs() -> list[TrainConfig]:
    """Every motion model and every way of density control, and a radiance field."""
    moving: list[tuple[options.Motion, options.Density]] = [
        (options.ControlNodes(nodes=20, width=16, depth=1), options.McmcDensity(cap=400)),
        (options.ControlNodes(nodes=20, width=16, depth=1), options.DefaultDensity(cap=400)),
        (options.Polynomial(), options.McmcDensity(cap=400)),
        (options.HexPlane(resolution=8, time_resolution=4), options.DefaultDensity(cap=400)),
        (options.MotionBases(bases=4, keys=5), options.McmcDensity(cap=400)),
        (options.SpaceTime(), options.McmcDensity(cap=400)),
    ]
    start, losses = options.Start(count=200), options.Losses(exposure=True)
    field = options.KPlanes(resolution=16, time_resolution=4, along=32, cells=8, places=1024)
    return [
        TrainConfig(motion=motion, density=density, start=start, losses=losses, steps=STEPS)
        for motion, density in moving
    ] + [TrainConfig(field=field, steps=STEPS)]


def main() -> None:
    """Train each for some steps."""
    one_torch_thread()
    data = _dataset()
    for config in _configs():
        kind = Trainer if config.field is None else FieldTrainer
        trainer: Trainer | FieldTrainer = kind(config, data)
        for _ in range(STEPS):
            trainer.step()


if __name__ == "__main__":
    main()
