"""Recycled hidden states: a thought is the last layer's state where the last one was taken in.

Source: Hao et al. 2024 (COCONUT). Published notes on its code say that recycled states are much longer
than embeddings and drown them; here the normalised state has a learned length.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Thinker
from clay4d.world_model.reasoners.transformer import Size


class Recycled(Thinker):
    """Every thought is the state after the one before it, times one learned number."""

    kind = "recycled"

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.gain = nn.Parameter(torch.tensor(1.0))

    def express(
        self, hidden: Float[Tensor, "N D"], step: int
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, "N F"] | None]:
        """The state itself."""
        return self.gain * hidden, None
