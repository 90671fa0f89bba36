"""Training: it learns, repeats to the bit, resumes to the bit, and stops on NaN."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from clay4d.scenes import Dataset, Views
from clay4d.training.checkpoints import load_checkpoint, save_checkpoint
from clay4d.training.config import (
    ControlNodes,
    DefaultDensity,
    Deformation,
    HexPlane,
    Losses,
    McmcDensity,
    MotionBases,
    Polynomial,
    Schedule,
    SpaceTime,
    Start,
    Static,
    TrainConfig,
)
from clay4d.training.evaluate import evaluate
from clay4d.training.exposure import Exposure
from clay4d.training.trainer import Trainer

SMALL = TrainConfig(
    motion=ControlNodes(nodes=40, width=32, depth=2, start=0.1),
    start=Start(count=400),
    density=McmcDensity(cap=800, begin=20, every=20),
    schedule=Schedule(coarse=((0.0, 0.5), (0.3, 1.0)), sh_degree=1),
    steps=120,
)
DEFAULT = DefaultDensity(cap=800, begin=20, every=20, reset_every=60, grow_grad2d=1e-4)


def trained(config: TrainConfig, dataset: Dataset, steps: int | None = None) -> Trainer:
    trainer = Trainer(config, dataset)
    for _ in range(config.steps if steps is None else steps):
        trainer.step()
    return trainer


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    found = {f"raw.{k}": v for k, v in trainer.scene.raw.items()} | trainer.scene.motion.tensors()
    if trainer.exposure is not None:
        found |= dict(trainer.exposure.named_parameters())
    if trainer.poses is not None:
        found |= {f"poses.{k}": v for k, v in trainer.poses.named_parameters()}
    return {k: v.detach().clone() for k, v in found.items()}


def equal(a: Trainer, b: Trainer) -> bool:
    left, right = state(a), state(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def with_alpha(dataset: Dataset) -> Dataset:
    """The same pictures on white, with as much of the white as transparency as there can be."""
    views = dataset.train

    def read(i: int) -> np.ndarray:
        rgb = views.pixels(i)[..., :3].astype(np.float64) / 255
        alpha = 1 - rgb.min(-1, keepdims=True)
        colour = 1 - (1 - rgb) / np.maximum(alpha, 1e-6)
        return (np.concatenate([colour, alpha], -1).clip(0, 1) * 255 + 0.5).astype(np.uint8)

    seen = Views(views.cameras, views.names, read, background=views.background)
    return dataclasses.replace(dataset, splits={"train": seen})


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        dataclasses.replace(SMALL, density=DEFAULT),
        dataclasses.replace(SMALL, motion=HexPlane(resolution=16, start=0.1)),
        dataclasses.replace(SMALL, motion=Polynomial(), losses=Losses(exposure=True)),
        dataclasses.replace(SMALL, motion=Static()),
        dataclasses.replace(SMALL, motion=MotionBases(bases=6, keys=5), losses=Losses(poses=True)),
        dataclasses.replace(SMALL, motion=Deformation(width=16), losses=Losses(rigidity=0.1)),
        dataclasses.replace(SMALL, motion=SpaceTime(), density=DEFAULT),
    ],
    ids=[
        "nodes-mcmc",
        "nodes-default",
        "hexplane",
        "polynomial-exposure",
        "static",
        "bases-poses",
        "deformation-rigidity",
        "space-time-default",
    ],
)
def test_a_resumed_run_gives_the_bits_of_a_whole_one(
    config: TrainConfig, swinging: Dataset, tmp_path: Path
) -> None:
    whole = trained(config, swinging)
    # 67 is neither at a refinement nor at an epoch's start.
    half = trained(config, swinging, 67)
    save_checkpoint(tmp_path / "c.safetensors", half, seconds=1.5)
    resumed = Trainer(config, swinging)
    assert load_checkpoint(tmp_path / "c.safetensors", resumed) == 1.5
    while resumed.step_done < config.steps:
        resumed.step()
    assert equal(whole, resumed)
    assert len(whole.scene) > 400


def test_bits_do_not_depend_on_threads(swinging: Dataset) -> None:
    runs = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        runs.append(trained(SMALL, swinging, 80))
    assert equal(*runs)


def test_another_seed_gives_another_scene(swinging: Dataset) -> None:
    a, b = (trained(dataclasses.replace(SMALL, seed=s), swinging, 30) for s in (0, 1))
    assert not equal(a, b)


def test_a_moving_scene_is_learned(swinging: Dataset) -> None:
    config = dataclasses.replace(SMALL, steps=600)
    trainer = trained(config, swinging)
    moving = evaluate(trainer.scene, swinging.split("test"))["psnr"]
    still = trained(dataclasses.replace(config, motion=Static()), swinging)
    assert moving > 24
    assert moving > evaluate(still.scene, swinging.split("test"))["psnr"] + 2


@pytest.mark.parametrize("settle, wanted", [(7, 7), (50, 12)])
def test_nodes_wait_until_there_is_something_to_move(
    swinging: Dataset, settle: int, wanted: int
) -> None:
    motion = ControlNodes(nodes=40, width=32, depth=2, start=0.0, settle=settle)
    trainer = Trainer(dataclasses.replace(SMALL, motion=motion), swinging)
    for _ in range(wanted):
        trainer.step()
    assert not trainer.moving
    trainer.step()
    assert trainer.moving


def test_gains_of_cameras_are_found(swinging: Dataset) -> None:
    """Two cameras, one twice as bright as the other, of the same still scene."""
    views = swinging.train
    gains = [0.7, 1.0]

    def decode(index: int):
        return (views.pixels(index) * gains[index % 2]).astype("uint8")

    dimmed = Views(
        views.cameras, views.names, decode, camera_ids=[k % 2 for k in range(len(views))]
    )
    dataset = dataclasses.replace(swinging, splits={"train": dimmed})
    config = dataclasses.replace(SMALL, losses=Losses(exposure=True), steps=400)
    exposure = trained(config, dataset).exposure
    assert isinstance(exposure, Exposure)
    white = torch.ones(1, 1, 3)
    ratio = exposure(white, 0) / exposure(white, 1)
    assert ((ratio - 0.7).abs() < 0.06).all()


def test_nan_stops_the_run_and_names_step_and_parameter(swinging: Dataset) -> None:
    trainer = trained(SMALL, swinging, 5)
    with torch.no_grad():
        trainer.scene.raw["sh"][7, 0, 1] = float("nan")
    with pytest.raises((FloatingPointError, ValueError), match="NaN"):
        trainer.step()


def test_a_checkpoint_of_another_motion_is_refused(swinging: Dataset, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", trained(SMALL, swinging, 1), seconds=0)
    other = Trainer(dataclasses.replace(SMALL, motion=Static()), swinging)
    with pytest.raises(ValueError, match="motion got|got motion"):
        load_checkpoint(tmp_path / "c.safetensors", other)


def test_random_backgrounds_change_with_the_step_and_keep_the_picture(swinging: Dataset) -> None:
    dataset = with_alpha(swinging)
    config = dataclasses.replace(SMALL, losses=Losses(random_background=True), steps=300)
    trainer = Trainer(config, dataset)
    first = trainer._background(0)
    trainer.step()
    assert not torch.equal(first, trainer._background(1))
    for _ in range(299):
        report = trainer.step()
    # Pictures that stay on white while the drawing changes give 10 dB.
    assert report.psnr > 20


def test_random_backgrounds_need_alpha(swinging: Dataset) -> None:
    dataset = dataclasses.replace(swinging, background=None)
    config = dataclasses.replace(SMALL, losses=Losses(random_background=True))
    with pytest.raises(ValueError, match="random_background got true for pictures without"):
        Trainer(config, dataset)


def test_a_checkpoint_that_points_at_other_nodes_is_refused(
    swinging: Dataset, tmp_path: Path
) -> None:
    trainer = trained(SMALL, swinging, 20)
    trainer.scene.raw["nodes"][0, 0] = 40
    save_checkpoint(tmp_path / "c.safetensors", trainer, seconds=0.0)
    with pytest.raises(ValueError, match="raw.nodes got 40; expected 0 to 39"):
        load_checkpoint(tmp_path / "c.safetensors", Trainer(SMALL, swinging, resuming=True))


def test_squared_differences_count_as_often_as_said(swinging: Dataset) -> None:
    plain = Trainer(SMALL, swinging)
    both = Trainer(dataclasses.replace(SMALL, losses=Losses(squared=10.0)), swinging)
    without, drawn = plain.forward(3), both.forward(3)
    assert torch.equal(without.image, drawn.image)
    extra = drawn.total - without.total
    torch.testing.assert_close(extra, 10 * drawn.mse, rtol=1e-3, atol=1e-6)
    without.total.backward(), drawn.total.backward()
    slopes = [t.scene.raw["sh"].grad for t in (plain, both)]
    assert slopes[0] is not None and slopes[1] is not None
    assert not torch.allclose(slopes[0], slopes[1])
