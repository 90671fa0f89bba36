"""Discrete thoughts: the state is rounded to one of a thousand codes on its way round.

Source: Mentzer et al. 2024 (finite scalar quantisation, FSQ): each of a few numbers is bounded and
rounded to a few levels, with the gradient passed straight through; no codebook is learned.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Thinker
from clay4d.world_model.reasoners.transformer import Size

LEVELS = (8, 5, 5, 5)
"""1000 codes, about 10 bits a thought."""


def quantise(
    z: Float[Tensor, "*batch F"], levels: tuple[int, ...] = LEVELS
) -> tuple[Float[Tensor, "*batch F"], Int[Tensor, "*batch F"]]:
    """Numbers rounded to their levels, from −1 to 1, and the levels from 0 on.

    The gradient is that of the bound, as if nothing had been rounded.

    >>> values, codes = quantise(torch.tensor([[-9.0, 0.0, 9.0, 0.0]]))
    >>> codes.tolist()
    [[0, 2, 4, 2]]
    """
    count = torch.tensor(levels, dtype=z.dtype)
    half = (count - 1) / 2
    # Even counts have no level at 0, so their bound is moved by half a level.
    offset = torch.where(count % 2 == 0, 0.5, 0.0)
    reach = half * (1 - 1e-3)
    bounded = torch.tanh(z + torch.atanh(offset / half)) * reach - offset
    rounded = bounded + (bounded.round() - bounded).detach()
    codes = (rounded.detach().round() + (count // 2)).long()
    return rounded / (count // 2), codes


class Discrete(Thinker):
    """Every thought is one of a thousand codes, each the same token wherever it is had."""

    kind = "discrete"

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.down = nn.Linear(size.width, len(LEVELS))
        self.up = nn.Linear(len(LEVELS), size.width)
        nn.init.normal_(self.up.weight, std=0.5)

    def express(
        self, hidden: Float[Tensor, "N D"], step: int
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, "N F"] | None]:
        """The token of the nearest code."""
        values, codes = quantise(self.down(hidden))
        return self.up(values), codes
