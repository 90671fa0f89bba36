"""Balls in films: tracked by colour in the picture, and made metres by the ball's own size.

Films come from one camera that stands upright, so x and z are the picture's and y is 0. Perspective and
rolling shutters are left as they are: they spoil all systems alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import imageio.v3 as iio
import numpy as np
from jaxtyping import Float, UInt8

from clay4d.benchmark.observation import Observation, Thing

FRAMES = 18
"""Of a window: six that are seen and twelve that are foretold."""
APART = 6
"""Frames from the start of one window to the next."""
MOVED = 45.0
"""Sum of the channels' differences from the film's median picture from which a pixel belongs to what moves."""
LEAST = 60
"""Pixels of the smallest ball."""


@dataclass(frozen=True)
class Film:
    """A film of one ball in free flight."""

    file: str
    fps: float
    """True rate, per second, whatever the file says."""
    free: tuple[int, int]
    """First frame of free flight, and the first after it; seen by eye."""
    colour: Literal["red", "yellow"]
    diameter: float
    """Metres."""
    material: str


FILMS = (
    Film("drop_120fps.mp4", 120.0, (39, 99), "red", 0.04, "rubber"),
    Film("tennis_throw.mp4", 30.0, (6, 26), "yellow", 0.067, "rubber"),
)
"""Of the folder's four. In throw_a.mp4 only eight frames are free flight of a ball of unknown size, and in
ball2.mp4 a hand holds it throughout."""


@dataclass(frozen=True)
class Flight:
    """A window of a film."""

    film: Film
    name: str
    times: Float[np.ndarray, " T"]
    """Seconds from its first frame."""
    positions: Float[np.ndarray, "T 3"]
    """Metres, z up, the picture's corner at the origin."""

    def observe(self, frames: int) -> Observation:
        """The first frames, as systems get them; the scale was taken from these alone."""
        size = self.film.diameter
        ball = Thing("ball", "ball", (size,) * 3, self.film.material, True)
        noise = size / 20  # About a pixel.
        return Observation(
            (ball,), self.times[:frames], floor=False, positions=self.positions[:frames, None],
            noise=noise,
        )  # fmt: skip


def flights(folder: Path, film: Film, *, seen: int = 6) -> list[Flight]:
    """All windows of a film's free flight, metres by the ball's size in each window's first frames.

    Raises:
        FileNotFoundError: no such film.
        ValueError: a frame without a ball of that colour.
    """
    path = folder / film.file
    if not path.is_file():
        raise FileNotFoundError(f"film got {path}, which is not there; expected it.")
    track = track_ball(np.asarray(iio.imread(path, plugin="pyav")), film)
    found = []
    for start in range(0, len(track) - FRAMES + 1, APART):
        own = track[start : start + FRAMES]
        scale = film.diameter / own[:seen, 2].mean()
        places = np.stack([own[:, 0], 0 * own[:, 0], -own[:, 1]], -1) * scale
        name = f"{Path(film.file).stem}-{film.free[0] + start}"
        found.append(Flight(film, name, np.arange(FRAMES) / film.fps, places))
    return found


def track_ball(video: UInt8[np.ndarray, "T H W 3"], film: Film) -> Float[np.ndarray, "F 3"]:
    """Centre (x, y) and diameter of the ball in each frame of free flight, pixels.

    Raises:
        ValueError: a frame without a ball of that colour.
    """
    still = np.median(video, 0)
    rows = []
    for k in range(*film.free):
        picture = video[k].astype(float)
        r, g, b = np.moveaxis(picture / (picture.sum(-1, keepdims=True) + 1), -1, 0)
        like = r - np.maximum(g, b) > 0.12 if film.colour == "red" else np.minimum(r, g) - b > 0.09
        moved = np.abs(picture - still).sum(-1) > MOVED
        _, _, stats, centres = cv2.connectedComponentsWithStats((like & moved).astype(np.uint8))
        if len(stats) < 2 or stats[1:, 4].max() < LEAST:
            raise ValueError(f"{film.file} got no {film.colour} ball in frame {k}; expected one.")
        best = 1 + int(stats[1:, 4].argmax())
        x, y = centres[best] + 0.5
        rows.append((x, y, math.sqrt(4 * stats[best, 4] / math.pi)))
    return np.array(rows)
