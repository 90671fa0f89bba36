"""Shared trajectories: the blend against float64, rigid motion, smooth time."""

from __future__ import annotations

import numba
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clay4d.scenes.motion import MotionBases
from clay4d.scenes.motion.blending import Blend
from clay4d.scenes.motion.motion_bases import spline_weights
from clay4d.scenes.quaternions import multiply, normalise, rotate

N, B = 300, 7


def given(seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    means, quats = torch.randn(N, 3, generator=g), torch.randn(N, 4, generator=g)
    logits = 2 * torch.randn(N, B, generator=g)
    turns = normalise(0.4 * torch.randn(B, 4, generator=g) + torch.tensor([1.0, 0, 0, 0]))
    return [means, quats, logits, torch.cat([turns, torch.randn(B, 6, generator=g)], 1)]


def plainly(means: Tensor, quats: Tensor, logits: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
    """The formulas of the module, in the tensors' own precision."""
    mixed = torch.softmax(logits, 1) @ bases
    turn, shift, centre = mixed.split([4, 3, 3], 1)
    turn = F.normalize(turn, dim=1)
    return rotate(turn, means - centre) + centre + shift, multiply(turn, quats)


def test_the_kernels_agree_with_float64() -> None:
    weights = [torch.randn(s, generator=torch.Generator().manual_seed(5)) for s in ((N, 3), (N, 4))]
    found = []
    for precise in (False, True):
        own = [(x.double() if precise else x).clone().requires_grad_() for x in given()]
        out = plainly(*own) if precise else Blend.apply(*own)
        sum((o * w).sum() for o, w in zip(out, weights)).backward()
        grads = [x.grad for x in own]
        grads[3] = grads[3][:, :7]  # centres have none
        found.append([x.detach().double() for x in (*out, *grads)])
    for a, b in zip(*found):
        assert (a - b).abs().max() < 2e-5 * (1 + b.abs().max())


def test_a_motion_that_all_bases_share_is_rigid_wherever_their_centres_are() -> None:
    means, quats, logits, bases = given()
    turn = normalise(torch.tensor([0.8, 0.3, -0.4, 0.2]))
    shift = torch.tensor([1.0, -2.0, 0.5])
    centres = bases[:, 7:]
    own = rotate(turn.expand(B, 4), centres) + shift - centres
    bases = torch.cat([turn.expand(B, 4), own, centres], 1)
    moved, turned = Blend.apply(means, quats, logits, bases)
    assert (moved - rotate(turn.expand(N, 4), means) - shift).abs().max() < 1e-5
    assert (turned - multiply(turn.expand(N, 4), quats)).abs().max() < 1e-5


def test_equal_mixtures_keep_their_distances() -> None:
    means, quats, logits, bases = given()
    moved, _ = Blend.apply(means, quats, logits[:1].expand(N, B).contiguous(), bases)
    before, after = ((x[:, None] - x[None]).norm(dim=-1) for x in (means, moved))
    assert (after - before).abs().max() < 1e-4


def test_bits_do_not_depend_on_threads() -> None:
    found = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        own = [x.clone().requires_grad_() for x in given()]
        moved, turned = Blend.apply(*own)
        (moved.sin().sum() + turned.sin().sum()).backward()
        found.append([moved, turned, *(x.grad for x in own)])
    for a, b in zip(*found):
        assert torch.equal(a, b)


@pytest.mark.parametrize("keys", [4, 5, 12])
def test_the_spline_is_smooth_to_the_second_derivative_and_stands_still_outside(keys: int) -> None:
    points = torch.randn(keys, generator=torch.Generator().manual_seed(keys)).double()

    def at(time: float) -> float:
        first, weights = spline_weights(time, keys)
        return float((weights.double() * points[first : first + 4]).sum())

    assert at(-3.0) == at(0.0) and at(1.0) == at(7.0)
    for k in range(1, keys - 3):
        knot, h = k / (keys - 3), 1e-2 / keys
        left = at(knot - 2 * h) - 2 * at(knot - h) + at(knot)
        right = at(knot) - 2 * at(knot + h) + at(knot + 2 * h)
        assert abs(left - right) / h**2 < 0.05 * keys**2
    assert abs(sum(spline_weights(0.37, keys)[1].tolist()) - 1) < 1e-6


def test_each_gaussian_follows_the_nearest_basis_at_first() -> None:
    g = torch.Generator().manual_seed(0)
    motion = MotionBases(bases=5, keys=4)
    means = torch.randn(N, 3, generator=g)
    raw = {"means": means, "quats": torch.ones(N, 4)} | motion.rows(means)
    motion.place(raw, means)
    nearest = torch.cdist(means, motion.centres).argmin(1)
    assert torch.equal(raw["coefficients"].argmax(1), nearest)
    with pytest.raises(ValueError, match="bases got 5; expected at most 3"):
        motion.place(raw, means[:3])


def test_too_few_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="bases, keys got 2, 3; expected at least 1 and 4"):
        MotionBases(bases=2, keys=3)
