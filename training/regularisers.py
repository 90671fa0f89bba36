"""What motion should be like where pictures do not say: rigid nearby, of kept distances, smooth.

Each term is a function of a few Gaussians and their neighbours at some times, and a mean, so that weights
do not depend on how many there are. `motion_loss` draws Gaussians and times for a step and adds the
terms that have a weight.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.scenes.motion import Moved
from clay4d.scenes.quaternions import conjugate, multiply, normalise, rotate
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training.config import Losses

ANCHORS = 512
"""Gaussians that a step looks at."""
CROWD = 20_000
"""Gaussians, drawn anew at each step, among which neighbours are looked for: a tree of 100,000 takes a step's time."""
NEIGHBOURS = 8
INTERVAL = 1 / 30
"""Share of the scene's time between the moments of `smoothness`."""

Neighbours = Int[Tensor, "A K"]
Weights = Float[Tensor, "A K"]


def rigidity(before: Moved, after: Moved, near: Neighbours, weights: Weights) -> Float[Tensor, ""]:
    """Mean distance by which neighbours miss where the Gaussians' own turns would carry them, metres.

    The first A Gaussians are the anchors; `near` counts in all. The motion of a rigid body costs
    nothing. Source: Luiten et al., 3DV 2024, equation 4; as rigid as possible, with known turns.

    >>> still = Moved(torch.rand(3, 3), torch.ones(3, 4))
    >>> float(rigidity(still, still, torch.tensor([[1, 2]]), torch.ones(1, 2))) < 1e-6
    True
    """
    count = len(near)
    turns = multiply(normalise(after.quats[:count]), conjugate(normalise(before.quats[:count])))[
        :, None
    ].expand(*near.shape, 4)
    start, end = _offsets(before.means, near), _offsets(after.means, near)
    return (weights * _length(end - rotate(turns, start))).mean()


def isometry(before: Moved, after: Moved, near: Neighbours, weights: Weights) -> Float[Tensor, ""]:
    """Mean change of the distances to neighbours, metres; turns do not matter.

    Source: Luiten et al., 3DV 2024, equation 6 (the long-term loss, between two times).

    >>> one = Moved(torch.eye(3), torch.ones(3, 4))
    >>> two = Moved(2 * torch.eye(3), torch.ones(3, 4))
    >>> round(float(isometry(one, two, torch.tensor([[1, 2]]), torch.ones(1, 2))), 4)
    1.4142
    """
    start, end = _length(_offsets(before.means, near)), _length(_offsets(after.means, near))
    return (weights * (end - start).abs()).mean()


def smoothness(before: Moved, now: Moved, after: Moved) -> Float[Tensor, ""]:
    """Mean distance from the middle of the place before and the place after, twice, metres.

    A steady motion in a straight line costs nothing.

    >>> places = [Moved(torch.full((1, 3), x), torch.ones(1, 4)) for x in (0.0, 1.0, 2.0)]
    >>> float(smoothness(*places)) < 1e-6
    True
    """
    return _length(before.means - 2 * now.means + after.means).mean()


def motion_loss(
    scene: SplatScene, time: float, losses: Losses, *, extent: float, draws: torch.Generator
) -> Float[Tensor, ""]:
    """The weighted sum of the terms that have a weight, in extents.

    Args:
        time: of the step's picture, seconds. extent: the scene's size, metres.
        draws: decides which Gaussians are looked at, and the second time.

    >>> from clay4d.scenes.motion import Static
    >>> scene = SplatScene({"means": torch.rand(9, 3), "quats": torch.ones(9, 4)}, Static(), 1.0)
    >>> draws = torch.Generator().manual_seed(0)
    >>> float(motion_loss(scene, 0.5, Losses(rigidity=1.0), extent=1.0, draws=draws)) < 1e-6
    True
    """
    count = len(scene)
    total = scene.raw["means"].new_zeros(())
    if count < 2:
        return total
    crowd = torch.randperm(count, generator=draws)[:CROWD]
    chosen = crowd[:ANCHORS]
    other = float(torch.rand((), generator=draws))
    share = time / scene.duration if scene.duration > 0 else 0.0
    pairs = losses.rigidity > 0 or losses.isometry > 0
    near = weights = None
    if pairs:
        among = scene.raw["means"].detach()[crowd]
        found, near, weights = _neighbourhood(among, torch.arange(len(chosen)))
        chosen = crowd[found]
    raw = {k: v.index_select(0, chosen) for k, v in scene.raw.items()}
    now = scene.motion.move(raw, share)
    if near is not None and weights is not None:
        then = scene.motion.move(raw, other)
        if losses.rigidity > 0:
            total = total + losses.rigidity * rigidity(now, then, near, weights)
        if losses.isometry > 0:
            total = total + losses.isometry * isometry(now, then, near, weights)
    if losses.smoothness > 0:
        before, after = (scene.motion.move(raw, share + d) for d in (-INTERVAL, INTERVAL))
        total = total + losses.smoothness * smoothness(before, now, after)
    return total / extent


def _offsets(means: Float[Tensor, "N 3"], near: Neighbours) -> Float[Tensor, "A K 3"]:
    there = means.index_select(0, near.reshape(-1)).reshape(*near.shape, 3)
    return there - means[: len(near), None]


def _length(x: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Euclidean, with a slope at zero."""
    return x.square().sum(-1).add(1e-16).sqrt()


def _neighbourhood(
    means: Float[Tensor, "N 3"], anchors: Int[Tensor, " A"]
) -> tuple[Int[Tensor, " M"], Neighbours, Weights]:
    """Anchors first and then their neighbours, without doubles; neighbours among those; weights."""
    from scipy.spatial import cKDTree

    points = means.double().numpy()
    # A tree that is used once: quick to build, not quick to ask.
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    k = min(NEIGHBOURS + 1, len(points))
    distances, found = tree.query(points[anchors.numpy()], k=k, workers=1)
    near, squares = torch.from_numpy(found[:, 1:]), torch.from_numpy(distances[:, 1:] ** 2)
    weights = torch.exp(-squares / squares.mean(1, keepdim=True).clamp_min(1e-24)).float()
    is_anchor = torch.zeros(len(means), dtype=torch.bool)
    is_anchor[anchors] = True
    others = near.unique()
    chosen = torch.cat([anchors, others[~is_anchor[others]]])
    place = torch.empty(len(means), dtype=torch.int64)
    place[chosen] = torch.arange(len(chosen))
    return chosen, place[near], weights
