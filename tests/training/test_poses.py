"""Refinement of camera poses: small motions that are known are found again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from clay4d.renderers import rasterization
from clay4d.scenes import Cameras, Dataset, Gaussians, Views
from clay4d.scenes.quaternions import from_rotation_vector, rotate
from clay4d.training.config import Losses, McmcDensity, Schedule, Start, TrainConfig
from clay4d.training.config import Polynomial as Paths
from clay4d.training.poses import PoseRefinement, save_poses, with_poses
from clay4d.training.trainer import Trainer


def off(views: torch.Tensor, *, turn: float, shift: float) -> torch.Tensor:
    """Poses turned and shifted at random, on average not at all."""
    g = torch.Generator().manual_seed(0)
    turns, shifts = (s * torch.randn(len(views), 3, generator=g) for s in (turn, shift))
    found = views.clone()
    q = from_rotation_vector(turns - turns.mean(0))
    found[:, :3, :3] = rotate(q[:, None].expand(-1, 3, 4), views[:, :3, :3])
    moved = torch.stack([centre(v) for v in views]) + shifts - shifts.mean(0)
    found[:, :3, 3] = -(found[:, :3, :3] @ moved[..., None])[..., 0]
    return found


def centre(view: torch.Tensor) -> torch.Tensor:
    return -view[:3, :3].T @ view[:3, 3]


def test_cameras_turn_about_their_centres_and_the_mean_stays(swinging: Dataset) -> None:
    views = swinging.train.cameras.viewmats
    poses = PoseRefinement(views, extent=2.0)
    for k in range(len(views)):
        assert torch.equal(poses(k)[0], views[k])
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        poses.turns.normal_(0, 0.1, generator=g)
    moved = torch.cat([poses(k) for k in range(len(views))]).detach()
    Cameras(moved, swinging.train.cameras.Ks, 48, 48, swinging.train.cameras.times)  # rigid
    assert max(float((centre(a) - centre(b)).norm()) for a, b in zip(moved, views)) < 1e-5
    with torch.no_grad():
        poses.shifts.normal_(0, 0.1, generator=g)
    moved = torch.cat([poses(k) for k in range(len(views))]).detach()
    mean = torch.stack([centre(a) - centre(b) for a, b in zip(moved, views)]).mean(0)
    assert mean.norm() < 1e-5
    assert (centre(moved[0]) - centre(views[0])).norm() > 0.01


def test_pictures_of_one_pose_share_a_motion() -> None:
    views = torch.eye(4).repeat(4, 1, 1)
    views[2:, 0, 3] = 1.0
    poses = PoseRefinement(views, extent=1.0)
    assert poses.turns.shape == (2, 3)
    assert poses.rows.tolist()[:2] == [poses.rows[0]] * 2 and poses.rows[2] == poses.rows[3]


def test_known_motions_are_found_on_a_known_scene(swinging: Dataset) -> None:
    """Pictures from the true poses, Gaussians that are known, poses that are off."""
    g = torch.Generator().manual_seed(1)
    dots = Gaussians.from_points(
        torch.rand(40, 3, generator=g) - 0.5, torch.rand(40, 3, generator=g)
    )
    cameras = swinging.train.cameras[range(6)]

    def draw(view: torch.Tensor) -> torch.Tensor:
        return rasterization(
            dots.means, dots.quats, torch.full((40, 3), 0.08), torch.full((40,), 0.8), dots.sh,
            view, cameras.Ks[:1], 48, 48, sh_degree=0,
        )[0]  # fmt: skip

    truth = [draw(v[None]) for v in cameras.viewmats]
    poses = PoseRefinement(off(cameras.viewmats, turn=0.01, shift=0.02), extent=1.0)
    adam = torch.optim.Adam(poses.parameters(), lr=2e-3)
    before = sum(float((poses(k)[0].detach() - v).norm()) for k, v in enumerate(cameras.viewmats))
    for _ in range(60):
        adam.zero_grad()
        sum((draw(poses(k)) - truth[k]).square().mean() for k in range(6)).backward()
        adam.step()
    after = sum(float((poses(k)[0].detach() - v).norm()) for k, v in enumerate(cameras.viewmats))
    assert after < 0.35 * before


def test_a_run_moves_the_cameras_and_learns_more(swinging: Dataset) -> None:
    views = swinging.train
    wrong = dataclasses.replace(
        views.cameras, viewmats=off(views.cameras.viewmats, turn=0.01, shift=0.03)
    )
    seen = Views(wrong, views.names, views.pixels, background=views.background)
    dataset = dataclasses.replace(swinging, splits={"train": seen})
    config = TrainConfig(
        motion=Paths(path_lr=1e-3), start=Start(count=300), density=McmcDensity(cap=300),
        schedule=Schedule(coarse=((0.0, 0.5), (0.3, 1.0)), sh_degree=0), steps=300,
    )  # fmt: skip

    def error(poses: bool) -> float:
        trainer = Trainer(dataclasses.replace(config, losses=Losses(poses=poses)), dataset)
        reports = [trainer.step() for _ in range(config.steps)]
        if trainer.poses is not None:
            assert trainer.poses.turns.abs().max() > 1e-3
        return sum(r.mse for r in reports[-36:]) / 36

    assert error(True) < 0.8 * error(False)


def test_refined_poses_are_read_back_to_the_bit_for_training_pictures_alone(
    swinging: Dataset, tmp_path: Path
) -> None:
    assert with_poses(swinging, tmp_path) is swinging
    poses = PoseRefinement(swinging.train.cameras.viewmats, extent=2.0)
    with torch.no_grad():
        poses.turns.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
        poses.shifts.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    save_poses(tmp_path, poses, swinging.train)
    found = with_poses(swinging, tmp_path)
    for k, view in enumerate(found.train.cameras.viewmats):
        assert torch.equal(view, poses(k)[0].detach())
    assert found.split("test") is swinging.split("test")
    assert torch.equal(found.train[3].image, swinging.train[3].image)
    assert torch.equal(found.train.cameras.times, swinging.train.cameras.times)


def test_poses_of_other_pictures_are_refused(swinging: Dataset, tmp_path: Path) -> None:
    poses = PoseRefinement(swinging.train.cameras.viewmats, extent=2.0)
    save_poses(tmp_path, poses, swinging.train)
    written = json.loads((tmp_path / "poses.json").read_text())
    for key, value, message in (
        ("names", ["a"], "poses.json got other pictures than those of swinging"),
        ("viewmats", written["viewmats"][1:], "poses.json got .*; expected 18×4×4 numbers"),
    ):
        (tmp_path / "poses.json").write_text(json.dumps(written | {key: value}))
        with pytest.raises(ValueError, match=message):
            with_poses(swinging, tmp_path)
