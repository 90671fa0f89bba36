"""A network that moves, turns and stretches each Gaussian, given its place and the time.

After Deformable 3D Gaussians (Yang et al., CVPR 2024). It runs on every Gaussian at every step, where
control nodes run theirs on some hundred nodes, so it is narrow here: 256 × 8 is made for GPUs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clay4d.scenes.motion.base import Moved, Raw
from clay4d.scenes.motion.control_nodes import encode

OUTPUTS = (3, 4, 3)
"""Shift in extents, change of the quaternion, change of the logarithms of the scales."""


class Deformation(nn.Module):
    """Motion by one network for all Gaussians.

    Args of `__init__`: `width` and `depth` of the network, which sees its input again at half its
    depth; `octaves` and `time_octaves` of the input's sines; `extent`, the size of the scene in
    metres, by which positions are scaled.

    >>> torch.manual_seed(0).initial_seed()
    0
    >>> raw = {"means": torch.ones(1, 3), "quats": torch.ones(1, 4), "scales": torch.zeros(1, 3)}
    >>> Deformation().move(raw, 0.5).means.round(decimals=2).tolist()
    [[1.0, 1.0, 1.0]]
    """

    kind = "deformation"

    def __init__(
        self, *, width: int = 64, depth: int = 4, octaves: int = 8, time_octaves: int = 6,
        extent: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self._options = {
            "width": width, "depth": depth, "octaves": octaves, "time_octaves": time_octaves,
            "extent": extent,
        }  # fmt: skip
        self.extent, self.octaves, self.time_octaves = extent, octaves, time_octaves
        inputs = 3 * (1 + 2 * octaves) + 1 + 2 * time_octaves
        self.again = depth // 2
        """The layer that sees the input again; the first sees nothing else."""
        sizes = [inputs] + [width] * (depth - 1)
        if self.again:
            sizes[self.again] += inputs
        self.hidden = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.out = nn.Linear(width, sum(OUTPUTS))
        nn.init.normal_(self.out.weight, std=1e-4)
        nn.init.zeros_(self.out.bias)

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """Nothing per Gaussian."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """The network."""
        return dict(self.state_dict(keep_vars=True))

    def refresh(self, raw: Raw) -> None:
        """Nothing is derived."""

    def move(self, raw: Raw, time: float) -> Moved:
        """Shift, turn and stretch each Gaussian by what the network says of its place."""
        places = encode(raw["means"].detach() / self.extent, self.octaves)
        when = encode(torch.full((1, 1), time), self.time_octaves).expand(len(places), -1)
        inputs = features = torch.cat([places, when], 1)
        for i, layer in enumerate(self.hidden):
            seen = torch.cat([features, inputs], 1) if i and i == self.again else features
            features = F.relu(layer(seen))
        shifts, turns, stretches = self.out(features).split(OUTPUTS, 1)
        scales = torch.exp(raw["scales"] + stretches)
        return Moved(raw["means"] + shifts * self.extent, raw["quats"] + turns, scales=scales)
