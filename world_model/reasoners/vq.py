"""Vector-quantised thoughts: the state goes round as the nearest of a thousand learned codes.

Source: van den Oord et al. 2017 (VQ-VAE: straight-through gradient, commitment loss; appendix A.1: a
codebook of moving averages); Yu et al. 2022 (codes of few numbers, so that all get used). A code that
nothing comes near is moved to where the codebook fits worst, which needs no draw.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Guide, Mind, Step, Thinker
from clay4d.world_model.reasoners.transformer import Size

CODES = 1000
"""As many as the levels of finite scalar quantisation give (`Discrete`)."""
NUMBERS = 8
"""Of a code."""
COMMITMENT = 0.25
DECAY = 0.99
DEAD = 0.05
"""Share of a mean code's use below which a code is moved."""


class Codebook(nn.Module):
    """Codes that follow the mean of what came nearest to them.

    They are buffers, for no gradient changes them; in evaluation nothing does.

    >>> book = Codebook(4, 2)
    >>> book(torch.zeros(3, 2))[0].shape
    torch.Size([3, 2])
    """

    uses: Tensor
    sums: Tensor

    def __init__(self, codes: int = CODES, numbers: int = NUMBERS) -> None:
        super().__init__()
        # Sums over uses are means; at first every code is used alike.
        self.register_buffer("uses", torch.ones(codes))
        self.register_buffer("sums", torch.randn(codes, numbers))

    @property
    def codes(self) -> Float[Tensor, "C F"]:
        """The codes as they are now."""
        return self.sums / self.uses[:, None]

    def forward(self, z: Float[Tensor, "N F"]) -> tuple[Float[Tensor, "N F"], Int[Tensor, " N"]]:
        """The nearest codes, with the gradient passed straight through to `z`, and their numbers."""
        with torch.no_grad():
            codes = self.codes
            # Least squared distance; the square of z is the same for all codes.
            index = (codes.square().sum(1) - 2 * z @ codes.T).argmin(1)
            nearest = codes[index]
        if self.training:
            self.follow(z.detach(), index)
        return z + (nearest - z).detach(), index

    @torch.no_grad()
    def follow(self, z: Float[Tensor, "N F"], index: Int[Tensor, " N"]) -> None:
        """Move codes towards what came nearest to them, and dead ones to what is farthest from all."""
        off = (z - self.codes[index]).square().sum(1)
        hits = torch.zeros(len(self.uses), len(z))
        hits[index, torch.arange(len(z))] = 1
        share = len(self.uses) / len(z)  # so that a mean code's uses stay 1
        self.uses.mul_(DECAY).add_((1 - DECAY) * share * hits.sum(1))
        self.sums.mul_(DECAY).add_((1 - DECAY) * share * (hits @ z))
        dead = (self.uses < DEAD).nonzero()[:, 0][: max(len(z) // 4, 1)]
        far = off.sort(descending=True, stable=True).indices[: len(dead)]
        self.uses[dead[: len(far)]] = 1.0
        self.sums[dead[: len(far)]] = z[far]


class VectorQuantised(Thinker):
    """Every thought is one of a thousand codes, which are learned."""

    kind = "vq"

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.down = nn.Linear(size.width, NUMBERS)
        self.codebook = Codebook()
        self.up = nn.Linear(NUMBERS, size.width)
        nn.init.normal_(self.up.weight, std=0.5 * NUMBERS**-0.5)

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """The token of the nearest code, and how far the state was from it."""
        z = self.down(mind.ready)
        codes, index = self.codebook(z)
        off = COMMITMENT * (z - codes.detach()).square().mean()
        return Step(self.up(codes), index[:, None], mind.state, off)
