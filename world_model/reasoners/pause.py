"""Pause tokens: thoughts without content, each with a pass of its own.

The control for recycled states: the same number of passes, in the same order, and nothing carried.
Source: Goyal et al. 2024 (pause tokens); "pause as thought" in Hao et al. 2024 (COCONUT).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Thinker
from clay4d.world_model.reasoners.transformer import Size


class Pause(Thinker):
    """Every thought is one learned embedding, whatever was read."""

    kind = "pause"

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.pause = nn.Parameter(torch.randn(size.width) * 0.5)

    def express(
        self, hidden: Float[Tensor, "N D"], step: int
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, "N F"] | None]:
        """The embedding, which does not depend on the state."""
        return self.pause.expand(len(hidden), -1), None
