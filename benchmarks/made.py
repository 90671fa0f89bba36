"""Scenes that a seed makes, for benchmarks that were given no run, and the line that says where figures come from."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch

from clay4d.scenes import Gaussians
from clay4d.scenes.motion import ControlNodes, RigidPaths, Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians


def machine(*packages: str) -> str:
    """Date, processor, cores, load, and the versions of Python, of torch and of `packages`."""
    named = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    return (
        f"{date.today()}, {processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {named}"
    )


def processor() -> str:
    """The processor's name, as well as the system tells it."""
    info = Path("/proc/cpuinfo")
    names = [x for x in info.read_text().splitlines() if "model name" in x] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()


def made_scene(
    count: int = 100_000, *, degree: int = 2, nodes: int = 512, seed: int = 0
) -> SplatScene:
    """A bumpy ball of flat Gaussians, a metre in radius, which control nodes bend for a second.

    Args:
        count: Gaussians; they are as large as covers the ball at that number.
        degree: of the harmonics. nodes: of the motion; 0 stands still.
    """
    draws = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draws)

    away = torch.nn.functional.normalize(drawn(count, 3), dim=1)
    means = away * (1 + 0.2 * (7 * away).sin().prod(1, keepdim=True))
    # z of a Gaussian's own axes comes to stand on the surface; there it is flat.
    quats = torch.stack([1 + away[:, 2], -away[:, 1], away[:, 0], 0 * away[:, 0]], 1)
    wide = 1.2 * (4 * torch.pi / count) ** 0.5
    scales = wide * torch.tensor([1.0, 1.0, 0.2]) * (0.3 * drawn(count, 3)).exp()
    opacities = torch.sigmoid(1.5 + drawn(count))
    sh = 0.05 * drawn(count, (degree + 1) ** 2, 3)
    sh[:, 0] = (5 * means).sin()
    raw = raw_from_gaussians(Gaussians(means, quats, scales, opacities, sh))
    if not nodes:
        return SplatScene(raw, Static())
    torch.manual_seed(seed)
    motion = ControlNodes(nodes=nodes)
    motion.place(means)
    raw |= motion.rows(means)
    motion.refresh(raw)
    with torch.no_grad():
        motion.out.weight.normal_(0, 0.05, generator=draws)
    return SplatScene(raw, motion, 1.0, (1.0, 1.0, 1.0))


def made_parts(
    count: int = 100_000, *, degree: int = 2, objects: int = 50, seed: int = 0
) -> SplatScene:
    """The ball of `made_scene` in pieces that fly apart for a second, each turning about its own axis."""
    raw = dict(made_scene(count, degree=degree, nodes=0, seed=seed).raw)
    draws = torch.Generator().manual_seed(seed)
    paths = RigidPaths(objects=objects, knots=25)
    away, axes = (
        torch.nn.functional.normalize(torch.randn(objects, 1, 3, generator=draws), dim=2)
        for _ in range(2)
    )
    half = torch.linspace(0, torch.pi / 2, 25)[None, :, None]
    paths.positions[:] = away * half
    paths.quats[:] = torch.cat([half.cos().expand(objects, -1, -1), axes * half.sin()], 2)
    raw["object"] = torch.arange(count) * objects // count
    return SplatScene(raw, paths, 1.0, (1.0, 1.0, 1.0))
