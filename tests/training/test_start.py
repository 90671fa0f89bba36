"""What a run begins with: triangulated points, each at its own moment."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from clay4d.renderers import render
from clay4d.scenes import Dataset, Gaussians
from clay4d.scenes.motion import ControlNodes, Polynomial
from clay4d.scenes.triangulate import Points
from clay4d.training import config as options
from clay4d.training import start
from clay4d.training.checkpoints import load_checkpoint, save_checkpoint
from clay4d.training.config import McmcDensity, Schedule, Start, TrainConfig
from clay4d.training.trainer import Trainer

CONFIG = TrainConfig(
    motion=options.Polynomial(),
    start=Start(triangulate=True),
    density=McmcDensity(cap=300, begin=5, every=5, noise=0),
    schedule=Schedule(coarse=((0.0, 1.0),), sh_degree=0),
    steps=40,
)
MOMENTS = (0.0, 0.5, 1.0)


def found() -> Points:
    """100 points that stand still and 20 that move at each of three moments."""
    g = torch.Generator().manual_seed(0)
    times = torch.cat([torch.full((100,), math.nan), torch.tensor(MOMENTS).repeat_interleave(20)])
    return Points(torch.rand(160, 3, generator=g) - 0.5, torch.rand(160, 3, generator=g), times)


@pytest.fixture
def triangulated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Stands in for the slow search; gives the settings of each call."""
    calls: list[dict[str, int]] = []

    def instead(views: object, **settings: int) -> Points:
        calls.append(settings)
        return found()

    monkeypatch.setattr(start, "triangulate_points", instead)
    return calls


def test_points_are_triangulated_once_and_said(
    swinging: Dataset, triangulated: list[dict[str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = Start(triangulate=True, limit=77, moments=3)
    dataset = start.with_points(swinging, wanted)
    said = capsys.readouterr().err
    assert "triangulating" in said and "100 points that stand still and 60 on what moves" in said
    assert start.with_points(dataset, wanted) is dataset
    assert start.with_points(swinging, Start()) is swinging
    assert triangulated == [{"limit": 77, "moments": 3}]


def test_moving_points_are_there_at_their_moment_only(
    swinging: Dataset, triangulated: list[dict[str, int]]
) -> None:
    scene = Trainer(CONFIG, swinging).scene
    times = found().times
    for moment in MOMENTS:
        opacities = scene.at(moment * scene.duration).opacities.detach() / CONFIG.start.opacity
        assert torch.allclose(opacities[times.isnan()], torch.ones(100))
        assert torch.allclose(opacities[times == moment], torch.ones(20))
        assert (opacities[(times - moment).abs() > 0.9] < 0.01).all()
    halfway = scene.at(0.25).opacities.detach() / CONFIG.start.opacity
    assert (halfway[(times - 0.25).abs() < 0.3] > 0.6).all()


def test_what_stands_still_stays_while_the_rest_learns_to_move(
    swinging: Dataset, triangulated: list[dict[str, int]]
) -> None:
    trainer = Trainer(CONFIG, swinging)
    for _ in range(CONFIG.steps):
        trainer.step()
    raw = trainer.scene.raw
    assert len(raw["means"]) > 160
    still = raw["moves"] == 0
    assert 20 < int(still.sum()) < len(still) - 20
    a, b = (trainer.scene.at(t) for t in (0.0, 0.9))
    assert torch.equal(a.means[still], b.means[still])
    assert torch.equal(a.opacities[still], b.opacities[still])
    assert (a.means[~still] != b.means[~still]).any(1).float().mean() > 0.5


def test_other_motion_begins_at_the_middle(
    swinging: Dataset, triangulated: list[dict[str, int]]
) -> None:
    dataset = start.with_points(swinging, CONFIG.start)
    raw = start.first_rows(dataset, CONFIG, ControlNodes(nodes=8, width=8, depth=1))
    assert len(raw["means"]) == 120
    middle = found()
    assert torch.equal(raw["means"][100:], middle.xyz[middle.times == 0.5])


def test_each_moment_has_sizes_of_its_own(
    swinging: Dataset, triangulated: list[dict[str, int]]
) -> None:
    """The same points at three moments lie on each other, and are no smaller for it."""
    one = found()
    same = one.xyz[100:120].repeat(3, 1)
    dataset = dataclasses.replace(
        start.with_points(swinging, CONFIG.start),
        points=torch.cat([torch.cat([one.xyz[:100], same]), one.rgb], 1),
    )
    scales = start.first_rows(dataset, CONFIG, Polynomial())["scales"].exp()
    expected = Gaussians.from_points(same[:20], one.rgb[:20]).scales
    assert torch.allclose(scales[120:140], expected)


def test_a_run_resumes_without_triangulating(
    swinging: Dataset, triangulated: list[dict[str, int]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole, half = Trainer(CONFIG, swinging), Trainer(CONFIG, swinging)
    for trainer, steps in ((whole, CONFIG.steps), (half, 17)):
        for _ in range(steps):
            trainer.step()
    save_checkpoint(tmp_path / "c.safetensors", half, seconds=0)
    monkeypatch.delattr(start, "triangulate_points")
    resumed = Trainer(CONFIG, swinging, resuming=True)
    load_checkpoint(tmp_path / "c.safetensors", resumed)
    while resumed.step_done < CONFIG.steps:
        resumed.step()
    for name, value in whole.scene.raw.items():
        assert torch.equal(value, resumed.scene.raw[name]), name


def test_nothing_nearer_than_near_is_seen(swinging: Dataset) -> None:
    """A wall of Gaussians right before each camera hides the scene, unless they are too near."""
    scene = Trainer(dataclasses.replace(CONFIG, start=Start(count=50)), swinging).scene
    camera = swinging.train.cameras[0]
    axis = camera.viewmats[0, 2, :3]
    raw = {k: v.detach().clone() for k, v in scene.raw.items()}
    raw["means"][:] = camera.centres[0] + 0.3 * axis
    raw["opacities"][:] = 5.0
    scene.raw = raw
    assert float(render(scene, camera).alphas.max()) > 0.9
    scene.near = 0.4
    assert float(render(scene, camera).alphas.max()) == 0
