"""The path kernels against the formulas in torch's float64, gradients included."""

from __future__ import annotations

import math

import numba
import pytest
import torch

from clay4d.scenes.motion import Polynomial
from clay4d.scenes.motion.paths import Follow

N = 301


def rows(degree: int, harmonics: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(degree + 10 * harmonics)
    shapes = {
        "means": (N, 3), "quats": (N, 4), "path": (N, degree + 2 * harmonics, 3), "spin": (N, 4),
        "moment": (N,), "span": (N,),
    }  # fmt: skip
    found = {k: torch.randn(s, generator=g) for k, s in shapes.items()}
    found["moment"] = torch.rand(N, generator=g)
    return found


def plainly(
    raw: dict[str, torch.Tensor], moves: torch.Tensor, t: float, degree: int, harmonics: int
) -> tuple[torch.Tensor, ...]:
    """The formulas of the module, in the tensors' own precision."""
    s = t - raw["moment"]
    columns = [s ** (k + 1) for k in range(degree)]
    for k in range(1, harmonics + 1):
        columns += [(2 * math.pi * k * s).sin(), (2 * math.pi * k * s).cos() - 1]
    shift = torch.zeros_like(raw["means"])
    for column, coefficient in zip(columns, raw["path"].unbind(1)):
        shift = shift + column[:, None] * coefficient
    presence = torch.exp(-0.5 * (s / raw["span"].exp()) ** 2)
    where = moves.bool()
    return (
        raw["means"] + where[:, None] * shift,
        raw["quats"] + where[:, None] * s[:, None] * raw["spin"],
        torch.where(where, presence, torch.ones_like(presence)),
    )


@pytest.mark.parametrize(("degree", "harmonics"), [(3, 0), (2, 2), (0, 1), (0, 0)])
def test_kernels_agree_with_float64(degree: int, harmonics: int) -> None:
    raw, t = rows(degree, harmonics), 0.37
    moves = (torch.arange(N) % 3 > 0).to(torch.uint8)
    weights = [torch.randn(s) for s in ((N, 3), (N, 4), (N,))]
    results, grads = [], []
    for precise in (False, True):
        own = {k: (v.double() if precise else v).clone().requires_grad_() for k, v in raw.items()}
        if precise:
            out = plainly(own, moves, t, degree, harmonics)
        else:
            out = Follow.apply(*own.values(), moves, t, degree, harmonics)
        sum((o * w).sum() for o, w in zip(out, weights)).backward()
        results.append([o.detach().double() for o in out])
        none = torch.zeros(1)
        grads.append({k: (none if v.grad is None else v.grad).double() for k, v in own.items()})
    for a, b in zip(*results):
        assert (a - b).abs().max() < 1e-5
    for name, expected in grads[1].items():
        off = (grads[0][name] - expected).abs() / (1 + expected.abs())
        assert not off.numel() or off.max() < 1e-4, name


def test_bits_do_not_depend_on_threads() -> None:
    motion, raw, bits = Polynomial(), rows(3, 2), []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        own = {k: v.clone().requires_grad_() for k, v in raw.items()}
        moved = motion.move(own, 0.7)
        assert moved.presence is not None
        (moved.means.sum() + moved.quats.sum() + moved.presence.sum()).backward()
        bits.append([moved.means, moved.presence, *(v.grad for v in own.values())])
    for a, b in zip(*bits):
        assert torch.equal(a, b)


def test_without_temporal_opacity_all_are_there_and_time_counts_from_the_middle() -> None:
    motion = Polynomial(degree=2, harmonics=0, temporal_opacity=False)
    raw = {k: v for k, v in rows(2, 0).items() if k not in ("moment", "span")}
    moved = motion.move(raw, 0.5)
    assert moved.presence is None and torch.equal(moved.means, raw["means"])
    later = motion.move(raw, 0.75).means
    expected = raw["means"] + 0.25 * raw["path"][:, 0] + 0.0625 * raw["path"][:, 1]
    assert torch.allclose(later, expected, atol=1e-6)
