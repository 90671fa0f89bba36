"""Physics-IQ's scores: where, when and how much two videos move alike, read against two real takes.

The definitions are those of the benchmark (Motamed et al. 2025, arXiv 2501.09038, and its published
scoring): grey pictures, blurred, against a running average that has already taken the new picture in;
IoUs and errors at a quarter of the size; a score that is the share of what two takes of the same event
have in common. One thing differs: masks are not put through a video codec on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

RATE = 0.3
"""Share of a new picture in the running average."""
THRESHOLD = 10
"""Grey levels above which a pixel differs from the average."""
SHRINK = 4
"""Scores are taken at the width and height divided by this, rounded down."""
KERNEL = np.ones((5, 5), np.uint8)


@dataclass(frozen=True)
class Alike:
    """What two videos have in common: IoUs from 0 to 1, and the mean squared error of 0–1 values."""

    spatial_iou: float
    spatiotemporal_iou: float
    weighted_spatial_iou: float
    mse: float


def motion_masks(video: UInt8[np.ndarray, "T H W 3"]) -> Bool[np.ndarray, "T H W"]:
    """Where each frame differs from the running average of the frames up to it.

    Args:
        video: sRGB, 0 to 255, red first. The first frame's mask is empty.

    Raises:
        ValueError: no uint8 video [T, H, W, 3].

    Source: arXiv 2501.09038. Grey, a 5 × 5 Gaussian, an average that starts at the first frame and takes
    0.3 of each new one before it is compared, a difference above 10, opened and then closed by 5 × 5.

    Example:
        >>> video = np.zeros((3, 32, 32, 3), np.uint8)
        >>> video[1, 8:24, 8:24] = 255
        >>> motion_masks(video).any((1, 2)).tolist()
        [False, True, True]
    """
    _check(video, "video")
    masks = np.zeros(video.shape[:3], bool)
    average = _grey(video[0]).astype(np.float64)
    for t in range(1, len(video)):
        grey = _grey(video[t])
        cv2.accumulateWeighted(grey, average, RATE)
        far = cv2.absdiff(grey, cv2.convertScaleAbs(average))
        moving = (far > THRESHOLD).astype(np.uint8)
        opened = cv2.morphologyEx(moving, cv2.MORPH_OPEN, KERNEL)
        masks[t] = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, KERNEL) > 0
    return masks


def scores(
    generated: UInt8[np.ndarray, "T H W 3"],
    take1: UInt8[np.ndarray, "T H2 W2 3"],
    take2: UInt8[np.ndarray, "T H2 W2 3"],
) -> dict[str, float]:
    """How like the first of two real takes a generated video is.

    All three start at the same moment and have the same rate; `resample` brings a video to another.
    Another width or height is brought to a quarter of the first take's, as the benchmark does.

    Returns:
        {"spatial_iou", "spatiotemporal_iou", "weighted_spatial_iou", "mse", "score"}: the first four are
        generated against take 1; the score, 0 to 100, reads them against take 1 and take 2.

    Raises:
        ValueError: no uint8 videos [T, H, W, 3], other lengths, or takes that have no motion in common.

    Example:
        >>> take = np.zeros((4, 64, 64, 3), np.uint8)
        >>> take[2:, 16:48, 16:48] = 200
        >>> found = scores(take, take, take)
        >>> found["score"], found["mse"], found["spatial_iou"]
        (100.0, 0.0, 1.0)
    """
    named = {"generated": generated, "take1": take1, "take2": take2}
    for name, video in named.items():
        _check(video, name)
    for name, video in named.items():
        if len(video) != len(take1):
            raise ValueError(
                f"{name} got {len(video)} frames; expected the {len(take1)} of take1. Cut it, or bring it "
                "to the same rate with physics_iq.resample."
            )
    size = _quarter(take1)
    ours, first, second = (_prepared(v, size) for v in (generated, take1, take2))
    found, real = _alike(ours, first), _alike(second, first)
    return vars(found) | {"score": score([found], [real])}


def alike(a: UInt8[np.ndarray, "T H W 3"], b: UInt8[np.ndarray, "T H2 W2 3"]) -> Alike:
    """The four measures between a video and a reference, whose size decides where they are taken.

    Raises:
        ValueError: no uint8 videos [T, H, W, 3], or other lengths.

    >>> still = np.zeros((3, 16, 16, 3), np.uint8)
    >>> alike(still, still).spatiotemporal_iou
    1.0
    """
    _check(a, "a")
    _check(b, "b")
    if len(a) != len(b):
        raise ValueError(f"a got {len(a)} frames; expected the {len(b)} of b. Cut or resample it.")
    size = _quarter(b)
    return _alike(_prepared(a, size), _prepared(b, size))


def score(generated: Sequence[Alike], real: Sequence[Alike]) -> float:
    """The score of many videos, 0 to 100: means over the videos first, ratios after.

    Args:
        generated: each video against its take 1. real: each take 2 against its take 1.

    Raises:
        ValueError: none, or real takes without any motion in common.

    >>> half = Alike(0.5, 0.5, 0.5, 0.0)
    >>> score([half, half], [half, Alike(1.0, 1.0, 1.0, 0.0)])
    66.66666666666666
    """
    if not generated or not real:
        raise ValueError(
            f"score got {len(generated)} generated and {len(real)} real; expected some of both."
        )
    shares = []
    for name in ("spatiotemporal_iou", "spatial_iou", "weighted_spatial_iou"):
        ours = float(np.mean([getattr(a, name) for a in generated]))
        theirs = float(np.mean([getattr(a, name) for a in real]))
        if theirs <= 0:
            raise ValueError(
                f"{name} of the real takes got 0; expected motion that they have in common. Use two takes "
                "of the same event from the same camera."
            )
        shares.append(ours / theirs)
    off = float(np.mean([a.mse for a in generated])) - float(np.mean([a.mse for a in real]))
    return 100 * min(max(float(np.mean(shares)) - off, 0.0), 1.0)


def resample(
    video: UInt8[np.ndarray, "T H W 3"], fps: float, *, to: float, frames: int
) -> UInt8[np.ndarray, "F H W 3"]:
    """The first frames of a video at another rate, mixed linearly from the two nearest in time.

    Args:
        fps: of the video. to: the rate wanted, both per second. frames: how many are wanted.

    Raises:
        ValueError: no uint8 video [T, H, W, 3], rates or frames that are none, a video that is too short.

    Source: Physics-IQ mixes neighbouring frames linearly too, but stretches the first frame to the last.

    >>> film = np.zeros((4, 1, 1, 3), np.uint8); film[:, 0, 0] = np.array([[0], [10], [20], [30]])
    >>> resample(film, 30, to=60, frames=4)[:, 0, 0, 0].tolist()
    [0, 5, 10, 15]
    """
    _check(video, "video")
    if not (np.isfinite([fps, to]).all() and fps > 0 and to > 0 and frames > 0):
        raise ValueError(f"fps, to and frames got {fps}, {to}, {frames}; expected above 0.")
    place = np.arange(frames) * (fps / to)
    if place[-1] > len(video) - 0.5:
        raise ValueError(
            f"video got {len(video) / fps:.2f} s; expected {frames / to:.2f} s. Make a longer one, or ask "
            "for fewer frames."
        )
    below = np.minimum(place.astype(int), len(video) - 1)
    above = np.minimum(below + 1, len(video) - 1)
    out = np.empty((frames, *video.shape[1:]), np.uint8)
    for k in range(frames):
        share = min(max(place[k] - below[k], 0.0), 1.0)
        mixed = (1 - share) * video[below[k]] + share * video[above[k]]
        out[k] = np.round(mixed).astype(np.uint8)
    return out


def _check(video: UInt8[np.ndarray, "T H W 3"], name: str) -> None:
    good = isinstance(video, np.ndarray) and video.dtype == np.uint8 and video.ndim == 4
    if not good or video.shape[3] != 3 or min(video.shape) < 1:
        got = f"{video.dtype} {list(video.shape)}" if isinstance(video, np.ndarray) else type(video)
        raise ValueError(f"{name} got {got}; expected uint8 [T, H, W, 3], 0 to 255, red first.")


def _quarter(video: UInt8[np.ndarray, "T H W 3"]) -> tuple[int, int]:
    height, width = video.shape[1:3]
    if min(height, width) < SHRINK:
        raise ValueError(f"take1 got {height} × {width} pixels; expected {SHRINK} or more a side.")
    return width // SHRINK, height // SHRINK


def _grey(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W"]:
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    blurred: UInt8[np.ndarray, "H W"] = cv2.GaussianBlur(grey, (5, 5), 0)
    return blurred


def _prepared(video: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Frames and motion masks at the size of the scores."""
    small = np.stack([cv2.resize(np.ascontiguousarray(f), size) for f in video])
    full = motion_masks(video).astype(np.uint8) * 255
    return small, np.stack([cv2.resize(m, size) > 127 for m in full])


def _alike(ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray]) -> Alike:
    (a, moving_a), (b, moving_b) = ours, theirs
    each = [iou(moving_a[t], moving_b[t]) for t in range(len(a))]
    weight_a, weight_b = moving_a.mean(0), moving_b.mean(0)
    most = np.maximum(weight_a, weight_b).sum()
    weighted = np.minimum(weight_a, weight_b).sum() / most if most > 0 else 1.0
    errors = [float((((x.astype(float) - y) / 255) ** 2).mean()) for x, y in zip(a, b)]
    return Alike(
        iou(np.asarray(moving_a.any(0)), np.asarray(moving_b.any(0))), float(np.mean(each)), float(weighted),
        float(np.mean(errors)),
    )  # fmt: skip


def iou(a: Bool[np.ndarray, "*shape"], b: Bool[np.ndarray, "*shape"]) -> float:
    """Intersection over union of two masks; 1 where both are empty.

    >>> iou(np.array([True, True, False]), np.array([False, True, True]))
    0.3333333333333333
    """
    union = int((a | b).sum())
    return float((a & b).sum()) / union if union else 1.0
