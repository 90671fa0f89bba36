"""The pixels that rays of training end in, drawn as a function of the seed and the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.scenes import Views
from clay4d.training.frames import generator

BUDGET = 1 << 30
"""Bytes of pictures held at once."""
STAY = 500
"""Steps for which the same pictures are held, where not all fit."""


@dataclass(frozen=True)
class Draw:
    """R pixels: which camera, where, and what they show."""

    which: Int[Tensor, " R"]
    xy: Float[Tensor, "R 2"]
    colours: Float[Tensor, "R 3"]
    """sRGB, not yet before a background where there is alpha."""
    alphas: Float[Tensor, " R"] | None
    jitter: Float[np.ndarray, " R"]
    """A draw from 0 to 1 for each ray."""


class PixelPool:
    """Pictures of a split in one array, or a part of them that changes every `STAY` steps."""

    def __init__(self, views: Views, *, seed: int, budget: int = BUDGET) -> None:
        self.views, self.seed = views, seed
        first = views.pixels(0)
        self.held = int(min(len(views), max(1, budget // first.nbytes)))
        self._pixels = np.empty((self.held, *first.shape), np.uint8)
        self._chosen: Any = None
        self._turn = -1

    def _hold(self, step: int) -> None:
        turn = step // STAY if self.held < len(self.views) else 0
        if turn == self._turn:
            return
        self._turn = turn
        chosen = torch.arange(self.held)
        if self.held < len(self.views):
            draws = generator(self.seed, 13, turn)
            chosen = torch.randperm(len(self.views), generator=draws)[: self.held]
        for place, index in enumerate(chosen.tolist()):
            self._pixels[place] = self.views.pixels(index)
        self._chosen = chosen

    def draw(self, step: int, count: int) -> Draw:
        """`count` pixels of all the pictures that are held, any of them as likely."""
        self._hold(step)
        draws = generator(self.seed, 11, step)
        height, width = self._pixels.shape[1:3]
        at = torch.randint(self.held * height * width, (count,), generator=draws)
        jitter = torch.rand(count, generator=draws).numpy()
        seen = torch.from_numpy(self._pixels.reshape(-1, self._pixels.shape[3])[at.numpy()])
        values = seen.float() / 255
        image, inside = at // (height * width), at % (height * width)
        xy = torch.stack([inside % width, inside // width], 1) + 0.5
        alphas = values[:, 3] if values.shape[1] == 4 else None
        return Draw(self._chosen[image], xy, values[:, :3], alphas, jitter)
