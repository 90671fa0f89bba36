"""What a radiance field is, whoever made it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Corner = tuple[float, float, float]
"""A place, metres."""


@runtime_checkable
class RadianceField(Protocol):
    """Density and colour at points, at one moment; what `.at(time)` of a scene of fields gives.

    >>> isinstance(object(), RadianceField)
    False
    """

    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
        """Density at points in metres, per metre. What a metre of it lets pass is e to the minus that."""
        ...

    def colours(
        self, points: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"]
    ) -> Float[Tensor, "N 3"]:
        """sRGB at points seen along unit vectors that point away from the eye."""
        ...
