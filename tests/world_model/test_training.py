"""Training: every stage learns, resumes to the same bits, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from clay4d.config import from_dict, load_config, preset_folder, presets, to_dict
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.world_model.model import WorldModel
from clay4d.world_model.reasoners import REASONERS
from clay4d.world_model.training.beginnings import BeginningsStage, take_over
from clay4d.world_model.training.cache import cached_worlds
from clay4d.world_model.training.config import (
    BeginningsConfig,
    PerceptionConfig,
    ReasoningConfig,
    TuneConfig,
    WorldModelConfig,
)
from clay4d.world_model.training.perception import PerceptionStage
from clay4d.world_model.training.reasoning import ReasoningStage, ordered, set_scales, turned
from clay4d.world_model.training.run import new_model, train_world
from clay4d.world_model.training.stage import Run
from clay4d.world_model.training.tune import TuneStage
from clay4d.world_model.worlds import open_worlds


def reasoning(model: WorldModel, worlds: Path, folder: Path, **given: object) -> ReasoningStage:
    train = open_worlds(worlds, split="train")
    cached = cached_worlds(train, model.encoder, folder / "slots.safetensors", context=6, seed=0)
    set_scales(model, cached)
    config = dataclasses.replace(model.config.reasoning, **given)  # type: ignore[arg-type]
    return ReasoningStage(config, model, cached, seed=0)


def test_pictures_teach_encoder_and_decoder(small_model: WorldModel, small_worlds: Path) -> None:
    worlds = open_worlds(small_worlds, split="train")
    config = PerceptionConfig(steps=60, batch=4, frames=2, drawn=1, lr=3e-3)
    stage = PerceptionStage(config, worlds, small_model.encoder, small_model.decoder, seed=0)
    run = Run(stage)
    said = [run.step() for _ in range(60)]
    first, last = (sum(s["image"] for s in part) for part in (said[:5], said[-5:]))
    assert last < 0.7 * first


@pytest.mark.parametrize("kind", REASONERS)
def test_every_reasoner_learns_from_slots(
    kind: str, small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        small_config,
        reasoning=dataclasses.replace(small_config.reasoning, kind=kind, curriculum=0.0),  # type: ignore[arg-type]
    )
    model = new_model(config, open_worlds(small_worlds, split="train"))
    stage = reasoning(model, small_worlds, tmp_path, blind=0.0, steps=40, lr=3e-3)
    run = Run(stage)
    said = [run.step()["loss"] for _ in range(40)]
    assert sum(said[-5:]) < sum(said[:5]) - 1


def test_prompts_alone_are_learned_too(
    small_model: WorldModel, small_worlds: Path, tmp_path: Path
) -> None:
    run = Run(reasoning(small_model, small_worlds, tmp_path, blind=1.0, steps=40, lr=3e-3))
    said = [run.step() for _ in range(40)]
    assert sum(s["birth"] for s in said[-5:]) < sum(s["birth"] for s in said[:5])


def test_beginnings_are_learned_once_and_taken_over(
    small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    train = open_worlds(small_worlds, split="train")
    config = dataclasses.replace(
        small_config, beginnings=BeginningsConfig(steps=40, batch=4, lr=3e-3)
    )
    model = new_model(config, train)
    cached = cached_worlds(train, model.encoder, tmp_path / "slots.safetensors", context=6, seed=0)
    set_scales(model, cached)
    run = Run(BeginningsStage(model, cached, seed=0))
    said = [run.step() for _ in range(40)]
    assert sum(s["loss"] for s in said[-5:]) < sum(s["loss"] for s in said[:5])
    kind = dataclasses.replace(config.reasoning, kind="discrete")
    other = new_model(dataclasses.replace(config, reasoning=kind, seed=1), train)
    own = {k: v.clone() for k, v in other.dynamics.state_dict().items()}
    take_over(other.dynamics, model.dynamics)
    theirs = model.dynamics.state_dict()
    for name, value in other.dynamics.state_dict().items():
        assert torch.equal(value, theirs[name] if name in theirs else own[name]), name
    assert any(name not in theirs for name in own)


def test_the_curriculum_goes_from_written_to_latent(
    small_model: WorldModel, small_worlds: Path, tmp_path: Path
) -> None:
    stage = reasoning(small_model, small_worlds, tmp_path, steps=100, mixed=0.0, curriculum=0.7)
    draws = torch.Generator().manual_seed(0)
    assert [stage.stage_of(step, draws) for step in (0, 9, 10, 35, 69, 70, 99)] == [
        0,
        0,
        1,
        3,
        6,
        6,
        6,
    ]
    first = stage.losses(0)
    assert first["events"] > 0 and stage.losses(99)["events"] == 0


def test_lessons_are_the_same_worlds_in_other_words(
    small_model: WorldModel, small_worlds: Path, tmp_path: Path
) -> None:
    stage = reasoning(small_model, small_worlds, tmp_path, blind=0.0)
    lesson = stage.lesson(0)
    for n, i in enumerate(lesson.which):
        order = lesson.order[n]
        original = stage.cached.whole.positions[i][:, order]
        heights = lesson.whole.positions[n, :, : len(order), 2]
        torch.testing.assert_close(heights, original[..., 2], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            lesson.whole.positions[n, :, : len(order)].norm(dim=-1), original.norm(dim=-1)
        )
    assert all(torch.equal(lesson.whole.positions, stage.lesson(0).whole.positions) for _ in "x")


def test_turning_and_ordering_keep_worlds_whole(
    small_model: WorldModel, small_worlds: Path, tmp_path: Path
) -> None:
    whole = reasoning(small_model, small_worlds, tmp_path).cached.whole
    n = len(whole)
    full = turned(whole, torch.full((n,), 2 * torch.pi))
    torch.testing.assert_close(full.positions, whole.positions, atol=1e-5, rtol=1e-5)
    quarter = turned(whole, torch.full((n,), torch.pi / 2))
    torch.testing.assert_close(
        quarter.positions[..., 1], whole.positions[..., 0], atol=1e-5, rtol=1e-5
    )
    back = ordered(ordered(whole, [[1, 2, 0]] * n), [[2, 0, 1]] * n)
    assert torch.equal(back.positions, whole.positions) and torch.equal(back.looks, whole.looks)


def test_tuning_goes_through_the_pixels(small_model: WorldModel, small_worlds: Path) -> None:
    worlds = open_worlds(small_worlds, split="train")
    stage = TuneStage(TuneConfig(steps=3, batch=2), small_model, worlds, seed=0)
    before = {k: v.clone() for k, v in small_model.named_parameters()}
    run = Run(stage)
    run.step()
    run.step()
    for part in ("encoder", "dynamics", "decoder"):
        moved = [
            k
            for k, v in small_model.named_parameters()
            if k.startswith(part) and not torch.equal(v, before[k])
        ]
        assert moved, part


def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(
    small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(small_config, tune=TuneConfig(steps=2, batch=1))
    whole = train_world(config, small_worlds, tmp_path / "whole")
    assert (tmp_path / "whole" / "metrics.json").is_file()

    real = Run.step
    count = 0

    def dies(self: Run) -> dict[str, float]:
        nonlocal count
        count += 1
        if count in (5, 11):  # once in each of the first two stages, after their first checkpoint
            raise KeyboardInterrupt
        return real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "step", dies)
        for resume in (False, True):
            with pytest.raises(KeyboardInterrupt):
                train_world(config, small_worlds, tmp_path / "cut", resume=resume)
    again = train_world(config, small_worlds, tmp_path / "cut", resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    a, b = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("whole", "cut"))
    assert a == b


def test_reasoners_share_a_perception(
    small_config: WorldModelConfig,
    small_worlds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    first = train_world(small_config, small_worlds, tmp_path / "first")
    other = dataclasses.replace(
        small_config, seed=1, reasoning=dataclasses.replace(small_config.reasoning, kind="pause")
    )
    made = (tmp_path / "first" / "slots.safetensors").stat().st_mtime_ns
    second = train_world(other, small_worlds, tmp_path / "second", perception="first")
    kept = load_config(dict, tmp_path / "second" / "config.yaml")
    assert kept["perception_run"] == str(tmp_path / "first"), "wherever the run goes on"
    assert kept["data"] == str(small_worlds.absolute())
    assert (tmp_path / "first" / "slots.safetensors").stat().st_mtime_ns == made
    for name, value in first.encoder.state_dict().items():
        assert torch.equal(value, second.encoder.state_dict()[name])
    scores = json.loads((tmp_path / "second" / "metrics.json").read_text())
    assert scores["kind"] == "pause" and scores["forecast"]["val"]["worlds"] == 2
    with pytest.raises(ValueError, match="holds a run already; expected a new folder"):
        train_world(other, small_worlds, tmp_path / "second")


def test_models_survive_the_disk(small_model: WorldModel, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    small_model.save(path, minutes=3)
    back = WorldModel.load(path)
    assert back.config == small_model.config and back.vocabulary == small_model.vocabulary
    for name, value in small_model.state_dict().items():
        assert torch.equal(value, back.state_dict()[name])
    tensors, header = read_tensors(path)
    write_tensors(path, tensors, {**header, "format": "clay4d-world-model-0"})
    with pytest.raises(ValueError, match="got format 'clay4d-world-model-0'; expected 'clay4d-wor"):
        WorldModel.load(path)
    write_tensors(path, {**tensors, "dynamics.looks_mean": torch.zeros(3)}, header)
    with pytest.raises(ValueError, match="dynamics.looks_mean does not fit its config"):
        WorldModel.load(path)


def test_configs_are_checked() -> None:
    for make, message in (
        (lambda: WorldModelConfig(checkpoint_every=0), "checkpoint_every got 0"),
        (
            lambda: WorldModelConfig(reasoning=ReasoningConfig(thoughts=(4, 2))),
            "thoughts got 4 to 2",
        ),
        (
            lambda: WorldModelConfig(perception=PerceptionConfig(steps=-1)),
            "perception.steps got -1",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    found = presets(WorldModelConfig, preset_folder(), prefix="train-world")
    assert {"standard", "quick", "states"} <= found.keys()
    for note, config in found.values():
        assert note and from_dict(WorldModelConfig, to_dict(config)) == config


def test_worlds_that_do_not_fit_are_refused(
    small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    few = dataclasses.replace(
        small_config, encoder=dataclasses.replace(small_config.encoder, objects=1)
    )
    with pytest.raises(ValueError, match="data got a world of [23] objects; expected at most 1"):
        train_world(few, small_worlds, tmp_path / "a")
    long = dataclasses.replace(
        small_config, reasoning=dataclasses.replace(small_config.reasoning, segment=20)
    )
    with pytest.raises(ValueError, match="worlds of 24 frames; expected at least 40"):
        train_world(long, small_worlds, tmp_path / "b")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    with pytest.raises(FileNotFoundError, match="perception got .*nowhere; expected a run"):
        train_world(small_config, small_worlds, tmp_path / "c", perception=tmp_path / "nowhere")
