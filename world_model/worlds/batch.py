"""Several worlds as tensors, objects padded to the most that any of them has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from clay4d.world_model.worlds.format import World


@dataclass(frozen=True)
class WorldBatch:
    """N worlds of T frames, C cameras and at most B objects; names mean what they do in `World`."""

    worlds: tuple[World, ...]
    """The worlds themselves: words, questions, truth."""
    times: Float[Tensor, "N T"]
    """Seconds."""
    images: UInt8[Tensor, "N T C H W 3"]
    masks: UInt8[Tensor, "N T C H W"]
    viewmats: Float[Tensor, "N C 4 4"]
    Ks: Float[Tensor, "N C 3 3"]
    present: Bool[Tensor, "N B"]
    """False where a world has no such object."""
    positions: Float[Tensor, "N T B 3"]
    """Truth; zeros where there is no such object."""
    quats: Float[Tensor, "N T B 4"]
    """Truth; identity where there is no such object."""

    def __len__(self) -> int:
        return len(self.worlds)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt of each world."""
        return tuple(world.prompt for world in self.worlds)


def stack_worlds(worlds: Sequence[World], *, objects: int | None = None) -> WorldBatch:
    """A batch of worlds with the same numbers of frames, cameras and pixels.

    Args:
        worlds: at least one.
        objects: B, if not the most that any of the worlds has.

    Raises:
        ValueError: no worlds, sizes that differ, or more objects than `objects`.
    """
    if not worlds:
        raise ValueError("worlds got none; expected at least one.")
    shapes = {world.masks.shape for world in worlds}
    if len(shapes) > 1:
        raise ValueError(f"worlds got pictures of shapes {sorted(shapes)}; expected one.")
    most = max(len(world.objects) for world in worlds)
    count = most if objects is None else objects
    if most > count:
        raise ValueError(f"worlds got one of {most} objects; expected at most {count}.")
    frames = len(worlds[0].times)
    positions = torch.zeros(len(worlds), frames, count, 3)
    quats = torch.zeros(len(worlds), frames, count, 4)
    quats[..., 0] = 1
    present = torch.zeros(len(worlds), count, dtype=torch.bool)
    for n, world in enumerate(worlds):
        own = len(world.objects)
        positions[n, :, :own] = torch.from_numpy(world.tracks.positions)
        quats[n, :, :own] = torch.from_numpy(world.tracks.quats)
        present[n, :own] = True
    stacked = {
        k: torch.from_numpy(np.stack([getattr(w, k) for w in worlds]))
        for k in ("times", "images", "masks", "viewmats", "Ks")
    }
    stacked["times"] = stacked["times"].float()
    return WorldBatch(tuple(worlds), **stacked, present=present, positions=positions, quats=quats)
