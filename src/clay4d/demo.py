"""`clay4d demo`: a small moving scene, trained on its own pictures, and a page that shows the result.

The truth is a scene too, toys that bounce on a chequered floor, so it can be drawn beside what was
learned from any view and at any moment. Its pictures come from the rasteriser that training uses:
this shows that everything works, not how well real video would do.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.config import preset_folder, presets
from clay4d.demo_page import write_page
from clay4d.files import check_new_folder
from clay4d.renderers import render
from clay4d.renderers.paths import look_at, orbit
from clay4d.renderers.video import (
    colour_depth,
    depth_range,
    render_video,
    side_by_side,
    write_video,
)
from clay4d.scenes import Cameras, Gaussians, Scene
from clay4d.scenes.gaussians import C0
from clay4d.scenes.loaders import write_transforms
from clay4d.scenes.quaternions import multiply, rotate
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training.config import TrainConfig
from clay4d.training.evaluate import evaluate_run
from clay4d.training.run import train
from clay4d.training.warm import ensure_kernels

SIZE = 192
"""Side of the training pictures, pixels."""
CAMERAS, TIMES = 20, 24
FRAMES, FPS = 96, 24
TEST_SHIFT = 0.58
"""Keeps every test camera at least 0.4 m from every training camera."""
BOUNDS = torch.tensor([[-1.5, -1.5, -0.1], [1.5, 1.5, 1.1]])
WHITE = (1.0, 1.0, 1.0)
LEAD = (
    f"Toys that move on a floor, seen in {CAMERAS * TIMES} pictures from {CAMERAS} places, learned "
    "on this computer's processor. The pictures are drawn, not filmed: this shows that everything "
    "works, not how well a video of your own would do."
)


@dataclasses.dataclass(frozen=True)
class Toy:
    """A thing on the floor: its surface as Gaussians about its own centre, and how it moves."""

    body: Gaussians
    phase: float
    """Place on the ring, turns."""
    height: float
    """Height of a bounce, metres."""
    bounces: int
    """In the scene's duration."""
    swing: float
    """How far it turns about the vertical, to and fro, turns."""
    rest: float
    """Height of the centre when it touches the floor, metres."""

    def at(self, moment: float) -> Gaussians:
        """The toy at a moment of the scene, 0 to 1, with its shadow."""
        angle = 2 * math.pi * (self.phase + 0.05 * math.sin(2 * math.pi * moment))
        u = (moment * self.bounces + self.phase) % 1
        place = [0.85 * math.cos(angle), 0.85 * math.sin(angle)]
        centre = torch.tensor([*place, self.rest + 4 * self.height * u * (1 - u)])
        half = math.pi * self.swing * math.sin(2 * math.pi * moment)
        spin = torch.tensor([math.cos(half), 0.0, 0.0, math.sin(half)])
        means = rotate(spin, self.body.means) + centre
        moved = dataclasses.replace(self.body, means=means, quats=multiply(spin, self.body.quats))
        shadow = _flat(torch.tensor([[*place, 0.006]]), 0.6 * self.rest, torch.zeros(1, 3), 0.55)
        return _join([moved, shadow])


class Toys:
    """Five toys that bounce and turn on a chequered floor for two seconds, over and over.

    >>> len(Toys().at(0.3)) > 1000
    True
    """

    duration = 2.0
    background = WHITE

    def __init__(self) -> None:
        self._floor = _floor()
        ball, cube, ring = _ball(0.24), _cube(0.2), _ring(0.2, 0.08)
        red, blue, yellow = (0.88, 0.25, 0.2), (0.16, 0.4, 0.85), (0.98, 0.74, 0.15)
        green, violet = (0.15, 0.62, 0.4), (0.56, 0.3, 0.72)
        self._toys = [
            Toy(_paint(*ball, red), 0.0, 0.36, 1, 0.15, 0.24),
            Toy(_paint(*cube, blue), 0.2, 0.16, 2, 0.12, 0.2),
            Toy(_paint(*ring, yellow), 0.4, 0.3, 1, 0.25, 0.28),
            Toy(_paint(*_ball(0.18), green), 0.6, 0.42, 1, -0.2, 0.18),
            Toy(_paint(*_cube(0.16), violet), 0.8, 0.14, 2, -0.15, 0.16),
        ]

    def at(self, time: float) -> Gaussians:
        """The scene `time` seconds after its start."""
        moment = time / self.duration
        return _join([self._floor, *(toy.at(moment) for toy in self._toys)])


def run_demo(out: Path, *, minutes: float | None = None, seed: int = 0) -> Path:
    """Make the scene's pictures, train on them, draw videos, and write OUT/index.html.

    Args:
        out: a new folder. minutes: time budget of the training, the preset's steps by default.

    Returns:
        The page.

    Raises:
        ValueError: a folder that holds something.
    """
    check_new_folder(out, name="out")
    ensure_kernels()
    truth, data, run = Toys(), out / "data", out / "run"
    print(f"1/4 drawing {CAMERAS * TIMES} training pictures of a scene that moves", flush=True)
    try:
        test = _write_data(truth, data)
    except Exception:
        out.rmdir()  # nothing is in it yet
        raise
    print("2/4 training on them", flush=True)
    config = presets(TrainConfig, preset_folder())["demo"][1]
    began = time.monotonic()
    scene = train(config, data, run, minutes=minutes, seed=seed)
    assert isinstance(scene, SplatScene)  # the preset says so
    seconds = time.monotonic() - began
    print(f"3/4 measuring on {len(test)} views that training did not see", flush=True)
    metrics = evaluate_run(run)
    print("4/4 drawing videos", flush=True)
    videos = _write_videos(truth, scene, _ring_of_cameras(test), out)
    facts = {
        "PSNR": f"{metrics['psnr']:.2f} dB",
        "SSIM": f"{metrics['ssim']:.4f}",
        "Training": f"{seconds:.0f} s, {os.cpu_count()} cores, no GPU",
        "Gaussians": f"{len(scene.at(0.0)):,}",
        "Training pictures": f"{CAMERAS * TIMES}",
        "Their size": f"{SIZE} × {SIZE} pixels",
        "Held-out pictures": f"{metrics['images']}",
        "Seed": str(seed),
    }
    config_text = (run / "config.yaml").read_text("utf-8")
    page = write_page(out / "index.html", facts, _films(videos), config_text, lead=LEAD)
    for path in (*videos.values(), run / "metrics.json", page):
        print(path)
    print(f"PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.4f}. Open {page} in a browser.")
    return page


def _films(videos: dict[str, Path]) -> dict[str, tuple[Path, str]]:
    return {
        "Truth | What was learned": (
            videos["comparison"],
            "The scene that made the pictures, and the scene trained on them, from the same new "
            "places and at the same moments.",
        ),
        "Novel views": (
            videos["orbit"],
            "The trained scene, once around in two seconds, played at half speed.",
        ),
        "Depth": (videos["depth"], "Truth on the left, learned on the right; light is near."),
    }


def make_cameras(count: int, *, shift: float = 0.0) -> Cameras:
    """Cameras on a band about the floor, low and high in turn, that look at it; all at time 0.

    `shift` moves them along the band and up and down it, in shares of their distance and its height.

    >>> len(make_cameras(3))
    3
    """
    steps = torch.arange(count, dtype=torch.float64)
    # The golden ratio spreads heights evenly whatever the count.
    elevation = torch.deg2rad(18 + 34 * ((steps * 0.618034 + shift) % 1))
    azimuth = 2 * math.pi * (steps + shift) / count
    flat = elevation.cos()
    eyes = 4.3 * torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], 1)
    target = torch.tensor([0.0, 0.0, 0.25])
    focal, half = 1.3 * SIZE, SIZE / 2
    K = torch.tensor([[focal, 0, half], [0, focal, half], [0, 0, 1]])
    views = look_at(eyes, target)
    return Cameras(views, K.expand(count, 3, 3).clone(), SIZE, SIZE, torch.zeros(count))


def _write_data(truth: Scene, folder: Path) -> Cameras:
    """Write the pictures; gives the test cameras."""
    places = make_cameras(CAMERAS)
    which = torch.arange(CAMERAS * TIMES)
    times = (which // CAMERAS).float() / (TIMES - 1) * truth.duration
    chosen = places[which % CAMERAS]
    train_views = dataclasses.replace(chosen, times=times)
    # Between the training views in place, and between their moments in time.
    test = make_cameras(TIMES - 1, shift=TEST_SHIFT)
    moments = (torch.arange(TIMES - 1) + 0.5) / (TIMES - 1) * truth.duration
    test = dataclasses.replace(test, times=moments)
    splits = {
        "train": (train_views, _pictures(truth, train_views)),
        "test": (test, _pictures(truth, test)),
    }
    write_transforms(folder, splits, duration=truth.duration, bounds=BOUNDS)
    return test


def _pictures(scene: Scene, cameras: Cameras) -> Iterator[UInt8[np.ndarray, "H W 4"]]:
    """Pictures with alpha, as D-NeRF's have."""
    for i in range(len(cameras)):
        drawn = render(scene, cameras[i], depth=False, background=(0.0, 0.0, 0.0))
        alpha = drawn.alphas[0]
        pixels = torch.cat([drawn.images[0] / alpha.clamp(min=1e-6), alpha], -1)
        yield (pixels.clamp(0, 1) * 255 + 0.5).byte().numpy()


def _ring_of_cameras(test: Cameras) -> Cameras:
    return orbit(test, frames=FRAMES, duration=Toys.duration).resized(2.0)


def _write_videos(truth: Scene, scene: Scene, path: Cameras, out: Path) -> dict[str, Path]:
    """The videos by what they show."""
    videos = {
        "orbit": out / "orbit.mp4",
        "comparison": out / "comparison.mp4",
        "depth": out / "depth.mp4",
    }
    render_video(videos["orbit"], scene, path, fps=FPS)
    write_video(videos["comparison"], _pairs(truth, scene, path), fps=FPS)
    write_video(videos["depth"], _pairs(truth, scene, path, depth=True), fps=FPS)
    return videos


def _pairs(
    truth: Scene, scene: Scene, path: Cameras, *, depth: bool = False
) -> Iterator[Float[Tensor, "H W2 3"]]:
    """Truth and result side by side, in colours or in depth."""
    first = render(truth, path[0])
    near, far = depth_range(_given(first.depths), first.alphas)
    for i in range(len(path)):
        pair = []
        for one in (truth, scene):
            drawn = render(one, path[i], depth=depth)
            if depth:
                image = colour_depth(_given(drawn.depths), drawn.alphas, near=near, far=far)[0]
                pair.append(image + 1 - drawn.alphas[0])  # on white, as the page is
            else:
                pair.append(drawn.images[0])
        yield side_by_side(*pair, gap=8)


def _given(value: Tensor | None) -> Tensor:
    return torch.zeros(0) if value is None else value


def _join(parts: list[Gaussians]) -> Gaussians:
    columns: dict[str, Any] = {
        name: torch.cat([part.tensors()[name] for part in parts]) for name in parts[0].tensors()
    }
    return Gaussians(**columns)


def _flat(
    means: Float[Tensor, "N 3"], size: float, colors: Float[Tensor, "N 3"], opacity: float
) -> Gaussians:
    """Discs that lie on the floor."""
    n = len(means)
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(n, 4)
    scales = torch.tensor([[size, size, 0.002]]).expand(n, 3)
    sh = ((colors - 0.5) / C0)[:, None]
    return Gaussians(means, quats, scales, torch.full((n,), opacity), sh)


def _floor(*, cells: int = 8, fine: int = 8, side: float = 2.8) -> Gaussians:
    """A chequered round at z = 0."""
    n = cells * fine
    steps = (torch.arange(n) + 0.5) / n
    x, y = torch.meshgrid(steps, steps, indexing="ij")
    dark = ((x * cells).long() + (y * cells).long()) % 2 == 0
    colors = torch.where(
        dark[..., None], torch.tensor([0.28, 0.34, 0.42]), torch.tensor([0.8, 0.74, 0.63])
    )
    places = torch.stack([(x - 0.5) * side, (y - 0.5) * side, torch.zeros_like(x)], -1)
    inside = places.norm(dim=-1) < side / 2
    return _flat(places[inside], 0.7 * side / n, colors[inside], 0.98)


def _ball(radius: float, *, count: int = 500) -> tuple[Tensor, Tensor, float]:
    """Points, normals and disc size of a ball: a Fibonacci lattice."""
    k = torch.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, k * math.pi * (1 + math.sqrt(5))
    flat = (1 - z * z).sqrt()
    normals = torch.stack([flat * angle.cos(), flat * angle.sin(), z], 1)
    return radius * normals, normals, radius * math.sqrt(4 * math.pi / count) * 0.6


def _cube(half: float, *, fine: int = 9) -> tuple[Tensor, Tensor, float]:
    """Points, normals and disc size of a cube."""
    steps = ((torch.arange(fine) + 0.5) / fine * 2 - 1) * half
    u, v = (g.reshape(-1) for g in torch.meshgrid(steps, steps, indexing="ij"))
    points, normals = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            columns = [u, v]
            columns.insert(axis, torch.full_like(u, sign * half))
            points.append(torch.stack(columns, 1))
            normal = torch.zeros_like(points[-1])
            normal[:, axis] = sign
            normals.append(normal)
    return torch.cat(points), torch.cat(normals), 2 * half / fine * 0.55


def _ring(radius: float, tube: float, *, around: int = 40) -> tuple[Tensor, Tensor, float]:
    """Points, normals and disc size of a ring that stands on its edge."""
    across = round(around * tube / radius)
    a = torch.arange(around) / around * 2 * math.pi
    b = torch.arange(across) / across * 2 * math.pi
    a, b = (g.reshape(-1) for g in torch.meshgrid(a, b, indexing="ij"))
    normals = torch.stack([b.cos() * a.cos(), b.sin(), b.cos() * a.sin()], 1)
    centres = torch.stack([a.cos(), torch.zeros_like(a), a.sin()], 1) * radius
    return centres + tube * normals, normals, 2 * math.pi * radius / around * 0.6


def _paint(
    points: Float[Tensor, "N 3"],
    normals: Float[Tensor, "N 3"],
    size: float,
    color: tuple[float, float, float],
) -> Gaussians:
    """A surface of discs in two tones, so that spin shows, lit from above."""
    angle = torch.atan2(points[:, 1], points[:, 0])
    stripe = torch.where(torch.sin(3 * angle) > 0, 1.0, 0.62)
    # Toys spin about the vertical, so light from straight above moves with them.
    light = 0.75 + 0.35 * normals[:, 2]
    colors = torch.tensor(color) * (stripe * light)[:, None]
    # The rotation that brings z to the normal; straight down it is half a turn about x.
    z = normals[:, 2]
    quats = torch.stack([1 + z, -normals[:, 1], normals[:, 0], torch.zeros_like(z)], 1)
    quats = torch.where((z < -0.999)[:, None], torch.tensor([0.0, 1, 0, 0]), quats)
    quats = torch.nn.functional.normalize(quats, dim=1)
    n = len(points)
    scales = torch.tensor([[size, size, size / 8]]).expand(n, 3)
    sh = ((colors - 0.5) / C0)[:, None]
    return Gaussians(points, quats, scales, torch.full((n,), 0.97), sh)
