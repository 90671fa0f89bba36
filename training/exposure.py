"""A gain and an offset for each camera and colour, since real cameras differ.

Gains average to one and offsets to zero over the cameras, so that a camera that was not trained on
is drawn as the mean camera would see it. Same model as Dynamic3DGaussians (Luiten et al., 3DV 2024).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Exposure(nn.Module):
    """Colours as a camera sees them: image · gain + offset.

    >>> Exposure(2)(torch.ones(1, 1, 3), 0).tolist()
    [[[1.0, 1.0, 1.0]]]
    """

    def __init__(self, cameras: int) -> None:
        super().__init__()
        self.log_gains = nn.Parameter(torch.zeros(cameras, 3))
        self.offsets = nn.Parameter(torch.zeros(cameras, 3))

    def forward(self, image: Float[Tensor, "H W 3"], camera: int) -> Float[Tensor, "H W 3"]:
        """The image as `camera` would take it."""
        gain = torch.exp(self.log_gains[camera] - self.log_gains.mean(0))
        return image * gain + (self.offsets[camera] - self.offsets.mean(0))
