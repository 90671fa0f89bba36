"""Per-Gaussian polynomial and Fourier motion with temporal opacity.

After SpacetimeGaussians (Li et al., CVPR 2024), with sines and cosines added for what swings: each
Gaussian has its own path and, where asked, a moment and a span of life, so that new things can
appear. Good with many cameras, where every moment is seen from several sides.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.motion.base import Moved, Raw
from clay4d.scenes.motion.paths import Follow

OVERLAP = 0.6
"""Width of a span, in gaps between moments: halfway between two, each still has 0.7 of its presence."""


def spread_moments(count: int) -> Float[Tensor, " N"]:
    """Moments spread evenly over 0 to 1 by the golden ratio, whatever their number.

    >>> [round(x, 2) for x in spread_moments(3).tolist()]
    [0.0, 0.62, 0.24]
    """
    return (torch.arange(count) * 0.6180339887) % 1.0


def known_at(rows: dict[str, Tensor], times: Float[Tensor, " N"]) -> dict[str, Tensor]:
    """The rows with moments and spans of points known at `times` (0 to 1) only; where NaN, they stand still.

    Spans are such that points of one moment fade as those of the next appear.

    >>> known_at({}, torch.tensor([0.5, float("nan")]))["moves"].tolist()
    [1, 0]
    """
    moves = ~times.isnan()
    rows["moves"] = moves.to(torch.uint8)
    moments = times[moves].unique()
    if "moment" in rows and len(moments):
        rows["moment"][moves] = times[moves]
        gap = 1.0 / max(len(moments) - 1, 1)
        rows["span"][moves] = math.log(OVERLAP * gap)
    return rows


class Polynomial:
    """Motion by per-Gaussian coefficients.

    Rows added: `path` [N, B, 3], coefficients of the centre over the basis of `basis`, metres;
    `spin` [N, 4], change of the quaternion over the scene's time; and where `temporal_opacity`,
    `moment` [N], the time of most presence, and `span` [N], the logarithm of its width. `means` is
    where a Gaussian is at its moment, or in the middle of the time if it has none. Where some stand
    still, `moves` [N] is 1 for those that do not.
    """

    kind = "polynomial"

    def __init__(
        self, *, degree: int = 3, harmonics: int = 2, temporal_opacity: bool = True
    ) -> None:
        self._options = {
            "degree": degree, "harmonics": harmonics, "temporal_opacity": temporal_opacity,
        }  # fmt: skip
        self.degree, self.harmonics, self.temporal_opacity = degree, harmonics, temporal_opacity

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """No motion, present throughout; the moments are spread evenly by the golden ratio."""
        n = len(means)
        rows = {
            "path": means.new_zeros(n, self.degree + 2 * self.harmonics, 3),
            "spin": means.new_zeros(n, 4),
        }
        if self.temporal_opacity:
            rows["moment"] = spread_moments(n)
            # Wide enough that presence stays above 0.96 from one end to the other.
            rows["span"] = means.new_full((n,), math.log(4.0))
        return rows

    def rows_at(self, means: Float[Tensor, "N 3"], times: Float[Tensor, " N"]) -> dict[str, Tensor]:
        """Rows of points known at `times` (0 to 1) only; where NaN, they stand still for good.

        Spans are such that points of one moment fade as those of the next appear.

        >>> rows = Polynomial().rows_at(torch.zeros(2, 3), torch.tensor([0.5, float("nan")]))
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
        """Each Gaussian on its own path."""
        means = raw["means"]
        moment, span, moves = raw.get("moment"), raw.get("span"), raw.get("moves")
        if moment is None or span is None:
            moment, span = means.new_full((len(means),), 0.5), means.new_zeros(len(means))
        if moves is None:
            moves = torch.ones(len(means), dtype=torch.uint8)
        moved, turned, presence = Follow.apply(
            means, raw["quats"], raw["path"], raw["spin"], moment, span, moves,
            time, self.degree, self.harmonics,
        )  # fmt: skip
        return Moved(moved, turned, presence if self.temporal_opacity else None)
