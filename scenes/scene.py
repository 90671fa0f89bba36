"""The one door to everything that moves: `Scene.at(time)`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from clay4d.scenes.gaussians import Gaussians


@runtime_checkable
class Scene(Protocol):
    """Anything that can be asked for its Gaussians at a time; who made it does not matter.

    `FieldScene` and `ObjectFields` keep the same promise with a `RadianceField` in the place of Gaussians.

    >>> isinstance(object(), Scene)
    False
    """

    duration: float
    """Seconds from the first moment to the last; 0 if nothing moves."""
    background: tuple[float, float, float]
    """Colour behind everything."""

    def at(self, time: float) -> Gaussians:
        """The scene frozen `time` seconds after its start; defined at all times."""
        ...
