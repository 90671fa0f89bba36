"""A radiance field of six feature planes and two small networks (K-Planes, Fridovich-Keil et al., CVPR 2023).

A point's feature is, level by level, the product of bilinear look-ups in the planes xy, xz, yz, xt, yt and
zt; planes with time begin at 1, so that what stands still needs none of them. A network reads the density
and some geometry off the features, another the colour off the geometry and the direction of sight (the
paper's hybrid decoder). HexPlane (Cao & Johnson, CVPR 2023) differs in how the planes are joined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from clay4d.scenes.fields.kernels import look_up, scatter
from clay4d.scenes.fields.perceptron import GROUP, look_and_tell, padded
from clay4d.scenes.fields.vectors import LANES
from clay4d.scenes.motion.planes import Levels

DENSEST = 11.0
"""Logarithm of the greatest density; more would change nothing that can be seen."""
HARMONICS = 9
"""Spherical harmonics of the direction, degrees 0 to 2."""


class KPlanes(nn.Module):
    """Density and colour at places and times; places from −1 to 1 in the box, times too.

    Args of `__init__`: `resolution` and `time_resolution`, cells of the finest level; `features`,
    channels of a plane, a multiple of 16; `levels`, each with half the cells in space of the next;
    `width` of the networks; `geometry`, what the density's network tells the colour's.

    Raises:
        ValueError: channels that are no multiple of 16.

    >>> field = KPlanes(resolution=8, time_resolution=3, levels=1)
    >>> field.density(field.features(torch.zeros(5, 4)))[0].shape
    torch.Size([5])
    """

    kind = "k-planes"

    def __init__(
        self, *, resolution: int = 256, time_resolution: int = 64, features: int = 16,
        levels: int = 3, width: int = 64, geometry: int = 15,
    ) -> None:  # fmt: skip
        super().__init__()
        if features % LANES or features < LANES:
            raise ValueError(
                f"features got {features}; expected a multiple of {LANES}. Correct it."
            )
        self._options = {
            "resolution": resolution, "time_resolution": time_resolution, "features": features,
            "levels": levels, "width": width, "geometry": geometry,
        }  # fmt: skip
        cells = tuple(max(2, resolution >> (levels - 1 - k)) for k in range(levels))
        self.levels = Levels(cells, time_resolution, features)
        self.planes = nn.Parameter(torch.ones(self.levels.size))
        with torch.no_grad():
            for space, _ in self.levels.split(self.planes):
                space.uniform_(0.1, 0.5)
        self.body = nn.Linear(features * levels, width)
        self.body_out = nn.Linear(width, 1 + geometry)
        self.shade = nn.Linear(geometry + HARMONICS, width)
        self.shade_out = nn.Linear(width, 3)

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def tensors(self) -> dict[str, Tensor]:
        """Planes and networks by name."""
        return dict(self.state_dict(keep_vars=True))

    def features(self, points: Float[Tensor, "N 4"]) -> Float[Tensor, "N F"]:
        """What points find in the planes; outside −1 to 1 the border's. Only planes get gradients."""
        found: Tensor = LookUp.apply(points, self.planes, self.levels)
        return found

    def density(
        self, features: Float[Tensor, "N F"]
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, "N G"]]:
        """Density per half a side of the box, and the geometry that `colours` takes."""
        told = self.body_out(F.relu(self.body(features)))
        return torch.exp((told[:, 0] - 1).clamp(max=DENSEST)), told[:, 1:]

    def find_density(
        self, points: np.ndarray[Any, Any]
    ) -> tuple[Float[np.ndarray, "N F"], Float[np.ndarray, " N"]]:
        """As `features` and `density` of points [N, 4], in one pass, as numpy arrays, without gradients.

        >>> field = KPlanes(resolution=8, time_resolution=3, levels=1)
        >>> [x.shape for x in field.find_density(np.zeros((5, 4), np.float32))]
        [(5, 16), (5,)]
        """
        N, levels, columns = len(points), self.levels, self.levels.features * len(self.levels.cells)
        rows, told = np.empty((N + GROUP, columns), np.float32), np.empty(N, np.float32)
        firsts, cells = level_starts(levels)
        look_and_tell(
            points, self.planes.detach().numpy(), firsts, cells, levels.moments, levels.features,
            *padded(self.body, self.body_out.weight[0]), rows, told,
        )  # fmt: skip
        told += np.float32(self.body_out.bias[0].detach() - 1)
        return rows[:N], np.exp(np.minimum(told, np.float32(DENSEST), out=told), out=told)

    def colours(
        self, geometry: Float[Tensor, "N G"], harmonics: Float[Tensor, "N 9"]
    ) -> Float[Tensor, "N 3"]:
        """sRGB, 0 to 1, in directions given as `direction_harmonics`."""
        told = F.relu(self.shade(torch.cat([geometry, harmonics], 1)))
        return torch.sigmoid(self.shade_out(told))


def direction_harmonics(directions: Float[Tensor, "N 3"]) -> Float[Tensor, "N 9"]:
    """Real spherical harmonics of unit vectors, degrees 0 to 2.

    >>> [round(v, 3) for v in direction_harmonics(torch.tensor([[0.0, 0, 1]]))[0].tolist()[:4]]
    [0.282, 0.0, 0.489, 0.0]
    """
    x, y, z = directions.unbind(1)
    terms = [
        torch.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x,
        1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z,
        0.546274 * (x * x - y * y),
    ]  # fmt: skip
    return torch.stack(terms, 1)


def level_starts(levels: Levels) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where each level begins in the flat planes, and how many cells it has, for the kernels.

    >>> level_starts(Levels((2, 4), 3, 16))[0].tolist()
    [0, 480]
    """
    cells = np.array(levels.cells, np.int64)
    sizes = 3 * levels.features * cells * (cells + levels.moments)
    return np.cumsum(sizes) - sizes, cells


def find_features(
    points: np.ndarray[Any, Any], planes: Tensor, levels: Levels
) -> Float[np.ndarray, "N F"]:
    """What points [N, 4] find in flat planes, as numpy arrays and without gradients.

    >>> find_features(np.zeros((2, 4), np.float32), torch.ones(480), Levels((2,), 3, 16)).shape
    (2, 16)
    """
    out = np.empty((len(points), levels.features * len(levels.cells)), np.float32)
    firsts, cells = level_starts(levels)
    flat = planes.detach().numpy()
    look_up(points, flat, firsts, cells, levels.moments, levels.features, out)
    return out


def add_plane_gradient(
    points: np.ndarray[Any, Any], planes: Tensor, levels: Levels,
    above: np.ndarray[Any, Any], grad: np.ndarray[Any, Any],
) -> None:  # fmt: skip
    """Add to `grad`, flat as the planes, what the gradient `above` [N, F] of the features gives them.

    >>> grad = np.zeros(480, np.float32)
    >>> points, planes = np.zeros((1, 4), np.float32), torch.ones(480)
    >>> add_plane_gradient(points, planes, Levels((2,), 3, 16), np.ones((1, 16), np.float32), grad)
    >>> float(grad.sum())
    96.0
    """
    firsts, cells = level_starts(levels)
    flat = planes.detach().numpy()
    scatter(points, flat, firsts, cells, levels.moments, levels.features, above, grad)


class LookUp(torch.autograd.Function):
    """Features of points, level by level; only the planes get a gradient."""

    @staticmethod
    def forward(
        ctx: Any, points: Float[Tensor, "N 4"], planes: Float[Tensor, " P"], levels: Levels
    ) -> Float[Tensor, "N F"]:
        ctx.points, ctx.levels = points.detach().float().contiguous().numpy(), levels
        ctx.save_for_backward(planes)
        return torch.from_numpy(find_features(ctx.points, planes, levels))

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        (planes,) = ctx.saved_tensors
        grad = np.zeros(planes.numel(), np.float32)
        add_plane_gradient(ctx.points, planes, ctx.levels, above.contiguous().numpy(), grad)
        return None, torch.from_numpy(grad), None
