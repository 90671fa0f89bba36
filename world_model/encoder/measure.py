"""What masks say without learning: where each object is in a picture, how large, of what colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clay4d.world_model.slots import PosedFrames

STATS = 12
"""Numbers a picture gives for each object beside its features."""


@dataclass(frozen=True)
class Measured:
    """Of each object in each picture."""

    visible: Bool[Tensor, "N T C B"]
    centroids: Float[Tensor, "N T C B 2"]
    """Mean pixel of the mask."""
    radii: Float[Tensor, "N T C B"]
    """Radius of the circle with the mask's area, as a tangent: pixels by focal length."""
    colours: Float[Tensor, "N T C B 3"]
    """Mean colour under the mask."""
    stats: Float[Tensor, "N T C B 12"]
    """For the network: all of the above and second moments, mean colour, contact with the border."""


def measure(frames: PosedFrames, *, objects: int) -> Measured:
    """Measure the masks of slots 1 to `objects`; all is zero where an object is not visible."""
    height, width = frames.masks.shape[-2:]
    index = torch.arange(1, objects + 1, dtype=torch.uint8)
    own = frames.masks[..., None] == index
    own &= frames.given[..., None, None, None]
    member = own.float().flatten(3, 4)  # [N, T, C, P, B]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixel = torch.stack([x.flatten(), y.flatten()], -1)
    values = torch.cat(
        [
            torch.ones_like(pixel[:, :1]), pixel, pixel.square(), pixel.prod(-1, keepdim=True),
            _border(height, width)[:, None],
        ],
        -1,
    )  # fmt: skip
    sums = member.transpose(-1, -2) @ values
    colour = member.transpose(-1, -2) @ frames.images.flatten(3, 4)
    area = sums[..., 0]
    share = 1 / area.clamp_min(1)[..., None]
    mean = sums[..., 1:3] * share
    spread = sums[..., 3:6] * share - torch.cat([mean.square(), mean.prod(-1, keepdim=True)], -1)
    focal = frames.Ks[..., 0, 0][..., None]
    radii = (area / torch.pi).sqrt() / focal
    visible = area > 0
    size = torch.tensor([width, height])
    stats = torch.cat(
        [
            visible[..., None].float(), (mean / size - 0.5) * visible[..., None],
            radii[..., None] * 4, radii.clamp_min(1e-3).log()[..., None] * visible[..., None] / 4,
            spread * (8 / (width * height)), colour * share, (sums[..., 6:] * share).clamp(max=1),
        ],
        -1,
    )  # fmt: skip
    return Measured(visible, mean, radii, colour * share, stats)


def _border(height: int, width: int) -> Float[Tensor, " P"]:
    edge = torch.zeros(height, width)
    edge[0], edge[-1], edge[:, 0], edge[:, -1] = 1, 1, 1, 1
    return edge.flatten()
