"""The whole model through the pixels: what was predicted is drawn and compared with what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from clay4d.world_model.decoders import draw
from clay4d.world_model.encoder.measure import measure
from clay4d.world_model.model.dynamics import Segment
from clay4d.world_model.model.world_model import WorldModel, whole_segment
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.training.config import TuneConfig
from clay4d.world_model.training.losses import pixel_losses
from clay4d.world_model.training.reasoning import next_loss
from clay4d.world_model.training.stage import generator
from clay4d.world_model.worlds import WorldSet, stack_worlds

PLACE = 3
"""Of this stage's draws among all draws of a seed."""
DRAWN = 2
"""Moments of each predicted segment that are drawn."""


class TuneStage:
    """Encoder, dynamics and decoder, trained together on the first segment and the next."""

    name = "tune"
    shards = 1

    def __init__(
        self, config: TuneConfig, model: WorldModel, worlds: WorldSet, *, seed: int
    ) -> None:
        self.config, self.model, self.worlds, self.seed = config, model, worlds, seed
        self.steps, self.lr = config.steps, config.lr
        self.modules: Mapping[str, nn.Module] = {
            "encoder": model.encoder, "dynamics": model.dynamics, "decoder": model.decoder,
        }  # fmt: skip

    def losses(self, step: int) -> dict[str, Tensor]:
        """See a segment, predict the next, draw it: the mode that fits best has to match the pixels."""
        draws, k = generator(self.seed, PLACE, step), self.model.config.reasoning.segment
        chosen = torch.randint(0, len(self.worlds), (self.config.batch,), generator=draws).tolist()
        moments = len(self.worlds.read(chosen[0], cameras=[0]).times)
        first = int(torch.randint(0, moments - 2 * k + 1, (1,), generator=draws))
        read = [self.worlds.read(i, frames=range(first, first + 2 * k)) for i in chosen]
        batch = stack_worlds(read, objects=self.model.config.encoder.objects)
        frames = PosedFrames.from_worlds(batch)
        seen = self.model.encoder(_between(frames, 0, k))
        with torch.no_grad():
            later = self.model.encoder(_between(frames, k, 2 * k))
        segment, loss, error = self._predict(seen, later, draws)
        now = sorted((k + torch.randperm(k, generator=draws)[:DRAWN]).tolist())
        truth = PosedFrames(**{n: v[:, now] for n, v in vars(frames).items()})
        ahead = [t - k for t in now]
        there = seen.present[:, None].expand(segment.positions[:, ahead].shape[:3])
        drawn_slots = Slots(
            seen.looks, seen.stage, segment.positions[:, ahead], segment.quats[:, ahead], there,
            seen.present, truth.times,
        )  # fmt: skip
        height, width = truth.masks.shape[-2:]
        drawn = draw(
            self.model.decoder, drawn_slots, truth.viewmats, truth.Ks, width=width, height=height
        )
        measured = measure(truth, objects=there.shape[-1])
        parts = pixel_losses(drawn, drawn_slots, truth, measured)
        total = parts.total(centroid=3.0) + 0.02 * loss
        mse = (drawn.images.detach() - truth.images).square().mean()
        return {"loss": total, "error": error, "psnr": -10 * mse.log10()}

    def _predict(
        self, seen: Slots, later: Slots, draws: torch.Generator
    ) -> tuple[Segment, Tensor, Tensor]:
        dynamics, config = self.model.dynamics, self.model.config.reasoning
        low, high = config.thoughts
        count = int(torch.randint(low, high + 1, (1,), generator=draws))
        segment = whole_segment(seen, config.segment)
        mind = dynamics.begin([""] * len(seen), seen.stage)
        mind = dynamics.read(mind, segment, seen.looks, seen.present, 0)
        _, mind = dynamics.reasoner.think(mind, count)
        futures = dynamics.next(mind, segment, seen.looks, seen.present, 0)
        loss, best, error = next_loss(futures, later, seen.present)
        return best, loss, error

    def preview(self, folder: Path, step: int) -> None:
        """Nothing of its own; `perception`'s previews show what the decoder draws."""


def _between(frames: PosedFrames, first: int, last: int) -> PosedFrames:
    return PosedFrames(**{k: v[:, first:last] for k, v in vars(frames).items()})
