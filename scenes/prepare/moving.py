"""Masks of what moves by itself, from the part of optical flow that no moving camera explains."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Grey = UInt8[np.ndarray, "H W"]
MOST = 0.6
"""Share of the picture beyond which a mask is not believed: then the camera was not understood."""
FLAT = 0.85
"""Share of the flow that one homography must explain to be taken for the whole camera movement."""
FITS = ((cv2.USAC_MAGSAC, 0.25), (cv2.USAC_MAGSAC, 0.5), (cv2.FM_LMEDS, 0.5))
"""Ways to a fundamental matrix, with their threshold in pixels."""


def moving_mask(
    before: Grey | None, now: Grey, after: Grey | None, *, least: float = 1.0
) -> Bool[np.ndarray, "H W"]:
    """Where something moves in `now` by the flow to its neighbours, grown by a margin.

    To each neighbour the dense flow (Kroeger et al. 2016, DIS) is held against a homography or,
    where parallax breaks that, against the epipolar lines of a fundamental matrix. What is off by
    more than `least` pixels and by four times the median, in both directions where there are both,
    moves. A mask of more than 60 % of the picture is given up for an empty one.

    >>> flat = np.full((48, 64), 90, np.uint8)
    >>> bool(moving_mask(flat, flat, flat).any())
    False
    """
    scores = [_excess(now, other, least) for other in (before, after) if other is not None]
    if not scores:
        return np.zeros(now.shape, bool)
    mask = (np.minimum.reduce(scores) > 1).astype(np.uint8)
    side = max(now.shape)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(side / 160)), np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(side / 40)), np.uint8)
    mask = np.asarray(cv2.dilate(mask, _disc(side / 60)), np.uint8)
    if mask.mean() > MOST:
        return np.zeros(now.shape, bool)
    return mask.astype(bool)


def _disc(radius: float) -> Any:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _excess(now: Grey, other: Grey, least: float) -> Float[np.ndarray, "H W"]:
    """How many times the allowed error the flow from `now` to `other` is off."""
    if now.shape != other.shape:
        return np.zeros(now.shape)
    flow = np.asarray(_flow(now, other), np.float64)
    height, width = now.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    grid = np.stack([x, y], -1)
    step = max(2, max(height, width) // 100)
    a = grid[::step, ::step].reshape(-1, 2)
    b = a + flow[::step, ::step].reshape(-1, 2)
    error = _off(a, b, grid.reshape(-1, 2), (grid + flow).reshape(-1, 2))
    if error is None:
        return np.zeros(now.shape)
    limit = max(least, 4 * float(np.median(error)))
    return np.asarray(error.reshape(height, width) / limit)


def _flow(a: Grey, b: Grey) -> Any:
    finder: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return finder.calc(a, b, None)


def _off(a: Any, b: Any, every: Any, moved: Any) -> Float[np.ndarray, " N"] | None:
    """Pixels by which each place's flow misses the camera's movement."""
    cv2.setRNGSeed(0)
    H, good = cv2.findHomography(a, b, cv2.RANSAC, 1.0)
    if H is not None and float(np.mean(good)) >= FLAT:
        mapped = cv2.perspectiveTransform(every[None], H)[0]
        return np.asarray(np.linalg.norm(mapped - moved, axis=1))
    # A loose threshold finds a camera that explains the moving thing too, if badly: the one whose
    # median error is least explains what stands still.
    best = None
    for method, threshold in FITS:
        F, _ = cv2.findFundamentalMat(a, b, method, threshold, 0.999, 2000)
        if F is None or F.shape != (3, 3):
            continue
        error = float(np.median(_from_lines(F, a, b)))
        if best is None or error < best[0]:
            best = error, F
    return None if best is None else _from_lines(best[1], every, moved)


def _from_lines(F: Any, a: Any, b: Any) -> Float[np.ndarray, " N"]:
    """Sampson's distance of pairs of places from each other's epipolar lines, pixels."""
    one = np.ones((len(a), 1))
    p, q = np.concatenate([a, one], 1), np.concatenate([b, one], 1)
    lines, back = p @ F.T, q @ F
    scale = np.sqrt((lines[:, :2] ** 2).sum(1) + (back[:, :2] ** 2).sum(1))
    return np.asarray(np.abs((q * lines).sum(1)) / np.maximum(scale, 1e-9))
