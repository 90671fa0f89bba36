"""Which frames of a film to keep: sharp ones that overlap; and whether its camera moves at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from clay4d.scenes.prepare.sources import Source, grey, spread, walk

LOOK = 480
"""Longer side in pixels at which films are looked through."""
MOST_LOOKED_AT = 1200
"""Frames of a film that are looked at: longer ones are looked through in steps."""
STEP = 0.04
"""Way between two kept frames, as a share of the longer side: some 96 % of overlap."""
STILL = 0.7
"""Pixels at `LOOK` within which a corner counts as not moved."""

Grey = UInt8[np.ndarray, "H W"]


@dataclass(frozen=True)
class Look:
    """What one pass through a source found."""

    indices: tuple[int, ...]
    """Frames that were looked at."""
    sharpness: Float[np.ndarray, " N"]
    way: Float[np.ndarray, " N"]
    """Pixels at `LOOK` that the picture moved since the last frame looked at; 0 for the first."""
    fixed: bool
    """Whether the camera stands still."""
    drift: float = 0.0
    """How far the picture went from its first place, at the most, as a share of the longer side."""


def look_through(source: Source) -> Look:
    """Sharpness and movement of a source's frames, in one pass with one frame in memory.

    Raises:
        ValueError: a frame that does not decode.
    """
    indices = spread(len(source), MOST_LOOKED_AT)
    kept = set(spread(len(indices), 12))
    sharp, way, sample = [], [0.0], []
    last: Grey | None = None
    for i, (_, pixels) in enumerate(walk(source, indices, longest=LOOK)):
        now = grey(pixels)
        sharp.append(sharpness(now))
        if last is not None:
            way.append(travel(last, now))
        if i in kept:
            sample.append(now)
        last = now
    return Look(tuple(indices), np.array(sharp), np.array(way), stands_still(sample), drift(sample))


def sharpness(picture: Grey) -> float:
    """The Laplacian's variance (Pech-Pacheco et al. 2000): low where a picture is blurred.

    >>> sharpness(np.zeros((8, 8), np.uint8))
    0.0
    """
    return float(cv2.Laplacian(picture, cv2.CV_64F).var())


def corners_moved(a: Grey, b: Grey) -> Float[np.ndarray, " N"]:
    """How far corners of `a` are from there in `b`, pixels; those that come back when followed.

    Lucas & Kanade 1981 in pyramids; a corner counts that returns to within half a pixel.
    """
    if a.shape != b.shape:
        return np.zeros(0)
    found: Any = cv2.goodFeaturesToTrack(a, 400, 0.01, max(4, max(a.shape) / 60))
    if found is None:
        return np.zeros(0)
    follow: Any = cv2.calcOpticalFlowPyrLK
    there, ok1, _ = follow(a, b, found, None)
    back, ok2, _ = follow(b, a, there, None)
    good = (ok1 & ok2)[:, 0] == 1
    good &= np.linalg.norm((back - found)[:, 0], axis=1) < 0.5
    return np.asarray(np.linalg.norm((there - found)[good, 0], axis=1), np.float64)


def travel(a: Grey, b: Grey) -> float:
    """The median way of the corners from `a` to `b`, pixels; a tenth of the side where all is lost."""
    moved = corners_moved(a, b)
    if len(moved) >= 8:
        return float(np.median(moved))
    same = float(np.mean(cv2.absdiff(a, b) < 12)) if a.shape == b.shape else 0.0
    return 0.0 if same > 0.9 else max(a.shape) / 10


def stands_still(sample: Sequence[Grey]) -> bool:
    """Whether pictures spread over a film were taken from one place.

    Corners of what does not move stay where they are, however much else moves. Each picture is held
    against the first: still are those of which half of the corners did not move. Where there are
    hardly any corners (a blank wall) it must be nine tenths of the pixels, or the picture does not
    count. Nine of ten that count must be still.
    """
    if len(sample) < 2:
        return False
    votes = []
    for other in sample[1:]:
        if other.shape != sample[0].shape:
            return False
        moved = corners_moved(sample[0], other)
        if len(moved) >= 4:
            votes.append(float(np.mean(moved < STILL)) > 0.5)
        elif float(np.mean(cv2.absdiff(sample[0], other) < 12)) > 0.9:
            votes.append(True)
    return len(votes) > 0 and sum(votes) >= 0.9 * len(votes)


def drift(sample: Sequence[Grey]) -> float:
    """The farthest that the corners' median went from its first place, as a share of the side."""
    ways = [corners_moved(sample[0], other) for other in sample[1:]]
    far = max((float(np.median(moved)) for moved in ways if len(moved) >= 4), default=1.0)
    return far / max(sample[0].shape) if sample else 0.0


def choose(look: Look, *, least: int, most: int) -> list[int]:
    """Frames to keep: the sharpest in each of equal shares of the way and of the time.

    There are as many shares as leave `STEP` of the picture between two frames, but at least `least`
    and at most `most`, and no more than frames.

    >>> look = Look((0, 1, 2, 3), np.array([1.0, 9, 1, 9]), np.zeros(4), False)
    >>> choose(look, least=2, most=3)
    [1, 3]
    """
    count = len(look.indices)
    total = float(look.way.sum())
    wanted = math.ceil(total / (STEP * LOOK)) if total else 0
    shares = min(count, max(least, min(most, wanted)))
    time = np.arange(count) / max(count, 1)
    way = np.cumsum(look.way) / total if total else time
    # Half by time, so that what moves is seen evenly even where the camera rests.
    place = np.minimum((0.5 * (time + way) * shares * (1 - 1e-9)).astype(int), shares - 1)
    best: dict[int, int] = {}
    for i, share in enumerate(place.tolist()):
        if share not in best or look.sharpness[i] > look.sharpness[best[share]]:
            best[share] = i
    return sorted(look.indices[i] for i in best.values())
