"""From slots to a small radiance field of each object, drawn by volume rendering before the stage.

The field itself, `ObjectField`, and how rays see it belong to scenes and renderers; here are its pictures
of many worlds at once, for training. The stage behind the objects is drawn by the rasteriser.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.objects import see_objects
from clay4d.scenes.fields.objects import ObjectField
from clay4d.scenes.rays import camera_centres, pixel_rays
from clay4d.world_model.decoders.draw import draw
from clay4d.world_model.decoders.gaussians import GaussianDecoder
from clay4d.world_model.slots import PosedFrames, Slots


@dataclass(frozen=True)
class FieldDrawn:
    """Colours and coverage along R rays of every picture."""

    colours: Float[Tensor, "N T C R 3"]
    """Over the stage."""
    alphas: Float[Tensor, "N T C R"]
    """How much the objects cover."""


def draw_field(
    field: ObjectField,
    stage: GaussianDecoder,
    slots: Slots,
    frames: PosedFrames,
    pixels: Float[Tensor, "N T C R 2"],
) -> FieldDrawn:
    """What rays through `pixels` of the frames' cameras see at the slots' moments."""
    seen = see_objects(
        field, slots.looks[:, None, None], slots.positions[:, :, None], slots.quats[:, :, None],
        camera_centres(frames.viewmats), pixel_rays(pixels, frames.viewmats, frames.Ks),
        present=slots.present[:, None, None],
    )  # fmt: skip
    behind = _behind(stage, slots, frames, pixels)
    return FieldDrawn(seen.colours + (1 - seen.alphas)[..., None] * behind, seen.alphas)


def all_pixels(frames: PosedFrames) -> Float[Tensor, "N T C R 2"]:
    """Middles of all pixels of pictures, row by row."""
    height, width = frames.masks.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], -1).expand(*frames.given.shape, -1, 2)


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
