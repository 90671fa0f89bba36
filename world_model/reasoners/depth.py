"""Recurrent depth: one latent state that the same layers turn over and over, until it holds still.

Source: Geiping et al. 2025 (Huginn): the state begins as normal noise, so that where it goes does not
depend on where it began; what was read is put into every turn; any number of turns at test; a turn
that changes little is the last. Theirs turns one state for each token with four of eight layers; here one state
takes all layers for a turn and sees what was read through the cache, so that a turn costs a thought.
They found adding state and input as good as a matrix over both in small models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes, EventWriter
from clay4d.world_model.reasoners.thinker import Guide, Mind, Step, Thinker
from clay4d.world_model.reasoners.transformer import Size


@dataclass(frozen=True)
class Exit:
    """When a world has thought enough: it changed by less than `below` in a turn.

    Raises:
        ValueError: an unknown kind, or a bound that is not above 0.

    >>> Exit("change", 0.1).still(torch.ones(1, 4), torch.ones(1, 4), None).tolist()
    [True]
    """

    kind: Literal["change", "kl"] = "change"
    """Change: length of the state's change over the state's. KL: Kullback–Leibler divergence, in nats,
    between the events that the state and the one before it would write."""
    below: float = 0.03

    def __post_init__(self) -> None:
        if self.kind not in ("change", "kl"):
            raise ValueError(f"exit got {self.kind!r}; expected change or kl.")
        if not self.below > 0:
            raise ValueError(f"exit below got {self.below}; expected above 0.")

    def still(
        self,
        state: Float[Tensor, "N D"],
        before: Float[Tensor, "N D"],
        writer: EventWriter | None,
    ) -> Bool[Tensor, " N"]:
        """Which worlds hold still; the divergence needs a writer."""
        if self.kind == "change" or writer is None:
            return torch.lt((state - before).norm(dim=1), self.below * state.norm(dim=1))
        now = [x.log_softmax(-1) for x in writer.logits(state)]
        then = [x.log_softmax(-1) for x in writer.logits(before)]
        apart = [(p.exp() * (p - q)).sum(-1) for p, q in zip(now, then)]
        return torch.lt(torch.stack(apart).sum(0), self.below)


class Depth(Thinker):
    """Every thought is the same latent state, one turn further, with what was read put in again."""

    kind = "depth"
    keeps = False
    exit: Exit | None = None
    """When to stop; by default, after as many turns as were asked for."""

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.own = nn.Parameter(torch.full((size.width,), 0.5))
        self.given = nn.Parameter(torch.full((size.width,), 0.5))

    def remember(
        self, hidden: Float[Tensor, "N L D"], real: Bool[Tensor, "N L"], state: Tensor | None
    ) -> None:
        """Nothing outlives a reading: every stretch begins from noise."""

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """The state and the input together; or, where the state holds still, those of the turn before."""
        assert mind.ready is not None
        if mind.state is None:
            given, still = mind.ready, None
            state = torch.randn(given.shape, generator=guide.draws(mind.thoughts)).clamp(-3, 3)
        else:
            given, before = mind.state.unbind(1)
            state = mind.ready
            still = None if self.exit is None else self.exit.still(state, before, self.writer)
            if still is not None:
                state = torch.where(still[:, None], before, state)
        if still is None and self.exit is not None:
            still = torch.zeros(len(given), dtype=torch.bool)
        vector = self.own * state + self.given * given
        return Step(vector, state=torch.stack([given, state], 1), still=still)
