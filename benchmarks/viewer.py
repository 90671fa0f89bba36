"""Pictures a second of the viewer's server: of its rasteriser, of its plain page, and in a browser that plays.

    python benchmarks/viewer.py [RUN] [--frames 60]

Each picture is of another moment, so the scene moves and is sorted anew: 400 × 400, from the camera at which the
viewer starts. Without RUN a seed makes the scene. The browser is Chromium, with GL in software and so beside the
rasteriser on the same cores; it is left out where it or playwright is missing.
"""

from __future__ import annotations

import argparse
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import torch
from browser import chromium
from made import machine, made_scene

from clay4d.jit import one_torch_thread
from clay4d.renderers.viewer import Viewer
from clay4d.scenes.loaders import load_dataset
from clay4d.training.memory import keep_freed_memory
from clay4d.training.run import load_run

PLAYED = 5.0
"""Seconds that the browser plays for."""


def asked(viewer: Viewer, frames: int) -> list[str]:
    """Addresses of pictures over the scene's time."""
    times = np.linspace(0, viewer.scene.duration, frames)
    return [f"/frame.jpg?azimuth=0&elevation=0&zoom=1&time={t}" for t in times]


def drawn(viewer: Viewer, addresses: list[str]) -> list[float]:
    """Seconds for each picture, from its address to JPEG, in this process."""
    took = []
    for address in addresses:
        began = time.perf_counter()
        viewer._page(address)
        took.append(time.perf_counter() - began)
    return took


def fetched(viewer: Viewer, addresses: list[str]) -> list[float]:
    """Seconds for each picture over HTTP, one after another."""
    took = []
    for address in addresses:
        began = time.perf_counter()
        with urllib.request.urlopen(viewer.url + address, timeout=60) as answer:
            answer.read()
        took.append(time.perf_counter() - began)
    return took


def played(viewer: Viewer) -> float | None:
    """Pictures a second that the server sends to a page while it plays; None without a browser."""
    with chromium() as browser:
        if browser is None:
            return None
        sent: list[float] = []
        draw = viewer.picture

        def counted(*args: Any) -> Any:
            sent.append(time.perf_counter())
            return draw(*args)

        page = browser.new_page(viewport={"width": 800, "height": 800})
        page.goto(viewer.url)
        page.get_by_text("Camera path").wait_for(timeout=120_000)
        viewer._drawer.value = "server"
        viewer.picture = counted  # type: ignore[method-assign]
        viewer._playing.value = True
        viewer._wake.set()
        page.wait_for_timeout(2000)
        sent.clear()
        page.wait_for_timeout(1000 * PLAYED)
        rate = (len(sent) - 1) / (sent[-1] - sent[0]) if len(sent) > 1 else 0.0
        viewer._playing.value = False
        return rate


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=60)
    args = parser.parse_args()
    scene, views = made_scene(), None
    if args.run is not None:
        scene, _, data = load_run(args.run)
        views = load_dataset(data).train if data is not None and data.exists() else None
    one_torch_thread()
    keep_freed_memory(heaps=1)
    print(f"{machine('numba', 'viser')}; {len(scene)} Gaussians")
    with torch.no_grad():
        viewer = Viewer(scene, views=views, port=0)
        addresses = asked(viewer, args.frames)
        drawn(viewer, addresses[:2])
        worked = time.process_time()
        took = drawn(viewer, addresses)
        worked = (time.process_time() - worked) / len(took)
        print(f"{'pictures a second':<24} {'median':>8} {'slowest':>8}")
        for name, each in (("400 × 400, to JPEG", took), ("400 × 400, over HTTP", fetched(viewer, addresses))):  # fmt: skip
            print(f"{name:<24} {1 / np.median(each):>8.1f} {1 / max(each):>8.1f}")
        rate = played(viewer)
        print(
            "in a page: no browser"
            if rate is None
            else f"{'400 × 400, in a page':<24} {rate:>8.1f}"
        )
        print(f"a picture takes {1000 * worked:.1f} ms of processor time, all threads together")
        viewer.close()


if __name__ == "__main__":
    main()
