"""The judge of generated scenes: words read back, paths judged, crops cut, touches told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clay4d.scenes.store import write_tensors
from clay4d.world_model.decoders import DecoderSize, GaussianDecoder
from clay4d.world_model.judge import (
    LooksJudge,
    Said,
    acts_right,
    prompt_scores,
    read_acts,
    touch_script,
)
from clay4d.world_model.judge.looks import SIDE, crops_of
from clay4d.world_model.model import WorldModel
from clay4d.world_model.slots import Slots
from clay4d.world_model.training.config import JudgeConfig
from clay4d.world_model.training.judge import JudgeStage
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import open_worlds
from clay4d.world_model.worlds.format import WorldObject
from clay4d.world_model.worlds.layout import Act, Placed
from clay4d.world_model.worlds.things import Thing, describe
from clay4d.world_model.worlds.words import VERBS, write_paraphrases, write_prompt

BALL = WorldObject("", "the red ball", "mover", "ball", "red", "steel", (0.2,) * 3, 3.0)
CUBE = WorldObject("", "the blue cube", "mover", "cube", "blue", "wood", (0.2,) * 3, 1.0)
RAMP = WorldObject("", "the ramp", "ramp", "ramp", "tan", "wood", (0.8, 0.44, 0.4), 0.0)


def path(start: tuple[float, float, float], speed: tuple[float, float, float], fall: float = 0.0) -> np.ndarray:  # fmt: skip
    """A thing that starts somewhere with a speed and is pulled down, no deeper than its half size."""
    t = np.arange(24)[:, None] / 12
    own = np.array(start) + t * np.array(speed)
    own[:, 2] = np.maximum(own[:, 2] - 0.5 * fall * t[:, 0] ** 2, 0.1)
    return own


AWAY = path((0.6, 0, 0.1), (0, 0, 0))


@pytest.mark.parametrize("kind, aimed", list(VERBS))
def test_every_sentence_is_read_back(kind: str, aimed: bool) -> None:
    ball, cube = Thing("ball", "red", "steel", "small", "mover"), Thing("cube", "blue", "wood", "", "mover")  # fmt: skip
    if kind == "descend":
        cube = Thing("ramp", "tan", "wood", "", "ramp")
    directed = "{way}" in VERBS[kind, aimed][0]  # type: ignore[index]
    act = Act(kind, 1 if aimed else None, "left" if directed else None, "quickly")  # type: ignore[arg-type]
    placed = [Placed(ball, act, (0, 0, 0)), Placed(cube, Act("rest"), (0, 0, 0))]
    objects = [describe(p.thing, 1.0) for p in placed]
    wanted = Said(0, kind, act.aim, act.direction)  # type: ignore[arg-type]
    for text in (write_prompt(placed), *write_paraphrases(placed, 3, np.random.default_rng(0))):
        assert read_acts(text, objects)[0 if aimed or text[0] in "Aa" else -1] in (
            wanted,
            Said(1, "rest"),
        )
        assert wanted in read_acts(text, objects)


@pytest.mark.parametrize(
    "said, good, bad",
    [
        (Said(0, "rest"), path((0, 0, 0.1), (0, 0, 0)), path((0, 0, 0.1), (1, 0, 0))),
        (Said(0, "roll", 1), path((0, 0, 0.1), (1, 0, 0)), path((0, 0, 0.1), (0, 1, 0))),
        (Said(0, "roll", None, "left"), path((0, 0, 0.1), (-1, 0, 0)), path((0, 0, 0.1), (1, 0, 0))),
        (Said(0, "slide", 1), path((0, 0, 0.1), (1, 0, 0)), path((0, 0, 0.9), (1, 0, 0), 9.8)),
        (Said(0, "throw", 1), path((0, 0, 0.6), (1, 0, 0), 9.8), path((0, 0, 0.1), (1, 0, 0))),
        (Said(0, "fall", 1), path((0.6, 0, 0.9), (0, 0, 0), 9.8), path((0, 0, 0.9), (0, 0, 0), 9.8)),
        (Said(0, "fall"), path((0, 0, 0.9), (0, 0, 0), 9.8), path((0, 0, 0.9), (0, 0, 0))),
    ],
)  # fmt: skip
def test_paths_do_or_do_not_what_was_said(said: Said, good: np.ndarray, bad: np.ndarray) -> None:
    for own, wanted in ((good, True), (bad, False)):
        assert acts_right([said], [BALL, CUBE], np.stack([own, AWAY], 1)) == [wanted]


def test_rolling_down_a_ramp_starts_high_on_it() -> None:
    ramp = path((0, 0, 0.2), (0, 0, 0))
    down = path((-0.3, 0, 0.45), (0.8, 0, -0.4))
    flat = path((-0.3, 0, 0.1), (0.8, 0, 0))
    said = [Said(0, "descend", 1)]
    assert acts_right(said, [BALL, RAMP], np.stack([down, ramp], 1)) == [True]
    assert acts_right(said, [BALL, RAMP], np.stack([flat, ramp], 1)) == [False]


def test_a_crop_holds_the_thing_and_nothing_else() -> None:
    images = torch.zeros(1, 20, 30, 3)
    images[..., 2] = 1.0
    own = torch.zeros(1, 20, 30, dtype=torch.uint8)
    own[0, 4:12, 20:28] = 1
    images[0, 4:12, 20:28] = torch.tensor([0.9, 0.5, 0.1])
    crop = crops_of(images, own, 1)[0][0, 0]
    assert crop.shape == (4, SIDE, SIDE)
    # Eight pixels and one more on each side on sixteen: the outermost are dark, the middle is full.
    assert torch.allclose(crop[:, 8, 8], torch.tensor([0.9, 0.5, 0.1, 1.0]))
    assert float(crop[:, 0].abs().max()) == 0 and float(crop[3].mean()) == pytest.approx(
        0.64, abs=0.03
    )


def test_the_judge_learns_and_is_kept(small_worlds: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = LooksJudge(8)
    stage = JudgeStage(JudgeConfig(steps=40, batch=2, lr=5e-3), judge, open_worlds(small_worlds, split="train"), seed=0)  # fmt: skip
    run = Run(stage)
    said = [run.step()["loss"] for _ in range(40)]
    assert sum(said[-5:]) < 0.5 * sum(said[:5])
    whole = LooksJudge()
    whole.save(tmp_path / "judge.safetensors")
    again = LooksJudge.load(tmp_path / "judge.safetensors")
    crops = torch.rand(2, 4, SIDE, SIDE)
    assert torch.equal(again(crops)["shape"], whole(crops)["shape"])
    judge.save(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no judge of this version"):
        LooksJudge.load(tmp_path / "other.safetensors")
    assert torch.equal(
        LooksJudge.load(str(tmp_path / "judge.safetensors"))(crops)["shape"], whole(crops)["shape"]
    )


@pytest.mark.parametrize("names", [[1], {"shape": 3}, None, "shape"])
def test_a_judge_of_odd_words_is_refused(names: object, tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    write_tensors(path, LooksJudge().state_dict(), {"format": "clay4d-judge-1", "names": names})
    with pytest.raises(ValueError, match="no judge of this version"):
        LooksJudge.load(path)


def test_prompts_are_scored_beside_the_truth(small_model: WorldModel, small_worlds: Path) -> None:
    class Knows(LooksJudge):
        """Says of everything that it is a red ball."""

        def look(self, images, masks, count):  # type: ignore[no-untyped-def]
            return [{"shape": "ball", "colour": "red"}] * count

    worlds = open_worlds(small_worlds, split="val")
    said = prompt_scores(small_model, Knows(), worlds, thoughts=1)
    assert said["prompts"] == len(worlds) and said["true"]["count"] == 1.0
    assert 0 <= said["generated"]["things"] <= 1
    assert said == prompt_scores(small_model, Knows(), worlds, thoughts=1)


def meeting(gap: float) -> tuple[GaussianDecoder, Slots]:
    """Two balls of radius 0.1: one comes from the left and stops a gap before the other."""
    torch.manual_seed(0)
    decoder = GaussianDecoder(DecoderSize(gaussians=64, stage=4, hidden=8), looks=8, stage=4)
    looks = torch.zeros(1, 2, 8)
    looks[..., 0] = float(np.log(0.1))
    positions = torch.zeros(1, 24, 2, 3)
    positions[..., 2] = 0.5
    positions[0, :, 0, 0] = torch.linspace(-1.0, 0.0, 24).clamp(max=-0.17 - gap)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(1, 24, 2, 4)
    there = torch.ones(1, 2, dtype=torch.bool)
    times = torch.arange(24.0)[None] / 12
    return decoder, Slots(looks, torch.zeros(1, 4), positions, quats, there[:, None].expand(1, 24, 2), there, times)  # fmt: skip


def test_touches_and_stops_are_told() -> None:
    words = ["the red ball", "the blue ball"]
    told = [e.words for e in touch_script(*meeting(0.0), words)]
    assert told[0] == "the red ball hits the blue ball" and told[1] == "the red ball stops"
    assert [e.words for e in touch_script(*meeting(0.3), words)] == ["the red ball stops"]
    with pytest.raises(ValueError, match="a word for each thing"):
        touch_script(*meeting(0.0), words[:1])
