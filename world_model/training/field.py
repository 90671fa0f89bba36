"""Radiance fields of objects learn from pictures, on the slots of an encoder that is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from clay4d.world_model.decoders.radiance_field import all_pixels, draw_field
from clay4d.world_model.model.world_model import WorldModel
from clay4d.world_model.slots import PosedFrames
from clay4d.world_model.training.config import FieldConfig
from clay4d.world_model.training.stage import generator
from clay4d.world_model.worlds import WorldSet, stack_worlds

RIM = 4
"""Pixels beside objects that are drawn as often as objects."""
PLACE = 4
"""Of this stage's draws among all draws of a seed."""


class FieldStage:
    """The stage that trains the field decoder; encoder and stage stay as they are."""

    name = "field"
    shards = 1

    def __init__(
        self, config: FieldConfig, model: WorldModel, worlds: WorldSet, *, seed: int
    ) -> None:
        self.config, self.model, self.worlds, self.seed = config, model, worlds, seed
        self.steps, self.lr = config.steps, config.lr
        self.modules: Mapping[str, nn.Module] = {"field": model.field}

    def losses(self, step: int) -> dict[str, Tensor]:
        """Rays of one moment of a few worlds, half of them through objects or near."""
        draws = generator(self.seed, PLACE, step)
        chosen = torch.randint(0, len(self.worlds), (self.config.batch,), generator=draws).tolist()
        moments = len(self.worlds.read(chosen[0], cameras=[0]).times)
        first = int(torch.randint(0, moments, (1,), generator=draws))
        read = [self.worlds.read(i, frames=[first]) for i in chosen]
        frames = PosedFrames.from_worlds(
            stack_worlds(read, objects=self.model.config.encoder.objects)
        )
        with torch.no_grad():
            slots = self.model.encoder(frames)
        pixels = _pixels(frames, self.config.rays, draws)
        drawn = draw_field(self.model.field, self.model.decoder, slots, frames, pixels)
        column, row = pixels.long().unbind(-1)
        flat = row * frames.images.shape[-2] + column
        truth = frames.images.flatten(-3, -2).gather(-2, flat[..., None].expand(*flat.shape, 3))
        covered = (frames.masks.flatten(-2).gather(-1, flat) > 0).float()
        image = (drawn.colours - truth).abs().mean()
        mask = (drawn.alphas - covered).abs().mean()
        mse = (drawn.colours.detach() - truth).square().mean()
        return {"loss": image + 0.2 * mask, "mask": mask.detach(), "psnr": -10 * mse.log10()}

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Truth above, fields below; of two worlds, all cameras."""
        rows = []
        for index in range(min(2, len(self.worlds))):
            read = [self.worlds.read(index, frames=[3])]
            frames = PosedFrames.from_worlds(
                stack_worlds(read, objects=self.model.config.encoder.objects)
            )
            seen = draw_field(
                self.model.field, self.model.decoder, self.model.encoder(frames), frames, all_pixels(frames)
            )  # fmt: skip
            truth = frames.images[0, 0]
            for images in (truth, seen.colours[0, 0].unflatten(-2, truth.shape[1:3])):
                rows.append(torch.cat(list(images), 1))
        picture = (torch.cat(rows).clamp(0, 1) * 255 + 0.5).byte().numpy()
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{self.name}_{step:06d}.png")


def _pixels(frames: PosedFrames, count: int, draws: torch.Generator) -> Tensor:
    """Middles of random pixels of each picture: half of them on objects or up to `RIM` pixels beside.

    On both sides of an outline they are equally likely; were they drawn from what objects cover alone,
    fields would grow over their outlines.
    """
    covered = (frames.masks > 0).float().flatten(0, 2)[:, None]
    near = F.max_pool2d(covered, 2 * RIM + 1, stride=1, padding=RIM).flatten(1)
    share = near.mean(-1, keepdim=True).clamp(0.01, 0.99)
    weight = near / share + (1 - near) / (1 - share)
    index = torch.multinomial(weight, count, replacement=True, generator=draws)
    index = index.unflatten(0, frames.given.shape)
    width = frames.masks.shape[-1]
    return torch.stack([index % width + 0.5, index // width + 0.5], -1)
