"""Thoughts in words: each is one event of the scene's script, written before the answer.

The written chain of thought (Wei et al. 2022) that the continuous reasoners are compared with. An
event is one thought and one pass, as everywhere else; `world_model.script` turns it into English.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from clay4d.world_model.reasoners.thinker import Thinker


class Script(Thinker):
    """Every thought is the token of an event, and nothing else passes from thought to thought."""

    kind = "script"

    @property
    def writes(self) -> bool:
        """They are events."""
        return True

    def express(
        self, hidden: Float[Tensor, "N D"], step: int
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, "N F"] | None]:
        """The likeliest event."""
        event = self.writer.choose(hidden)
        return self.writer.token(event), event
