"""Tracks of points over the pictures of a split, as other tools find them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Tracks:
    """P points of things, each followed over V pictures.

    Raises:
        ValueError: shapes that do not agree, or places that are not finite where a point is seen.

    >>> len(Tracks(torch.zeros(5, 2, 2), torch.ones(5, 2, dtype=torch.bool)))
    5
    """

    xy: Float[Tensor, "P V 2"]
    """Pixels, the first one's centre at (0.5, 0.5)."""
    seen: Bool[Tensor, "P V"]
    """Whether the point is seen in the picture."""

    def __post_init__(self) -> None:
        if self.xy.ndim != 3 or tuple(self.xy.shape) != (*self.seen.shape, 2):
            raise ValueError(
                f"tracks got {list(self.xy.shape)} and visible {list(self.seen.shape)}; expected "
                "[P, V, 2] and [P, V]. Correct the file."
            )
        if not torch.isfinite(self.xy[self.seen]).all():
            raise ValueError(
                "tracks got NaN or infinity where a point is visible; expected pixels. Set visible "
                "to false there."
            )

    def __len__(self) -> int:
        return len(self.xy)
