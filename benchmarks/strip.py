"""A run's scene at moments of its duration, from places round it, side by side: the README's first picture.

.venv/bin/python benchmarks/strip.py RUN --out docs/mutant.png [--moments 5] [--width 300]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import clay4d  # noqa: F401 — first: it lets idle OpenMP threads sleep

# isort: split
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from clay4d.renderers import render
from clay4d.renderers.paths import camera_path
from clay4d.renderers.video import to_bytes
from clay4d.scenes.loaders import load_dataset
from clay4d.training.run import load_run

MARGIN = 6
"""Pixels left round what is drawn."""


def main() -> None:
    """Draw, crop, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--moments", type=int, default=5)
    parser.add_argument("--width", type=int, default=300, help="pixels of a moment")
    args = parser.parse_args()
    scene, _, data = load_run(args.run)
    cameras = camera_path("orbit", load_dataset(data), frames=args.moments)
    pictures = render(scene, cameras, depth=False).images[..., :3].clamp(0, 1)
    pictures = cropped(pictures, torch.tensor(scene.background))
    size = args.width, round(args.width * pictures.shape[1] / pictures.shape[2])
    strip = Image.new("RGB", (size[0] * args.moments, size[1]))
    for k, picture in enumerate(pictures):
        small = Image.fromarray(to_bytes(picture)).resize(size, Image.Resampling.LANCZOS)
        strip.paste(small, (k * size[0], 0))
    strip.save(args.out)
    print(args.out)


def cropped(
    pictures: Float[Tensor, "F H W 3"], background: Float[Tensor, " 3"]
) -> Float[Tensor, "F h w 3"]:
    """The smallest box that holds all that differs clearly from the background, the same in every picture."""
    drawn = (pictures - background).abs().amax(-1).amax(0) > 0.1
    rows, columns = (torch.nonzero(drawn.any(side))[:, 0] for side in (1, 0))
    if not len(rows):
        return pictures
    top, left = (max(int(x[0]) - MARGIN, 0) for x in (rows, columns))
    return pictures[:, top : int(rows[-1]) + MARGIN, left : int(columns[-1]) + MARGIN]


if __name__ == "__main__":
    main()
