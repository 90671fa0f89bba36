"""Memory and time of exports of many moments: the peak of a process at 10, at 50 and at 100 of them.

    python benchmarks/streaming.py [--count 20000] [--steps 10 50 100] [--only .html .mp4]

Each export runs in a process of its own, on a scene that a seed makes; the peak is what the system says of that
process (ru_maxrss). What is written goes by moments, so 100 of them should take the memory of 10. Meshes are
fused of 8 small pictures each, at a fifth of the usual resolution: memory, not time, is measured here.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from made import machine, made_parts, made_scene

FORMATS = {
    ".ply": "plys", ".png": "pngs", ".mp4": "film.mp4", ".usdc": "scene.usdc", ".usda": "scene.usda",
    ".usdz": "scene.usdz", ".glb": "parts.glb", ".html": "page.html", ".ply-to-html": "files.html",
    "mesh": "meshes",
}  # fmt: skip
"""What is asked for, and the name it is written under; names without a suffix are folders."""


def export(name: str, out: Path, count: int, steps: int) -> None:
    """Write `steps` moments of a scene of `count` Gaussians; the format is in the name."""
    from clay4d.renderers.around import around_scene
    from clay4d.renderers.mesh import write_meshes
    from clay4d.renderers.player import write_player
    from clay4d.renderers.video import render_pictures, render_video
    from clay4d.scenes.exchange import read_ply_sequence, write_ply_sequence, writer_for

    scene = (made_parts if name == "parts.glb" else made_scene)(count, degree=0)
    times = [scene.duration * k / (steps - 1) for k in range(steps)]
    if name in ("pngs", "film.mp4"):
        draw = render_pictures if name == "pngs" else render_video
        draw(out, scene, around_scene(scene, frames=steps, size=400))
    elif name == "page.html":
        write_player(out, {"made": scene}, frames=steps)
    elif name == "files.html":
        write_ply_sequence(scene, out.parent / "files", times=times)
        write_player(out, {"made": read_ply_sequence(out.parent / "files")})
    elif name == "meshes":
        cameras = around_scene(scene, frames=8, size=200)
        write_meshes(scene, out, times=times, cameras=cameras, resolution=50)
    else:
        write = writer_for(out) if out.suffix else write_ply_sequence
        write(scene, out, times=times)


def measured(name: str, count: int, steps: int) -> tuple[float, float, float]:
    """Peak MB, seconds and MB written of one export in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / name
        command = [sys.executable, __file__, "--one", name, "--out", str(out)]
        command += ["--count", str(count), "--steps", str(steps)]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        took = time.perf_counter() - began
        files = [out] if out.is_file() else list(out.iterdir())
        return float(done.stdout.split()[-1]), took, sum(f.stat().st_size for f in files) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="Gaussians")
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 50, 100])
    parser.add_argument("--only", nargs="+", metavar="FORMAT", choices=list(FORMATS))
    parser.add_argument("--one", choices=list(FORMATS.values()), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        export(args.one, args.out, args.count, args.steps[0])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(peak / (1e6 if sys.platform == "darwin" else 1e3))
        return
    print(f"{machine()}; {args.count} Gaussians that move, of degree 0")
    print(f"{'format':<16} {'moments':>8} {'peak MB':>9} {'written MB':>11} {'seconds':>9}")
    for said in args.only or FORMATS:
        for steps in args.steps:
            peak, took, size = measured(FORMATS[said], args.count, steps)
            print(f"{said:<16} {steps:>8} {peak:>9.0f} {size:>11.1f} {took:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
