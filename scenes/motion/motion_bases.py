"""A few rigid motions over time, of which each Gaussian follows a mixture of its own.

After Shape of Motion (Wang et al., ICCV 2025): everything that moves shares B trajectories of rotation
and translation, and a Gaussian has weights over them. Here a trajectory is a uniform cubic B-spline over
its keys (de Boor 1978), so motion is smooth to the second derivative, and turns about a centre among the
Gaussians, so that a basis that turns does not carry off what is far from the origin.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clay4d.scenes.motion.base import Moved, Raw
from clay4d.scenes.motion.blending import Blend
from clay4d.scenes.motion.control_nodes import farthest_points


def spline_weights(time: float, keys: int) -> tuple[int, Float[Tensor, " 4"]]:
    """The first of the four keys that a time lies among, and their weights; times outside stand still.

    Args:
        time: 0 at the first moment, 1 at the last. keys: at least 4.

    Source: the uniform cubic B-spline, de Boor 1978.

    >>> first, weights = spline_weights(1.0, 7)
    >>> first, round(float(weights.sum()), 6)
    (3, 1.0)
    """
    place = min(max(time, 0.0), 1.0) * (keys - 3)
    first = min(int(place), keys - 4)
    s = place - first
    weights = [(1 - s) ** 3, 3 * s**3 - 6 * s**2 + 4, 3 * (s**2 + s - s**3) + 1, s**3]
    return first, torch.tensor(weights) / 6


class MotionBases(nn.Module):
    """Motion by B shared trajectories of rotation and translation.

    Row added: `coefficients` [N, B], logits of the weights.

    Args of `__init__`: `bases`, how many trajectories; `keys`, control points of each, at least 4;
    `extent`, the size of the scene in metres, by which shifts are scaled.

    Raises:
        ValueError: numbers below those.

    >>> motion = MotionBases(bases=2, keys=4)
    >>> raw = {"means": torch.ones(1, 3), "quats": torch.tensor([[1.0, 0, 0, 0]])}
    >>> motion.move(raw | motion.rows(raw["means"]), 0.5).means.tolist()
    [[1.0, 1.0, 1.0]]
    """

    kind = "motion-bases"

    def __init__(self, *, bases: int = 20, keys: int = 20, extent: float = 1.0) -> None:
        super().__init__()
        if bases < 1 or keys < 4:
            raise ValueError(f"bases, keys got {bases}, {keys}; expected at least 1 and 4.")
        self._options = {"bases": bases, "keys": keys, "extent": extent}
        self.extent = extent
        self.shifts = nn.Parameter(torch.zeros(bases, keys, 3))
        """[B, K, 3], in extents."""
        self.turns = nn.Parameter(torch.zeros(bases, keys, 4))
        """[B, K, 4], quaternions less the identity."""
        self.centres = nn.Parameter(torch.zeros(bases, 3), requires_grad=False)
        """[B, 3], metres; what a basis turns about. Not learned: shifts make up for it."""

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """All bases alike, until `place` says which are near."""
        return {"coefficients": means.new_zeros(len(means), len(self.shifts))}

    def tensors(self) -> dict[str, Tensor]:
        """Trajectories and their centres."""
        return dict(self.state_dict(keep_vars=True))

    @torch.no_grad()
    def place(self, raw: Raw, strong: Float[Tensor, "M 3"]) -> None:
        """Spread the centres over the points `strong`, and have each Gaussian follow what is near.

        Raises:
            ValueError: fewer points than bases.
        """
        count = len(self.centres)
        if len(strong) < count:
            raise ValueError(f"bases got {count}; expected at most {len(strong)}, one a Gaussian.")
        self.centres.copy_(strong[farthest_points(strong, count)])
        squares = (raw["means"][:, None] - self.centres).square().sum(-1)
        between = (self.centres[:, None] - self.centres).square().sum(-1)
        apart = between.masked_fill(torch.eye(count, dtype=torch.bool), torch.inf)
        nearest = apart.amin(1) if count > 1 else torch.ones(1)
        raw["coefficients"].copy_(-2 * squares / nearest.mean().clamp_min(1e-12))

    def refresh(self, raw: Raw) -> None:
        """Nothing is derived."""

    def at(self, time: float) -> Float[Tensor, "B 10"]:
        """Each basis at a time as unit quaternion, shift and centre, metres."""
        first, weights = spline_weights(time, self.shifts.shape[1])
        weights = weights[:, None]
        shifts = (weights * self.shifts[:, first : first + 4]).sum(1)
        turns = (weights * self.turns[:, first : first + 4]).sum(1)
        quats = F.normalize(turns + torch.tensor([1.0, 0, 0, 0]), dim=-1)
        return torch.cat([quats, shifts * self.extent, self.centres], 1)

    def move(self, raw: Raw, time: float) -> Moved:
        """Each Gaussian by its own mixture, which is a rigid motion."""
        moved = Blend.apply(raw["means"], raw["quats"], raw["coefficients"], self.at(time))
        return Moved(*moved)
