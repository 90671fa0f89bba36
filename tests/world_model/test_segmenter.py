"""Objects without masks: found again in every picture, under one number."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from clay4d.world_model.encoder.segmenter import Segmenter, find_objects, regions
from clay4d.world_model.slots import PosedFrames
from clay4d.world_model.training.config import SegmentConfig
from clay4d.world_model.training.losses import reprojection
from clay4d.world_model.training.segment import SegmentStage
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import World, open_worlds, stack_worlds


class Truth(Segmenter):
    """Knows the masks, so that what is tested is the finding of objects alone."""

    def __init__(self, masks: torch.Tensor) -> None:
        super().__init__()
        self.masks = masks

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (self.masks > 0).float().flatten(0, 2) - 0.5


def discs(world: World, synthetic: ModuleType) -> World:
    """The world with hard-edged discs for balls, nearer ones over farther ones."""
    frames = PosedFrames.from_worlds(stack_worlds([world], objects=len(world.objects)))
    places = torch.from_numpy(world.tracks.positions).float()
    middles = reprojection(places[None], frames)[0].numpy()
    images, masks = np.full_like(world.images, 128), np.zeros_like(world.masks)
    y, x = np.mgrid[0:64, 0:64] + 0.5
    for t, c in np.ndindex(*masks.shape[:2]):
        R, shift = world.viewmats[c, :3, :3], world.viewmats[c, :3, 3]
        depth = (world.tracks.positions[t] @ R.T + shift)[:, 2]
        for b in np.argsort(-depth):
            radius = world.Ks[c, 0, 0] * synthetic.RADIUS / depth[b]
            inside = np.hypot(x - middles[t, c, b, 0], y - middles[t, c, b, 1]) < radius
            shade = 0.6 + 0.4 * (y < middles[t, c, b, 1])
            colour = np.array(synthetic.COLOURS[world.objects[b].colour])
            images[t, c][inside] = (255 * colour * shade[..., None])[inside]
            masks[t, c][inside] = b + 1
    return dataclasses.replace(world, images=images, masks=masks)


def test_regions_are_cut_where_the_colour_changes() -> None:
    image = np.zeros((8, 12, 3))
    image[:, :6], image[:, 6:] = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)
    image[2:4, 1:3] = (0.4, 0.05, 0.05)  # a shade of the same red
    likely = np.zeros((8, 12), bool)
    likely[1:7, 1:11] = True
    likely[7, 0] = True
    found = regions(image, likely)
    assert sorted(int(r.sum()) for r in found) == [30, 31]


@pytest.mark.parametrize("index", range(4))
def test_objects_have_one_number_in_all_pictures(index: int, synthetic: ModuleType) -> None:
    world = discs(synthetic.make_world(index, size=64), synthetic)
    whole = PosedFrames.from_worlds(stack_worlds([world], objects=4))
    frames = PosedFrames(**{k: v[:, :6] for k, v in vars(whole).items()})
    blank = replace(frames, masks=torch.zeros_like(frames.masks))
    found = find_objects(blank, Truth(frames.masks), objects=4).masks[0].numpy()
    for k in range(1, len(world.objects) + 1):
        numbers = found[world.masks[:6] == k]
        most = np.bincount(numbers).argmax()
        assert most > 0 and (numbers == most).mean() > 0.8
    assert (found[world.masks[:6] == 0] == 0).all()


def test_nothing_found_is_said(small_worlds: Path) -> None:
    world = open_worlds(small_worlds).read(0, frames=range(2))
    frames = PosedFrames.from_worlds(stack_worlds([world], objects=4))
    with pytest.raises(ValueError, match="in which no object was found; expected some. Give masks"):
        find_objects(frames, Truth(torch.zeros_like(frames.masks)), objects=4)


def test_the_segmenter_learns(small_worlds: Path) -> None:
    torch.manual_seed(0)
    worlds = open_worlds(small_worlds, split="train")
    run = Run(SegmentStage(SegmentConfig(steps=80, batch=8, lr=1e-2), Segmenter(), worlds, seed=0))
    said = [run.step()["loss"] for _ in range(80)]
    assert sum(said[-5:]) < 0.5 * sum(said[:5])
