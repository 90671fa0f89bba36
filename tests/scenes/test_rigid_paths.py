"""Rigid paths: exact at their times, smooth between, kept by scene files; quaternions against scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from clay4d.scenes import Gaussians, Scene
from clay4d.scenes import quaternions as quats
from clay4d.scenes.motion import RigidPaths
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import load_scene, save_scene, scene_header, scene_tensors, write_tensors

DRAWS = torch.Generator().manual_seed(0)


def random_quats(*shape: int) -> Tensor:
    return quats.normalise(torch.randn(*shape, 4, generator=DRAWS))


def as_scipy(q: Tensor) -> Rotation:
    return Rotation.from_quat(q.double().numpy()[..., [1, 2, 3, 0]])


def paths(objects: int = 3, knots: int = 5) -> RigidPaths:
    motion = RigidPaths(objects=objects, knots=knots)
    motion.times.copy_(torch.tensor([0.0, 0.1, 0.5, 0.6, 1.0])[:knots])
    motion.positions.copy_(torch.randn(objects, knots, 3, generator=DRAWS))
    motion.quats.copy_(random_quats(objects, knots) * 3)
    return motion


def scene(motion: RigidPaths) -> SplatScene:
    points = torch.randn(8, 3, generator=DRAWS)
    raw = raw_from_gaussians(Gaussians.from_points(points, torch.rand(8, 3, generator=DRAWS)))
    raw["quats"] = random_quats(8)
    raw |= motion.rows(raw["means"])
    raw["object"] = torch.tensor([0, 0, 1, 1, 2, 2, -1, -1])
    return SplatScene(raw, motion, 2.0, (1.0, 0.5, 0.0))


def test_quaternions_are_those_of_scipy() -> None:
    a, b, v = random_quats(50), random_quats(50), torch.randn(50, 3, generator=DRAWS)
    product = as_scipy(a) * as_scipy(b)
    np.testing.assert_allclose(
        as_scipy(quats.multiply(a, b)).as_matrix(), product.as_matrix(), atol=1e-6
    )
    np.testing.assert_allclose(quats.rotate(a, v).numpy(), as_scipy(a).apply(v.numpy()), atol=1e-5)
    vector = as_scipy(a).as_rotvec()
    np.testing.assert_allclose(quats.to_rotation_vector(a).numpy(), vector, atol=1e-4)
    back = quats.from_rotation_vector(torch.from_numpy(vector).float())
    assert ((back * a).sum(-1).abs() > 1 - 1e-5).all()
    between = quats.slerp(a[:1], a[1:2], torch.tensor([0.3]))
    expected = Slerp([0, 1], as_scipy(a[:2]))([0.3])
    np.testing.assert_allclose(as_scipy(between).as_matrix(), expected.as_matrix(), atol=1e-5)


def test_small_turns_have_finite_gradients() -> None:
    for size in (0.0, 1e-9, 1e-4):
        v = torch.full((1, 3), size).requires_grad_()
        quats.to_rotation_vector(quats.from_rotation_vector(v)).sum().backward()
        assert v.grad is not None
        torch.testing.assert_close(v.grad, torch.ones(1, 3), atol=1e-3, rtol=1e-3)


def test_poses_are_exact_at_their_times_and_stay_outside() -> None:
    motion = paths()
    for i, t in enumerate(motion.times.tolist()):
        centres, turns = motion.poses(t)
        torch.testing.assert_close(centres, motion.positions[:, i], atol=1e-5, rtol=1e-5)
        assert ((turns * quats.normalise(motion.quats[:, i])).sum(-1).abs() > 1 - 1e-5).all()
    assert torch.equal(motion.poses(7.0)[0], motion.poses(1.0)[0])
    assert torch.equal(motion.poses(-1.0)[0], motion.poses(0.0)[0])


def test_centres_follow_the_cubic() -> None:
    motion = paths()
    t, p = motion.times.double().numpy(), motion.positions.double().numpy()
    slopes = np.stack(
        [(p[:, min(i + 1, 4)] - p[:, max(i - 1, 0)]) / (t[min(i + 1, 4)] - t[max(i - 1, 0)]) for i in range(5)],
        1,
    )  # fmt: skip
    for o in range(3):
        spline = CubicHermiteSpline(t, p[o], slopes[o])
        for time in (0.05, 0.3, 0.55, 0.9):
            np.testing.assert_allclose(motion.poses(time)[0][o], spline(time), atol=1e-5)


def test_gaussians_move_with_their_objects() -> None:
    made = scene(paths())
    assert isinstance(made, Scene)
    start, end = made.at(0.0), made.at(2.0)
    assert torch.equal(start.means[6:], end.means[6:])
    for pair in ((0, 1), (2, 3), (4, 5)):  # rigid: distances stay
        a, b = (g.means[pair[0]] - g.means[pair[1]] for g in (start, end))
        torch.testing.assert_close(a.norm(), b.norm())
    motion = made.motion
    assert isinstance(motion, RigidPaths)
    turn = quats.normalise(motion.quats[1, -1])
    torch.testing.assert_close(
        end.means[2], quats.rotate(turn, made.raw["means"][2]) + motion.positions[1, -1]
    )


def test_scene_files_keep_them(tmp_path: Path) -> None:
    made = scene(paths())
    save_scene(tmp_path / "s.safetensors", made)
    back = load_scene(tmp_path / "s.safetensors")
    for time in (0.0, 0.7, 2.0):
        assert torch.equal(back.at(time).means, made.at(time).means)
        assert torch.equal(back.at(time).quats, made.at(time).quats)


def test_no_objects_and_one_pose_are_enough() -> None:
    empty = RigidPaths(objects=0, knots=1)
    raw = {"means": torch.ones(2, 3), "quats": random_quats(2)}
    raw |= empty.rows(raw["means"])
    assert torch.equal(empty.move(raw, 0.3).means, raw["means"])
    one = RigidPaths(objects=1, knots=1)
    one.positions[:] = 2
    raw |= one.rows(raw["means"])
    assert torch.equal(one.move(raw, 0.3).means, torch.full((2, 3), 3.0))
    with pytest.raises(ValueError, match="rigid paths got 1 objects, 0 knots"):
        RigidPaths(objects=1, knots=0)
    with pytest.raises(ValueError, match="between got 'curved'; expected one of smooth, straight"):
        RigidPaths(objects=1, knots=1, between="curved")  # type: ignore[arg-type]


@pytest.mark.parametrize("time", [0.0, 0.2, 1 / 3, 0.5, 0.99, 1.0])
def test_straight_paths_are_scipys(time: float) -> None:
    motion = RigidPaths(objects=3, knots=4, between="straight")
    motion.positions.copy_(torch.randn(3, 4, 3, generator=DRAWS))
    motion.quats.copy_(random_quats(3, 4))
    raw = {"means": torch.randn(20, 3, generator=DRAWS), "quats": random_quats(20)}
    raw["object"] = torch.arange(20) % 3
    moved = motion.move(raw, time)
    moments = np.linspace(0, 1, 4)
    for k in range(3):
        turn = Slerp(moments, as_scipy(motion.quats[k]))(time)
        path = motion.positions[k].double().numpy()
        place = [np.interp(time, moments, path[:, axis]) for axis in range(3)]
        mine = raw["object"] == k
        wanted = turn.apply(raw["means"][mine].double().numpy()) + place
        np.testing.assert_allclose(moved.means[mine].numpy(), wanted, atol=1e-5)
        own, got = as_scipy(raw["quats"][mine]), as_scipy(moved.quats[mine])
        assert (got.inv() * (turn * own)).magnitude().max() < 1e-5


@pytest.mark.parametrize("between", ["smooth", "straight"])
def test_gradients_reach_the_paths(between: str) -> None:
    motion = RigidPaths(objects=3, knots=4, between=between)  # type: ignore[arg-type]
    motion.positions.copy_(torch.randn(3, 4, 3, generator=DRAWS))
    motion.quats.copy_(random_quats(3, 4))
    motion.positions.requires_grad_()
    motion.quats.requires_grad_()
    raw = {"means": torch.randn(20, 3, generator=DRAWS), "quats": random_quats(20)}
    raw["object"] = torch.arange(20) % 3
    motion.move(raw, 0.4).means.square().sum().backward()
    assert motion.positions.grad is not None and motion.quats.grad is not None
    assert motion.positions.grad[:, 1:3].abs().min() > 0 and torch.isfinite(motion.quats.grad).all()
    # The cubic looks one knot further on each side.
    assert bool(motion.positions.grad[:, 3].any()) is (between == "smooth")


def test_files_of_rigid_parts_are_read(tmp_path: Path) -> None:
    """The kind that simulated scenes had before: the moment first, `part`, straight lines."""
    made = scene(RigidPaths(objects=3, knots=4, between="straight"))
    motion = made.motion
    assert isinstance(motion, RigidPaths)
    motion.positions.copy_(torch.randn(3, 4, 3, generator=DRAWS))
    motion.quats.copy_(random_quats(3, 4))
    made.raw["object"] = torch.arange(8) % 3
    tensors = scene_tensors(made)
    del tensors["motion.times"]
    for name in ("motion.positions", "motion.quats"):
        tensors[name] = tensors[name].transpose(0, 1)
    tensors["raw.part"] = tensors.pop("raw.object").int()
    header = {"format": "clay4d-scene-1", **scene_header(made)}
    header |= {"motion": "rigid-parts", "options": {"parts": 3, "moments": 4}}
    write_tensors(tmp_path / "old.safetensors", tensors, header)
    back = load_scene(tmp_path / "old.safetensors")
    for time in (0.0, 0.3, 2.0):
        assert torch.equal(back.at(time).means, made.at(time).means)
        assert torch.equal(back.at(time).quats, made.at(time).quats)
    # Written again it is of the one kind that there is now.
    save_scene(tmp_path / "new.safetensors", back)
    assert torch.equal(load_scene(tmp_path / "new.safetensors").at(0.7).means, made.at(0.7).means)
    write_tensors(tmp_path / "bad.safetensors", tensors, header | {"options": {"parts": 3}})
    with pytest.raises(ValueError, match="rigid-parts got options"):
        load_scene(tmp_path / "bad.safetensors")
