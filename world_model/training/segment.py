"""Which pixels are objects, learned from the worlds' masks, for contexts that have none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clay4d.world_model.encoder.segmenter import Segmenter
from clay4d.world_model.training.config import SegmentConfig
from clay4d.world_model.training.stage import generator
from clay4d.world_model.worlds import WorldSet

PLACE = 5
"""Of this stage's draws among all draws of a seed."""
OBJECTS_COUNT = 3.0
"""How much more a pixel of an object weighs than one of the stage, which has twenty times as many."""


class SegmentStage:
    """The stage that trains the segmenter on single pictures."""

    name = "segment"
    shards = 1

    def __init__(
        self, config: SegmentConfig, segmenter: Segmenter, worlds: WorldSet, *, seed: int
    ) -> None:
        self.config, self.segmenter, self.worlds, self.seed = config, segmenter, worlds, seed
        self.steps, self.lr = config.steps, config.lr
        self.modules: Mapping[str, nn.Module] = {"segmenter": segmenter}
        self.shape = worlds.read(0).masks.shape[:2]
        """Frames and cameras of a world."""

    def losses(self, step: int) -> dict[str, Tensor]:
        """Cross entropy over all pixels of a few pictures, and how well masks agree."""
        draws = generator(self.seed, PLACE, step)
        images, masks = [], []
        for i in torch.randint(0, len(self.worlds), (self.config.batch,), generator=draws).tolist():
            frame, camera = torch.randint(0, 1 << 20, (2,), generator=draws).tolist()
            frames, cameras = self.shape
            world = self.worlds.read(i, frames=[frame % frames], cameras=[camera % cameras])
            images.append(torch.from_numpy(world.images[0, 0]).float() / 255)
            masks.append(torch.from_numpy(world.masks[0, 0] > 0))
        truth = torch.stack(masks)
        logits = self.segmenter(torch.stack(images))
        loss = F.binary_cross_entropy_with_logits(
            logits, truth.float(), pos_weight=torch.tensor(OBJECTS_COUNT)
        )
        guess = logits > 0
        iou = (guess & truth).sum() / (guess | truth).sum().clamp_min(1)
        return {"loss": loss, "iou": iou}

    def preview(self, folder: Path, step: int) -> None:
        """Nothing to draw; the curve of `iou` says how far it is."""
