"""Events as a reasoner writes them: four choices each, one thought an event."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class EventSizes:
    """How many choices each field of an event has."""

    templates: int = 24
    """Sentences with gaps; 0 means that nothing more happens."""
    moments: int = 12
    """Stretches of a segment's time."""
    things: int = 9
    """Things that fill a gap; 0 for none."""

    @property
    def fields(self) -> tuple[int, int, int, int]:
        """Choices of template, moment, first thing, second thing."""
        return self.templates, self.moments, self.things, self.things


class EventWriter(nn.Module):
    """From a hidden state to an event, and from an event to the token that says it.

    >>> writer = EventWriter(16, EventSizes(5, 4, 3))
    >>> [x.shape[-1] for x in writer.logits(torch.zeros(2, 16))]
    [5, 4, 3, 3]
    """

    def __init__(self, width: int, sizes: EventSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.head = nn.Linear(width, sum(sizes.fields))
        self.tables = nn.ModuleList(nn.Embedding(n, width) for n in sizes.fields)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.5)  # type: ignore[arg-type]

    def logits(self, hidden: Float[Tensor, "*batch D"]) -> tuple[Tensor, ...]:
        """Scores of each field's choices."""
        return self.head(hidden).split(self.sizes.fields, -1)  # type: ignore[no-any-return]

    def choose(self, hidden: Float[Tensor, "*batch D"]) -> Int[Tensor, "*batch F"]:
        """The event with the highest scores."""
        return torch.stack([x.argmax(-1) for x in self.logits(hidden)], -1)

    def token(self, event: Int[Tensor, "*batch F"]) -> Float[Tensor, "*batch D"]:
        """The token of an event."""
        said = [table(event[..., i]) for i, table in enumerate(self.tables)]
        return torch.stack(said).sum(0)
