"""Tracks of a body from posed pictures alone: spots of its colour or of a mask, triangulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from clay4d.physics_baseline.identify.tracks import Track
from clay4d.scenes.dataset import Views
from clay4d.scenes.triangulation import (
    Sightings,
    pixel_to_world,
    project,
    projections,
    solve_points,
)

Spots = Callable[[UInt8[np.ndarray, "H W D"]], Float[np.ndarray, "S 3"]]
"""From a picture to its spots: x, y in pixels (the first pixel's centre at 0.5) and area."""

AGREE = 3.0
"""Pixels by which a spot may miss the point that it is a sighting of."""
MOST = 3
"""Spots of a picture that are looked at, the largest ones."""


def coloured(
    colour: tuple[float, float, float], *, tolerance: float = 0.1, least: int = 12
) -> Spots:
    """Spots of a colour, whatever its brightness.

    Args:
        colour: sRGB, 0 to 1.
        tolerance: how far the shares of red, green and blue may be off.
        least: pixels of the smallest spot.

    >>> picture = np.zeros((9, 9, 3), np.uint8)
    >>> picture[2:6, 3:7] = (200, 20, 20)
    >>> coloured((0.8, 0.1, 0.1))(picture).round(3).tolist()
    [[5.0, 4.0, 16.0]]
    """
    wanted = np.array(colour) / max(sum(colour), 1e-6)

    def spots(pixels: UInt8[np.ndarray, "H W D"]) -> Float[np.ndarray, "S 3"]:
        rgb = pixels[..., :3].astype(np.float32)
        total = rgb.sum(-1, keepdims=True)
        far = np.linalg.norm(rgb / np.maximum(total, 1) - wanted, axis=-1)
        return blobs((far < tolerance) & (total[..., 0] > 60), least=least)

    return spots


def masked(*, least: int = 12) -> Spots:
    """Spots of the pictures' mask, their fourth channel."""

    def spots(pixels: UInt8[np.ndarray, "H W D"]) -> Float[np.ndarray, "S 3"]:
        if pixels.shape[-1] != 4:
            raise ValueError(
                "pictures got no mask; expected a fourth channel. Name a colour instead."
            )
        return blobs(pixels[..., 3] > 127, least=least)

    return spots


def blobs(chosen: np.ndarray, *, least: int) -> Float[np.ndarray, "S 3"]:
    """Centres of the convex hulls of connected regions and their areas in pixels, largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(chosen.astype(np.uint8))
    found = []
    for k in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[k])
        if area < least:
            continue
        part = (labels[y : y + h, x : x + w] == k).astype(np.uint8)
        outline = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0]
        filled = cv2.fillConvexPoly(np.zeros_like(part), cv2.convexHull(outline), 1)
        rows, columns = np.nonzero(filled)
        found.append((x + columns.mean() + 0.5, y + rows.mean() + 0.5, float(area)))
    found.sort(key=lambda spot: -spot[2])
    return np.array(found, float).reshape(-1, 3)


def track_from_views(
    views: Views,
    spots: Spots,
    body: str,
    *,
    times: Sequence[float],
    start: float = 0.0,
    noise: float = 2e-3,
    least: int = 3,
    progress: Callable[[float], None] | None = None,
) -> Track:
    """Where a body's spot is in space at each moment: the point that most cameras agree on.

    Every pair of spots of two cameras gives a point (midpoint between its rays); the one that most
    cameras see a spot within 3 pixels of wins, and is solved again from all of these. Moments that
    fewer than `least` cameras agree on are NaN.

    Args:
        times: of the data set, seconds; each picture within a millisecond counts.
        start: moment of the data set that becomes 0 in the track.
        noise: standard deviation of each coordinate, metres.

    Raises:
        ValueError: a moment without pictures of two cameras.
    """
    moments = views.cameras.times.numpy()
    places = []
    for k, time in enumerate(times):
        at = np.flatnonzero(np.abs(moments - time) < 1e-3)
        if len(at) < 2:
            raise ValueError(
                f"times got {time:.4g} s, of which there are {len(at)} pictures; expected 2 or more."
            )
        seen = [spots(views.pixels(int(i)))[:MOST] for i in at]
        P = projections(views.cameras[at.tolist()])
        places.append(_agreed(P, seen, least))
        if progress is not None:
            progress((k + 1) / len(times))
    return Track(body, np.array(times) - start, np.array(places), position_noise=noise)


def _agreed(P: Float[np.ndarray, "C 3 4"], seen: list[np.ndarray], least: int) -> np.ndarray:
    """The point that most cameras agree on; NaN where too few do."""
    camera = np.repeat(np.arange(len(seen)), [len(s) for s in seen])
    xy = np.concatenate([s[:, :2] for s in seen]) if len(camera) else np.zeros((0, 2))
    if len(camera) < 2:
        return np.full(3, np.nan)
    guesses = _midpoints(P, camera, xy)
    votes = np.zeros(len(guesses), int)
    nearest = np.zeros((len(guesses), len(seen)), int)
    for c in range(len(seen)):
        own = np.flatnonzero(camera == c)
        if not len(own):
            continue
        where, depth = project(P[c], guesses)
        far = np.linalg.norm(where[:, None] - xy[own], axis=2)
        hit = (far.min(1) < AGREE) & (depth > 0)
        votes += hit
        nearest[:, c] = np.where(hit, own[far.argmin(1)], -1)
    if not len(votes) or votes.max() < max(least, 2):
        return np.full(3, np.nan)
    chosen = nearest[int(votes.argmax())]
    rows = chosen[(chosen >= 0) & np.array([len(s) > 0 for s in seen])]
    both = Sightings(np.zeros(len(rows), np.int64), camera[rows], xy[rows])
    return np.asarray(solve_points(P, both, 1)[0])


def _midpoints(
    P: Float[np.ndarray, "C 3 4"], camera: Int[np.ndarray, " S"], xy: Float[np.ndarray, "S 2"]
) -> Float[np.ndarray, "Q 3"]:
    """Midpoints between the rays of all pairs of spots of different cameras, metres."""
    back = pixel_to_world(P)[camera]
    rays = np.einsum("sij,sj->si", back[:, :, :3], np.column_stack([xy, np.ones(len(xy))]))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    a, b = np.triu_indices(len(xy), 1)
    apart = camera[a] != camera[b]
    a, b = a[apart], b[apart]
    between = back[b, :, 3] - back[a, :, 3]
    slope = (rays[a] * rays[b]).sum(1)
    bent = 1 - slope**2
    steep = bent > 1e-3  # Nearly parallel rays say nothing of the depth.
    a, b, between, slope, bent = a[steep], b[steep], between[steep], slope[steep], bent[steep]
    along_a, along_b = (rays[a] * between).sum(1), (rays[b] * between).sum(1)
    s, t = (along_a - slope * along_b) / bent, (slope * along_a - along_b) / bent
    on_a = back[a, :, 3] + s[:, None] * rays[a]
    on_b = back[b, :, 3] + t[:, None] * rays[b]
    middle: Float[np.ndarray, "Q 3"] = (on_a + on_b) / 2
    return middle
