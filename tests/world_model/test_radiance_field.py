"""Fields of objects: a ball is drawn where the ball is, nearer things hide farther ones, pictures teach it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clay4d.world_model.decoders import DecoderSize, GaussianDecoder
from clay4d.world_model.decoders.radiance_field import FieldDecoder, FieldSize, draw_field
from clay4d.world_model.model import WorldModel
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.training.config import FieldConfig
from clay4d.world_model.training.field import FieldStage
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import open_worlds

SIZE = 33


@pytest.fixture
def frames() -> PosedFrames:
    K = torch.tensor([[60.0, 0, SIZE / 2], [0, 60.0, SIZE / 2], [0, 0, 1]])
    return PosedFrames(
        torch.zeros(1, 1, 1, SIZE, SIZE, 3), torch.zeros(1, 1, 1, SIZE, SIZE, dtype=torch.uint8),
        torch.eye(4).expand(1, 1, 1, 4, 4), K.expand(1, 1, 1, 3, 3), torch.zeros(1, 1),
        torch.ones(1, 1, 1, dtype=torch.bool),
    )  # fmt: skip


def slots() -> Slots:
    looks = torch.zeros(1, 2, 8)
    looks[..., 0] = -1.2
    looks[0, 0, 1:4] = torch.tensor([4.0, -4, -4])
    looks[0, 1, 1:4] = torch.tensor([-4.0, -4, 4])
    places = torch.tensor([[[[0.0, 0, 3], [0, 0, 5]]]])
    quats = torch.tensor([1.0, 0, 0, 0]).expand(1, 1, 2, 4)
    yes = torch.ones(1, 1, 2, dtype=torch.bool)
    return Slots(looks, torch.zeros(1, 4), places, quats, yes, yes[0], torch.zeros(1, 1))


def seen(given: Slots, frames: PosedFrames) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    field = FieldDecoder(FieldSize(hidden=8, samples=24), looks=8)
    stage = GaussianDecoder(DecoderSize(gaussians=2, stage=4, hidden=8), looks=8, stage=4)
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(1, 1, 1, -1, 2)
    drawn = draw_field(field, stage, given, frames, pixels)
    return drawn.colours.reshape(SIZE, SIZE, 3), drawn.alphas.reshape(SIZE, SIZE)


def test_a_ball_is_as_large_as_its_radius_says(frames: PosedFrames) -> None:
    _, alphas = seen(slots(), frames)
    area = float((alphas > 0.5).sum())
    radius = 60 * torch.tensor(-1.2).exp() / 3
    expected = float(torch.pi * radius**2)
    assert abs(area - expected) < 0.15 * expected
    assert alphas[0, 0] < 0.01 and alphas[SIZE // 2, SIZE // 2] > 0.95


def test_what_is_near_hides_what_is_far(frames: PosedFrames) -> None:
    given = slots()
    middle = SIZE // 2
    assert seen(given, frames)[0][middle, middle, 0] > 0.8
    swapped = replace(given, positions=given.positions[:, :, [1, 0]])
    assert seen(swapped, frames)[0][middle, middle, 2] > 0.8
    gone = replace(given, present=torch.tensor([[False, False]]))
    assert seen(gone, frames)[1].abs().max() == 0


def test_fields_learn_from_pictures(small_model: WorldModel, small_worlds: Path) -> None:
    worlds = open_worlds(small_worlds, split="train")
    before = {k: v.clone() for k, v in small_model.encoder.named_parameters()}
    stage = FieldStage(FieldConfig(steps=60, batch=2, rays=64), small_model, worlds, seed=0)
    run = Run(stage)
    start = float(stage.losses(1000)["loss"])
    for _ in range(60):
        run.step()
    assert float(stage.losses(1000)["loss"]) < start - 0.002
    for name, value in small_model.encoder.named_parameters():
        assert torch.equal(value, before[name])
