"""Speed of the physics baseline: simulation and rendering of ten bodies, cold and warm.

Run with `.venv/bin/python benchmarks/physics.py`; every time is the least of three, and of the first call
in this process ("cold": kernels are loaded from the cache, not compiled, if they were used before).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from clay4d.physics_baseline.engines import Trajectory, make_engine
from clay4d.physics_baseline.renderers import make_renderer
from clay4d.physics_baseline.spec import Box, Capsule, Cylinder, FixedCamera, SceneSpec, Sphere


def ten_bodies() -> SceneSpec:
    """Ten bodies that fall in a heap, seen by four cameras of 128 × 128 pixels."""
    rng = np.random.default_rng(0)
    kinds = (Sphere, Box, Capsule, Cylinder)
    bodies = [
        kinds[k % 4](name=f"b{k}", position=(*rng.uniform(-0.6, 0.6, 2).tolist(), 0.3 + 0.3 * k))
        for k in range(10)
    ]
    places = ((0, -3, 1.5), (3, 0, 1.5), (0, 3, 1.5), (-3, 0, 1.5))
    cameras = [
        FixedCamera(name=f"c{k}", position=p, look_at=(0, 0, 0.3), width=128, height=128)
        for k, p in enumerate(places)
    ]
    return SceneSpec(bodies=tuple(bodies), cameras=tuple(cameras), duration=2.0)


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Of the first call, and the least of three more."""
    times = []
    for _ in range(4):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times[0], min(times[1:])


def main() -> None:
    """Print the table."""
    scene = ten_bodies()
    print(f"{numba.get_num_threads()} threads")
    print("| what | cold, s | warm, s |\n|---|---|---|")
    trajectory: Trajectory | None = None
    for name in ("mujoco", "bullet"):
        try:
            engine = make_engine(name)
        except ImportError as error:
            print(f"| {name} | {error} | |")
            continue
        cold, warm = seconds(lambda engine=engine: engine.run(scene))  # type: ignore[misc]
        print(f"| {name}: 10 bodies, 2 s | {cold:.2f} | {warm:.2f} |")
        trajectory = trajectory or engine.run(scene)
    if trajectory is None:
        return
    for name in ("raycast", "mujoco-gl"):
        try:
            began = time.perf_counter()
            renderer = make_renderer(name, scene, trajectory)
            start = time.perf_counter() - began
        except ImportError as error:
            print(f"| {name} | {error} | |")
            continue

        def draw(renderer: Any = renderer) -> None:
            for k in range(4):
                renderer.draw(f"c{k}", range(24))

        cold, warm = seconds(draw)
        words = "RGB, depth, segmentation, normals, flow"
        print(
            f"| {name}: 4 cameras × 24 frames × 128², {words} | {start + cold:.2f} | {warm:.2f} |"
        )


if __name__ == "__main__":
    main()
