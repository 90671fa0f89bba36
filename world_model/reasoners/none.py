"""No thoughts: the answer follows the reading."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from clay4d.world_model.reasoners.thinker import Thinker


class NoThoughts(Thinker):
    """The transformer alone, with the others' parts; however many thoughts are asked for, it has none."""

    kind = "none"
    silent = True

    def express(
        self, hidden: Float[Tensor, "N D"], step: int
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, "N F"] | None]:
        """Never called: there are no thoughts.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("a reasoner without thoughts was asked for one")
