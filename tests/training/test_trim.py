"""Trimming takes what adds least to the pictures, and nothing else."""

from __future__ import annotations

import torch

from clay4d.renderers import render
from clay4d.scenes import Dataset
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.motion import Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.training.config import DefaultDensity, Schedule, Start, TrainConfig
from clay4d.training.density import contributions, trim
from clay4d.training.trainer import Trainer


def scene_of(swinging: Dataset, opacities: list[float]) -> SplatScene:
    """Gaussians one behind the other, seen from the first camera: the first is nearest."""
    camera = swinging.train.cameras[0]
    forward = camera.viewmats[0, 2, :3]
    centre = -camera.viewmats[0, :3, :3].T @ camera.viewmats[0, :3, 3]
    means = centre + forward * torch.tensor([[2.0], [2.5], [3.0]])
    g = Gaussians.from_points(
        means, torch.rand(3, 3), scales=torch.full((3, 3), 0.1), opacities=torch.tensor(opacities)
    )
    return SplatScene(raw_from_gaussians(g), Static(), background=(0.0, 0.0, 0.0))


def test_contributions_are_the_weights_that_make_the_picture(swinging: Dataset) -> None:
    scene = scene_of(swinging, [0.99, 0.5, 0.5])
    worth = contributions(scene, swinging.train)
    total = sum(
        float(render(scene, swinging.train.cameras[i], depth=False).alphas.sum())
        for i in range(len(swinging.train))
    )
    assert abs(float(worth.sum()) - total) < 1e-3 * total
    assert worth[0] > worth[2]


def test_the_least_worth_go_and_the_rest_keep_their_rows_and_moments() -> None:
    params = {"means": torch.nn.Parameter(torch.arange(5.0)[:, None])}
    optimiser = torch.optim.Adam([params["means"]])
    params["means"].sum().backward()
    optimiser.step()
    optimiser.state[params["means"]]["exp_avg"].copy_(torch.arange(5.0)[:, None])
    kept = params["means"].detach()[[0, 2, 4]].clone()
    trim(params, {"means": optimiser}, torch.tensor([5.0, 1, 3, 1, 2]), 0.4)
    assert torch.equal(params["means"].detach(), kept)
    moments = optimiser.state[params["means"]]["exp_avg"]
    assert moments[:, 0].tolist() == [0.0, 2.0, 4.0]


def test_training_trims_once_when_growth_ends(swinging: Dataset) -> None:
    density = DefaultDensity(
        cap=500, begin=5, every=5, stop=0.5, reset_every=1000, grow_grad2d=1e-9, trim=0.25
    )
    config = TrainConfig(
        start=Start(count=300), density=density, steps=40,
        schedule=Schedule(coarse=((0.0, 1.0),), sh_degree=0),
    )  # fmt: skip
    trainer = Trainer(config, swinging)
    counts = [trainer.step().gaussians for _ in range(40)]
    before, after = counts[19], counts[-1]
    assert after == before - int(0.25 * before) and len(set(counts[21:])) == 1
