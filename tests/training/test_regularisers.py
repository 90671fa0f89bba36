"""Terms of the motion: what they let pass, what they do not, and that they calm a run."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from clay4d.scenes import Dataset
from clay4d.scenes.motion import Moved, Polynomial
from clay4d.scenes.quaternions import multiply, normalise, rotate
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training.config import Losses, McmcDensity, Schedule, Start, TrainConfig
from clay4d.training.config import Polynomial as Paths
from clay4d.training.regularisers import _neighbourhood, isometry, motion_loss, rigidity, smoothness
from clay4d.training.trainer import Trainer

N = 60


def body() -> tuple[Moved, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    means, quats = torch.randn(N, 3, generator=g), torch.randn(N, 4, generator=g)
    chosen, near, weights = _neighbourhood(means, torch.arange(N))
    assert torch.equal(chosen, torch.arange(N))
    return Moved(means, quats), near, weights


def test_a_rigid_motion_costs_nothing_and_a_stretch_does() -> None:
    before, near, weights = body()
    turn = normalise(torch.tensor([0.3, 0.5, -0.2, 0.7])).expand(N, 4)
    after = Moved(rotate(turn, before.means) + 3.0, multiply(turn, before.quats))
    assert rigidity(before, after, near, weights) < 1e-5
    assert isometry(before, after, near, weights) < 1e-5
    stretched = dataclasses.replace(after, means=after.means * torch.tensor([1.5, 1, 1]))
    assert rigidity(before, stretched, near, weights) > 0.02
    assert isometry(before, stretched, near, weights) > 0.02
    # Distances are kept, turns are not those of the whole.
    assert rigidity(before, dataclasses.replace(after, quats=before.quats), near, weights) > 0.05


def test_rigidity_does_not_ask_for_the_sign_of_quaternions() -> None:
    before, near, weights = body()
    assert rigidity(before, Moved(before.means, -before.quats), near, weights) < 1e-5


def test_a_steady_motion_costs_nothing_and_a_bend_does() -> None:
    still, *_ = body()
    places = [
        Moved(still.means + torch.tensor([s, 2 * s, 0.0]), still.quats) for s in (0.0, 1.0, 2.0)
    ]
    assert smoothness(*places) < 1e-5
    assert smoothness(places[0], places[1], places[0]) > 4


def test_neighbours_are_the_nearest_and_point_into_the_chosen() -> None:
    means = torch.randn(N, 3, generator=torch.Generator().manual_seed(1))
    anchors = torch.tensor([7, 3, 50])
    chosen, near, weights = _neighbourhood(means, anchors)
    assert torch.equal(chosen[:3], anchors) and len(chosen.unique()) == len(chosen)
    distances = torch.cdist(means[anchors], means)
    expected = distances.topk(9, largest=False).indices[:, 1:]
    assert torch.equal(chosen[near].sort(1).values, expected.sort(1).values)
    assert (weights[:, 0] >= weights[:, -1]).all() and weights.max() <= 1


@pytest.mark.parametrize("term", ["rigidity", "isometry", "smoothness"])
def test_each_term_has_a_gradient_and_repeats(term: str) -> None:
    motion = Polynomial()
    g = torch.Generator().manual_seed(2)
    raw = {"means": torch.randn(N, 3, generator=g), "quats": torch.randn(N, 4, generator=g)}
    raw |= motion.rows(raw["means"])
    raw["path"] = torch.randn(raw["path"].shape, generator=g).requires_grad_()
    scene = SplatScene(raw, motion, 2.0)
    values = []
    for _ in range(2):
        draws = torch.Generator().manual_seed(5)
        value = motion_loss(scene, 0.7, Losses(**{term: 2.0}), extent=1.0, draws=draws)
        values.append(value)
    values[0].backward()
    assert torch.equal(*values) and values[0] > 0
    assert torch.isfinite(raw["path"].grad).all() and raw["path"].grad.abs().max() > 0


def test_smoothness_calms_a_run(swinging: Dataset) -> None:
    def bend(weight: float) -> float:
        config = TrainConfig(
            motion=Paths(path_lr=1e-2), start=Start(count=300), density=McmcDensity(cap=300),
            schedule=Schedule(coarse=((0.0, 0.5),), sh_degree=0), losses=Losses(smoothness=weight),
            steps=80,
        )  # fmt: skip
        trainer = Trainer(config, swinging)
        for _ in range(config.steps):
            trainer.step()
        places = [trainer.scene.at(t) for t in (0.4, 0.5, 0.6)]
        moved = [Moved(g.means.detach(), g.quats) for g in places]
        return float(smoothness(*moved))

    assert bend(1.0) < 0.5 * bend(0.0)


def test_terms_of_every_other_step_count_twice(swinging: Dataset) -> None:
    def totals(weight: float, every: int) -> tuple[float, float]:
        config = TrainConfig(
            motion=Paths(),
            start=Start(count=50),
            losses=Losses(smoothness=weight, motion_every=every),
        )
        trainer = Trainer(config, swinging)
        trainer.moving = True
        with torch.no_grad():
            trainer.scene.raw["path"].copy_(torch.arange(3.0).expand_as(trainer.scene.raw["path"]))
        first, second = (trainer._regularised(torch.zeros(()), 0.5, draw) for draw in (0, 1))
        return float(first), float(second)

    (plain, same), (one, other), (twice, left_out) = totals(0, 1), totals(1, 1), totals(1, 2)
    assert one > plain and other > same and left_out == same
    assert twice - plain == pytest.approx(2 * (one - plain), rel=1e-4)
