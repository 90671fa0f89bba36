"""Sequences of Dynamic 3D Gaussians: every frame comes back, in the world of the panoptic loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clay4d.renderers import render
from clay4d.scenes.exchange.dynamic3d import read_dynamic3d
from clay4d.scenes.exchange.parts import rigid_parts
from clay4d.scenes.loaders.panoptic import WORLD_FROM_FILE
from clay4d.scenes.motion import RigidPaths
from clay4d.scenes.quaternions import normalise, rotate
from clay4d.scenes.splat_scene import SplatScene
from clay4d.scenes.store import load_scene, save_scene
from tests.conftest import ring_of_cameras

T, N = 4, 6


def frames() -> dict[str, np.ndarray]:
    """Gaussians of which the first two stand still."""
    rng = np.random.default_rng(0)
    means, quats = rng.uniform(-0.5, 0.5, (T, N, 3)), rng.normal(size=(T, N, 4))
    means[:, :2], quats[:, :2] = means[:1, :2], quats[:1, :2]
    return {
        "means3D": means, "unnorm_rotations": quats, "rgb_colors": rng.uniform(size=(T, N, 3)),
        "logit_opacities": rng.normal(size=(N, 1)), "log_scales": rng.uniform(-3, -2, (N, 3)),
        "cam_m": np.zeros((27, 3)),
    }  # fmt: skip


@pytest.fixture
def read(tmp_path: Path) -> SplatScene:
    np.savez(tmp_path / "params.npz", **frames())
    scene = load_scene(tmp_path / "params.npz")
    assert isinstance(scene, SplatScene)
    return scene


def test_every_frame_comes_back_with_z_up(read: SplatScene) -> None:
    held, turn = frames(), torch.from_numpy(WORLD_FROM_FILE[:3, :3]).float()
    assert read.duration == pytest.approx((T - 1) / 30)
    axis = torch.tensor([0.3, -0.5, 0.8])
    for t in range(T):
        g = read.at(t / 30)
        assert torch.allclose(
            g.means, torch.from_numpy(held["means3D"][t]).float() @ turn.T, atol=1e-5
        )
        theirs = normalise(torch.from_numpy(held["unnorm_rotations"][t]).float())
        wanted = rotate(theirs, axis.expand(N, 3)) @ turn.T
        assert torch.allclose(rotate(normalise(g.quats), axis.expand(N, 3)), wanted, atol=1e-4)
    assert torch.allclose(g.scales.log(), torch.from_numpy(held["log_scales"]).float(), atol=1e-5)
    assert torch.allclose(torch.logit(g.opacities), torch.from_numpy(held["logit_opacities"][:, 0]).float(), atol=1e-4)  # fmt: skip
    still = read.at(0.5 / 30).means
    assert torch.equal(still[:2], read.at(0.0).means[:2])
    assert not torch.allclose(still[2:], read.at(0.0).means[2:], atol=1e-3)


def test_it_is_drawn_and_kept_as_any_scene(read: SplatScene, tmp_path: Path) -> None:
    save_scene(tmp_path / "scene.safetensors", read)
    again = load_scene(tmp_path / "scene.safetensors")
    cameras = ring_of_cameras(3)
    assert torch.equal(render(read, cameras).images, render(again, cameras).images)
    assert float(render(read, cameras).alphas.max()) > 0.1


def test_a_sequence_of_one_frame_stands_still(tmp_path: Path) -> None:
    one = {k: v[:1] if v.shape[0] == T else v for k, v in frames().items()}
    np.savez(tmp_path / "params.npz", **one)
    scene = read_dynamic3d(tmp_path / "params.npz")
    assert scene.duration == 0 and not isinstance(scene.motion, RigidPaths)


def test_many_paths_are_not_taken_for_parts(read: SplatScene, monkeypatch: Any) -> None:
    parts = rigid_parts(read, (0.0,))
    assert parts is not None and len(parts) == 5
    monkeypatch.setattr("clay4d.scenes.exchange.parts.MOST", 3)
    assert rigid_parts(read, (0.0,)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means3D": np.zeros((T, N + 1, 3))}, r"params\.npz got rgb_colors float64 \[4, 6, 3\]; exp"),
        ({"log_scales": np.zeros(N)}, r"got log_scales float64 \[6\]; expected numbers \[N, 3\]"),
        ({"means3D": np.full((T, N, 3), np.nan)}, "got means3D with NaN or infinity"),
        ({"unnorm_rotations": np.zeros((T, N, 4))}, "unnorm_rotations of length 0"),
        ({"log_scales": np.array([None])}, "no readable arrays"),
    ],
)  # fmt: skip
def test_broken_files_are_told(change: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "params.npz", **frames() | change)
    with pytest.raises(ValueError, match=message):
        load_scene(tmp_path / "params.npz")
