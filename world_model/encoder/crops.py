"""Square cuts around each object's mask: what an object shows at a size at which a network can see it."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.jit import kernel
from clay4d.world_model.slots import PosedFrames

SIDE = 16
"""Pixels of a crop's side."""
CHANNELS = 5


@dataclass(frozen=True)
class Crops:
    """Of each object in each picture; all is zero where an object is not visible."""

    pixels: Float[Tensor, "N T C B 5 S S"]
    """The object's own colours with all else dark, its mask, and what belongs to no other object."""
    windows: Float[Tensor, "N T C B 3"]
    """Middle of the cut and half its side, pixels of the picture."""

    def intrinsics(self, Ks: Float[Tensor, "N T C 3 3"]) -> Float[Tensor, "N T C B 3 3"]:
        """Of cameras that see the cuts as pictures of their own."""
        half = self.windows[..., 2].clamp_min(1)
        zoom = SIDE / (2 * half)
        wide = Ks[..., None, :, :].expand(*half.shape, 3, 3)
        corner = self.windows[..., :2] - half[..., None]
        out = wide * zoom[..., None, None]
        middle = (wide[..., :2, 2] - corner) * zoom[..., None]
        last = torch.tensor([0.0, 0.0, 1.0]).expand(*half.shape, 3)
        top = torch.cat([out[..., :2, :2], middle[..., None]], -1)
        return torch.cat([top, last[..., None, :]], -2)


def cut_out(frames: PosedFrames, *, objects: int) -> Crops:
    """Cuts around the masks of slots 1 to `objects` in the pictures that are given.

    >>> masks = torch.zeros(1, 1, 1, 32, 32, dtype=torch.uint8); masks[..., 8:16, 8:16] = 1
    >>> frames = PosedFrames(
    ...     torch.ones(1, 1, 1, 32, 32, 3), masks, torch.eye(4)[None, None, None],
    ...     torch.eye(3)[None, None, None], torch.zeros(1, 1), torch.ones(1, 1, 1, dtype=torch.bool))
    >>> cut_out(frames, objects=2).windows.flatten().tolist()
    [12.0, 12.0, 5.0, 0.0, 0.0, 0.0]
    """
    shape = frames.masks.shape[:3]
    masks = frames.masks * frames.given[..., None, None]
    images = frames.images.detach().flatten(0, 2).contiguous()
    pixels, windows = cut_crops(masks.flatten(0, 2).numpy(), images.numpy(), objects, SIDE)
    return Crops(*(torch.from_numpy(x).unflatten(0, shape) for x in (pixels, windows)))


@kernel
def cut_crops(masks, images, objects, side):  # type: ignore[no-untyped-def]
    """Crops [P,B,5,S,S] and windows [P,B,3], sampled bilinearly a pixel beyond each mask's bounds."""
    pictures, height, width = masks.shape
    crops = np.zeros((pictures, objects, 5, side, side), np.float32)
    windows = np.zeros((pictures, objects, 3), np.float32)
    for p in numba.prange(pictures):
        bounds = np.empty((objects, 4), np.int64)
        bounds[:, 0], bounds[:, 1], bounds[:, 2], bounds[:, 3] = width, -1, height, -1
        for row in range(height):
            for column in range(width):
                k = masks[p, row, column] - 1
                if 0 <= k < objects:
                    own = bounds[k]
                    own[0], own[1] = min(own[0], column), max(own[1], column)
                    own[2], own[3] = min(own[2], row), max(own[3], row)
        for k in range(objects):
            x0, x1, y0, y1 = bounds[k]
            if x1 < 0:
                continue
            half = np.float32(0.5) * max(x1 - x0 + 1, y1 - y0 + 1) + np.float32(1)
            x, y = np.float32(0.5) * (x0 + x1 + 1), np.float32(0.5) * (y0 + y1 + 1)
            windows[p, k, 0], windows[p, k, 1], windows[p, k, 2] = x, y, half
            step = 2 * half / side
            for i in range(side):
                v = y - half + (i + np.float32(0.5)) * step - np.float32(0.5)
                row = int(np.floor(v))
                for j in range(side):
                    u = x - half + (j + np.float32(0.5)) * step - np.float32(0.5)
                    column = int(np.floor(u))
                    for a in range(2):
                        for b in range(2):
                            r, c = row + a, column + b
                            if r < 0 or c < 0 or r >= height or c >= width:
                                continue
                            share = (1 - abs(v - r)) * (1 - abs(u - c))
                            owner = masks[p, r, c]
                            if owner == k + 1:
                                for channel in range(3):
                                    crops[p, k, channel, i, j] += share * images[p, r, c, channel]
                                crops[p, k, 3, i, j] += share
                                crops[p, k, 4, i, j] += share
                            elif owner == 0:
                                crops[p, k, 4, i, j] += share
    return crops, windows
