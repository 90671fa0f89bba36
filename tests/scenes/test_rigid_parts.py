"""Rigid parts: poses between moments, turning, storage, gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.motion import RigidParts
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import load_scene, save_scene


def moving(seed: int = 0) -> tuple[RigidParts, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    motion = RigidParts(parts=3, moments=4)
    motion.positions.copy_(torch.randn(4, 3, 3, generator=generator))
    motion.quats.copy_(torch.randn(4, 3, 4, generator=generator))
    points = torch.randn(20, 3, generator=generator)
    raw = raw_from_gaussians(Gaussians.from_points(points, torch.rand(20, 3, generator=generator)))
    raw["quats"] = torch.nn.functional.normalize(torch.randn(20, 4, generator=generator), dim=1)
    raw["part"] = (torch.arange(20) % 3).int()
    return motion, raw


@pytest.mark.parametrize("time", [0.0, 0.2, 1 / 3, 0.5, 0.99, 1.0])
def test_poses_are_scipys(time: float) -> None:
    motion, raw = moving()
    moved = motion.move(raw, time)
    moments = torch.linspace(0, 1, 4).tolist()
    for part in range(3):
        path = Rotation.from_quat(motion.quats[:, part].numpy(), scalar_first=True)
        turn = Slerp(moments, path)(time)
        k = min(int(time * 3), 2)
        share = time * 3 - k
        place = (1 - share) * motion.positions[k, part] + share * motion.positions[k + 1, part]
        mine = raw["part"] == part
        wanted = torch.from_numpy(turn.apply(raw["means"][mine].numpy())) + place
        assert torch.allclose(moved.means[mine].double(), wanted, atol=1e-5)
        own = Rotation.from_quat(raw["quats"][mine].numpy(), scalar_first=True)
        got = Rotation.from_quat(moved.quats[mine].numpy(), scalar_first=True)
        assert (got.inv() * (turn * own)).magnitude().max() < 1e-5


def test_outside_the_moments_nothing_moves() -> None:
    motion, raw = moving()
    assert torch.equal(motion.move(raw, -1.0).means, motion.move(raw, 0.0).means)
    assert torch.equal(motion.move(raw, 5.0).means, motion.move(raw, 1.0).means)


def test_files_keep_it_to_the_bit(tmp_path: Path) -> None:
    motion, raw = moving()
    scene = SplatScene(raw, motion, 2.0, (0.1, 0.2, 0.3))
    save_scene(tmp_path / "scene.safetensors", scene)
    back = load_scene(tmp_path / "scene.safetensors")
    a, b = scene.at(1.3), back.at(1.3)
    assert all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values()))
    assert back.raw["part"].dtype == torch.int32


def test_gradients_reach_the_paths() -> None:
    motion, raw = moving()
    motion.positions.requires_grad_()
    motion.quats.requires_grad_()
    motion.move(raw, 0.4).means.square().sum().backward()
    assert motion.positions.grad is not None and motion.quats.grad is not None
    assert motion.positions.grad[1:3].abs().min() > 0 and not motion.positions.grad[3].any()
    assert torch.isfinite(motion.quats.grad).all()


def test_counts_are_checked() -> None:
    with pytest.raises(ValueError, match="parts, moments got 0, 3"):
        RigidParts(parts=0, moments=3)
