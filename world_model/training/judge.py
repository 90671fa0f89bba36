"""The judge of looks learns from crops of the worlds' pictures, sharp and blurred."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clay4d.world_model.judge.looks import NAMES, LooksJudge, crops_of
from clay4d.world_model.training.config import JudgeConfig
from clay4d.world_model.training.stage import generator
from clay4d.world_model.worlds import WorldSet

PLACE = 7
"""Of this stage's draws among all draws of a seed."""


class JudgeStage:
    """The stage that trains the judge on all objects of some moments."""

    name = "judge"
    shards = 1

    def __init__(
        self, config: JudgeConfig, judge: LooksJudge, worlds: WorldSet, *, seed: int
    ) -> None:
        self.config, self.judge, self.worlds, self.seed = config, judge, worlds, seed
        self.steps, self.lr = config.steps, config.lr
        self.modules: Mapping[str, nn.Module] = {"judge": judge}
        self.frames = worlds.read(0).masks.shape[0]

    def losses(self, step: int) -> dict[str, Tensor]:
        """Cross entropy of shape and, for what moves, colour."""
        draws = generator(self.seed, PLACE, step)
        crops, shapes, colours = [], [], []
        for i in torch.randint(0, len(self.worlds), (self.config.batch,), generator=draws).tolist():
            frame = int(torch.randint(0, self.frames, (1,), generator=draws))
            world = self.worlds.read(i, frames=[frame])
            images = torch.from_numpy(world.images[0]).float() / 255
            if float(torch.rand(1, generator=draws)) < 0.5:
                images = _blurred(images, float(torch.rand(1, generator=draws)))
            cut, seen = crops_of(images, torch.from_numpy(world.masks[0]), len(world.objects))
            for k, thing in enumerate(world.objects):
                crops.append(cut[seen[:, k], k])
                count = int(seen[:, k].sum())
                shapes += [NAMES["shape"].index(thing.shape)] * count
                moves = thing.role == "mover"
                colours += [NAMES["colour"].index(thing.colour) if moves else -1] * count
        said = self.judge(torch.cat(crops))
        shape, colour = torch.tensor(shapes).long(), torch.tensor(colours).long()
        # Sums, for there may be pictures in which nothing is large enough or nothing moves.
        loss = F.cross_entropy(said["shape"], shape, reduction="sum")
        loss = loss + F.cross_entropy(said["colour"], colour, ignore_index=-1, reduction="sum")
        loss = loss / max(len(shapes), 1)
        right = (said["shape"].argmax(1) == shape).sum() / max(len(shapes), 1)
        return {"loss": loss, "shape_right": right}

    def preview(self, folder: Path, step: int) -> None:
        """Nothing to draw; the curve says how often a single crop is read right."""


def _blurred(images: Tensor, amount: float) -> Tensor:
    """The pictures under a Gaussian of up to 0.8 pixels, as soft as splats draw them."""
    sigma = 0.3 + 0.5 * amount
    line = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma).square())
    kernel = (line[:, None] * line / line.sum() ** 2).expand(3, 1, 5, 5)
    moved = F.pad(images.permute(0, 3, 1, 2), (2, 2, 2, 2), mode="replicate")
    return F.conv2d(moved, kernel, groups=3).permute(0, 2, 3, 1)
