"""Features of pictures, matched between two of known pose and joined over many.

Poses are known, so a feature is compared only with those near its epipolar line. Features are SIFT
(Lowe, IJCV 2004) in OpenCV's version with the square roots of Arandjelović and Zisserman (CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from clay4d.jit import kernel

Ints = NDArray[np.int64]

EPIPOLAR = 1.5
"""Farthest that a match may lie from the epipolar line, pixels."""
RATIO = 0.8
"""The best match must be this much nearer than the best one of elsewhere on the line."""
ELSEWHERE = 4.0
"""Features nearer than this to the best match, pixels, are the same spot and no rivals of it."""
LIKE = 0.7
"""Least dot product of two matching descriptors."""
FEATURES = 4000
"""Most features kept of one picture, strongest first."""
CONTRAST = 0.01
"""OpenCV's contrast threshold; its own 0.04 leaves plain walls without a feature."""

cv2.setNumThreads(1)  # its threads would compete with ours, and pictures are small


@dataclass(frozen=True)
class Features:
    """What SIFT found in one picture.

    >>> len(Features(np.zeros((2, 2), np.float32), np.zeros((2, 128), np.float32)).xy)
    2
    """

    xy: Float[np.ndarray, "N 2"]
    """float32 pixels, the first pixel's centre at (0.5, 0.5)."""
    descriptors: Float[np.ndarray, "N 128"]
    """float32, of unit length."""


def find_features(
    image: UInt8[np.ndarray, "H W 3"], *, limit: int = FEATURES, upsample: float = 1.0
) -> Features:
    """SIFT features of an RGB picture, strongest first, in pixels of the picture as given.

    >>> find_features(np.zeros((32, 32, 3), np.uint8)).xy.shape
    (0, 2)
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if upsample != 1:
        grey = cv2.resize(grey, None, fx=upsample, fy=upsample, interpolation=cv2.INTER_CUBIC)
    # Without the last setting every place would be off by a quarter of a pixel.
    sift = cv2.SIFT.create(
        nfeatures=limit, contrastThreshold=CONTRAST, edgeThreshold=15, enable_precise_upscale=True
    )
    points, descriptors = sift.detectAndCompute(grey, None)
    if not points:
        return Features(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    place = np.array([p.pt for p in points])
    keep = np.lexsort((place[:, 0], place[:, 1], np.array([-p.response for p in points])))[:limit]
    # OpenCV counts from the first pixel's centre, we from its corner.
    xy = (place[keep] + 0.5) / upsample
    root = np.sqrt(descriptors[keep] / np.maximum(descriptors[keep].sum(1, keepdims=True), 1e-9))
    return Features(xy.astype(np.float32), root.astype(np.float32))


@kernel
def _nearest(xy_a: Any, like_a: Any, xy_b: Any, like_b: Any, F: Any, best: Any, high: Any) -> None:
    """For each feature of a the most alike near its line in b: number, likeness, best rival's."""
    for row in numba.prange(xy_a.shape[0]):
        i = np.int64(row)
        x, y = xy_a[i, 0], xy_a[i, 1]
        l0 = F[0, 0] * x + F[0, 1] * y + F[0, 2]
        l1 = F[1, 0] * x + F[1, 1] * y + F[1, 2]
        l2 = F[2, 0] * x + F[2, 1] * y + F[2, 2]
        size = max(np.sqrt(l0 * l0 + l1 * l1), 1e-12)
        alike = np.full(xy_b.shape[0], np.float32(-1))
        best[i], high[i, 0], high[i, 1] = -1, -1, -1
        for j in range(xy_b.shape[0]):
            if abs(l0 * xy_b[j, 0] + l1 * xy_b[j, 1] + l2) > EPIPOLAR * size:
                continue
            total = np.float32(0)
            for k in range(128):
                total += like_a[i, k] * like_b[j, k]
            alike[j] = total
            if total > high[i, 0]:
                best[i], high[i, 0] = j, total
        for j in range(xy_b.shape[0]):
            if alike[j] > high[i, 1]:
                u, v = xy_b[j, 0] - xy_b[best[i], 0], xy_b[j, 1] - xy_b[best[i], 1]
                if u * u + v * v > ELSEWHERE * ELSEWHERE:
                    high[i, 1] = alike[j]


def match(a: Features, b: Features, F: Float[np.ndarray, "3 3"]) -> Ints:
    """Mutual best pairs [M, 2] along epipolar lines, best first; F takes points of a to lines in b.

    The ratio test looks only at rivals on the same line, in both directions.

    >>> none = Features(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    >>> match(none, none, np.eye(3)).shape
    (0, 2)
    """
    sides = []
    for one, other, line in ((a, b, F), (b, a, F.T)):
        best = np.empty(len(one.xy), np.int64)
        high = np.empty((len(one.xy), 2), np.float32)
        line = np.ascontiguousarray(line / np.linalg.norm(line))
        _nearest(one.xy, one.descriptors, other.xy, other.descriptors, line, best, high)
        gap = np.sqrt(np.maximum(2 - 2 * high.astype(np.float64), 0))
        sides.append((np.where(gap[:, 0] < RATIO * gap[:, 1], best, -1), high[:, 0]))
    (there, likeness), (back, _) = sides
    rows = np.flatnonzero((there >= 0) & (likeness > LIKE))
    rows = rows[back[there[rows]] == rows]
    rows = rows[np.argsort(-likeness[rows], kind="stable")]
    return np.column_stack([rows, there[rows]]).astype(np.int64)


def join_tracks(
    starts: Ints, pairs: Sequence[tuple[int, int]], matches: Sequence[Ints]
) -> list[list[int]]:
    """Groups of features that are one point, none with two features of one picture.

    `starts[i]` is the number of features in the pictures before i; a feature's number is that plus
    its place in its picture. Better matches join first, and one that would put two features of one
    picture into a group is dropped.

    >>> join_tracks(np.array([0, 1]), [(0, 1)], [np.array([[0, 0]])])
    [[0, 1]]
    """
    parent: dict[int, int] = {}
    seen: dict[int, int] = {}  # by root, one bit a picture

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for rank in range(max((len(m) for m in matches), default=0)):
        for (i, j), found in zip(pairs, matches):
            if rank >= len(found):
                continue
            u, v = int(starts[i] + found[rank, 0]), int(starts[j] + found[rank, 1])
            for node, picture in ((u, i), (v, j)):
                if node not in parent:
                    parent[node], seen[node] = node, 1 << picture
            u, v = root(u), root(v)
            if u != v and not seen[u] & seen[v]:
                low, high = min(u, v), max(u, v)
                parent[high] = low
                seen[low] |= seen.pop(high)
    groups: dict[int, list[int]] = {}
    for node in sorted(parent):
        groups.setdefault(root(node), []).append(node)
    return [group for group in groups.values() if len(group) > 1]
