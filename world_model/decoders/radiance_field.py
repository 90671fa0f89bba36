"""From slots to a small radiance field of each object, drawn by volume rendering.

Density and colour at a point of an object's own frame, from its looks; rays are marched through the
objects' bounding spheres only, and all samples of a ray are blended in the order of their depth. The
stage behind the objects is drawn by the rasteriser.

Source: Mildenhall et al. 2020 (NeRF), equations 3 and 4; Max 1995 (the quadrature).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.scenes.quaternions import conjugate, rotate
from clay4d.world_model.decoders.draw import draw
from clay4d.world_model.decoders.gaussians import GaussianDecoder
from clay4d.world_model.encoder.rays import camera_centres, pixel_rays
from clay4d.world_model.slots import PosedFrames, Slots

BOUND = 2.5
"""Radius of the sphere that holds an object, in radii that its masks' areas suggest."""


@dataclass(frozen=True)
class FieldSize:
    """Dimensions of the field."""

    hidden: int = 64
    octaves: int = 3
    """Of the sines and cosines of a point's coordinates."""
    samples: int = 16
    """Along a ray's way through an object's sphere."""


class FieldDecoder(nn.Module):
    """Looks → density and colour at points in an object's frame, in units of its radius.

    >>> _ = torch.manual_seed(0)
    >>> field = FieldDecoder(FieldSize(hidden=8), looks=6)
    >>> density, colour = field(torch.tensor([[0.0, 0, 0], [2.4, 0, 0]]), torch.zeros(2, 6))
    >>> bool(density[0] > 10 * density[1]), colour.shape
    (True, torch.Size([2, 3]))
    """

    def __init__(self, size: FieldSize, *, looks: int) -> None:
        super().__init__()
        self.size = size
        self.point = nn.Linear(3 + 6 * size.octaves, size.hidden)
        self.look = nn.Linear(looks, size.hidden, bias=False)
        self.middle = nn.Linear(size.hidden, size.hidden)
        self.out = nn.Linear(size.hidden, 4)
        nn.init.normal_(self.out.weight, std=0.05)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, points: Float[Tensor, "P 3"], looks: Float[Tensor, "P A"]
    ) -> tuple[Float[Tensor, " P"], Float[Tensor, "P 3"]]:
        """Density for each radius of way, and sRGB; training starts from a ball of that radius."""
        rates = torch.pi * 2.0 ** torch.arange(self.size.octaves) / BOUND
        waves = (points[:, None] * rates[:, None]).flatten(1)
        state = self.point(torch.cat([points, waves.sin(), waves.cos()], -1)) + self.look(looks)
        told = self.out(F.gelu(self.middle(F.gelu(state))))
        ball = 12 * (0.95 - points.norm(dim=-1))
        density = 4 * F.softplus(8 * told[:, 0] + ball)
        return density, torch.sigmoid(told[:, 1:] + looks[:, 1:4])


@dataclass(frozen=True)
class FieldDrawn:
    """Colours and coverage along R rays of every picture."""

    colours: Float[Tensor, "N T C R 3"]
    """Over the stage."""
    alphas: Float[Tensor, "N T C R"]
    """How much the objects cover."""


def draw_field(
    field: FieldDecoder,
    stage: GaussianDecoder,
    slots: Slots,
    frames: PosedFrames,
    pixels: Float[Tensor, "N T C R 2"],
) -> FieldDrawn:
    """What rays through `pixels` of the frames' cameras see at the slots' moments."""
    density, colour, depth = _samples(field, slots, frames, pixels)
    order = depth.argsort(-1)
    density, depth = density.gather(-1, order), depth.gather(-1, order)
    colour = colour.gather(-2, order[..., None].expand(colour.shape))
    # Density is given for each sample's whole stretch, so a sample covers 1 − e^−density.
    through = torch.exp(-(density.cumsum(-1) - density))
    weight = through * (1 - torch.exp(-density))
    alphas = weight.sum(-1)
    behind = _behind(stage, slots, frames, pixels)
    colours = (weight[..., None] * colour).sum(-2) + (1 - alphas)[..., None] * behind
    return FieldDrawn(colours, alphas)


def _samples(
    field: FieldDecoder, slots: Slots, frames: PosedFrames, pixels: Float[Tensor, "N T C R 2"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Density times stretch [N,T,C,R,B·S], colours and depths of all samples; zeros where rays miss."""
    rays = pixel_rays(pixels, frames.viewmats, frames.Ks)[..., None, :]
    origins = camera_centres(frames.viewmats)[..., None, None, :]
    places, turns = slots.positions[:, :, None, None], slots.quats[:, :, None, None]
    radius = slots.looks[..., 0].clamp(-4, 1.5).exp()[:, None, None, None]
    shape = torch.broadcast_shapes(rays.shape, places.shape)
    back = conjugate(turns).expand(*shape[:-1], 4)
    start = rotate(back, (origins - places).expand(shape)) / radius[..., None]
    way = rotate(back, rays.expand(shape))
    middle = -(start * way).sum(-1)
    square = BOUND**2 - (start + middle[..., None] * way).square().sum(-1)
    half = square.clamp_min(1e-6).sqrt()
    hit = (square > 0) & (middle > 0) & slots.present[:, None, None, None]
    count = field.size.samples
    steps = (torch.arange(count) + 0.5) / count * 2 - 1
    along = middle[..., None] + half[..., None] * steps
    points = start[..., None, :] + along[..., None] * way[..., None, :]
    chosen = hit[..., None].expand(along.shape)
    looks = slots.looks[:, None, None, None, :, None].expand(*along.shape, -1)
    density, colour = field(points[chosen], looks[chosen])
    stretch = (2 * half / count)[..., None].expand(along.shape)
    full = _scatter(density * stretch[chosen], chosen)
    colours = torch.zeros(*along.shape, 3).masked_scatter(chosen[..., None], colour)
    depth = torch.where(chosen, along * radius[..., None], torch.inf)
    return full.flatten(-2), colours.flatten(-3, -2), depth.flatten(-2)


def _scatter(values: Float[Tensor, " P"], chosen: Bool[Tensor, "*batch"]) -> Tensor:
    return torch.zeros(chosen.shape).masked_scatter(chosen, values)


@torch.no_grad()
def _behind(
    stage: GaussianDecoder, slots: Slots, frames: PosedFrames, pixels: Float[Tensor, "N T C R 2"]
) -> Float[Tensor, "N T C R 3"]:
    """Colours of the stage without objects."""
    height, width = frames.images.shape[-3:-1]
    empty = replace(slots, present=torch.zeros_like(slots.present))
    seen = draw(stage, empty, frames.viewmats, frames.Ks, width=width, height=height).images
    column, row = pixels.long().unbind(-1)
    flat = (row * width + column)[..., None].expand(*row.shape, 3)
    return seen.flatten(-3, -2).gather(-2, flat)
