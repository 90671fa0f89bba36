"""Context at the door: worlds or posed pictures with masks become slots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from clay4d.scenes import Cameras
from clay4d.scenes.loaders import load_dataset
from clay4d.world_model.encoder.segmenter import find_objects
from clay4d.world_model.model import WorldModel
from clay4d.world_model.model.world_model import FPS
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.worlds import World, open_worlds, stack_worlds
from clay4d.world_model.worlds.store import INDEX


@dataclass(frozen=True)
class Context:
    """What was given: slots of the first moments, cameras, and what was to come where it is known."""

    slots: Slots
    cameras: Cameras
    """At all times of the scene, frame after frame."""
    truth: UInt8[np.ndarray, "T C H W 3"] | None = None
    """Pictures of all moments, of a world."""

    def splits(self) -> dict[str, Any]:
        """Where the truth is known: "val" are the given moments, "test" those after them."""
        if self.truth is None:
            return {}
        frames, count = self.truth.shape[:2]
        shown = self.slots.positions.shape[1]
        flat = self.truth.reshape(-1, *self.truth.shape[2:])
        known, later = slice(0, shown * count), slice(shown * count, frames * count)
        return {
            "val": (self.cameras[known], flat[known]), "test": (self.cameras[later], flat[later])
        }  # fmt: skip


def read_context(path: str | Path, model: WorldModel) -> Context:
    """The context in a folder: `DIR` or `DIR/NAME` of worlds, or posed pictures.

    Where pictures have no alpha channel, objects are found by the model's segmenter.

    Raises:
        FileNotFoundError: no such folder or world.
        ValueError: no poses, nothing found in the pictures, pictures of another size than the model's patches need.
    """
    path = Path(path)
    if (path / INDEX).is_file() or (path.parent / INDEX).is_file():
        return _world_context(_world(path), model)
    return _dataset_context(path, model)


def _world(path: Path) -> World:
    if (path / INDEX).is_file():
        world: World = open_worlds(path)[0]
        return world
    worlds = open_worlds(path.parent)
    names = [name for _, _, name in worlds.places]
    if path.name not in names:
        raise FileNotFoundError(
            f"context got {path}; expected one of the worlds {names[0]} to {names[-1]} of "
            f"{path.parent}."
        )
    found: World = worlds[names.index(path.name)]
    return found


@torch.no_grad()
def _world_context(world: World, model: WorldModel) -> Context:
    from clay4d.world_model.generate import FRAMES, at_all_times

    k = model.config.reasoning.segment
    if abs(float(np.diff(world.times).mean()) - 1 / FPS) > 1e-3:
        raise ValueError(
            f"context got a world of {1 / np.diff(world.times).mean():.3g} frames a second; expected "
            f"{FPS:g}."
        )
    if len(world.objects) > model.config.encoder.objects:
        raise ValueError(
            f"context got {len(world.objects)} objects; expected at most {model.config.encoder.objects}."
        )
    _check_size(world.masks.shape[-1], world.masks.shape[-2])
    frames = PosedFrames.from_worlds(stack_worlds([world], objects=model.config.encoder.objects))
    slots = model.encoder(PosedFrames(**{n: v[:, :k] for n, v in vars(frames).items()}))
    height, width = world.masks.shape[-2:]
    count = min(FRAMES, len(world.times))
    cameras = at_all_times(
        torch.from_numpy(world.viewmats), torch.from_numpy(world.Ks), width, height, count
    )
    return Context(slots, cameras, world.images[:count])


@torch.no_grad()
def _dataset_context(path: Path, model: WorldModel) -> Context:
    from clay4d.world_model.generate import FRAMES, at_all_times

    views = load_dataset(path).train
    k = model.config.reasoning.segment
    moments = sorted({round(float(t) * FPS) for t in views.cameras.times})[:k]
    moments = [m for m in moments if m - moments[0] < k]
    chosen: list[list[int]] = [
        [i for i, t in enumerate(views.cameras.times) if abs(float(t) * FPS - m) < 0.25]
        for m in range(moments[0], moments[-1] + 1)
    ]
    most = max(len(c) for c in chosen)
    size = (views.cameras.height, views.cameras.width)
    _check_size(size[1], size[0])
    t = len(chosen)
    images, masks = (
        torch.zeros(1, t, most, *size, 3),
        torch.zeros(1, t, most, *size, dtype=torch.uint8),
    )
    viewmats = torch.eye(4).repeat(1, t, most, 1, 1)
    Ks, given = torch.eye(3).repeat(1, t, most, 1, 1), torch.zeros(1, t, most, dtype=torch.bool)
    bare = False
    for moment, indices in enumerate(chosen):
        for c, i in enumerate(indices):
            frame = views[i]
            bare = bare or frame.mask is None
            images[0, moment, c] = frame.image
            if frame.mask is not None:
                masks[0, moment, c] = (frame.mask > 0.5).byte()
            viewmats[0, moment, c], Ks[0, moment, c] = (
                views.cameras.viewmats[i],
                views.cameras.Ks[i],
            )
            given[0, moment, c] = True
    times = torch.arange(t)[None] / FPS
    frames = PosedFrames(images, masks, viewmats, Ks, times, given)
    if bare:
        frames = find_objects(frames, model.segmenter, objects=model.config.encoder.objects)
    slots = model.encoder(frames)
    first = torch.tensor(chosen[0][:4])
    cameras = at_all_times(
        views.cameras.viewmats[first], views.cameras.Ks[first], size[1], size[0], FRAMES
    )
    return Context(slots, cameras)


def _check_size(width: int, height: int) -> None:
    if width % 8 or height % 8 or min(width, height) < 16:
        raise ValueError(
            f"context got pictures of {width}×{height}; expected multiples of 8, at least 16. Resize "
            "or crop them."
        )
