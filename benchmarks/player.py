"""The HTML player of a run: its size, what it costs in dB, and how soon it opens in Chromium.

    python benchmarks/player.py [RUN] [--frames 50] [--views 10]

PSNR on views of the data that the run was trained on (its `val` or `test` split): of the run, of the page's
numbers, and between the two, by our rasteriser; then of a screenshot against our rasteriser on the page's
numbers. Chromium draws with GL in software. Without RUN a seed makes the scene.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from browser import chromium
from made import machine, made_scene
from PIL import Image

from clay4d.renderers import render
from clay4d.renderers.player import read_player, write_player
from clay4d.scenes import Cameras
from clay4d.scenes.loaders import load_dataset
from clay4d.training.run import load_run


def psnr(a: Any, b: Any) -> float:
    """Of pictures in 0 to 1."""
    return float(-10 * np.log10(np.square(np.asarray(a, float) - np.asarray(b, float)).mean()))


def measure_numbers(scene: Any, played: Any, views: Any, count: int) -> None:
    """PSNR of a run, of its page's numbers, and between them."""
    rows = []
    for i in np.unique(np.linspace(0, len(views) - 1, count).round().astype(int)):
        truth, camera = views[int(i)].image, views.cameras[int(i)]
        ours, page = (render(s, camera, depth=False).images[0].clamp(0, 1) for s in (scene, played))
        rows.append((psnr(ours, truth), psnr(page, truth), psnr(page, ours)))
    run, page, between = np.mean(rows, 0)
    print(f"{len(rows)} views: run {run:.2f} dB, page {page:.2f} dB, between them {between:.2f} dB")


def measure_page(path: Path, played: Any) -> None:
    """Seconds to open, and PSNR of a screenshot."""
    with chromium() as browser:
        if browser is None:
            print("no browser")
            return
        seconds, shot, state = [], None, None
        for _ in range(5):
            page = browser.new_page(viewport={"width": 900, "height": 900})
            start = time.monotonic()
            page.goto(path.resolve().as_uri(), timeout=120_000)
            page.locator("body[data-state=ready]").wait_for(state="attached", timeout=120_000)
            seconds.append(time.monotonic() - start)
            shot = Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("RGB")
            state = page.evaluate("player.state()")
            page.close()
    assert state is not None
    said = state["panes"][0]
    (fx, fy), (cx, cy), part = said["focal"], said["centre"], said["part"]
    K = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    view = torch.tensor(said["view"]).reshape(4, 4).T
    now = torch.tensor([float(state["time"])])
    camera = Cameras(view[None], K[None], part["width"], part["height"], now)
    ours = render(played, camera, depth=False).images[0].clamp(0, 1)
    value = psnr(np.asarray(shot) / 255, (ours * 255).round() / 255)
    print(f"opens in {', '.join(f'{s:.2f}' for s in seconds)} s; screenshot {value:.1f} dB")


def main() -> None:
    """Measure one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--views", type=int, default=10)
    args = parser.parse_args()
    scene, data = made_scene(), None
    if args.run is not None:
        scene, _, data = load_run(args.run)
    print(machine())
    dataset = load_dataset(data) if data is not None and data.exists() else None
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder, "page.html"), time.monotonic()
        cameras = None if dataset is None else dataset.train.cameras
        write_player(path, {"scene": scene}, cameras=cameras, frames=args.frames)
        took, (played,) = time.monotonic() - start, read_player(path)
        size = path.stat().st_size / 1e6
        print(
            f"{len(played)} Gaussians, {args.frames} moments: {size:.2f} MB, made in {took:.1f} s"
        )
        if dataset is not None:
            views = next((dataset.splits[s] for s in ("val", "test") if s in dataset.splits), None)
            if views is not None:
                measure_numbers(scene, played, views, args.views)
        measure_page(path, played)


if __name__ == "__main__":
    main()
