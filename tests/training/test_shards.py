"""Steps of several pictures: the same bits at any number of processes, and going on after a kill."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from elastic import finish, finish_without_a_worker, torchrun
from on_disk import written

from clay4d.config import from_dict, load_config, save_config
from clay4d.scenes import Dataset
from clay4d.training.checkpoints import load_checkpoint, save_checkpoint
from clay4d.training.config import (
    ControlNodes,
    DefaultDensity,
    KPlanes,
    Losses,
    McmcDensity,
    Schedule,
    Start,
    Static,
    TrainConfig,
)
from clay4d.training.run import CHECKPOINT, SCENE, load_run, train
from clay4d.training.trainer import Trainer

SMALL = TrainConfig(
    motion=ControlNodes(nodes=20, width=16, depth=2, start=0.1),
    start=Start(count=150),
    density=McmcDensity(cap=300, begin=10, every=10),
    schedule=Schedule(coarse=((0.0, 0.5), (0.3, 1.0)), sh_degree=1),
    losses=Losses(exposure=True, poses=True, rigidity=0.1),
    steps=60,
    checkpoint_every=20,
)
DEFAULT = DefaultDensity(cap=300, begin=10, every=10, reset_every=30, grow_grad2d=1e-4)


@pytest.fixture(scope="module")
def pictures(swinging: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(swinging, tmp_path_factory.mktemp("pictures") / "data")


def bits(trainer: Trainer) -> dict[str, bytes]:
    found = {**trainer.scene.raw, **trainer.scene.motion.tensors(), **trainer.density_state()}
    return {k: v.detach().numpy().tobytes() for k, v in found.items()}


def test_two_processes_give_the_bits_of_one_with_two_shards(pictures: Path, tmp_path: Path) -> None:
    save_config(tmp_path / "small.yaml", SMALL)
    train(SMALL, pictures, tmp_path / "one", shards=2)
    finish(torchrun("train", tmp_path / "small.yaml", pictures, tmp_path / "two"))
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / SCENE).read_bytes() == (two / SCENE).read_bytes()
    assert (one / "config.yaml").read_text() == (two / "config.yaml").read_text()
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in two.iterdir())
    assert len(list((two / "tensorboard").iterdir())) == 1
    assert load_run(two)[1] == SMALL


def test_a_killed_worker_is_started_again_from_the_last_checkpoint(
    pictures: Path, tmp_path: Path
) -> None:
    """With the other kind of density control than above, without its resets: they leave nothing here."""
    density = dataclasses.replace(DEFAULT, reset_every=1000)
    config = dataclasses.replace(SMALL, density=density, steps=150, checkpoint_every=10)
    save_config(tmp_path / "small.yaml", config)
    train(config, pictures, tmp_path / "one", shards=2)
    out = tmp_path / "killed"
    command = torchrun("train", tmp_path / "small.yaml", pictures, out, "--max-restarts=3")
    finish_without_a_worker(command, out / CHECKPOINT)
    assert (out / SCENE).read_bytes() == (tmp_path / "one" / SCENE).read_bytes()
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]


def test_a_resumed_run_of_shards_gives_the_bits_of_a_whole_one(
    swinging: Dataset, tmp_path: Path
) -> None:
    whole, half = (Trainer(SMALL, swinging, shards=3) for _ in range(2))
    for trainer, steps in ((whole, SMALL.steps), (half, 27)):
        for _ in range(steps):
            trainer.step()
    save_checkpoint(tmp_path / "c.safetensors", half, seconds=1.0)
    resumed = Trainer(SMALL, swinging, resuming=True, shards=3)
    load_checkpoint(tmp_path / "c.safetensors", resumed)
    while resumed.step_done < SMALL.steps:
        resumed.step()
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("density", [SMALL.density, DEFAULT], ids=["mcmc", "default"])
def test_a_step_follows_the_mean_gradient_and_counts_every_picture(
    density: McmcDensity | DefaultDensity, swinging: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(SMALL, density=density, motion=Static(), losses=Losses())
    trainer = Trainer(config, swinging, shards=2)
    alone = [Trainer(config, swinging, shards=2) for _ in range(2)]
    losses, means = [], []
    for shard, one in enumerate(alone):
        drawn = one.forward(one.frames.index(shard), shard=shard)
        drawn.total.backward()
        losses.append(float(drawn.total.detach()))
        means.append(one.scene.raw["means"].grad)
        one.finish(drawn)
    kept = {}

    def keep(progress: float) -> None:
        kept["means"] = trainer.scene.raw["means"].grad

    monkeypatch.setattr(trainer.optimisers, "step", keep)
    report = trainer.step()
    assert report.loss == pytest.approx(sum(losses) / 2, rel=1e-6)
    torch.testing.assert_close(kept["means"], (means[0] + means[1]) / 2, rtol=1e-5, atol=1e-9)
    for name, value in trainer.density_state().items():
        added = sum(one.density_state()[name] for one in alone)
        torch.testing.assert_close(value, added, rtol=1e-5, atol=1e-9)
        assert value.sum() > 0


def test_one_shard_is_a_run_without_any(swinging: Dataset) -> None:
    runs = [Trainer(SMALL, swinging), Trainer(SMALL, swinging, shards=1)]
    for trainer in runs:
        for _ in range(15):
            trainer.step()
    assert bits(runs[0]) == bits(runs[1])


def test_shards_are_refused_where_they_cannot_be(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shards got 0 for 1 processes; expected a multiple"):
        train(SMALL, pictures, tmp_path / "a", shards=0)
    with pytest.raises(ValueError, match="shards got 2 for a radiance field; expected 1"):
        train(dataclasses.replace(SMALL, field=KPlanes()), pictures, tmp_path / "a", shards=2)
    assert not (tmp_path / "a").exists()
    train(dataclasses.replace(SMALL, steps=2), pictures, tmp_path / "b", shards=2)
    raw = load_config(dict, tmp_path / "b/config.yaml")
    data, shards = raw.pop("data"), raw.pop("shards")
    assert shards == 2 and from_dict(TrainConfig, raw, where="b").steps == 2
    config = from_dict(TrainConfig, raw, where="b")
    save_config(tmp_path / "b/config.yaml", config, data=data, shards="two")
    with pytest.raises(ValueError, match="shards got 'two' for 1 processes"):
        train(SMALL, pictures, tmp_path / "b", resume=True)


def test_several_processes_take_steps_and_no_minutes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clay4d.processes.count", lambda: 2)
    with pytest.raises(ValueError, match=r"minutes got 1.0 for 2 processes.*expected --steps"):
        train(SMALL, pictures, tmp_path / "a", minutes=1.0)
    with pytest.raises(ValueError, match="shards got 3 for 2 processes"):
        train(SMALL, pictures, tmp_path / "a", shards=3)
