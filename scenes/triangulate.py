"""Points to start from where a data set has none: triangulated from its posed pictures.

Random points fail on real rooms. Here features of the pictures are matched along epipolar lines and
triangulated; bare walls are filled in by dense stereo; what moves comes from silhouettes at a few
moments of a video that several cameras filmed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.dataset import Views
from clay4d.scenes.features import find_features, join_tracks, match
from clay4d.scenes.fill import fill_empty
from clay4d.scenes.hull import splat_depths, visual_hull
from clay4d.scenes.stereo import dense_points, rank_neighbours, sociable, thin
from clay4d.scenes.triangulation import (
    Sightings,
    believable,
    fundamental,
    medians,
    project,
    projections,
)

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

FEW = 100
"""Points per picture below which features alone are too sparse."""
SWEEP_PIXELS = 60_000
"""Dense stereo works on pictures of this many pixels at most."""
FEATURE_PIXELS = 100_000
"""Smaller pictures are enlarged twice before features are sought."""
MOST_PICTURES = 150
"""Pictures that are used of a long sequence, evenly spread."""
MEDIAN_PICTURES = 15
"""Pictures of which the median shows what stands still before a camera."""


@dataclass(frozen=True)
class Points:
    """Coloured points on the surfaces of a scene.

    >>> Points(torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([float("nan"), 1.0])).at(0.9).shape
    torch.Size([2, 6])
    """

    xyz: Float[Tensor, "P 3"]
    """Metres."""
    rgb: Float[Tensor, "P 3"]
    """sRGB, 0 to 1: the median over the pictures that see the point."""
    times: Float[Tensor, " P"]
    """Seconds at which a moving point is there; NaN for one that stands still."""

    def __len__(self) -> int:
        return len(self.xyz)

    def at(self, time: float | None = None) -> Float[Tensor, "P 6"]:
        """xyz and RGB of the still points, and of the moving ones at the moment nearest `time`."""
        chosen = self.times.isnan()
        moments = self.times[~chosen]
        if time is not None and len(moments):
            chosen = chosen | (self.times == moments[(moments - time).abs().argmin()])
        return torch.cat([self.xyz[chosen], self.rgb[chosen]], 1)


@dataclass(frozen=True)
class _Shots:
    """Pictures of what stands still."""

    images: list[Bytes]
    known: list[NDArray[np.bool_]]
    """Pixels that show it."""
    cameras: Cameras


def triangulate_points(
    views: Views,
    *,
    neighbours: int = 8,
    dense: bool | None = None,
    moments: int = 8,
    limit: int = 30_000,
) -> Points:
    """Points on the surfaces that the pictures of `views` show.

    Features of each picture are matched with its `neighbours` most alike cameras; `dense` stereo
    fills bare surfaces (None: where features give fewer than 100 points a picture), and what is
    still empty then gets guesses at the depth of what is near it in the picture. Where fixed
    cameras filmed a video, what stands still comes from each camera's median picture and, given
    masks, what moves from the silhouettes at `moments` times. At most `limit` still points are
    kept, and at most half as many of each moment.

    Raises:
        ValueError: fewer than two pictures from different places, or nothing in them matches.

    >>> triangulate_points(Views(Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8,
    ...     torch.zeros(1)), ["a"], lambda i: np.zeros((8, 8, 3), np.uint8)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: views got 1 pictures from 1 place; expected at least 2 places. ...
    """
    rig = _rig(views)
    shots = _still_shots(views, rig) if rig is not None else _all_shots(views)
    places = len(np.unique(shots.cameras.centres.numpy().round(6), axis=0))
    if places < 2:
        raise ValueError(
            f"views got {len(views)} pictures from {places} place; expected at least 2 places. "
            "Film from several places, or start from random points."
        )
    xyz, _ = sparse_points(shots.images, shots.cameras, neighbours=neighbours)
    maps: tuple[Cameras, NDArray[np.float32]] | None = None
    if len(xyz) and (dense or (dense is None and len(xyz) < FEW * len(shots.images))):
        xyz, maps = _dense(shots, xyz)
        small = maps[0]
        guesses = fill_empty(xyz, projections(small), small.height, small.width)
        xyz = np.concatenate([xyz, guesses])
    if not len(xyz):
        raise ValueError(
            f"views got no point that {min(3, places)} of {len(shots.images)} pictures agree on; "
            "expected some. Check the poses and their axes, or start from random points."
        )
    still = xyz[_spread(xyz, limit)]
    still, rgb = _coloured(still, shots, maps)
    parts = [(still, rgb, np.nan)]
    if rig is not None:
        parts += _moving(views, rig, still, moments=moments, limit=limit // 2)
    return Points(
        torch.from_numpy(np.concatenate([p for p, _, _ in parts])).float(),
        torch.from_numpy(np.concatenate([c for _, c, _ in parts])).float(),
        torch.cat([torch.full((len(p),), t) for p, _, t in parts]),
    )


def _rig(views: Views) -> Ints | None:
    """Views by moment and camera [T, C], −1 where missing, if fixed cameras took them all."""
    ids, camera = np.unique(np.array(views.camera_ids), return_inverse=True)
    times, moment = np.unique(views.cameras.times.numpy(), return_inverse=True)
    if len(ids) == len(views) or len(times) < 2 or len(ids) < 2:
        return None
    table = np.full((len(times), len(ids)), -1, np.int64)
    table[moment, camera] = np.arange(len(views))
    poses = views.cameras.viewmats.numpy()
    first = np.array([row[row >= 0][0] for row in table.T])
    moved = np.abs(poses - poses[first[camera]]).max()
    return table if moved < 1e-4 else None


def _pixels(views: Views, i: int) -> Bytes:
    """RGB over the background."""
    if views.background is None:
        return np.ascontiguousarray(views.pixels(i)[..., :3])
    return (views[i].image.numpy() * 255).round().astype(np.uint8)


def _even(count: int, most: int) -> Ints:
    """At most `most` of `count` numbers, evenly spread, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _all_shots(views: Views) -> _Shots:
    """The pictures as they are, for scenes that stand still or cameras that move."""
    chosen = _even(len(views), MOST_PICTURES)
    images = [_pixels(views, int(i)) for i in chosen]
    known = [np.ones(image.shape[:2], bool) for image in images]
    return _Shots(images, known, views.cameras[torch.from_numpy(chosen)])


def _still_shots(views: Views, rig: Ints) -> _Shots:
    """Each camera's median picture over time, without what its masks cover."""
    images, known = [], []
    for column in rig.T:
        seen = column[column >= 0]
        stack = [views.pixels(int(seen[i])) for i in _even(len(seen), MEDIAN_PICTURES)]
        values = np.stack([p[..., :3] for p in stack]).astype(np.uint16)
        if stack[0].shape[-1] == 4 and views.background is None:
            covered = np.stack([p[..., 3] > 127 for p in stack])
        else:
            covered = np.zeros(values.shape[:3], bool)
        number = (~covered).sum(0)
        bare = number > 0
        # Covered values sort last; where nothing is ever bare, the plain median stands in.
        values[covered & bare] = 999
        middle = np.where(bare, number - 1, len(stack) - 1) // 2
        values.sort(axis=0)
        median = np.take_along_axis(values, middle[None, ..., None], 0)[0]
        images.append(median.astype(np.uint8))
        known.append(bare)
    first = torch.tensor([int(column[column >= 0][0]) for column in rig.T])
    return _Shots(images, known, views.cameras[first])


def sparse_points(
    images: list[Bytes], cameras: Cameras, *, neighbours: int = 8
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, " N"]]:
    """Points in metres that features of three pictures agree on (of two, if there are two), and
    their median reprojection errors in pixels.

    >>> two = Cameras(torch.eye(4).repeat(2, 1, 1), torch.eye(3).repeat(2, 1, 1), 8, 8, torch.zeros(2))
    >>> sparse_points([np.zeros((8, 8, 3), np.uint8)] * 2, two)[0].shape
    (0, 3)
    """
    small = images[0].shape[0] * images[0].shape[1] < FEATURE_PIXELS
    found = [find_features(image, upsample=2.0 if small else 1.0) for image in images]
    P, ranks = projections(cameras), rank_neighbours(cameras)[:, :neighbours]
    pairs = sorted({(min(i, int(j)), max(i, int(j))) for i in range(len(P)) for j in ranks[i]})
    matches = [match(found[a], found[b], fundamental(P[a], P[b])) for a, b in pairs]
    starts = np.concatenate([[0], np.cumsum([len(f.xy) for f in found])])
    tracks = join_tracks(starts[:-1], pairs, matches)
    if not tracks:
        return np.zeros((0, 3)), np.zeros(0)
    node = np.concatenate([np.array(track) for track in tracks])
    point = np.repeat(np.arange(len(tracks)), [len(track) for track in tracks])
    view = np.searchsorted(starts, node, side="right") - 1
    xy = np.concatenate([f.xy for f in found]).astype(np.float64)[node]
    seen = Sightings(point, view, xy)
    xyz, error, _ = believable(P, seen, len(tracks), least=min(3, len(images)))
    kept = sociable(xyz, others=3, times=20)
    return xyz[kept], error[kept]


def _dense(shots: _Shots, xyz: Array) -> tuple[Array, tuple[Cameras, NDArray[np.float32]]]:
    """Points by dense stereo on small pictures, with the depth maps behind them."""
    import cv2

    pixels = shots.cameras.width * shots.cameras.height
    cameras = shots.cameras.resized(min(1.0, (SWEEP_PIXELS / pixels) ** 0.5))
    size = (cameras.width, cameras.height)
    greys = np.zeros((len(cameras), size[1], size[0]), np.float32)
    for i, image in enumerate(shots.images):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        greys[i] = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    dense, maps = dense_points(greys, cameras, xyz)
    return np.concatenate([xyz, dense]), (cameras, maps)


def _spread(xyz: Array, limit: int) -> Ints:
    """At most `limit` points, evenly over the surface: the first in each cube of one size."""
    if len(xyz) <= limit:
        return np.arange(len(xyz))
    low, high = np.quantile(xyz, [0.01, 0.99], axis=0)
    size = float(np.linalg.norm(high - low)) / 2000
    kept = np.arange(len(xyz))
    while len(kept) > limit:
        kept = kept[thin(xyz[kept], size)]
        size *= 1.05
    return kept


def _coloured(
    xyz: Array, shots: _Shots, maps: tuple[Cameras, NDArray[np.float32]] | None
) -> tuple[Array, Array]:
    """Points that some picture sees, with the median of the pictures' colours."""
    P = projections(shots.cameras)
    height, width = shots.images[0].shape[:2]
    which, colours = [], []
    for c in range(len(P)):
        uv, z = project(P[c], xyz)
        inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < width) & (uv[:, 1] < height)
        i = np.flatnonzero(inside)
        x, y = np.floor(uv[i]).astype(np.int64).T
        visible = shots.known[c][y, x]
        if maps is not None:
            small = maps[0]
            j, k = x * small.width // width, y * small.height // height
            visible &= z[i] * maps[1][c][k, j] < 1.05  # not behind what the picture shows
        i, x, y = i[visible], x[visible], y[visible]
        which.append(i)
        colours.append(shots.images[c][y, x])
    rgb = medians(np.concatenate(colours) / 255.0, np.concatenate(which), len(xyz))
    seen = ~np.isnan(rgb[:, 0])
    return xyz[seen], rgb[seen]


def _moving(
    views: Views, rig: Ints, still: Array, *, moments: int, limit: int
) -> list[tuple[Array, Array, float]]:
    """Points on the silhouettes' hull with their colours, at each of some moments."""
    if views.pixels(0).shape[-1] != 4 or views.background is not None:
        return []
    low, high = np.quantile(still, [0.005, 0.995], axis=0)
    size = float((high - low).max()) / 200
    height, width = views.cameras.height, views.cameras.width
    parts = []
    for t in _even(len(rig), moments):
        chosen = rig[t][rig[t] >= 0]
        pictures = np.stack([views.pixels(int(i)) for i in chosen])
        P = projections(views.cameras[torch.from_numpy(chosen)])
        least = max(3, len(chosen) // 4)
        hull = visual_hull(pictures[..., 3], P, low, high, size=size, least=least)
        if not len(hull):
            continue
        nearest = splat_depths(hull, P, height, width, size=size * 1.2)
        which, colours = [], []
        for c in range(len(chosen)):
            uv, z = project(P[c], hull)
            inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < width) & (uv[:, 1] < height)
            i = np.flatnonzero(inside)
            x, y = np.floor(uv[i]).astype(np.int64).T
            seen = (z[i] < nearest[c, y, x] + 1.5 * size) & (pictures[c, y, x, 3] > 127)
            which.append(i[seen])
            colours.append(pictures[c, y[seen], x[seen], :3])
        rgb = medians(np.concatenate(colours) / 255.0, np.concatenate(which), len(hull))
        good = np.flatnonzero(~np.isnan(rgb[:, 0]))
        good = good[_spread(hull[good], limit)]
        parts.append((hull[good], rgb[good], float(views.cameras.times[int(chosen[0])])))
    return parts
