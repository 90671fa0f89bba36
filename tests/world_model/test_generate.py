"""Generated runs are like any other's: drawn, measured and loaded; mistakes are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.cli import main
from clay4d.renderers.paths import camera_path
from clay4d.scenes import Scene
from clay4d.scenes.fields import ObjectFields
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.loaders.write import write_transforms
from clay4d.scenes.store import read_tensors
from clay4d.training.evaluate import evaluate_run
from clay4d.training.run import load_run
from clay4d.world_model.generate import WEIGHTS, generate
from clay4d.world_model.judge import LooksJudge
from clay4d.world_model.model import WorldModel

PROMPT = "a red ball and a blue ball fall onto the floor"


@pytest.fixture
def weights(small_model: WorldModel, tmp_path: Path) -> Path:
    torch.nn.init.normal_(small_model.dynamics.future.out.weight, std=0.2)
    path = tmp_path / "model.safetensors"
    small_model.save(path)
    return path


def test_a_prompt_becomes_a_run(weights: Path, tmp_path: Path) -> None:
    made = generate(PROMPT, tmp_path / "run", weights=weights, thoughts=3)
    assert isinstance(made.scene, Scene) and made.scene.duration == pytest.approx(23 / 12)
    assert len(made.cameras) == 96 and made.slots.positions.shape[:2] == (1, 24)
    assert [len(t) for t in made.thinking.thoughts] == [3, 3, 3, 3]
    scene, _, data = load_run(tmp_path / "run")
    assert torch.equal(scene.at(0.7).means, made.scene.at(0.7).means)
    dataset = load_dataset(data)
    assert len(camera_path("orbit", dataset, frames=5)) == 5
    with pytest.raises(ValueError, match="split got 'test'; expected one of train"):
        evaluate_run(tmp_path / "run")
    assert Image.open(tmp_path / "run" / "sheet.png").size == (256, 384)
    tensors, header = read_tensors(tmp_path / "run" / "thoughts.safetensors")
    assert header["kind"] == "recycled" and tensors["3.vectors"].shape == (1, 3, 16)
    said = json.loads((tmp_path / "run" / "thoughts.json").read_text())
    assert [s["before_seconds"] for s in said["segments"]] == [0.0, 0.5, 1.0, 1.5]


def test_the_same_seed_gives_the_same_bits(weights: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        generate(PROMPT, tmp_path / name, weights=weights, seed=seed)
    a, b, c = ((tmp_path / n / "scene.safetensors").read_bytes() for n in "abc")
    assert a == b and a != c


def test_futures_are_drawn_and_the_likeliest_is_one(weights: Path) -> None:
    drawn = {
        tuple(generate(PROMPT, weights=weights, seed=s).slots.positions.flatten().tolist()[:9])
        for s in range(6)
    }
    assert len(drawn) > 1
    sure = [generate(PROMPT, weights=weights, seed=s, temperature=0.0) for s in range(2)]
    assert torch.equal(sure[0].slots.positions, sure[1].slots.positions)


def test_a_context_is_what_the_scene_begins_with(
    weights: Path, small_worlds: Path, tmp_path: Path
) -> None:
    made = generate("", tmp_path / "run", context=small_worlds / "000003", weights=weights)
    assert len(made.thinking.thoughts) == 3
    truth = load_dataset(tmp_path / "run" / "views")
    assert len(truth.split("val")) == 6 * 4 and len(truth.split("test")) == 18 * 4
    metrics = evaluate_run(tmp_path / "run")
    assert metrics["images"] == 72 and np.isfinite(metrics["psnr"])
    again = generate("", context=small_worlds, weights=weights)
    assert again.slots.positions.shape[1] == 24


def test_pictures_with_alpha_are_a_context_too(
    weights: Path, small_worlds: Path, tmp_path: Path
) -> None:
    from clay4d.world_model.generate import at_all_times
    from clay4d.world_model.worlds import open_worlds

    world = open_worlds(small_worlds)[0]
    cameras = at_all_times(torch.from_numpy(world.viewmats), torch.from_numpy(world.Ks), 32, 32, 3)
    masks = ((world.masks[:3] == 1) * np.uint8(255))[..., None]
    pixels = np.concatenate([world.images[:3], masks], -1).reshape(12, 32, 32, 4)
    write_transforms(tmp_path / "data", {"train": (cameras, pixels)})
    made = generate(PROMPT, context=tmp_path / "data", weights=weights)
    assert int(made.slots.present.sum()) == 1 and len(made.thinking.thoughts) == 4
    truth = world.tracks.positions[:3, 0]
    assert np.abs(made.slots.positions[0, :3, 0].numpy() - truth).max() < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a red cat"], "prompt got unknown words 'cat'; expected words that training saw"),
        ([""], "prompt got nothing; expected English"),
        ([PROMPT, "--thoughts", "17"], "thoughts got 17; expected 0 to 16"),
        ([PROMPT, "--context", "nowhere"], "data got 'nowhere', which is not there"),
        ([PROMPT, "--context", "{worlds}/999999"], "expected one of the worlds 000000 to 000009"),
        (
            [PROMPT, "--weights", "nowhere"],
            "weights got nowhere, which is not there; expected a tr",
        ),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    weights: Path,
    small_worlds: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [a.format(worlds=small_worlds) for a in arguments]
    given = given if "--weights" in given else [*given, "--weights", str(weights)]
    assert main(["generate", *given, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and said.count("\n") == 0 and said.startswith("clay4d: ")
    assert not (tmp_path / "run").exists()


def test_the_command_line_leaves_a_run(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["generate", "a red shiny ball", "--allow-unknown", "--weights", str(weights)]
    assert main([*words, "--out", str(run)]) == 0
    assert "sheet.png" in capsys.readouterr().out
    assert main([*words, "--out", str(run)]) == 2
    assert "holds something; expected a new folder" in capsys.readouterr().err
    assert main(["render", str(run), "--frames", "4", "--out", str(tmp_path / "v.mp4")]) == 0


def test_the_released_weights_are_there_and_say_what_they_are(tmp_path: Path) -> None:
    assert WEIGHTS.stat().st_size < 8e6
    assert (WEIGHTS.parent / "README.md").read_text("utf-8").startswith("# Model card")
    LooksJudge.load(WEIGHTS.parent / "judge.safetensors")
    made = generate("A large red ball rolls into a small blue cube.", tmp_path / "run", seed=3)
    assert int(made.slots.present.sum()) == 2
    colours = made.slots.looks[0, :2, 1:4].sigmoid()
    assert colours[0].argmax() == 0 and colours[1].argmax() == 2  # red, then blue
    again = generate("A large red ball rolls into a small blue cube.", seed=3, decoder="field")
    assert isinstance(again.scene, ObjectFields) and len(again.scene.looks) == 2
    assert torch.equal(again.slots.positions, made.slots.positions)


def test_loading_the_weights_does_not_load_torchs_compiler() -> None:
    """It takes 1.5 s, and whatever counts with tensors that have no memory brings it."""
    code = (
        "import sys; from clay4d.world_model.generate import WEIGHTS; "
        "from clay4d.world_model.model import WorldModel; WorldModel.load(WEIGHTS); "
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
