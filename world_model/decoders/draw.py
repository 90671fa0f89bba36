"""Pictures and soft masks of many slots in one call of the rasteriser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.renderers import rasterization
from clay4d.world_model.decoders.gaussians import GaussianDecoder
from clay4d.world_model.slots import Slots

BITS = 4
"""Channels that tell up to 15 objects apart: the binary digits of k + 1 for slot k."""


@dataclass(frozen=True)
class Drawn:
    """Pictures of every world at every moment from every camera."""

    images: Float[Tensor, "N T C H W 3"]
    labels: Float[Tensor, "N T C H W 4"]
    """Blended binary digits of the objects' numbers; zeros for what is no object."""


def binary_digits(values: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch 4"]:
    """The digits of numbers, lowest first.

    >>> binary_digits(torch.tensor(5)).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    table = ((torch.arange(1 << BITS)[:, None] >> torch.arange(BITS)) & 1).float()
    return F.embedding(values.int(), table)


def draw(
    decoder: GaussianDecoder,
    slots: Slots,
    viewmats: Float[Tensor, "N T C 4 4"],
    Ks: Float[Tensor, "N T C 3 3"],
    *,
    width: int,
    height: int,
) -> Drawn:
    """Draw all worlds at all moments from all cameras: one call, one parallel region a stage."""
    n, t, b = slots.positions.shape[:3]
    c = viewmats.shape[2]
    splats, behind = decoder(slots)
    each = decoder.size.gaussians
    labels = binary_digits(torch.arange(1, b + 1)).repeat_interleave(each, 0)
    labels = torch.cat([labels, torch.zeros(splats.means.shape[1] - b * each, BITS)])
    colors = torch.cat([splats.colors, labels.expand(n * t, -1, -1)], -1)
    backgrounds = torch.cat([behind, behind.new_zeros(n * t, BITS)], -1)
    seen, _, _ = rasterization(
        splats.means, splats.quats, splats.scales, splats.opacities, colors,
        viewmats.flatten(0, 1), Ks.flatten(0, 1), width, height,
        backgrounds=backgrounds[:, None].expand(-1, c, -1),
    )  # fmt: skip
    seen = seen.unflatten(0, (n, t))
    return Drawn(seen[..., :3], seen[..., 3:])
