"""Crops of objects and rotations that are tried on them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from clay4d.scenes.quaternions import from_rotation_vector, multiply
from clay4d.world_model.decoders.gaussians import Splats
from clay4d.world_model.encoder import Encoder, EncoderSize
from clay4d.world_model.encoder.crops import SIDE, Crops, cut_out
from clay4d.world_model.encoder.encoder import Proposed
from clay4d.world_model.encoder.measure import covers, measure
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.training import turns
from clay4d.world_model.training.losses import reprojection
from clay4d.world_model.training.turns import Turned, crop_errors, try_turns
from clay4d.world_model.worlds import open_worlds, stack_worlds


@pytest.fixture
def frames(small_worlds: Path) -> PosedFrames:
    worlds = open_worlds(small_worlds)
    return PosedFrames.from_worlds(stack_worlds([worlds[i] for i in range(4)], objects=4))


def test_crops_are_what_a_sampler_of_another_library_cuts(frames: PosedFrames) -> None:
    crops = cut_out(frames, objects=4)
    height, width = frames.masks.shape[-2:]
    seen = (crops.windows[..., 2] > 0).nonzero()
    assert len(seen) > 20
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    for n, t, c, b in seen[:: max(len(seen) // 30, 1)].tolist():
        x, y, half = crops.windows[n, t, c, b]
        gx = ((x + half * line) / width * 2 - 1)[None, :].expand(SIDE, SIDE)
        gy = ((y + half * line) / height * 2 - 1)[:, None].expand(SIDE, SIDE)
        own = (frames.masks[n, t, c] == b + 1).float()
        free = own + (frames.masks[n, t, c] == 0)
        shown = torch.cat([frames.images[n, t, c].permute(2, 0, 1) * own, own[None], free[None]])
        cut = F.grid_sample(shown[None], torch.stack([gx, gy], -1)[None], align_corners=False)[0]
        torch.testing.assert_close(crops.pixels[n, t, c, b], cut, atol=1e-5, rtol=1e-4)


def test_a_crop_has_a_camera_of_its_own(small_worlds: Path, frames: PosedFrames) -> None:
    worlds = open_worlds(small_worlds)
    truth = stack_worlds([worlds[i] for i in range(4)], objects=4).positions
    crops = cut_out(frames, objects=4)
    own = crops.intrinsics(frames.Ks)
    n, t, c, b = (crops.windows[..., 2] > 0).nonzero(as_tuple=True)
    local = torch.cat([truth[n, t, b], torch.ones(len(n), 1)], 1)[:, :, None]
    seen = own[n, t, c, b] @ (frames.viewmats[n, t, c] @ local)[:, :3]
    seen = (seen[:, :2] / seen[:, 2:])[..., 0]
    corner = crops.windows[n, t, c, b, :2] - crops.windows[n, t, c, b, 2:]
    whole = reprojection(truth, frames)[n, t, c, b]
    zoom = SIDE / (2 * crops.windows[n, t, c, b, 2:])
    torch.testing.assert_close(seen, (whole - corner) * zoom, atol=1e-3, rtol=1e-4)


def test_covers_are_pooled_indicators(frames: PosedFrames) -> None:
    masks = frames.masks
    found = covers(masks, objects=4, patch=8)
    for k in range(5):
        pooled = F.avg_pool2d((masks == k).float().flatten(0, 2)[:, None], 8).flatten(1)
        torch.testing.assert_close(found[..., k, :].flatten(0, 2), pooled)


def scene() -> tuple[Splats, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A rod with one red end, three cameras around it, and a rotation."""
    line = torch.linspace(-0.3, 0.3, 7)
    means = torch.stack([line, 0 * line, 0 * line], -1)[None]
    colors = torch.full((1, 7, 3), 0.8)
    colors[0, 5:, 1:] = 0.1
    one = torch.tensor([1.0, 0, 0, 0]).expand(1, 7, 4)
    shape = Splats(means, one, torch.full((1, 7, 3), 0.05), torch.full((1, 7), 0.9), colors)
    axes = torch.tensor([[0.0, 0, 0], [0, torch.pi / 2, 0], [torch.pi / 2, 0, 0]])
    views = torch.eye(4).repeat(1, 3, 1, 1)
    from scipy.spatial.transform import Rotation

    for k in range(3):
        views[0, k, :3, :3] = torch.from_numpy(Rotation.from_rotvec(axes[k].numpy()).as_matrix())
    views[..., 2, 3] = 2.0
    K = torch.tensor([[36.0, 0, 8], [0, 36, 8], [0, 0, 1]]).repeat(1, 3, 1, 1)
    true = from_rotation_vector(torch.tensor([[0.3, -0.7, 0.9]]))
    return shape, torch.zeros(1, 3), true, views, K


def target_of(shape: Splats, place: torch.Tensor, true: torch.Tensor, views: torch.Tensor, K: torch.Tensor) -> torch.Tensor:  # fmt: skip
    from clay4d.renderers import rasterization
    from clay4d.scenes.quaternions import rotate

    turn = true[:, None].expand(1, 7, 4)
    seen, alphas, _ = rasterization(
        rotate(turn, shape.means) + place[:, None], multiply(turn, shape.quats), shape.scales,
        shape.opacities, shape.colors, views, K, SIDE, SIDE,
    )  # fmt: skip
    free = torch.ones(1, 3, SIDE, SIDE, 1)
    return torch.cat([seen, alphas, free], -1).permute(0, 1, 4, 2, 3)


def test_the_right_rotation_has_no_error_and_others_have_more() -> None:
    shape, place, true, views, K = scene()
    target = target_of(shape, place, true, views, K)
    off = from_rotation_vector(torch.tensor([[0.0, 0, 0], [0.2, 0, 0], [0, 0.5, 0], [0, 0, 3.0]]))
    tried = multiply(off, true.expand(4, 4))[None]
    errors = crop_errors(shape, place, tried, views, K, target, torch.ones(1, 3))[0]
    assert errors[0] < 1e-5 and (errors[1:] > 1e-3).all()


def test_pixels_of_other_objects_and_blind_cameras_do_not_count() -> None:
    shape, place, true, views, K = scene()
    target = target_of(shape, place, true, views, K)
    hidden = target.clone()
    hidden[:, 0, :, :, :6] = 0  # something stands before a part of it
    hidden[:, 2, :4] = 0  # nothing is seen
    weight = torch.tensor([[1.0, 1, 0]])
    assert crop_errors(shape, place, true[:, None], views, K, hidden, weight) < 1e-5
    assert crop_errors(shape, place, true[:, None], views, K, hidden, torch.ones(1, 3)) > 1e-3


class Rod(torch.nn.Module):
    """A decoder that knows one shape."""

    def __init__(self, shape: Splats) -> None:
        super().__init__()
        self.shape = shape

    def objects(self, looks: torch.Tensor) -> Splats:
        return self.shape


def test_the_better_rotation_is_kept_and_pulls_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, place, true, views, K = scene()
    target = target_of(shape, place, true, views, K)
    near = multiply(from_rotation_vector(torch.tensor([[0.0, 0.4, 0.0]])), true)
    far = multiply(from_rotation_vector(torch.tensor([[0.0, 2.0, 0.0]])), true)
    quats = torch.stack([far, near], 1)[:, None, None].requires_grad_()  # [1, 1, 1, 2, 4]
    scores = torch.zeros(1, 1, 1, 2, requires_grad=True)
    monkeypatch.setattr(turns, "_tries", lambda own, draws: torch.stack([own, true], 1))
    slots = Slots(
        torch.zeros(1, 1, 8), torch.zeros(1, 4), place[:, None, None], quats[..., 0, :],
        torch.ones(1, 1, 1, dtype=torch.bool), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1),
    )  # fmt: skip
    frames = PosedFrames(
        torch.zeros(1, 1, 3, SIDE, SIDE, 3), torch.ones(1, 1, 3, SIDE, SIDE, dtype=torch.uint8),
        views[:, None], K[:, None], torch.zeros(1, 1), torch.ones(1, 1, 3, dtype=torch.bool),
    )  # fmt: skip
    windows = torch.tensor([8.0, 8, 8]).expand(1, 1, 3, 1, 3)
    crops = Crops(target[:, None, :, None], windows)

    def tried(proposed: Proposed) -> Turned:
        return try_turns(Rod(shape), slots, proposed, frames, crops, torch.Generator())  # type: ignore[arg-type]

    kept = tried(Proposed(quats, scores))
    torch.testing.assert_close(kept.slots.quats[0, 0, 0], true[0])
    assert kept.share == 1 and kept.crops < 1e-5 and kept.turn > 0.01
    (kept.turn + kept.score).backward()
    assert quats.grad is not None and scores.grad is not None
    assert not quats.grad[..., 0, :].any() and quats.grad[..., 1, :].any()
    assert scores.grad[0, 0, 0, 1] < 0 < scores.grad[0, 0, 0, 0]  # the near one fits better
    right = Proposed(torch.stack([far, true], 1)[:, None, None], torch.zeros(1, 1, 1, 2))
    assert tried(right).share == 0 and tried(right).crops < 1e-5


def test_the_proposal_with_the_highest_score_is_taken() -> None:
    quats = torch.eye(4)[None, None, None]
    for k in range(4):
        scores = torch.zeros(1, 1, 1, 4)
        scores[..., k] = 1
        assert torch.equal(Proposed(quats, scores).best()[0, 0, 0], torch.eye(4)[k])


def test_arrows_turn_with_the_world(frames: PosedFrames) -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderSize(features=16, looks=12, stage=4, objects=4))
    measured = measure(frames, objects=4)
    views = torch.randn(*measured.visible.shape, 16)
    before = encoder._arrows(frames, measured, views).unflatten(-1, (3, -1))
    c, s = 0.6, 0.8
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[c, -s], [s, c]])
    moved = dataclasses.replace(frames, viewmats=frames.viewmats @ turn.T)
    after = encoder._arrows(moved, measured, views).unflatten(-1, (3, -1))
    torch.testing.assert_close(after, turn[:3, :3] @ before, atol=1e-5, rtol=1e-4)


def test_four_rotations_are_proposed_and_one_is_in_the_slot(frames: PosedFrames) -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderSize(features=16, looks=12, stage=4, objects=4, turns=4))
    slots, proposed = encoder.propose(frames)
    assert proposed.quats.shape[-2:] == (4, 4)
    alike = (proposed.quats * slots.quats[..., None, :]).sum(-1).abs().amax(-1)
    assert (alike[slots.seen] > 1 - 1e-5).all()
    # They start apart, or all would learn the same.
    first = proposed.quats[0, 0, 0]
    assert ((first @ first.T).abs() - torch.eye(4)).max() < 0.95
