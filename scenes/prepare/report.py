"""What `prepare` tells: a contact sheet to look at and a short report to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw

TILE = 160
"""Longer side of a picture on the contact sheet, pixels."""
MOST_TILES = 60
GREEN, RED, ORANGE = (40, 160, 60), (200, 40, 40), (255, 140, 0)


@dataclass
class Report:
    """What was done, and what to do about it."""

    source: str
    cameras: int = 0
    frames: int = 0
    """Pictures that were chosen."""
    registered: int = 0
    """Pictures whose pose was found."""
    error: float = 0.0
    """Mean reprojection error, pixels."""
    points: int = 0
    duration: float = 0.0
    """Seconds."""
    fixed: bool = False
    size: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)
    """Sentences."""

    def text(self) -> str:
        """The report as Markdown."""
        rows = [
            ("source", self.source),
            ("cameras", f"{self.cameras}, {'standing still' if self.fixed else 'moving'}"),
            ("frames registered", f"{self.registered} of {self.frames}"),
            ("mean reprojection error", f"{self.error:.2f} pixels" if self.points else "none"),
            ("points", f"{self.points}"),
            ("duration", f"{self.duration:.2f} s"),
            ("pictures", f"{self.size[0]} × {self.size[1]} pixels"),
        ]
        lines = ["# clay4d prepare", "", "| | |", "|---|---|"]
        lines += [f"| {key} | {value} |" for key, value in rows]
        lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"


Tile = tuple[str, UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"] | None, bool]
"""A label, a picture, its mask of what moves, and whether its pose was found."""


def contact_sheet(tiles: Iterable[Tile]) -> Image.Image:
    """Pictures in rows: green where the pose was found, red where not, orange over what moves."""
    drawn = [_tile(*tile) for tile in tiles]
    width, height = (max(t.size[i] for t in drawn) + 6 for i in (0, 1))
    columns = max(1, min(len(drawn), round((1.6 * len(drawn) * height / width) ** 0.5)))
    rows = -(-len(drawn) // columns)
    sheet = Image.new("RGB", (columns * width + 6, rows * height + 6), (24, 24, 26))
    for i, tile in enumerate(drawn):
        sheet.paste(tile, (6 + i % columns * width, 6 + i // columns * height))
    return sheet


def _tile(
    label: str,
    pixels: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"] | None,
    registered: bool,
) -> Image.Image:
    scale = TILE / max(pixels.shape[:2])
    size = max(8, round(pixels.shape[1] * scale)), max(8, round(pixels.shape[0] * scale))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    if mask is not None:
        weight = Image.fromarray(mask.astype(np.uint8) * 130).resize(size)
        picture.paste(Image.new("RGB", size, ORANGE), (0, 0), weight)
    framed = Image.new("RGB", (size[0] + 4, size[1] + 18), GREEN if registered else RED)
    framed.paste(picture, (2, 2))
    draw: Any = ImageDraw.Draw(framed)
    draw.text((4, size[1] + 4), label, fill=(255, 255, 255))
    return framed


def advice(report: Report, *, moving: bool) -> list[str]:
    """What to do about a result that is less than good."""
    told = []
    if report.points and report.registered < 0.9 * report.frames:
        told.append(
            f"{report.frames - report.registered} frames found no pose (red in contact_sheet.png) "
            "and are left out. More overlap helps: --frames with a higher number, a slower camera."
        )
    if report.points and report.error > 1.5:
        told.append(
            f"A reprojection error of {report.error:.1f} pixels is high: blur, a rolling shutter or "
            "much that moves. Film slower and with more light."
        )
    if moving:
        told.append("Orange in contact_sheet.png is what was taken to move; poses did not see it.")
    if report.points:
        told.append("Lengths are up to an unknown scale: no film tells metres.")
    return told


def shown(count: int) -> Sequence[int]:
    """Which of `count` pictures the contact sheet shows."""
    if count <= MOST_TILES:
        return range(count)
    return [round(i * (count - 1) / (MOST_TILES - 1)) for i in range(MOST_TILES)]


def write_report(folder: Path, report: Report, sheet: Image.Image) -> None:
    """Write report.md and contact_sheet.png into a folder that nobody reads yet."""
    (folder / "report.md").write_text(report.text(), encoding="utf-8")
    sheet.save(folder / "contact_sheet.png")
