"""Training pictures at the size of the moment, in an order that is a function of the seed."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes import Views
from clay4d.training.priors import smaller_depth

BUDGET = 600 << 20
"""Bytes of resized pictures kept."""


def generator(seed: int, *what: int) -> torch.Generator:
    """A generator whose draws depend on the seed and on what they are for, and on nothing before.

    Steps need no saved random state then: a resumed run draws what the whole run would have drawn.
    """
    mixed = seed & 0xFFFFFFFFFFFFFFFF
    for value in what:
        # SplitMix64 (Steele et al. 2014).
        mixed = (mixed ^ value) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed >> 1)


class Frames:
    """Pictures of a split by step: every picture once an epoch, each epoch in an order of its own."""

    def __init__(self, views: Views, *, seed: int, budget: int = BUDGET) -> None:
        self.views, self.seed, self.budget = views, seed, budget
        self._kept: OrderedDict[tuple[int, float, str], Tensor] = OrderedDict()
        self._bytes = 0
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def index(self, step: int) -> int:
        """Which picture a step sees."""
        epoch, place = divmod(step, len(self.views))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.randperm(len(self.views), generator=generator(self.seed, 1, epoch))
        return int(self._order[place])

    def image(self, index: int, size: float) -> Float[Tensor, "H W 3"]:
        """Picture `index`, averaged down to `size` times its width and height."""
        return self._resized(index, size, "image")

    def mask(self, index: int, size: float) -> Float[Tensor, "H W"]:
        """The mask of picture `index`, averaged down alike.

        Raises:
            ValueError: the picture has none.
        """
        return self._resized(index, size, "mask")[..., 0]

    def depth(self, index: int, size: float) -> Float[Tensor, "H W"]:
        """The known depth of picture `index`, averaged down where it is known, 0 where it is not.

        A picture without any has zeros: not every picture of a set needs its depth.
        """
        key = (index, size, "depth")
        if key not in self._kept:
            depth, cameras = self.views[index].depth, self.views.cameras.resized(size)
            if depth is None:
                return torch.zeros(cameras.height, cameras.width)
            self._keep(key, smaller_depth(depth, cameras.height, cameras.width))
        self._kept.move_to_end(key)
        return self._kept[key]

    def _resized(self, index: int, size: float, what: str) -> Float[Tensor, "H W D"]:
        key = (index, size, what)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        frame = self.views[index]
        if what == "mask" and frame.mask is None:
            raise ValueError(
                f"{self.views.names[index]} got no mask; expected one for losses.mask, "
                "losses.cover or losses.random_background. Add masks or turn these off."
            )
        image = frame.image if frame.mask is None or what == "image" else frame.mask[..., None]
        if size != 1:
            cameras = self.views.cameras.resized(size)
            shape = (cameras.height, cameras.width)
            image = F.interpolate(image.permute(2, 0, 1)[None], shape, mode="area")[0]
            image = image.permute(1, 2, 0).contiguous()
        self._keep(key, image)
        return image

    def _keep(self, key: tuple[int, float, str], value: Tensor) -> None:
        """What was used longest ago goes beyond the budget."""
        self._kept[key] = value
        self._bytes += value.nbytes
        while self._bytes > self.budget and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
