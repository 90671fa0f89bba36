"""What several test modules need: small moving data sets, and the real ones where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clay4d  # noqa: F401 — first: it lets idle OpenMP threads sleep, which torch would fix

# isort: split
import numpy as np
import pytest
import torch

from clay4d.renderers.render import render
from clay4d.scenes import Cameras, Dataset, Gaussians, Views

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
FIRST = (
    "test_processes.py",
    "test_shards.py",
    "test_kills.py",
    "test_fuzz.py",
    "test_repeatable.py",
)
"""Files that take longest: they come first, so that processes that share the tests end together."""


def pytest_sessionstart() -> None:
    """Kernels come from the cache in all tests, as in all runs: see `clay4d.training.warm`."""
    from clay4d.training.warm import ensure_kernels

    ensure_kernels()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others stay in their order."""
    items.sort(key=lambda item: item.path.name not in FIRST)


class Swinging:
    """Two coloured blobs, one of which swings from side to side within a second."""

    duration = 1.0
    background = (1.0, 1.0, 1.0)

    def at(self, time: float) -> Gaussians:
        means = torch.tensor([[0.5 * np.sin(6.2832 * time), 0.0, 0.2], [0.0, 0.4, -0.2]])
        g = Gaussians.from_points(means.float(), torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.3, 0.9]]))
        return Gaussians(g.means, g.quats, torch.full((2, 3), 0.15), torch.full((2,), 0.95), g.sh)


def ring_of_cameras(count: int, *, size: int = 48) -> Cameras:
    """Cameras on a circle of radius 4 about the origin, z up, each at its own time."""
    views = []
    for k in range(count):
        angle = 2.4 * k
        eye = torch.tensor([4 * np.cos(angle), 4 * np.sin(angle), 1.0 + 0.3 * (k % 3)]).float()
        forward = -eye / eye.norm()
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0]))
        right = right / right.norm()
        R = torch.stack([right, torch.linalg.cross(forward, right), forward])
        view = torch.eye(4)
        view[:3, :3], view[:3, 3] = R, -R @ eye
        views.append(view)
    K = torch.tensor([[1.3 * size, 0, size / 2], [0, 1.3 * size, size / 2], [0, 0, 1]])
    times = torch.linspace(0, 1, count)
    return Cameras(torch.stack(views), K.expand(count, 3, 3), size, size, times)


def swinging_dataset(count: int = 24, *, size: int = 48) -> Dataset:
    """Pictures of `Swinging`: every fourth is held out as "test"."""
    cameras = ring_of_cameras(count, size=size)
    images = (render(Swinging(), cameras).images.clamp(0, 1) * 255 + 0.5).byte().numpy()
    splits = {}
    for name, chosen in (
        ("train", [k for k in range(count) if k % 4]), ("test", list(range(0, count, 4)))
    ):  # fmt: skip
        part = images[chosen]
        splits[name] = Views(
            cameras[chosen], [f"{name}_{k}" for k in chosen], lambda i, part=part: part[i],
            background=(1.0, 1.0, 1.0),
        )  # fmt: skip
    bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])
    return Dataset("swinging", splits, 1.0, bounds, (1.0, 1.0, 1.0))


@pytest.fixture(scope="session")
def swinging() -> Dataset:
    """A small moving data set, made once."""
    return swinging_dataset()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser with software GL. Not for the session: its loop would be in the way of asyncio's."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}; set CHROMIUM to one")
    with sync_api.sync_playwright() as play:
        args = ["--no-sandbox", *SOFTWARE_GL]
        made = play.chromium.launch(executable_path=str(CHROMIUM), args=args)
        yield made
        made.close()


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the checkout; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("no real data beside the checkout (../shared/data)")
    return SHARED
