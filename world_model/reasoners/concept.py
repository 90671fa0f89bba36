"""Concept space: a thought is the whole of the segment that follows, as a frozen encoder would put it.

Source: Barrault et al. 2024 (Large Concept Model): a transformer over frozen embeddings of sentences
that predicts the next one, here of half seconds (`world_model.model.concepts`). Each thought is a
prediction, and reading it again lets the next correct it. This is their Base-LCM, which minimises the
squared distance: the mean of futures that differ is none of them, which the other two heads mend.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Guide, Mind, Step, Thinker
from clay4d.world_model.reasoners.transformer import Size

NUMBERS = 48
"""Of a concept."""
WEIGHT = 0.1
"""Of what a prediction loses, as of written events: the future itself is what counts."""


class Conceptual(Thinker):
    """What the three heads share: a thought is a concept, taken in by one matrix."""

    concept = NUMBERS

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.enter = nn.Linear(NUMBERS, size.width)
        nn.init.normal_(self.enter.weight, std=0.5 * NUMBERS**-0.5)


class Concept(Conceptual):
    """Every thought is the mean of the concepts that may follow."""

    kind = "concept"

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.head = nn.Linear(size.width, NUMBERS)

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """The prediction, and its squared distance from what follows if that is known."""
        concept: Float[Tensor, "N C"] = self.head(mind.ready)
        loss = None
        if guide.following is not None:
            loss = WEIGHT * (concept - guide.following).square().mean()
        return Step(self.enter(concept), None, mind.state, loss, concept=concept)
