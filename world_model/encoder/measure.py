"""What masks say without learning: where each object is in a picture, how large, of what colour."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from clay4d.jit import kernel
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
    shape = frames.masks.shape[:3]
    masks = frames.masks * frames.given[..., None, None]
    summed = sum_masks(
        masks.flatten(0, 2).numpy(), frames.images.detach().flatten(0, 2).numpy(), objects
    )
    sums = torch.from_numpy(summed).unflatten(0, shape)
    area = sums[..., 0]
    share = 1 / area.clamp_min(1)[..., None]
    mean = sums[..., 1:3] * share
    spread = sums[..., 3:6] * share - torch.cat([mean.square(), mean.prod(-1, keepdim=True)], -1)
    colour = sums[..., 7:]
    focal = frames.Ks[..., 0, 0][..., None]
    radii = (area / torch.pi).sqrt() / focal
    visible = area > 0
    size = torch.tensor([width, height])
    stats = torch.cat(
        [
            visible[..., None].float(), (mean / size - 0.5) * visible[..., None],
            radii[..., None] * 4, radii.clamp_min(1e-3).log()[..., None] * visible[..., None] / 4,
            spread * (8 / (width * height)), colour * share, (sums[..., 6:7] * share).clamp(max=1),
        ],
        -1,
    )  # fmt: skip
    return Measured(visible, mean, radii, colour * share, stats)


def covers(
    masks: UInt8[Tensor, "N T C H W"], *, objects: int, patch: int
) -> Float[Tensor, "N T C B+1 h*w"]:
    """The share of each square patch that is no object, and that each of the objects 1 to B is.

    >>> masks = torch.zeros(1, 1, 1, 4, 4, dtype=torch.uint8); masks[..., :2, :1] = 1
    >>> covers(masks, objects=1, patch=2)[0, 0, 0, 1].tolist()
    [0.5, 0.0, 0.0, 0.0]
    """
    counted = count_patches(masks.flatten(0, 2).numpy(), objects, patch)
    shares: Tensor = torch.from_numpy(counted).unflatten(0, masks.shape[:3])
    return shares


@kernel
def count_patches(masks, objects, patch):  # type: ignore[no-untyped-def]
    """Shares of patches [P,B+1,h·w]; a picture's rest beyond whole patches does not count."""
    pictures, height, width = masks.shape
    rows, columns = height // patch, width // patch
    out = np.zeros((pictures, objects + 1, rows * columns), np.float32)
    one = np.float32(1) / (patch * patch)
    for p in numba.prange(pictures):
        for row in range(rows * patch):
            for column in range(columns * patch):
                k = masks[p, row, column]
                if k <= objects:
                    out[p, k, (row // patch) * columns + column // patch] += one
    return out


@kernel
def sum_masks(masks, images, objects):  # type: ignore[no-untyped-def]
    """Sums over each object's pixels [P,B,10]: 1, x, y, x², y², xy, whether at the border, RGB.

    One pass over the pixels; a matrix product with an indicator of each object took ten times as long.
    """
    pictures, height, width = masks.shape
    out = np.zeros((pictures, objects, 10), np.float32)
    for p in numba.prange(pictures):
        for row in range(height):
            for column in range(width):
                k = masks[p, row, column]
                if k < 1 or k > objects:
                    continue
                x, y = np.float32(column + 0.5), np.float32(row + 0.5)
                own = out[p, k - 1]
                own[0] += 1
                own[1] += x
                own[2] += y
                own[3] += x * x
                own[4] += y * y
                own[5] += x * y
                if row == 0 or column == 0 or row == height - 1 or column == width - 1:
                    own[6] += 1
                for channel in range(3):
                    own[7 + channel] += images[p, row, column, channel]
    return out
