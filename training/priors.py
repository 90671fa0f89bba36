"""What pictures alone do not say: depth known from elsewhere, and where there is something at all.

Depth from another tool (a monocular network, stereo, a sensor) is rarely in the scene's unit, so it is
compared up to a scale and a shift; masks are compared with how much of each pixel is covered.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes import Dataset
from clay4d.training.config import Losses

LEAST_ALPHA = 0.5
"""Cover below which a pixel's drawn depth means nothing."""
SEE_THROUGH_COVER = 0.3
"""Of the transparency of pictures, in the loss: mutant drawn on black, having been trained on white, has 43.73 dB with
it and 40.78 without; on white 42.55 and 42.58."""
FEWEST = 16
"""Pixels that two depths must share to be compared."""

Map = Float[Tensor, "H W"]


def depth_loss(drawn: Map, alpha: Map, prior: Map, *, inverse: bool = False) -> Float[Tensor, ""]:
    """One minus the correlation of drawn and known depth, 0 to 2; scale and shift of both are free.

    A prior that is right up to a positive scale and a shift costs nothing. Only `drawn` gets a gradient.

    Args:
        drawn: depth along the camera's axis, metres. alpha: cover of each pixel, 0 to 1; those
            below a half are left out.
        prior: known depth in any unit, 0 where unknown.
        inverse: whether the prior is inverse depth, as monocular networks give it.

    Source: Ranftl et al. 2022 (scale and shift); Zhu et al. 2024 (FSGS), who take Pearson's correlation.

    >>> depth = torch.arange(1.0, 65).reshape(8, 8)
    >>> abs(float(depth_loss(depth, torch.ones(8, 8), 3 * depth + 2))) < 1e-5
    True
    """
    known = (prior > 0) & (alpha.detach() > LEAST_ALPHA) & (drawn.detach() > 0)
    if int(known.sum()) < FEWEST:
        return 0 * drawn.sum()
    a, b = drawn[known], prior[known]
    if inverse:
        a = 1 / a
    a, b = a - a.mean(), b - b.mean()
    # A flat depth, drawn or known, says nothing: its correlation is zero.
    spread = (a.square().sum() * b.square().sum()).add(1e-20).sqrt()
    return 1 - (a * b).sum() / spread


def cover_loss(alpha: Map, mask: Map, *, squared: float = 0.0) -> Float[Tensor, ""]:
    """Mean absolute difference of cover and mask, both 0 to 1, and `squared` times the mean squared one.

    >>> float(cover_loss(torch.ones(2, 2), torch.zeros(2, 2)))
    1.0
    """
    off = alpha - mask
    return off.abs().mean() + squared * off.square().mean()


def cover_weight(losses: Losses, dataset: Dataset) -> float:
    """The weight of the difference between masks and cover: as asked for, else by the data.

    What is white where it is seen against white may be anything, and shows before another colour. So
    pictures that are laid over a background by their own transparency are compared with it.
    """
    if losses.cover is not None:
        return losses.cover
    see_through = dataset.background is not None and dataset.train[0].mask is not None
    return SEE_THROUGH_COVER if see_through else 0.0


def smaller_depth(depth: Map, height: int, width: int) -> Map:
    """Depth averaged down over the pixels where it is known; 0 where most of a pixel is unknown.

    >>> smaller_depth(torch.tensor([[2.0, 0.0], [4.0, 3.0]]), 1, 1).tolist()
    [[3.0]]
    """
    known = (depth > 0).float()
    both = torch.stack([depth * known, known])[None]
    small = torch.nn.functional.interpolate(both, (height, width), mode="area")[0]
    total, share = small[0], small[1]
    return torch.where(share >= 0.5, total / share.clamp_min(1e-6), torch.zeros_like(total))


def check_priors(losses: Losses, dataset: Dataset) -> None:
    """Refuse what needs depth, masks or transparency where the data has none.

    Raises:
        ValueError: names the weight and what the data lacks.
    """
    if losses.depth > 0 and not dataset.train.has_depth:
        raise ValueError(
            f"losses.depth got {losses.depth:g} for {dataset.name}, whose pictures have no depth; expected "
            "depth_file_path in transforms.json. Add depth or set losses.depth to 0."
        )
    if losses.cover and dataset.train[0].mask is None:
        raise ValueError(
            f"losses.cover got {losses.cover:g} for {dataset.name}, whose pictures have no masks; "
            "expected alpha or masks. Add them or set losses.cover to 0."
        )
    if losses.random_background and dataset.background is None:
        raise ValueError(
            "losses.random_background got true for pictures without transparency; expected "
            "pictures with alpha and a background. Set it to false."
        )
