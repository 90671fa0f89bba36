"""Both decoders of the world model side by side: pictures of held-out worlds, and of prompts, with PSNR.

`python benchmarks/decoders.py WORLDS --out docs/decoders.png`: the first worlds of `val` and the first prompts of
`test`, none chosen. Above, each world's middle moment from two cameras: as it was, as Gaussians, as radiance
fields, from the same slots. Below, six moments of scenes made from prompts: Gaussians, then fields.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from clay4d.jit import one_torch_thread
from clay4d.renderers.render import render
from clay4d.world_model.decoders.scene import fields_from_slots
from clay4d.world_model.generate import FRAMES, generate, load_weights
from clay4d.world_model.model import WorldModel
from clay4d.world_model.slots import PosedFrames
from clay4d.world_model.training.score import both_pictures, field_scores
from clay4d.world_model.worlds import WorldSet, open_worlds, stack_worlds

MOMENTS = (0, 4, 8, 12, 16, 23)
SCALE = 2
LINE = 16
"""Pixels for a line of words."""


def main() -> None:
    """Draw, measure, save, say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--no-scores", action="store_true")
    given = parser.parse_args()
    one_torch_thread()
    model = load_weights(given.weights)
    val, test = (open_worlds(given.worlds, split=name) for name in ("val", "test"))
    rows = [_words("From each of two cameras: the world, as Gaussians, as radiance fields")]
    rows += [_seen(model, val, k) for k in range(given.count)]
    rows += [row for k in range(2) for row in _made(model, test.read(k).prompt, k, given.weights)]
    sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    sheet.save(given.out)
    if not given.no_scores:
        print(json.dumps(field_scores(model, val), indent=1))


def _seen(model: WorldModel, worlds: WorldSet, index: int) -> Image.Image:
    """A world's middle moment from the first and the third camera, in three ways."""
    read = worlds.read(index, frames=[12])
    frames = PosedFrames.from_worlds(stack_worlds([read], objects=model.config.encoder.objects))
    ways = [frames.images[0, 0], *both_pictures(model, frames).values()]
    return _strip([way[c] for c in (0, 2) for way in ways])


def _made(model: WorldModel, prompt: str, seed: int, weights: Path | None) -> list[Image.Image]:
    """A prompt's scene: words, then Gaussians, then fields at six moments from the first camera."""
    made = generate(prompt, weights=weights, seed=seed)
    cameras = made.cameras[[len(made.cameras) // FRAMES * k for k in MOMENTS]]
    scenes = (made.scene, fields_from_slots(model.field, model.decoder, made.slots))
    rows = [_words(f"{prompt} (Gaussians, then fields)")]
    return rows + [_strip(list(render(s, cameras, depth=False).images)) for s in scenes]


def _strip(images: list[Tensor]) -> Image.Image:
    pixels = (torch.cat(images, 1).clamp(0, 1) * 255 + 0.5).byte().numpy()
    strip = Image.fromarray(np.asarray(pixels))
    return strip.resize((strip.width * SCALE, strip.height * SCALE), Image.Resampling.NEAREST)


def _words(text: str) -> Image.Image:
    lines = textwrap.wrap(text, 110)
    row = Image.new("RGB", (6 * 64 * SCALE, LINE * len(lines) + 6), "white")
    ImageDraw.Draw(row).multiline_text((4, 3), "\n".join(lines), fill="black")
    return row


if __name__ == "__main__":
    main()
