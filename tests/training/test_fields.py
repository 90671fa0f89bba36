"""Training of radiance fields: it learns, resumes to the same bits, and its parts do what they say."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clay4d.scenes import Dataset, Views
from clay4d.scenes.fields import FieldScene, all_occupied
from clay4d.scenes.fields import KPlanes as Field
from clay4d.scenes.loaders import write_transforms
from clay4d.scenes.motion.planes import Levels
from clay4d.training.checks import check_config
from clay4d.training.config import ControlNodes, DefaultDensity, KPlanes, Losses, TrainConfig
from clay4d.training.evaluate import evaluate
from clay4d.training.fields import FieldTrainer
from clay4d.training.fields.checkpoints import load_field_checkpoint, save_field_checkpoint
from clay4d.training.fields.occupancy import EVERY, SWEPT, Occupancy, box_of_masks, seen_by_masks
from clay4d.training.fields.pool import PixelPool
from clay4d.training.fields.regularise import add_regularisers
from clay4d.training.plan import plan_steps

SMALL = KPlanes(
    resolution=16, time_resolution=6, levels=1, width=16, along=48, cells=16, moments=4,
    places=4096, warm=10,
)  # fmt: skip
CONFIG = TrainConfig(field=SMALL, steps=60, checkpoint_every=30)


def masked(data: Dataset, *, limit: int = 250) -> Dataset:
    """The same pictures with an alpha channel: what is white is nothing."""

    def with_alpha(views: Views) -> Views:
        def decode(i: int) -> np.ndarray:
            rgb = views.pixels(i)
            alpha = np.where((rgb > limit).all(2), 0, 255).astype(np.uint8)
            return np.concatenate([rgb, alpha[..., None]], 2)

        return Views(views.cameras, views.names, decode, background=views.background)

    splits = {name: with_alpha(views) for name, views in data.splits.items()}
    return dataclasses.replace(data, splits=splits)


def test_it_learns(swinging: Dataset) -> None:
    trainer = FieldTrainer(dataclasses.replace(CONFIG, steps=250), masked(swinging))
    before = evaluate(trainer.scene, swinging.split("test"))["psnr"]
    for _ in range(250):
        report = trainer.step()
    after = evaluate(trainer.scene, swinging.split("test"))["psnr"]
    assert after > before + 2.5
    assert after > 24.5
    assert report.counted["rays"] > 64


def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(
    swinging: Dataset, tmp_path: Path
) -> None:
    data, whole = masked(swinging), []
    trainer = FieldTrainer(CONFIG, data)
    for k in range(60):
        if k == 37:
            save_field_checkpoint(tmp_path / "c.safetensors", trainer, seconds=3.0)
        whole.append(trainer.step().loss)
    other = FieldTrainer(CONFIG, data, resuming=True)
    assert load_field_checkpoint(tmp_path / "c.safetensors", other) == 3.0
    assert [other.step().loss for _ in range(60 - 37)] == whole[37:]
    for name, value in trainer.scene.field.tensors().items():
        assert torch.equal(value, other.scene.field.tensors()[name])
    assert np.array_equal(trainer.scene.occupied, other.scene.occupied)
    assert np.array_equal(trainer.occupancy.grid, other.occupancy.grid)


def test_a_checkpoint_of_another_config_is_refused(swinging: Dataset, tmp_path: Path) -> None:
    trainer = FieldTrainer(CONFIG, swinging)
    trainer.step()
    save_field_checkpoint(tmp_path / "c.safetensors", trainer, seconds=0.0)
    larger = dataclasses.replace(CONFIG, field=dataclasses.replace(SMALL, resolution=32))
    with pytest.raises(ValueError, match="Resume with the run's config"):
        load_field_checkpoint(tmp_path / "c.safetensors", FieldTrainer(larger, swinging))


def test_the_command_trains_evaluates_and_renders(swinging: Dataset, tmp_path: Path) -> None:
    from clay4d.cli import main
    from clay4d.scenes.store import load_scene

    train = swinging.train
    images = [train[i].image.numpy() for i in range(len(train))]
    pictures = [(255 * image + 0.5).astype(np.uint8) for image in images]
    write_transforms(tmp_path / "data", {"train": (train.cameras, pictures)})
    run = str(tmp_path / "run")
    small = ["--steps", "12", "--field.resolution", "16", "--field.levels", "1"]
    small += ["--field.places", "2048", "--field.cells", "16", "--checkpoint-every", "6"]
    assert main(["train", "kplanes", "--data", str(tmp_path / "data"), "--out", run, *small]) == 0
    assert isinstance(load_scene(tmp_path / "run" / "scene.safetensors"), FieldScene)
    assert main(["evaluate", run, "--split", "train"]) == 0
    assert main(["render", run, "--frames", "2", "--scale", "0.5"]) == 0
    assert (tmp_path / "run" / "orbit.mp4").is_file()
    assert main(["export", run, str(tmp_path / "a.ply")]) == 2


def test_cells_empty_themselves_unless_something_is_found_there() -> None:
    torch.manual_seed(0)
    field = Field(resolution=4, time_resolution=2, levels=1, width=16)
    with torch.no_grad():
        field.body_out.weight.zero_()
        field.body_out.bias.fill_(-9.0)
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    scene = FieldScene(field, box, all_occupied(2, 4), 1.0)
    occupancy = Occupancy(scene, seed=0)
    place = np.array([[0.1, -0.9, 0.9, -0.5]], np.float32)
    for step in range(60 * EVERY):
        occupancy.note(place, np.array([0.02], np.float32))
        occupancy.update(step)
    assert np.argwhere(scene.occupied).tolist() == [[0, 2, 0, 3]]
    with torch.no_grad():
        field.body_out.bias.fill_(9.0)
    for step in range(SWEPT * EVERY):
        occupancy.update(step)
    assert scene.occupied.all()


def test_every_draw_is_a_function_of_the_seed_and_the_step(swinging: Dataset) -> None:
    pool, again = PixelPool(swinging.train, seed=5), PixelPool(swinging.train, seed=5)
    pool.draw(0, 10)
    a, b = pool.draw(7, 50), again.draw(7, 50)
    assert torch.equal(a.which, b.which)
    assert torch.equal(a.colours, b.colours)
    assert np.array_equal(a.jitter, b.jitter)
    assert not torch.equal(a.xy, PixelPool(swinging.train, seed=6).draw(7, 50).xy)
    shown = swinging.train[int(a.which[0])].image
    x, y = (int(v) for v in a.xy[0])
    assert torch.allclose(shown[y, x], a.colours[0])


def test_pictures_that_do_not_fit_into_memory_take_turns(swinging: Dataset) -> None:
    size = swinging.train.pixels(0).nbytes
    pool = PixelPool(swinging.train, seed=0, budget=3 * size)
    first, later = (set(pool.draw(step, 500).which.tolist()) for step in (0, 500))
    assert len(first) == len(later) == 3
    assert first != later


def plain_regularisers(planes: torch.Tensor, levels: Levels, config: KPlanes) -> torch.Tensor:
    """As in the paper, by torch's means."""
    tv, bend, pull, n = 0.0, 0.0, 0.0, len(levels.cells)
    for space, moments in levels.split(planes):
        for p in range(3):
            across = (space[p][:, 1:] - space[p][:, :-1]).square().mean()
            down = (space[p][1:] - space[p][:-1]).square().mean()
            tv = tv + (across + down) / 2 + (moments[p][:, 1:] - moments[p][:, :-1]).square().mean()
            twice = moments[p][2:] - 2 * moments[p][1:-1] + moments[p][:-2]
            bend, pull = bend + twice.square().mean(), pull + (1 - moments[p]).abs().mean()
    terms = config.plane_tv * tv / (6 * n) + config.time_smoothness * bend / (3 * n)
    return torch.as_tensor(terms + config.time_l1 * pull / (3 * n))


def test_regularisers_and_their_gradient_agree_with_float64() -> None:
    levels, config = Levels((3, 5), 4, 16), KPlanes(plane_tv=0.3, time_smoothness=0.7, time_l1=0.2)
    planes = torch.rand(levels.size, generator=torch.Generator().manual_seed(0)) + 0.5
    precise = planes.double().requires_grad_()
    wanted = plain_regularisers(precise, levels, config)
    wanted.backward()
    assert precise.grad is not None
    grad = np.zeros(levels.size, np.float32)
    value = add_regularisers(planes, levels, config, grad, times=4)
    assert value == pytest.approx(4 * float(wanted.detach()), rel=1e-5)
    assert np.allclose(grad, 4 * precise.grad.numpy(), rtol=1e-4, atol=1e-8)


def test_masks_tell_where_something_can_be(swinging: Dataset) -> None:
    data = masked(swinging)
    box = seen_by_masks(data, data.bounds, 2, 16)
    assert 0.01 < box.mean() < 0.5
    blob = (np.array([0.0, 0.4, -0.2]) + 1) / 2 * 16  # the one that stands still
    assert box[:, int(blob[0]), int(blob[1]), int(blob[2])].all()
    assert seen_by_masks(swinging, data.bounds, 2, 16).all()


def test_settings_that_cannot_train_are_refused() -> None:
    with pytest.raises(ValueError, match=r"field\.places got 3; expected 256"):
        check_config(dataclasses.replace(CONFIG, field=dataclasses.replace(SMALL, places=3)))


def test_a_config_that_says_no_cover_is_a_fields_too() -> None:
    check_config(dataclasses.replace(CONFIG, losses=Losses(cover=0.0)))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"losses": Losses(depth=0.5)},
            r"losses\.depth got 0\.5 for a radiance field; expected its d",
        ),
        ({"losses": Losses(cover=0.1)}, r"losses\.cover got 0\.1 for a radiance field"),
        ({"losses": Losses(smoothness=1.0)}, r"losses\.smoothness got 1\.0"),
        ({"losses": Losses(poses=True)}, r"losses\.poses got True"),
        ({"motion": ControlNodes()}, r"motion got ControlNodes"),
        ({"density": DefaultDensity()}, r"density got DefaultDensity"),
        ({"near": 0.2}, r"near got 0\.2"),
    ],
)
def test_settings_of_gaussians_are_refused_beside_a_field(
    part: dict[str, Any], message: str
) -> None:
    check_config(dataclasses.replace(CONFIG, seed=3, checkpoint_every=7))
    with pytest.raises(ValueError, match=message):
        check_config(dataclasses.replace(CONFIG, **part))


def test_the_box_shrinks_to_where_masks_show_something(swinging: Dataset) -> None:
    data = dataclasses.replace(masked(swinging, limit=128), duration=0.0)  # all of one moment
    low, high = box_of_masks(data, cells=16)
    assert (low >= -1).all()
    assert (high <= 1).all()
    assert float((high - low).prod()) < 0.6 * 8
    still = torch.tensor([0.0, 0.4, -0.2])
    assert ((still - 0.15 > low) & (still + 0.15 < high)).all()
    assert torch.equal(box_of_masks(swinging), swinging.bounds)
    loose = dataclasses.replace(CONFIG, field=dataclasses.replace(SMALL, tight=False))
    assert torch.equal(FieldTrainer(loose, data).scene.bounds, swinging.bounds)


def test_minutes_become_steps_that_are_paid_for(swinging: Dataset) -> None:
    began = time.monotonic()
    planned = plan_steps(CONFIG, swinging, seconds=30.0)
    assert time.monotonic() - began < 15
    trainer = FieldTrainer(CONFIG, swinging)
    costs = []
    for _ in range(10):
        began = time.monotonic()
        trainer.step()
        costs.append(time.monotonic() - began)
    # Within a factor that other work on the machine may cost.
    assert 100 <= planned.steps <= 30.0 / min(costs) + 100
    assert planned.field == CONFIG.field
