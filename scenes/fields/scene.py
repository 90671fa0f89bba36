"""A scene that is a radiance field in a box, and where in space and time there is anything in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.scenes.fields.base import Corner
from clay4d.scenes.fields.kplanes import KPlanes, direction_harmonics

Cells = UInt8[np.ndarray, "B G G G"]


@dataclass
class FieldScene:
    """A radiance field that moves; `render` draws it by volume rendering.

    Raises:
        ValueError: a box that is none, or occupancy of another shape.

    >>> field = KPlanes(resolution=8, time_resolution=2, levels=1)
    >>> scene = FieldScene(field, torch.tensor([[-1.0, -1, -1], [1, 1, 1]]), all_occupied(2, 4))
    >>> scene.at(0.0).density(torch.zeros(3, 3)).shape
    torch.Size([3])
    """

    field: KPlanes
    bounds: Float[Tensor, "2 3"]
    """Lowest and highest corner of the box that holds the scene, metres; outside is nothing."""
    occupied: Cells
    """1 where there is something: [moment, x, y, z], moments of equal length over the duration."""
    duration: float = 0.0
    """Seconds from the first moment to the last; 0 if nothing moves."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Colour behind everything."""
    steps: int = 256
    """Steps of a ray along the box's longest side."""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if tuple(self.bounds.shape) != (2, 3) or not bool((low < high).all()):
            raise ValueError(
                f"bounds got {self.bounds.tolist()}; expected a lowest and a highest corner."
            )
        shape = self.occupied.shape
        if len(shape) != 4 or shape[1:] != (shape[3],) * 3 or self.occupied.dtype != np.uint8:
            raise ValueError(f"occupied got {list(shape)}; expected uint8 [B, G, G, G].")

    @property
    def extent(self) -> float:
        """Half the longest side of the box, metres: the unit of the field's densities."""
        return float((self.bounds[1] - self.bounds[0]).max()) / 2

    @property
    def step(self) -> float:
        """Length of a ray's step, metres."""
        return 2 * self.extent / self.steps

    def share(self, time: float) -> float:
        """A time in seconds as a share of the duration, 0 to 1 inside it."""
        return min(max(time / self.duration, 0.0), 1.0) if self.duration > 0 else 0.0

    def at(self, time: float) -> PlanesField:
        """The field frozen `time` seconds after the start; the first or last moment outside."""
        return PlanesField(self, self.share(time))

    def occupied_points(self, time: float) -> Float[Tensor, "N 3"]:
        """Middles of the cells that hold something at a time, metres; the box's middle if none does.

        >>> field = KPlanes(resolution=8, time_resolution=2, levels=1)
        >>> box = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
        >>> FieldScene(field, box, all_occupied(1, 4)).occupied_points(0.0).shape
        torch.Size([64, 3])
        """
        bins, grid = len(self.occupied), self.occupied.shape[1]
        cells = self.occupied[min(int(self.share(time) * bins), bins - 1)]
        places = torch.from_numpy(np.argwhere(cells)).float()
        low, high = self.bounds
        if not len(places):
            places = torch.full((1, 3), grid / 2 - 0.5)
        middles: Tensor = low + (places + 0.5) / grid * (high - low)
        return middles

    def within(self, low: Corner, high: Corner) -> FieldScene:
        """The same scene with nothing outside a box, to the cell."""
        occupied, (first, last) = self.occupied.copy(), self.bounds
        grid = occupied.shape[1]
        for axis in range(3):
            size = (last[axis] - first[axis]) / grid
            middles = first[axis] + (torch.arange(grid) + 0.5) * size
            out = (middles < low[axis]) | (middles > high[axis])
            occupied[(slice(None),) * (axis + 1) + (out.numpy(),)] = 0
        return replace(self, occupied=occupied)


@dataclass(frozen=True)
class PlanesField:
    """A field at one moment: density and colour at points."""

    scene: FieldScene
    share: float
    """The moment, 0 at the scene's start and 1 at its end."""

    def _features(self, points: Float[Tensor, "N 3"]) -> Tensor:
        low, high = self.scene.bounds
        place = (points - low) / (high - low) * 2 - 1
        time = torch.full((len(points), 1), 2 * self.share - 1)
        return self.scene.field.features(torch.cat([place, time], 1))

    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
        """Density at points in metres, per metre; 0 outside the box. What a metre of it lets pass is
        e to the minus that."""
        low, high = self.scene.bounds
        inside = ((points >= low) & (points <= high)).all(1)
        found, _ = self.scene.field.density(self._features(points))
        density: Tensor = found / self.scene.extent * inside
        return density

    def colours(
        self, points: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"]
    ) -> Float[Tensor, "N 3"]:
        """sRGB at points seen along unit vectors that point away from the eye."""
        _, geometry = self.scene.field.density(self._features(points))
        return self.scene.field.colours(geometry, direction_harmonics(directions))


def all_occupied(moments: int, cells: int) -> Cells:
    """Occupancy that holds everything: [moments, cells, cells, cells].

    >>> int(all_occupied(1, 2).sum())
    8
    """
    full: np.ndarray[Any, Any] = np.ones((moments, cells, cells, cells), np.uint8)
    return full
