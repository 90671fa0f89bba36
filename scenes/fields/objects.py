"""A radiance field of rigid things: density and colour in each one's own frame, carried along its path.

One small network serves all things; what it gives at a point depends on the looks of the thing (Mildenhall
et al., ECCV 2020, with the latent code of Schwarz et al. 2020, GRAF). Densities of things add up. The stage,
what is no thing, stays Gaussians and is drawn behind all of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.scenes.fields.base import Corner
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.motion.rigid_paths import RigidPaths
from clay4d.scenes.quaternions import conjugate, rotate

BOUND = 2.5
"""Radius of the sphere that holds a thing, in the thing's own radii."""


@dataclass(frozen=True)
class FieldSize:
    """Dimensions of the network.

    Raises:
        ValueError: sizes that no network has.
    """

    hidden: int = 64
    octaves: int = 3
    """Of the sines and cosines of a point's coordinates."""
    samples: int = 16
    """Along a ray's way through a thing's sphere."""

    def __post_init__(self) -> None:
        for name, low, high in (("hidden", 1, 1 << 16), ("octaves", 0, 16), ("samples", 1, 256)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} got {value!r}; expected {low} to {high}. Correct it.")


class ObjectField(nn.Module):
    """Looks → density and colour at points of a thing's frame, in units of its radius.

    Looks are the logarithm of the radius in metres, logits of the mean colour, then what was learned.

    Raises:
        ValueError: looks that have no room for these.

    >>> _ = torch.manual_seed(0)
    >>> field = ObjectField(FieldSize(hidden=8), looks=6)
    >>> density, colour = field(torch.tensor([[0.0, 0, 0], [2.4, 0, 0]]), field.codes(torch.zeros(2, 6)))
    >>> bool(density[0] > 10 * density[1]), colour.shape
    (True, torch.Size([2, 3]))
    """

    kind = "objects"

    def __init__(self, size: FieldSize, *, looks: int) -> None:
        super().__init__()
        if not isinstance(looks, int) or looks < 4:
            raise ValueError(f"looks got {looks!r}; expected at least 4. Correct it.")
        self.size, self.looks = size, looks
        self.point = nn.Linear(3 + 6 * size.octaves, size.hidden)
        self.look = nn.Linear(looks, size.hidden, bias=False)
        self.middle = nn.Linear(size.hidden, size.hidden)
        self.out = nn.Linear(size.hidden, 4)
        nn.init.normal_(self.out.weight, std=0.05)
        nn.init.zeros_(self.out.bias)

    def options(self) -> dict[str, Any]:
        """Sizes of all layers."""
        return asdict(self.size) | {"looks": self.looks}

    def tensors(self) -> dict[str, Tensor]:
        """The network by name."""
        return dict(self.state_dict(keep_vars=True))

    def codes(self, looks: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch D"]:
        """What the network needs of looks, once for all points of a thing."""
        return torch.cat([self.look(looks), looks[..., 1:4]], -1)

    def forward(
        self, points: Float[Tensor, "*batch 3"], codes: Float[Tensor, "*batch D"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3"]]:
        """Density for each radius of way, and sRGB; training starts from a ball of that radius."""
        rates = torch.pi * 2.0 ** torch.arange(self.size.octaves) / BOUND
        waves = (points[..., None, :] * rates[:, None]).flatten(-2)
        state = self.point(torch.cat([points, waves.sin(), waves.cos()], -1)) + codes[..., :-3]
        told = self.out(F.gelu(self.middle(F.gelu(state))))
        ball = 12 * (0.95 - points.norm(dim=-1))
        density = 4 * F.softplus(8 * told[..., 0] + ball)
        return density, torch.sigmoid(told[..., 1:] + codes[..., -3:])


def radii(looks: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch"]:
    """Radii that looks tell, metres.

    >>> radii(torch.zeros(1, 4)).tolist()
    [1.0]
    """
    return looks[..., 0].clamp(-4, 1.5).exp()


@dataclass
class ObjectFields:
    """Things that are radiance fields, on rigid paths, before a stage of Gaussians that stands still.

    Raises:
        ValueError: looks, paths and network that do not fit each other.

    >>> field, paths = ObjectField(FieldSize(hidden=8), looks=4), RigidPaths(objects=1, knots=2)
    >>> stage = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3))
    >>> scene = ObjectFields(field, torch.zeros(1, 4), paths, stage, duration=1.0)
    >>> scene.at(0.5).density(torch.tensor([[0.0, 0, 0], [0, 0, 3]])).gt(0).tolist()
    [True, False]
    """

    field: ObjectField
    looks: Float[Tensor, "O A"]
    paths: RigidPaths
    stage: Gaussians
    """Behind all things, also where one looks from the other side."""
    duration: float = 0.0
    """Seconds from the first moment to the last; 0 if nothing moves."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Colour behind everything."""
    bounds: tuple[Corner, Corner] | None = None
    """Lowest and highest corner of a box outside which nothing is shown, metres."""

    def __post_init__(self) -> None:
        wanted = (len(self.paths.positions), self.field.looks)
        if tuple(self.looks.shape) != wanted:
            raise ValueError(f"looks got {list(self.looks.shape)}; expected {list(wanted)}.")

    def at(self, time: float) -> PosedObjects:
        """The things frozen `time` seconds after the start; the first or last moment outside."""
        return PosedObjects(self, *self.paths.poses(self._share(time)))

    def _share(self, time: float) -> float:
        return time / self.duration if self.duration > 0 else 0.0

    def occupied_points(self, time: float) -> Float[Tensor, "N 3"]:
        """Each thing's middle and the ends of its radii along the axes at a time, metres; where the stage
        is, if there is no thing."""
        centres = self.at(time).positions
        if not len(centres):
            return self.stage.means if len(self.stage) else torch.zeros(1, 3)
        ends = torch.cat([torch.zeros(1, 3), torch.eye(3), -torch.eye(3)])
        reach = radii(self.looks)[:, None, None] * ends
        return (centres[:, None] + reach).flatten(0, 1).detach()

    def within(self, low: Corner, high: Corner) -> ObjectFields:
        """The same scene with nothing outside a box; of the stage, Gaussians go by their centres."""
        return replace(self, stage=self.stage.within(low, high), bounds=(low, high))


@dataclass(frozen=True)
class PosedObjects:
    """Things at one moment: density and colour at points; the stage is not among them."""

    scene: ObjectFields
    positions: Float[Tensor, "O 3"]
    """Middles of the things, metres."""
    quats: Float[Tensor, "O 4"]
    """Thing to world, wxyz, unit."""

    def _told(self, points: Float[Tensor, "N 3"]) -> tuple[Tensor, Tensor]:
        """Density per metre [N, O] and colour [N, O, 3] of each thing at points."""
        scene, size = self.scene, radii(self.scene.looks)
        away = points[:, None] - self.positions
        local = rotate(conjugate(self.quats).expand(*away.shape[:2], 4), away) / size[:, None]
        inside = local.norm(dim=-1) < BOUND
        inside &= inside_box(points, scene.bounds)[:, None]
        which = inside.nonzero()[:, 1]
        found, colour = scene.field(local[inside], scene.field.codes(scene.looks)[which])
        density = points.new_zeros(inside.shape).masked_scatter(inside, found / size[which])
        colours = points.new_zeros(*inside.shape, 3).masked_scatter(inside[..., None], colour)
        return density, colours

    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
        """Density at points in metres, per metre: the sum of all things'."""
        return self._told(points)[0].sum(1)

    def colours(
        self, points: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"]
    ) -> Float[Tensor, "N 3"]:
        """sRGB at points, the things' by their densities; the same from all directions."""
        density, colours = self._told(points)
        share = density / density.sum(1, keepdim=True).clamp_min(1e-12)
        return (share[..., None] * colours).sum(1)


def inside_box(
    points: Float[Tensor, "*batch 3"], bounds: tuple[Corner, Corner] | None
) -> Bool[Tensor, "*batch"]:
    """Which points lie in a box; all of them if there is none.

    >>> inside_box(torch.tensor([[0.0, 0, 0], [2, 0, 0]]), ((-1, -1, -1), (1, 1, 1))).tolist()
    [True, False]
    """
    if bounds is None:
        return torch.ones(points.shape[:-1], dtype=torch.bool)
    low, high = (points.new_tensor(corner) for corner in bounds)
    return ((points >= low) & (points <= high)).all(-1)
