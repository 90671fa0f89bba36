"""Masks hold what moves within the silhouettes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from clay4d.scenes import Dataset, Views
from clay4d.scenes.gaussians import Gaussians
from clay4d.training import config as options
from clay4d.training.checkpoints import load_checkpoint, save_checkpoint
from clay4d.training.config import Losses, McmcDensity, Schedule, TrainConfig
from clay4d.training.frames import Frames
from clay4d.training.masks import colours_and_moves
from clay4d.training.trainer import Trainer

CONFIG = TrainConfig(
    motion=options.Polynomial(),
    density=McmcDensity(cap=100, noise=0, opacity_weight=0, scale_weight=0),
    schedule=Schedule(coarse=((0.0, 0.5), (0.3, 1.0)), sh_degree=0),
    losses=Losses(mask=1.0),
    largest=0.15,
    steps=100,
)


@pytest.fixture
def masked(swinging: Dataset) -> Dataset:
    """The swinging scene in front of itself: red is the mask, and every point may move."""
    views = swinging.train

    def decode(index: int) -> np.ndarray:
        pixels = views.pixels(index)
        red = (pixels[..., 0] > pixels[..., 2].astype(int) + 40).astype(np.uint8) * 255
        return np.concatenate([pixels[..., :3], red[..., None]], -1)

    train = Views(views.cameras, views.names, decode)
    g = torch.Generator().manual_seed(0)
    points = torch.rand(100, 6, generator=g)
    points[:, :3] = 1.4 * points[:, :3] - 0.7
    times = torch.where(torch.arange(100) < 50, 0.5, math.nan)
    return dataclasses.replace(
        swinging, splits={"train": train}, background=None, points=points, point_times=times
    )


def off_mask(trainer: Trainer, dataset: Dataset) -> float:
    """How far what moves is from the masks, over all training pictures."""
    frames, total = Frames(dataset.train, seed=0), 0.0
    for i in range(len(dataset.train)):
        camera = dataset.train.cameras[i]
        drawn, _ = trainer._draw(camera, camera.viewmats, torch.zeros(3))
        total += float((drawn[..., 3] - frames.mask(i, 1.0)).abs().mean().detach())
    return total / len(dataset.train)


def test_what_moves_keeps_to_the_masks(masked: Dataset) -> None:
    off = []
    for weight in (1.0, 1e-6):
        trainer = Trainer(dataclasses.replace(CONFIG, losses=Losses(mask=weight)), masked)
        for _ in range(CONFIG.steps):
            trainer.step()
        off.append(off_mask(trainer, masked))
    assert off[0] < 0.5 * off[1]


def test_colours_are_those_of_degree_0() -> None:
    rgb = torch.rand(9, 3)
    sh = Gaussians.from_points(torch.rand(9, 3), rgb).sh
    found = colours_and_moves(sh, (torch.arange(9) % 2).to(torch.uint8))
    assert torch.allclose(found[:, :3], rgb, atol=1e-6)
    assert found[:, 3].tolist() == [0, 1] * 4 + [0]


def test_masks_are_averaged_as_pictures_are(masked: Dataset) -> None:
    frames = Frames(masked.train, seed=0)
    whole, half = frames.mask(3, 1.0), frames.mask(3, 0.5)
    assert set(whole.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(half, whole.reshape(24, 2, 24, 2).mean((1, 3)))


def test_a_run_with_masks_resumes_to_the_bits_of_a_whole_one(
    masked: Dataset, tmp_path: Path
) -> None:
    whole, half = Trainer(CONFIG, masked), Trainer(CONFIG, masked)
    for trainer, steps in ((whole, CONFIG.steps), (half, 31)):
        for _ in range(steps):
            trainer.step()
    save_checkpoint(tmp_path / "c.safetensors", half, seconds=0)
    resumed = Trainer(CONFIG, dataclasses.replace(masked, points=None), resuming=True)
    load_checkpoint(tmp_path / "c.safetensors", resumed)
    while resumed.step_done < CONFIG.steps:
        resumed.step()
    for name, value in whole.scene.raw.items():
        assert torch.equal(value, resumed.scene.raw[name]), name


@pytest.mark.parametrize(
    "change",
    [{"schedule": Schedule(sh_degree=1)}, {"motion": options.ControlNodes(nodes=8)}],
    ids=["harmonics", "nodes"],
)
def test_a_weight_that_cannot_be_used_is_refused(masked: Dataset, change: dict) -> None:
    with pytest.raises(ValueError, match="losses.mask got 1 .* Set losses.mask to 0"):
        Trainer(dataclasses.replace(CONFIG, **change), masked)


def test_pictures_without_masks_are_refused(masked: Dataset, swinging: Dataset) -> None:
    bare = dataclasses.replace(masked, splits={"train": swinging.train})
    with pytest.raises(ValueError, match="got no mask.*Add masks"):
        Trainer(CONFIG, bare).step()


def test_no_gaussian_grows_past_the_largest(masked: Dataset) -> None:
    trainer = Trainer(dataclasses.replace(CONFIG, largest=0.05), masked)
    for _ in range(20):
        trainer.step()
    assert float(trainer.scene.raw["scales"].detach().exp().max()) <= 0.05 * (1 + 1e-6)
