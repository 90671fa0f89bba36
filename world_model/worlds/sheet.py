"""A contact sheet of worlds: what to look at before training on them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from clay4d.world_model.worlds.format import World

MOMENTS = (0, 3, 6, 10, 15, -1)
"""Frames that are shown, from the first camera."""
LINE = 13
"""Pixels."""


def write_sheet(path: str | Path, worlds: Sequence[World], *, scale: int = 2) -> None:
    """Write a PNG with a row for each world: six moments from the first camera, the first moment
    from another and its masks, and the words beside them."""
    rows = [_row(world, scale) for world in worlds]
    width, height = max(r.width for r in rows), sum(r.height for r in rows)
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    sheet.save(path)


def _row(world: World, scale: int) -> Image.Image:
    frames = [world.images[t, 0] for t in MOMENTS if -len(world.times) <= t < len(world.times)]
    frames.append(world.images[0, min(1, world.images.shape[1] - 1)])
    frames.append(_coloured(world.masks[0, 0]))
    strip = Image.fromarray(np.concatenate(frames, 1))
    strip = strip.resize((strip.width * scale, strip.height * scale), Image.Resampling.NEAREST)
    words = [f"{world.name} {world.split}, hidden: {world.hidden.kind}"]
    words += textwrap.wrap(world.prompt, 100)
    words += textwrap.wrap(" · ".join(event.line for event in world.events), 100)
    words += textwrap.wrap(" ".join(f"{q.text} {q.answer}." for q in world.questions), 100)
    row = Image.new("RGB", (strip.width + 640, max(strip.height, LINE * len(words)) + 4), "white")
    row.paste(strip, (0, 0))
    draw = ImageDraw.Draw(row)
    for k, line in enumerate(words):
        plain = line.replace("·", "|").encode("ascii", "replace").decode()
        draw.text((strip.width + 6, k * LINE), plain, fill="black")
    return row


def _coloured(mask: np.ndarray) -> np.ndarray:
    ids = mask.astype(int)
    colours = np.stack([ids * 97 % 200 + 55, ids * 57 % 200 + 55, ids * 151 % 200 + 55], -1)
    return np.where(ids[..., None] > 0, colours, 0).astype(np.uint8)
