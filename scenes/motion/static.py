"""Nothing moves."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.motion.base import Moved, Raw


class Static:
    """The motion of a scene that stands still."""

    kind = "static"

    def options(self) -> dict[str, Any]:
        """Nothing to choose."""
        return {}

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """Nothing to add."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Nothing shared."""
        return {}

    def refresh(self, raw: Raw) -> None:
        """Nothing is derived."""

    def move(self, raw: Raw, time: float) -> Moved:
        """The Gaussians as they are."""
        return Moved(raw["means"], raw["quats"])
