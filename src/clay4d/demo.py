"""`clay4d demo`: a small scene, simulated, trained on its pictures, and a page that shows the result.

The truth is a simulation (`clay4d.demo_scene`), so it can be drawn beside what was learned from any view and
at any moment. Its pictures come from a ray caster, which knows nothing of Gaussians: shadows, gloss and
patterns are not what training would draw by itself. They are drawn and not filmed, all the same.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.config import preset_folder, presets
from clay4d.demo_page import write_page
from clay4d.demo_scene import FPS as SIMULATED_FPS
from clay4d.demo_scene import LENGTH, Simulated
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
from clay4d.scenes import Cameras, Scene
from clay4d.scenes.loaders import write_transforms
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training.config import TrainConfig
from clay4d.training.evaluate import evaluate_run
from clay4d.training.run import train
from clay4d.training.warm import ensure_kernels

SIZE = 192
"""Side of the training pictures, pixels."""
CAMERAS, TIMES, EVERY = 20, 47, 2
"""Places, moments, and how many of the moments lie between two pictures from one place."""
PICTURES = CAMERAS * TIMES // EVERY
FRAMES, FPS = 93, 24
TEST_CAMERAS, TEST_SHIFT = 23, 0.58
"""Keeps every test camera at least 0.4 m from every training camera."""
BOUNDS = torch.tensor([[-1.5, -1.5, -0.2], [1.5, 1.5, 1.4]])
LEAD = (
    f"Toys on a table, simulated by MuJoCo, seen in {PICTURES} pictures from {CAMERAS} places, and "
    "learned from those alone on this computer's processor. The pictures are drawn, not filmed: this "
    "shows that everything works, not how well a video of your own would do."
)


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
    data, run = out / "data", out / "run"
    print(f"1/4 simulating toys and drawing {PICTURES} training pictures", flush=True)
    try:
        truth = Simulated()
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
        "Training pictures": f"{PICTURES}",
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
    target = torch.tensor([0.0, 0.0, 0.15])
    focal, half = 1.25 * SIZE, SIZE / 2
    K = torch.tensor([[focal, 0, half], [0, focal, half], [0, 0, 1]])
    views = look_at(eyes, target)
    return Cameras(views, K.expand(count, 3, 3).clone(), SIZE, SIZE, torch.zeros(count))


def _write_data(truth: Simulated, folder: Path) -> Cameras:
    """Write the pictures; gives the test cameras."""
    places = make_cameras(CAMERAS)
    moment, place = (
        torch.arange(TIMES * CAMERAS) // CAMERAS,
        torch.arange(TIMES * CAMERAS) % CAMERAS,
    )
    taken = (moment + place) % EVERY == 0
    times, chosen = _moments(TIMES)[moment[taken]], places[place[taken]]
    train_views = dataclasses.replace(chosen, times=times)
    # Between the training views in place, and between their moments in time.
    test = make_cameras(TEST_CAMERAS, shift=TEST_SHIFT)[torch.arange(TIMES - 1) % TEST_CAMERAS]
    moments = _moments(TIMES)
    test = dataclasses.replace(test, times=_on_frames((moments[1:] + moments[:-1]) / 2))
    splits = {
        name: (views, (picture for picture, _ in truth.cutouts(views)))
        for name, views in (("train", train_views), ("test", test))
    }
    write_transforms(folder, splits, duration=LENGTH, bounds=BOUNDS)
    return test


def _moments(count: int) -> Float[Tensor, " count"]:
    """Times of frames of the simulation, spread over all of it."""
    return _on_frames(torch.linspace(0, LENGTH, count))


def _on_frames(times: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    return (times * SIMULATED_FPS).round() / SIMULATED_FPS


def _ring_of_cameras(test: Cameras) -> Cameras:
    path = orbit(test, frames=FRAMES, duration=LENGTH).resized(2.0)
    return dataclasses.replace(path, times=_moments(FRAMES))


def _write_videos(truth: Simulated, scene: Scene, path: Cameras, out: Path) -> dict[str, Path]:
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
    truth: Simulated, scene: Scene, path: Cameras, *, depth: bool = False
) -> Iterator[Float[Tensor, "H W2 3"]]:
    """Truth and result side by side, in colours or in depth."""
    near = far = 0.0
    for i, (cutout, metres) in enumerate(truth.cutouts(path)):
        pixels = torch.from_numpy(cutout).float() / 255
        alpha, away = pixels[..., 3:], torch.from_numpy(metres)[..., None]
        drawn = render(scene, path[i], depth=depth)
        if not depth:
            yield side_by_side(pixels[..., :3] * alpha + 1 - alpha, drawn.images[0], gap=8)
            continue
        if i == 0:
            near, far = depth_range(away[None], (alpha * (away > 0))[None])
        both = [(away, alpha), (_given(drawn.depths)[0], drawn.alphas[0])]
        # On white, as the page is.
        pair = [colour_depth(d[None], a[None], near=near, far=far)[0] + 1 - a for d, a in both]
        yield side_by_side(*pair, gap=8)


def _given(value: Tensor | None) -> Tensor:
    return torch.zeros(0) if value is None else value
