"""From slots to Gaussians: canonical ones for each object, carried by its pose, and a stage.

The shape is decoded in the object's own frame from its looks; a box with rounded edges, as large as the
masks' areas suggest, is where training starts: of a ball no rotation fits better than another, so from
there none would ever be learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.scenes.quaternions import multiply, normalise, rotate
from clay4d.world_model.slots import Slots


@dataclass(frozen=True)
class DecoderSize:
    """Dimensions of the decoder."""

    gaussians: int = 32
    """Of each object."""
    stage: int = 196
    """Of what is no object, a square number: a grid on the floor."""
    hidden: int = 128
    reach: float = 4.0
    """Half the side of the floor's grid, metres."""


@dataclass(frozen=True)
class Splats:
    """Gaussians of N pictures' scenes, with RGB in 0–1 in the place of harmonics."""

    means: Float[Tensor, "N G 3"]
    quats: Float[Tensor, "N G 4"]
    scales: Float[Tensor, "N G 3"]
    opacities: Float[Tensor, "N G"]
    colors: Float[Tensor, "N G 3"]


class GaussianDecoder(nn.Module):
    """Looks → canonical Gaussians, stage code → Gaussians on the floor and a background colour.

    >>> decoder = GaussianDecoder(DecoderSize(gaussians=4, stage=9), looks=8, stage=4)
    >>> decoder.objects(torch.zeros(2, 3, 8)).means.shape
    torch.Size([6, 4, 3])
    """

    box: Tensor
    grid: Tensor

    def __init__(self, size: DecoderSize, *, looks: int, stage: int) -> None:
        super().__init__()
        self.size = size
        self.shape = nn.Sequential(
            nn.Linear(looks, size.hidden), nn.GELU(), nn.Linear(size.hidden, size.hidden), nn.GELU(),
            nn.Linear(size.hidden, 3 + 14 * size.gaussians),
        )  # fmt: skip
        self.floor = nn.Sequential(
            nn.Linear(stage, size.hidden), nn.GELU(), nn.Linear(size.hidden, 3 + 10 * size.stage)
        )
        for net in (self.shape, self.floor):
            nn.init.normal_(net[-1].weight, std=0.01)  # type: ignore[arg-type]
            nn.init.zeros_(net[-1].bias)  # type: ignore[arg-type]
        self.register_buffer("box", torch.empty(size.gaussians, 3), persistent=False)
        self.register_buffer("grid", torch.empty(size.stage, 3), persistent=False)
        side = math.isqrt(size.stage)
        if side * side != size.stage:
            raise ValueError(f"stage got {size.stage} Gaussians; expected a square number.")
        # Sums of tensors without memory would load torch's compiler, 1.5 s long.
        if not self.box.is_meta:
            self.box.copy_(_rounded_box(size.gaussians))
            self.grid.copy_(_grid(side, size.reach))

    def objects(self, looks: Float[Tensor, "N B A"]) -> Splats:
        """Canonical Gaussians, objects of all worlds in one row: [N·B, G, …]."""
        flat = looks.flatten(0, 1)
        radius = flat[:, :1].clamp(-4, 1.5).exp()[:, None]
        told = self.shape(flat)
        stretch = told[:, None, :3].clamp(-3, 3).exp()
        part = told[:, 3:].unflatten(-1, (-1, 14))
        spread = 1.3 * self.size.gaussians**-0.5
        return Splats(
            radius * stretch * (0.7 * self.box + 0.5 * part[..., :3]),
            normalise(part[..., 3:7] + torch.tensor([1.0, 0, 0, 0])),
            radius * stretch.mean(-1, keepdim=True) * spread * (part[..., 7:10].clamp(-3, 2)).exp(),
            torch.sigmoid(part[..., 10] + 1.0),
            torch.sigmoid(part[..., 11:14] + flat[:, None, 1:4]),
        )

    def stage(self, code: Float[Tensor, "N S"]) -> tuple[Splats, Float[Tensor, "N 3"]]:
        """Gaussians of the floor, and the colour behind everything."""
        told = self.floor(code)
        part = told[:, 3:].unflatten(-1, (-1, 10))
        step = 2 * self.size.reach / max(round(self.size.stage**0.5) - 1, 1)
        flat = torch.tensor([0.7, 0.7, 0.02]) * step
        quats = torch.tensor([1.0, 0, 0, 0]).expand(*part.shape[:-1], 4)
        splats = Splats(
            self.grid + 0.3 * step * part[..., :3] * torch.tensor([1.0, 1.0, 0.2]), quats,
            flat * (part[..., 3:6].clamp(-3, 2)).exp(), torch.sigmoid(part[..., 6] + 2.0),
            torch.sigmoid(part[..., 7:10]),
        )  # fmt: skip
        return splats, torch.sigmoid(told[:, :3] + 1.0)

    def forward(self, slots: Slots) -> tuple[Splats, Float[Tensor, "N 3"]]:
        """Everything there is at every moment: rows [N·T, B·G + floor, …], and background colours.

        Objects come in the order of the slots, absent ones with zero opacity; the floor is last.
        """
        n, t, b = slots.positions.shape[:3]
        shape = self.objects(slots.looks)
        floor, behind = self.stage(slots.stage)
        posed = place(shape, slots.positions, slots.quats, slots.present)
        both = {
            k: torch.cat([v, getattr(floor, k).repeat_interleave(t, 0)], 1)
            for k, v in vars(posed).items()
        }
        return Splats(**both), behind.repeat_interleave(t, 0)


def place(
    shape: Splats,
    positions: Float[Tensor, "N T B 3"],
    quats: Float[Tensor, "N T B 4"],
    present: Bool[Tensor, "N B"],
) -> Splats:
    """Canonical Gaussians [N·B, G] in their poses: [N·T, B·G]."""
    n, t, b = positions.shape[:3]

    def spread(x: Tensor) -> Tensor:
        one: Tensor = x.unflatten(0, (n, 1, b))
        return one.expand(n, t, b, *x.shape[1:])

    turn = quats[:, :, :, None].expand(-1, -1, -1, shape.means.shape[1], -1)
    means = rotate(turn, spread(shape.means)) + positions[:, :, :, None]
    opacities = spread(shape.opacities) * present[:, None, :, None]
    moved = (
        means, multiply(turn, spread(shape.quats)), spread(shape.scales), opacities,
        spread(shape.colors),
    )  # fmt: skip
    return Splats(*(x.flatten(2, 3).flatten(0, 1) for x in moved))


def _fibonacci_sphere(count: int) -> Float[Tensor, "G 3"]:
    """Points spread evenly over the unit sphere (González 2010)."""
    k = torch.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = math.pi * (1 + 5**0.5) * k
    flat = (1 - z.square()).sqrt()
    return torch.stack([flat * torch.cos(angle), flat * torch.sin(angle), z], -1)


def _rounded_box(count: int) -> Float[Tensor, "G 3"]:
    """The same points drawn out to the surface |x|⁸ + |y|⁸ + |z|⁸ = c (Barr 1981), of mean radius 1."""
    points = _fibonacci_sphere(count)
    drawn = points / points.pow(8).sum(-1, keepdim=True).pow(1 / 8)
    scaled: Tensor = drawn / drawn.norm(dim=-1).mean()
    return scaled


def _grid(side: int, reach: float) -> Float[Tensor, "G 3"]:
    line = torch.linspace(-reach, reach, side)
    x, y = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), torch.zeros(side * side)], -1)
