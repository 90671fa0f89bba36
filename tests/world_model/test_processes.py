"""Under torchrun: the same bits at any number of processes, one writer, and going on after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from elastic import finish, finish_without_a_worker, torchrun

from clay4d import processes
from clay4d.config import save_config
from clay4d.world_model.model import WorldModel
from clay4d.world_model.training.config import WorldModelConfig
from clay4d.world_model.training.run import train_world
from clay4d.world_model.training.segment import SegmentStage
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import open_worlds


@pytest.fixture
def preset(small_config: WorldModelConfig, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    save_config(path, small_config)
    return path


@pytest.fixture(scope="module")
def one(
    small_config: WorldModelConfig, small_worlds: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of one process with two batches a step, whose bits the others must have."""
    out = tmp_path_factory.mktemp("one") / "run"
    train_world(small_config, small_worlds, out, shards=2)
    return out


def bits(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.glob("*.safetensors") if "checkpoint" not in p.name}


def test_two_processes_give_the_bits_of_one_with_twice_the_batches(
    one: Path, preset: Path, small_worlds: Path, tmp_path: Path
) -> None:
    finish(torchrun("train-world", preset, small_worlds, tmp_path / "two"))
    alone, two = bits(one), bits(tmp_path / "two")
    assert "model.safetensors" in alone and alone == two
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == len(
        list((one / "tensorboard").iterdir())
    )


def test_a_killed_worker_is_started_again_from_the_last_checkpoint(
    one: Path, preset: Path, small_worlds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = torchrun("train-world", preset, small_worlds, out, "--max-restarts=3")
    finish_without_a_worker(command, out / "perception.checkpoint.safetensors")
    assert bits(out) == bits(one)
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]


def test_a_step_of_two_shards_follows_their_mean_gradient(
    small_model: WorldModel, small_config: WorldModelConfig, small_worlds: Path
) -> None:
    worlds = open_worlds(small_worlds, split="train")
    stage = SegmentStage(small_config.segment, small_model.segmenter, worlds, seed=0)
    losses = [stage.losses(k)["loss"] for k in (0, 1)]
    mean = torch.stack(losses).mean()
    parameters = list(small_model.segmenter.parameters())
    wanted = torch.autograd.grad(mean, parameters)
    run = Run(stage, shards=2)
    said = run._mean_gradients()
    assert said["loss"] == pytest.approx(mean.item(), rel=1e-6)
    for parameter, grad in zip(parameters, wanted, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-5, atol=1e-7)


def test_shards_that_cannot_be_dealt_out_are_refused(
    small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="shards got 0 for 1 processes; expected a multiple"):
        train_world(small_config, small_worlds, tmp_path / "a", shards=0)
    assert not (tmp_path / "a").exists()
    assert processes.rank() == 0 and processes.count() == 1
