"""What a motion model is: it carries canonical Gaussians to a moment.

Raw per-Gaussian parameters are a dict of tensors with one row for each Gaussian: `means`, `quats`,
`scales` (logarithms), `opacities` (logits), `sh`, and what a motion model adds under names of its
own. Density control copies and removes rows of all of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

Raw = Mapping[str, Tensor]


@dataclass(frozen=True)
class Moved:
    """Where the Gaussians are at a moment, how large, and how much of their opacity is there then."""

    means: Float[Tensor, "N 3"]
    quats: Float[Tensor, "N 4"]
    presence: Float[Tensor, " N"] | None = None
    """Factor of the opacities, 0 to 1; None where all are there always."""
    scales: Float[Tensor, "N 3"] | None = None
    """Standard deviations along the turned axes, metres; None where the shapes stay."""


class Motion(Protocol):
    """A way for Gaussians to move; times are 0 at the scene's start and 1 at its end."""

    kind: str
    """Name in scene files and configs."""

    def options(self) -> dict[str, Any]:
        """What `__init__` was given, as JSON values."""
        ...

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """First values of the per-Gaussian parameters that this model adds."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The shared parameters, those that are not per Gaussian, by name."""
        ...

    def refresh(self, raw: Raw) -> None:
        """Bring what is derived from the Gaussians up to date after they were added, removed or moved."""
        ...

    def move(self, raw: Raw, time: float) -> Moved:
        """Means, rotations and what else changes, at a time; differentiable."""
        ...
