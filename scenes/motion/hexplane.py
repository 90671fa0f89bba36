"""Six feature planes over space and time, and a small network that moves each Gaussian.

After 4DGaussians (Wu et al., CVPR 2024) and K-Planes (Fridovich-Keil et al., CVPR 2023): a Gaussian's
feature is the product over the planes xy, xz, yz, xt, yt, zt of bilinear look-ups, level by level.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clay4d.scenes.motion.base import Moved, Raw
from clay4d.scenes.motion.planes import Levels, LookUp


class HexPlane(nn.Module):
    """Motion by a HexPlane field.

    Args of `__init__`: `resolution` and `time_resolution`, cells of the finest level; `features`,
    channels; `levels`, each with half the cells in space of the next; `width` of the network;
    `extent`, half the side of the box that the planes cover, metres.
    """

    kind = "hexplane"

    def __init__(
        self, *, resolution: int = 64, time_resolution: int = 25, features: int = 16,
        levels: int = 2, width: int = 64, extent: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self._options = {
            "resolution": resolution, "time_resolution": time_resolution, "features": features,
            "levels": levels, "width": width, "extent": extent,
        }  # fmt: skip
        self.extent = extent
        cells = tuple(max(2, resolution >> (levels - 1 - k)) for k in range(levels))
        self.levels = Levels(cells, time_resolution, features)
        # Planes with time start at 1, so that nothing moves at first and space alone speaks.
        self.planes = nn.Parameter(torch.ones(self.levels.size))
        with torch.no_grad():
            for space, _ in self.levels.split(self.planes):
                space.uniform_(0.1, 0.5)
        self.hidden = nn.Linear(features * levels, width)
        self.out = nn.Linear(width, 7)
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.zeros_(self.out.bias)

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """Nothing per Gaussian."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Planes and network."""
        return dict(self.state_dict(keep_vars=True))

    def refresh(self, raw: Raw) -> None:
        """Nothing is derived."""

    def field(self, means: Float[Tensor, "N 3"], time: float) -> Float[Tensor, "N F"]:
        """Features of points at a time; outside the box and the clip, the border's."""
        found: Tensor = LookUp.apply(means / self.extent, self.planes, self.levels, time)
        return found

    def move(self, raw: Raw, time: float) -> Moved:
        """Shift and turn each Gaussian by what the field says of its place."""
        features = F.relu(self.hidden(self.field(raw["means"].detach(), time)))
        shifts, turns = self.out(features).split([3, 4], 1)
        return Moved(raw["means"] + shifts * self.extent, raw["quats"] + turns)
