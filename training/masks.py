"""Where the pictures' masks say that something moves: drawn as a fourth channel, and compared.

With few cameras, faint Gaussians in empty space explain single pictures and spoil new views. Masks
of all cameras at once leave what moves no more room than its visual hull. After the segmentation
loss of Dynamic3DGaussians (Luiten et al., 3DV 2024).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.scenes.gaussians import C0
from clay4d.scenes.motion.base import Raw
from clay4d.training.config import TrainConfig


def colours_and_moves(
    sh: Float[Tensor, "N 1 3"], moves: UInt8[Tensor, " N"]
) -> Float[Tensor, "N 4"]:
    """Colours of harmonics of degree 0, and 1 for what moves.

    >>> colours_and_moves(torch.zeros(1, 1, 3), torch.ones(1, dtype=torch.uint8)).tolist()
    [[0.5, 0.5, 0.5, 1.0]]
    """
    colours = (0.5 + C0 * sh[:, 0]).clamp_min(0.0)
    return torch.cat([colours, moves[:, None].to(colours)], 1)


def mask_loss(drawn: Float[Tensor, "H W"], mask: Float[Tensor, "H W"]) -> Float[Tensor, ""]:
    """Mean absolute difference of how much of each pixel moves.

    >>> float(mask_loss(torch.ones(2, 2), torch.zeros(2, 2)))
    1.0
    """
    return (drawn - mask).abs().mean()


def check_masks(config: TrainConfig, raw: Raw) -> None:
    """Refuse a weight of the masks where nothing can be compared with them.

    Raises:
        ValueError: harmonics above degree 0, or Gaussians of which it is not known which move.
    """
    degree = config.schedule.sh_degree
    if config.losses.mask > 0 and (degree or "moves" not in raw):
        raise ValueError(
            f"losses.mask got {config.losses.mask:g} with sh_degree {degree} and "
            f"{type(config.motion).__name__} motion; expected sh_degree 0 and polynomial or "
            "space-time motion of triangulated points. Set losses.mask to 0."
        )
