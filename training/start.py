"""The Gaussians that a run begins with."""

from __future__ import annotations

import dataclasses
import math
import sys

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes import Dataset, Gaussians
from clay4d.scenes.initialise import neighbour_distances, random_points
from clay4d.scenes.motion import Motion, Polynomial, SpaceTime
from clay4d.scenes.splat_scene import raw_from_gaussians
from clay4d.scenes.triangulate import triangulate_points
from clay4d.training.config import Start, TrainConfig


def with_points(dataset: Dataset, start: Start) -> Dataset:
    """The data with points triangulated from its training pictures, if `start` asks for them.

    Data that has points keeps its own. Says on stderr what it does, since it takes about a minute.

    Raises:
        ValueError: nothing in the pictures matches.
    """
    if not start.triangulate or dataset.points is not None:
        return dataset
    print(f"triangulating points from {len(dataset.train)} pictures …", file=sys.stderr, flush=True)
    points = triangulate_points(dataset.train, limit=start.limit, moments=start.moments)
    still = int(points.times.isnan().sum())
    said = f"triangulated {still} points that stand still"
    if still < len(points):
        said += f" and {len(points) - still} on what moves"
    print(said, file=sys.stderr, flush=True)
    both = torch.cat([points.xyz, points.rgb], 1)
    return dataclasses.replace(dataset, points=both, point_times=points.times)


def first_rows(dataset: Dataset, config: TrainConfig, motion: Motion) -> dict[str, Tensor]:
    """Raw parameters of the first Gaussians: at the data's points, or at random ones in its box.

    Motion that knows moments of its own takes moving points as they are; any other begins with
    those of the moment nearest to the middle.
    """
    points, times = dataset.points, dataset.point_times
    if points is None:
        points = random_points(dataset.bounds, config.start.count, seed=config.seed)
        times = None
    if times is not None and not isinstance(motion, Polynomial | SpaceTime):
        chosen = _nearest(times, dataset.duration / 2)
        points, times = points[chosen], times[chosen]
    xyz, rgb = points[:, :3].contiguous(), points[:, 3:].contiguous()
    opacities = torch.full((len(xyz),), config.start.opacity)
    sizes = _sizes(xyz, times)[:, None].expand(-1, 3)
    first = Gaussians.from_points(xyz, rgb, scales=sizes.clone(), opacities=opacities)
    raw = raw_from_gaussians(first, sh_degree=config.schedule.sh_degree)
    if times is not None and isinstance(motion, Polynomial | SpaceTime):
        share = times / dataset.duration if dataset.duration > 0 else times * math.nan
        return raw | motion.rows_at(xyz, share)
    return raw | motion.rows(xyz)


def _nearest(times: Float[Tensor, " P"], time: float) -> Tensor:
    """Which points stand still or belong to the moment nearest to `time`."""
    chosen = times.isnan()
    moments = times[~chosen]
    if len(moments):
        chosen = chosen | (times == moments[(moments - time).abs().argmin()])
    return chosen


def _sizes(xyz: Float[Tensor, "P 3"], times: Float[Tensor, " P"] | None) -> Float[Tensor, " P"]:
    """Distances to neighbours of the same moment, metres."""
    if times is None:
        return neighbour_distances(xyz)
    sizes = torch.empty(len(xyz))
    group = times.nan_to_num(nan=-1.0)
    for value in group.unique():
        one = group == value
        sizes[one] = neighbour_distances(xyz[one])
    return sizes
