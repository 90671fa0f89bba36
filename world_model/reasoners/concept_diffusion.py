"""Concepts by diffusion: a thought is a draw from the concepts that may follow.

Source: Barrault et al. 2024 (One- and Two-Tower LCM); Nichol & Dhariwal 2021 (cosine
schedule); Song et al. 2021 (DDIM, the steps of a draw). The denoiser is a small network on the
transformer's state, the smallest second tower, and predicts the clean concept.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clay4d.world_model.reasoners.concept import NUMBERS, WEIGHT, Conceptual
from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Guide, Mind, Step
from clay4d.world_model.reasoners.transformer import Size

HIDDEN = 48
STEPS = 8
"""Of a draw."""


def signal(time: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The share of the concept at times from 0, all concept, to 1, all noise.

    >>> [round(x, 3) for x in signal(torch.tensor([0.0, 2 / 3])).tolist()]
    [1.0, 0.5]
    """
    return torch.cos(time * math.pi / 2)


class ConceptDiffusion(Conceptual):
    """Every thought is one of the concepts that may follow, drawn."""

    kind = "concept-diffusion"

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.up = nn.Linear(NUMBERS + size.width + 8, HIDDEN)
        self.out = nn.Linear(HIDDEN, NUMBERS)

    def clean(
        self, noisy: Float[Tensor, "N C"], time: Float[Tensor, " N"], hidden: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N C"]:
        """The concept behind a noisy one."""
        waves = time[:, None] * torch.tensor([1.0, 2.0, 4.0, 8.0]) * math.pi
        given = torch.cat([noisy, hidden, waves.sin(), waves.cos()], -1)
        found: Tensor = self.out(F.silu(self.up(given)))
        return found

    @torch.no_grad()
    def draw(self, hidden: Float[Tensor, "N D"], draws: torch.Generator) -> Float[Tensor, "N C"]:
        """A concept, in a few steps from noise.

        The noise has its full strength: with the 0.6 of that paper, draws of two futures lay between.
        """
        noisy = torch.randn(len(hidden), NUMBERS, generator=draws)
        for k in range(STEPS, 0, -1):
            now, then = (torch.tensor(t / STEPS) for t in (k, k - 1))
            found = self.clean(noisy, now.expand(len(hidden)), hidden)
            loud, soft = (torch.sin(t * math.pi / 2) for t in (now, then))
            noise = (noisy - signal(now) * found) / loud
            noisy = signal(then) * found + soft * noise
        return noisy

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """A draw; and how well what follows is found behind noise, if it is known."""
        assert mind.ready is not None
        draws = guide.draws(mind.thoughts)
        concept = self.draw(mind.ready, draws)
        loss = None
        if guide.following is not None:
            time = torch.rand(len(concept), generator=draws)
            noise = torch.randn(concept.shape, generator=draws)
            loud = torch.sin(time * math.pi / 2)[:, None]
            noisy = signal(time)[:, None] * guide.following + loud * noise
            off = self.clean(noisy, time, mind.ready) - guide.following
            loss = WEIGHT * off.square().mean()
        return Step(self.enter(concept), None, mind.state, loss, concept=concept)
