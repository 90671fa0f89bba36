"""Line charts of results as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from clay4d.files import written_whole

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#000000",
    "#999999",
    "#7b3294",
    "#a6761d",
)
"""The first eight are told apart by the colour-blind too (Okabe and Ito 2008)."""
SIZE, LEFT, RIGHT, TOP, BOTTOM = (1400, 820), 110, 40, 70, 100


def chart(
    path: str | Path,
    series: Mapping[str, tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]],
    *,
    title: str,
    across: str,
    up: str,
    ends: tuple[float, float, float, float],
    legend: Literal["left top", "right bottom"] = "left top",
) -> None:
    """Draw named lines (x, y) into a PNG, with ticks and a legend.

    Args:
        across: label of the x axis; `up` that of y.
        ends: of the axes: least and most x, least and most y.
        legend: the corner where no lines are.
    """
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture)
    small, large = ImageFont.load_default(24), ImageFont.load_default(30)
    x0, x1, y0, y1 = ends
    width, height = SIZE[0] - LEFT - RIGHT, SIZE[1] - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x0) / (x1 - x0) * width,
            TOP + height - (y - y0) / (y1 - y0) * height,
        )

    for x in _ticks(x0, x1):
        draw.line([at(x, y0), at(x, y1)], fill="#e4e4e4", width=2)
        draw.text(
            (at(x, y0)[0], TOP + height + 10), f"{x:g}", fill="black", font=small, anchor="mt"
        )
    for y in _ticks(y0, y1):
        draw.line([at(x0, y), at(x1, y)], fill="#e4e4e4", width=2)
        draw.text((LEFT - 12, at(x0, y)[1]), f"{y:g}", fill="black", font=small, anchor="rm")
    draw.line([at(x0, y1), at(x0, y0), at(x1, y0)], fill="black", width=3)
    draw.text((LEFT, 20), title, fill="black", font=large)
    draw.text((LEFT + width / 2, SIZE[1] - 40), across, fill="black", font=small, anchor="mm")
    draw.text((LEFT + 12, TOP + 4), up, fill="black", font=small)
    for k, (name, (xs, ys)) in enumerate(series.items()):
        colour = COLOURS[k % len(COLOURS)]
        inside = (xs >= x0) & (xs <= x1)
        points = [at(float(x), float(np.clip(y, y0, y1))) for x, y in zip(xs[inside], ys[inside])]
        draw.line(points, fill=colour, width=5, joint="curve")
        widest = max(draw.textlength(n, font=small) for n in series)
        left = LEFT + 20 if legend == "left top" else LEFT + width - widest - 85
        top = TOP + 60 if legend == "left top" else TOP + height - 36 * len(series) - 10
        row = top + 36 * k
        draw.line([(left, row), (left + 50, row)], fill=colour, width=7)
        draw.text((left + 62, row), name, fill="black", font=small, anchor="lm")
    path = Path(path)
    with written_whole(path) as place:
        picture.save(place, "PNG", optimize=True)


def _ticks(low: float, high: float) -> np.ndarray:
    """Round numbers between the ends, about six."""
    step = 10 ** np.floor(np.log10((high - low) / 5))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 7)
    ticks: np.ndarray = (
        np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    )
    return ticks + 0.0  # no minus zero
