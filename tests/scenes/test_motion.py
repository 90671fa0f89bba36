"""Motion models: the skinning kernel against torch, symmetries, what a scene file keeps."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest
import torch
from torch import Tensor

from clay4d.scenes import Gaussians, Scene
from clay4d.scenes.motion import (
    ControlNodes,
    Deformation,
    HexPlane,
    Motion,
    MotionBases,
    Polynomial,
    SpaceTime,
    Static,
)
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import load_scene, save_scene

N = 300


def random_raw(motion: Motion, *, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    points = torch.randn(N, 3, generator=g) * 0.5
    raw = raw_from_gaussians(Gaussians.from_points(points, torch.rand(N, 3, generator=g)))
    raw["quats"] = torch.randn(N, 4, generator=g)
    return {**raw, **motion.rows(raw["means"])}


def disturbed(motion: Motion, *, seed: int = 1) -> Motion:
    """The model with weights that make it move."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in motion.tensors().values():
            value.add_(0.1 * torch.randn(value.shape, generator=g))
    return motion


def control_nodes(raw: dict[str, Tensor] | None = None, **given: int) -> ControlNodes:
    torch.manual_seed(0)
    motion = ControlNodes(nodes=20, width=16, depth=2, **given)
    if raw is not None:
        motion.place(raw["means"])
        disturbed(motion)
        raw["codes"].normal_(0, 0.1, generator=torch.Generator().manual_seed(3))
        motion.refresh(raw)
    return motion


def ready() -> tuple[ControlNodes, dict[str, Tensor]]:
    raw = random_raw(control_nodes())
    return control_nodes(raw), raw


def skinned_by_torch(
    motion: ControlNodes, raw: dict[str, Tensor], time: float
) -> tuple[Tensor, Tensor]:
    index = raw["nodes"].long()
    off = raw["means"].detach()[:, None] - motion.centres[index]
    code = raw["codes"][:, None] - motion.node_codes[index]
    distance = off.square().sum(-1) + code.square().sum(-1)
    weights = torch.softmax(-distance * 0.5 * torch.exp(-2 * motion.log_radii)[index], -1)
    blended = (weights[..., None] * motion.transforms(time)[index]).sum(1)
    R = blended[:, :9].reshape(-1, 3, 3)
    means = (R @ raw["means"][..., None])[..., 0] + blended[:, 9:12]
    w, v = blended[:, 12:13], blended[:, 13:]
    qw, qv = raw["quats"][:, :1], raw["quats"][:, 1:]
    scalar = w * qw - (v * qv).sum(1, keepdim=True)
    return means, torch.cat([scalar, w * qv + qw * v + torch.linalg.cross(v, qv)], 1)


def test_skinning_and_its_gradient_agree_with_torch() -> None:
    motion, raw = ready()
    leaves = [raw["means"], raw["quats"], raw["codes"], *motion.parameters()]
    results = []
    for ours in (True, False):
        for leaf in leaves:
            leaf.requires_grad_()
            leaf.grad = None
        if ours:
            moved = motion.move(raw, 0.3)
            means, quats = moved.means, moved.quats
        else:
            means, quats = skinned_by_torch(motion, raw, 0.3)
        (means.sin().sum() + (quats * torch.arange(4)).sin().sum()).backward()
        results.append([means.detach(), quats.detach(), *(leaf.grad.clone() for leaf in leaves)])
    for a, b in zip(*results):
        assert (a - b).norm() <= 2e-5 * b.norm() + 1e-7


def test_skinning_gives_the_same_bits_on_one_thread_and_on_two() -> None:
    results = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        motion, raw = ready()
        moved = motion.move(raw, 0.7)
        moved.means.square().sum().backward()
        results.append([moved.means, *(p.grad for p in motion.parameters() if p.grad is not None)])
    for a, b in zip(*results):
        assert torch.equal(a, b)


def test_equal_motion_of_all_nodes_is_a_rigid_motion() -> None:
    motion, raw = ready()
    with torch.no_grad():
        motion.out.weight.zero_()
        motion.out.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.0, 0.0, 0.0, 0.0]))
    moved = motion.move(raw, 0.5)
    shift = moved.means - raw["means"]
    assert (shift - torch.tensor([0.1, 0.2, 0.3])).abs().max() < 1e-5
    assert (moved.quats - raw["quats"]).abs().max() < 1e-6


def test_nodes_are_refused_where_there_are_too_few_gaussians() -> None:
    with pytest.raises(ValueError, match="nodes got 20; expected at most 5"):
        control_nodes().place(torch.zeros(5, 3))


MODELS = [
    Static, lambda: control_nodes(), lambda: HexPlane(resolution=8), lambda: Polynomial(),
    lambda: MotionBases(bases=5, keys=6), Deformation, SpaceTime,
]  # fmt: skip


@pytest.mark.parametrize("make", MODELS)
def test_order_of_gaussians_does_not_matter(make) -> None:
    motion = disturbed(make())
    raw = random_raw(motion)
    motion.refresh(raw)
    shuffle = torch.randperm(N, generator=torch.Generator().manual_seed(5))
    a = motion.move(raw, 0.4)
    b = motion.move({k: v[shuffle].contiguous() for k, v in raw.items()}, 0.4)
    assert (a.means[shuffle] - b.means).abs().max() < 1e-5
    assert (a.quats[shuffle] - b.quats).abs().max() < 1e-5


@pytest.mark.parametrize("make", MODELS)
def test_nothing_moves_at_first_and_motion_is_smooth(make) -> None:
    torch.manual_seed(0)
    motion = make()
    raw = random_raw(motion)
    motion.refresh(raw)
    for time in (0.0, 0.5, 1.0):
        moved = motion.move(raw, time)
        assert (moved.means - raw["means"]).abs().max() < 0.02
    motion = disturbed(motion)
    a, b = (motion.move(raw, t).means for t in (0.5, 0.5 + 1e-4))
    assert (a - b).abs().max() < 0.05


@pytest.mark.parametrize("make", MODELS)
def test_a_file_keeps_a_scene_to_the_bit(make, tmp_path: Path) -> None:
    motion = disturbed(make())
    raw = random_raw(motion)
    motion.refresh(raw)
    scene = SplatScene(raw, motion, 2.0, (0.1, 0.2, 0.3))
    save_scene(tmp_path / "scene.safetensors", scene)
    again = load_scene(tmp_path / "scene.safetensors")
    assert isinstance(again, Scene)
    assert (again.duration, again.background) == (2.0, (0.1, 0.2, 0.3))
    for name, value in scene.at(0.6).tensors().items():
        assert torch.equal(value, getattr(again.at(0.6), name)), name
    assert [p.name for p in tmp_path.iterdir()] == ["scene.safetensors"]


def test_damaged_and_foreign_scene_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scene.safetensors"
    motion = Static()
    save_scene(path, SplatScene(random_raw(motion), motion))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a whole clay4d file"):
        load_scene(path)
    path.write_bytes(b"ply\n" + whole)
    with pytest.raises(ValueError, match="expected a whole clay4d file"):
        load_scene(path)
    with pytest.raises(FileNotFoundError, match="expected a clay4d file"):
        load_scene(tmp_path / "none")
    raw = random_raw(motion)
    raw["means"][3, 1] = float("nan")
    save_scene(path, SplatScene(raw, motion))
    with pytest.raises(ValueError, match="means got NaN"):
        load_scene(path)


def test_polynomial_starts_present_everywhere() -> None:
    motion = Polynomial()
    raw = random_raw(motion)
    for time in (0.0, 0.5, 1.0):
        presence = motion.move(raw, time).presence
        assert presence is not None and presence.min() > 0.95


def test_codes_are_learned() -> None:
    torch.manual_seed(0)
    means = torch.rand(200, 3)
    motion = ControlNodes(nodes=20, width=16, depth=1)
    motion.place(means)
    torch.nn.init.normal_(motion.out.weight)
    raw = {"means": means, "quats": torch.rand(200, 4)} | motion.rows(means)
    raw["codes"].requires_grad_()
    motion.refresh(raw)
    motion.move(raw, 0.5).means.square().sum().backward()
    assert raw["codes"].grad.abs().max() > 0
    assert motion.node_codes.grad.abs().max() > 0


def test_a_scene_that_has_lost_every_gaussian_still_has_its_nodes() -> None:
    motion = ControlNodes(nodes=20, width=16, depth=1)
    raw = {"means": torch.zeros(0, 3), **motion.rows(torch.zeros(0, 3))}
    motion.refresh(raw)
    assert raw["nodes"].shape == (0, 3)
