"""Fields of objects: a ball is drawn where the ball is, nearer things hide farther ones, pictures teach it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clay4d.cli import main
from clay4d.renderers import render
from clay4d.scenes import Cameras
from clay4d.scenes.fields import FieldSize, ObjectField, ObjectFields
from clay4d.scenes.quaternions import normalise
from clay4d.scenes.store import read_tensors
from clay4d.training.evaluate import evaluate_run
from clay4d.training.run import load_run
from clay4d.world_model.decoders import DecoderSize, GaussianDecoder
from clay4d.world_model.decoders.radiance_field import all_pixels, draw_field
from clay4d.world_model.decoders.scene import fields_from_slots, scene_from_slots
from clay4d.world_model.model import WorldModel
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.training.config import FieldConfig
from clay4d.world_model.training.field import FieldStage
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import open_worlds, stack_worlds

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
    field = ObjectField(FieldSize(hidden=8, samples=24), looks=8)
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


def test_fields_learn_from_pictures(
    small_model: WorldModel, small_worlds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rays again and again: the loss of others is mostly the untrained stage's."""
    worlds = open_worlds(small_worlds, split="train")
    before = {k: v.clone() for k, v in small_model.encoder.named_parameters()}
    config = FieldConfig(steps=16, batch=2, rays=32, lr=1e-2)
    stage = FieldStage(config, small_model, worlds, seed=0)
    drawn = stage.losses
    monkeypatch.setattr(stage, "losses", lambda step: drawn(0))
    run = Run(stage)
    said = [run.step()["loss"] for _ in range(16)]
    assert said[-1] < said[0] - 0.001, said
    for name, value in small_model.encoder.named_parameters():
        assert torch.equal(value, before[name])


def test_the_scene_is_drawn_as_training_draws_it(
    small_model: WorldModel, small_worlds: Path
) -> None:
    torch.nn.init.normal_(small_model.field.out.weight, std=0.5)
    worlds = open_worlds(small_worlds, split="train")
    read = worlds.read(1, frames=range(0, 6))
    frames = PosedFrames.from_worlds(stack_worlds([read], objects=4))
    with torch.no_grad():
        given = small_model.encoder(frames)
        turned = torch.randn(given.quats.shape, generator=torch.Generator().manual_seed(0))
        given = replace(given, quats=normalise(turned))
        scene = fields_from_slots(small_model.field, small_model.decoder, given)
        wanted = draw_field(
            small_model.field, small_model.decoder, given, frames, all_pixels(frames)
        ).colours
    times = (given.times[0] - given.times[0, 0]).repeat_interleave(4)
    views, Ks = frames.viewmats[0].flatten(0, 1), frames.Ks[0].flatten(0, 1)
    seen = render(scene, Cameras(views, Ks, 32, 32, times), depth=False).images
    assert torch.allclose(seen.flatten(1, 2), wanted[0].flatten(0, 1), atol=2e-4)
    assert float((seen[0] - seen[-4]).abs().max()) > 0.05  # things have moved
    plain = scene_from_slots(small_model.decoder, given)
    assert scene.duration == plain.duration and scene.background == plain.background


@pytest.fixture
def with_field(small_model: WorldModel, small_worlds: Path, tmp_path: Path) -> Path:
    """A run that trained the field of a model alone."""
    with torch.no_grad():
        for value in small_model.parameters():  # other ones than a seed draws
            value += 0.01
    small_model.save(tmp_path / "model.safetensors", seed=7)
    words = ["train-world", "quick", "--data", str(small_worlds), "--out", str(tmp_path / "run")]
    more = ["--field-of", str(tmp_path / "model.safetensors"), "--fields.steps", "2"]
    assert main([*words, *more, "--fields.batch", "2", "--fields.rays", "8"]) == 0
    return tmp_path / "run"


def test_a_field_is_trained_alone_and_a_prompt_becomes_one(
    with_field: Path, small_worlds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, old = read_tensors(with_field.parent / "model.safetensors")
    after, new = read_tensors(with_field / "model.safetensors")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]) != name.startswith("field."), name
    assert new["config"]["fields"]["steps"] == 2 and new["notes"]["seed"] == 7
    assert new["config"] | {"fields": old["config"]["fields"]} == old["config"]
    scores = json.loads((with_field / "metrics.json").read_text())["field"]
    assert scores["pictures"] == 8 and scores["field"]["psnr"] > 5
    run, words = with_field / "scene", ["generate", "", "--context", str(small_worlds / "000003")]
    made = [*words, "--decoder", "field", "--weights", str(with_field), "--out", str(run)]
    assert main(made) == 0, capsys.readouterr().err
    scene, _, data = load_run(run)
    assert isinstance(scene, ObjectFields) and scene.duration == pytest.approx(23 / 12)
    assert evaluate_run(run)["images"] == 72 and data == run / "views"
    assert main(["render", str(run), "--frames", "2", "--out", str(run / "v.mp4")]) == 0
    capsys.readouterr()
    for out in ("a.ply", "a.html"):
        assert main(["export", str(run), str(run / out)]) == 2
        assert "scene got a radiance field; expected Gaussians" in capsys.readouterr().err


def test_training_a_field_goes_on_to_the_same_bits(with_field: Path, small_worlds: Path) -> None:
    first = (with_field / "model.safetensors").read_bytes()
    (with_field / "model.safetensors").unlink()
    words = ["train-world", "quick", "--data", str(small_worlds), "--out", str(with_field)]
    more = ["--field-of", "not looked at", "--resume"]
    assert main([*words, *more]) == 0
    assert (with_field / "model.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--fields.steps", "0"], "fields.steps got 0; expected at least 1. Give --fields.steps"),
        (["--perception-run", "x"], "perception-run got x beside --field-of"),
        (["--field-of", "nowhere", "--fields.steps", "1"], "nowhere is not there"),
    ],
)
def test_mistakes_are_one_line(
    more: list[str], said: str, small_model: WorldModel, small_worlds: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    small_model.save(tmp_path / "m.safetensors")
    given = more if "nowhere" in more else ["--field-of", str(tmp_path / "m.safetensors"), *more]
    out = tmp_path / "run"
    assert (
        main(["train-world", "quick", "--data", str(small_worlds), "--out", str(out), *given]) == 2
    )
    err = capsys.readouterr().err.strip()
    assert said in err and err.count("\n") == 0 and not out.exists()


def test_weights_without_a_field_say_so(
    small_model: WorldModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model.save(tmp_path / "m.safetensors")
    words = ["generate", "a red ball", "--decoder", "field", "--out", str(tmp_path / "run")]
    assert main([*words, "--weights", str(tmp_path / "m.safetensors")]) == 2
    err = capsys.readouterr().err.strip()
    assert "decoder got field for weights without a trained one" in err and err.count("\n") == 0
    assert not (tmp_path / "run").exists()
