"""Scenes from the first prompts of the test split, drawn beside what the judge says of them.

`python benchmarks/generated.py WORLDS --out docs/generated.png`: no prompt is chosen, none was trained on.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from clay4d.renderers.render import render
from clay4d.world_model.generate import FRAMES, at_all_times, generate, load_weights
from clay4d.world_model.judge import LooksJudge
from clay4d.world_model.judge.prompts import judge_scene
from clay4d.world_model.worlds import open_worlds

MOMENTS = (0, 4, 8, 12, 16, 23)
SCALE = 2
WORDS = 520
"""Pixels for what is said beside the pictures."""


def main() -> None:
    """Generate, judge, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    model, judge = load_weights(given.weights), LooksJudge.load(given.judge)
    worlds = open_worlds(given.worlds, split="test")
    rows = []
    for k in range(given.count):
        world = worlds.read(k)
        made = generate(world.prompt, weights=given.weights, seed=k)
        views, Ks = torch.from_numpy(world.viewmats), torch.from_numpy(world.Ks)
        height, width = world.masks.shape[2:]
        cameras = at_all_times(views[:1], Ks[:1], width, height, FRAMES)
        pictures = render(made.scene, cameras, depth=False).images.clamp(0, 1)
        said = judge_scene(model, judge, world, made.slots)
        verdict = (
            f"things {said['things_right']:.0f}/{said['things']:.0f}, "
            f"clauses {said['clauses_right']:.0f}/{said['clauses']:.0f}"
        )
        rows.append(
            _row((pictures * 255 + 0.5).byte().numpy(), f"{k + 1}. {world.prompt}", verdict)
        )
    sheet = Image.new("RGB", (rows[0].width, sum(r.height for r in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    sheet.save(given.out)


def _row(pictures: np.ndarray, prompt: str, verdict: str) -> Image.Image:
    strip = Image.fromarray(np.concatenate([pictures[t] for t in MOMENTS], 1))
    strip = strip.resize((strip.width * SCALE, strip.height * SCALE), Image.Resampling.NEAREST)
    row = Image.new("RGB", (strip.width + WORDS, strip.height + 4), "white")
    row.paste(strip, (0, 0))
    lines = [*textwrap.wrap(prompt, 78), verdict]
    ImageDraw.Draw(row).multiline_text((strip.width + 8, 6), "\n".join(lines), fill="black")
    return row


if __name__ == "__main__":
    main()
