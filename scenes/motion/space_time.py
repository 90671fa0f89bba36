"""Native 4D Gaussians: ellipsoids in space and time, cut at a moment.

After 4D Gaussian Splatting (Yang et al., ICLR 2024): a Gaussian that is long along a line that leans from
time into space is one that moves. It has an own span of life, so that things can appear, and a straight
path; what bends is told by several. Colours are those of space (no harmonics over time).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.motion.base import Moved, Raw
from clay4d.scenes.motion.conditioning import Condition
from clay4d.scenes.motion.polynomial import known_at, spread_moments


class SpaceTime:
    """Motion by the shape of 4D Gaussians.

    Rows added: `lean` [N, 4], the quaternion that leans time towards space, the identity where
    nothing moves; `moment` [N], the time of the centre; `span` [N], the logarithm of the deviation
    along time, both in shares of the scene's time. Where some stand still, `moves` [N] is 1 for
    those that do not. `means`, `quats` and `scales` are those of the 4D Gaussian.

    Args of `__init__`: `span`, deviation along time at the start; `extent`, metres that count as
    much as the whole time does.

    >>> motion = SpaceTime(span=1e6)
    >>> raw = {"means": torch.zeros(1, 3), "quats": torch.tensor([[1.0, 0, 0, 0]])}
    >>> raw |= {"scales": torch.zeros(1, 3)} | motion.rows(raw["means"])
    >>> raw["moment"][:] = 0
    >>> raw["lean"][:, 1] = -0.25  # a quarter of the extent along x, from the first time to the last
    >>> [round(float(x), 3) for x in motion.move(raw, 1.0).means[0]]
    [0.25, 0.0, 0.0]
    """

    kind = "space-time"

    def __init__(self, *, span: float = 0.5, extent: float = 1.0) -> None:
        if not span > 0 or not extent > 0:
            raise ValueError(f"span, extent got {span}, {extent}; expected numbers above 0.")
        self._options = {"span": span, "extent": extent}
        self.span, self.extent = span, extent

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """No motion; the moments are spread evenly by the golden ratio."""
        n = len(means)
        lean = means.new_zeros(n, 4)
        lean[:, 0] = 1
        return {
            "lean": lean,
            "moment": spread_moments(n),
            "span": means.new_full((n,), math.log(self.span)),
        }

    def rows_at(self, means: Float[Tensor, "N 3"], times: Float[Tensor, " N"]) -> dict[str, Tensor]:
        """Rows of points known at `times` (0 to 1) only; where NaN, they stand still for good.

        >>> rows = SpaceTime().rows_at(torch.zeros(2, 3), torch.tensor([0.5, float("nan")]))
        >>> rows["moves"].tolist()
        [1, 0]
        """
        return known_at(self.rows(means), times)

    def tensors(self) -> dict[str, Tensor]:
        """Nothing shared."""
        return {}

    def refresh(self, raw: Raw) -> None:
        """Nothing is derived."""

    def move(self, raw: Raw, time: float) -> Moved:
        """The 3D Gaussians that the 4D ones are at a time."""
        moves = raw.get("moves")
        if moves is None:
            moves = torch.ones(len(raw["means"]), dtype=torch.uint8)
        means, quats, scales, presence = Condition.apply(
            raw["means"], raw["quats"], raw["scales"], raw["lean"], raw["moment"], raw["span"],
            moves, time, self.extent,
        )  # fmt: skip
        return Moved(means, quats, presence, scales)
