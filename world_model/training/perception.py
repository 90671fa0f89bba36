"""Pixels → slots: encoder and decoder learn from pictures, masks and cameras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from clay4d.world_model.decoders import GaussianDecoder, draw
from clay4d.world_model.encoder import Encoder
from clay4d.world_model.encoder.crops import cut_out
from clay4d.world_model.encoder.measure import measure
from clay4d.world_model.slots import PosedFrames
from clay4d.world_model.training.config import PerceptionConfig
from clay4d.world_model.training.losses import pixel_losses, state_loss
from clay4d.world_model.training.stage import generator
from clay4d.world_model.training.turns import try_turns
from clay4d.world_model.worlds import WorldBatch, WorldSet, stack_worlds

PLACE = 1
"""Of this stage's draws among all draws of a seed."""


class PerceptionStage:
    """The stage that trains encoder and decoder; all draws depend on seed and step."""

    name = "perception"
    shards = 1

    def __init__(
        self,
        config: PerceptionConfig,
        worlds: WorldSet,
        encoder: Encoder,
        decoder: GaussianDecoder,
        *,
        seed: int,
    ) -> None:
        self.config, self.worlds, self.seed = config, worlds, seed
        self.encoder, self.decoder = encoder, decoder
        self.steps, self.lr = config.steps, config.lr
        self.modules: Mapping[str, nn.Module] = {"encoder": encoder, "decoder": decoder}

    def losses(self, step: int) -> dict[str, Tensor]:
        """Encode a few moments seen by some cameras, draw some of them for all cameras."""
        config, draws = self.config, generator(self.seed, PLACE, step)
        batch, frames = self._batch(step, draws)
        slots, proposed = self.encoder.propose(frames.only(some_pictures(frames, draws)))
        chosen = torch.randperm(frames.times.shape[1], generator=draws)[: config.drawn].tolist()
        truth = PosedFrames(**{k: v[:, chosen] for k, v in vars(frames).items()})
        height, width = truth.masks.shape[-2:]
        objects = self.encoder.size.objects
        turned = try_turns(
            self.decoder, slots.at(chosen), proposed.at(chosen), truth,
            cut_out(truth, objects=objects), draws,
        )  # fmt: skip
        drawn = draw(
            self.decoder, turned.slots, truth.viewmats, truth.Ks, width=width, height=height
        )
        measured = measure(truth, objects=objects)
        parts = pixel_losses(drawn, turned.slots, truth, measured)
        early = step // self.shards < config.geometry * config.steps
        total = parts.total(
            mask=config.mask_weight, centroid=(10 if early else 1) * config.centroid_weight
        )
        total = (
            total
            + config.crop_weight * turned.crops
            + config.turn_weight * (turned.turn + 0.1 * turned.score)
        )
        if config.supervision == "states":
            total = total + state_loss(slots, batch.positions, batch.quats)
        mse = (drawn.images.detach() - truth.images).square().mean()
        return {
            "loss": total, "image": parts.image.detach(), "mask": parts.mask.detach(),
            "centroid": parts.centroid.detach(), "psnr": -10 * mse.log10(),
            "crops": turned.crops.detach(), "better": turned.share, "score": turned.score.detach(),
        }  # fmt: skip

    def _batch(self, step: int, draws: torch.Generator) -> tuple[WorldBatch, PosedFrames]:
        """Worlds of an endless shuffle, each from a moment of its own on."""
        count, size = len(self.worlds), self.config.batch
        read = []
        for k in range(step * size, (step + 1) * size):
            which = int(self.worlds.order(seed=self.seed, epoch=k // count)[k % count])
            moments = self._moments(which)
            span = min(self.config.frames, moments)
            first = int(torch.randint(0, moments - span + 1, (1,), generator=draws))
            read.append(self.worlds.read(which, frames=range(first, first + span)))
        batch = stack_worlds(read, objects=self.encoder.size.objects)
        return batch, PosedFrames.from_worlds(batch)

    def _moments(self, index: int) -> int:
        if not hasattr(self, "_count"):
            self._count = len(self.worlds.read(index, cameras=[0]).times)
        return self._count

    @torch.no_grad()
    def preview(self, folder: Path, step: int) -> None:
        """Truth above, what was seen and drawn again below; of three worlds, all cameras."""
        chosen = range(min(3, len(self.worlds)))
        read = [self.worlds.read(i, frames=range(0, 4)) for i in chosen]
        frames = PosedFrames.from_worlds(stack_worlds(read, objects=self.encoder.size.objects))
        height, width = frames.masks.shape[-2:]
        slots = self.encoder(frames)
        drawn = draw(
            self.decoder, slots.at([3]), frames.viewmats[:, 3:], frames.Ks[:, 3:], width=width, height=height
        )  # fmt: skip
        rows = []
        for n in range(len(read)):
            for images in (frames.images[n, 3], drawn.images[n, 0]):
                rows.append(torch.cat(list(images), 1))
        picture = (torch.cat(rows).clamp(0, 1) * 255 + 0.5).byte().numpy()
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{self.name}_{step:06d}.png")


def some_pictures(frames: PosedFrames, draws: torch.Generator) -> Tensor:
    """Which pictures the encoder sees: in half of the worlds all cameras, else a random few."""
    n, t, c = frames.given.shape
    cameras = torch.rand(n, c, generator=draws) < 0.5
    first = torch.randint(0, c, (n, 1), generator=draws)
    cameras = cameras.scatter(1, first, True)
    every = torch.rand(n, 1, generator=draws) < 0.5
    return (cameras | every)[:, None].expand(n, t, c)
