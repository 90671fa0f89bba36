"""4D Gaussians: cuts against linear algebra in float64, gradients, and what is drawn of them."""

from __future__ import annotations

import numba
import pytest
import torch
from torch import Tensor

from clay4d.renderers import rasterization
from clay4d.scenes.motion import SpaceTime
from clay4d.scenes.motion.conditioning import Condition
from clay4d.scenes.quaternions import multiply, normalise, rotate

N, TIME, STRETCH = 200, 0.4, 1.7
SHAPES = {"means": 3, "quats": 4, "scales": 3, "lean": 4, "moment": 0, "span": 0}


def rows(seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    raw = {k: torch.randn(*((N, d) if d else (N,)), generator=g) for k, d in SHAPES.items()}
    raw["scales"] = 0.5 * raw["scales"] - 1.5
    raw["lean"] = 0.3 * raw["lean"] + torch.tensor([1.0, 0, 0, 0])
    raw["moment"], raw["span"] = torch.rand(N, generator=g), 0.3 * raw["span"]
    return raw


def condition(raw: dict[str, Tensor], moves: Tensor | None = None) -> tuple[Tensor, ...]:
    still = torch.ones(N, dtype=torch.uint8) if moves is None else moves
    return Condition.apply(*(raw[k] for k in SHAPES), still, TIME, STRETCH)


def matrices(quats: Tensor) -> Tensor:
    eye = torch.eye(3, dtype=quats.dtype).expand(len(quats), 3, 3)
    return rotate(normalise(quats)[:, None].expand(-1, 3, 4), eye).transpose(1, 2)


def plainly(raw: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Means, covariances and presences by blocks of the 4D covariance, in the tensors' precision."""
    quats, lean = normalise(raw["quats"]), normalise(raw["lean"])
    axes = torch.eye(4, dtype=quats.dtype).expand(N, 4, 4)
    leaning = multiply(axes, (lean * lean.new_tensor([1, -1, -1, -1]))[:, None].expand(N, 4, 4))
    first, last = quats[:, None].expand(N, 4, 4), quats * quats.new_tensor([1, -1, -1, -1])
    turned = multiply(multiply(first, leaning), last[:, None].expand(N, 4, 4))
    R = turned.transpose(1, 2)  # columns are where the axes go
    S = torch.cat([(raw["span"].exp() * STRETCH)[:, None], raw["scales"].exp()], 1)
    cov = (R * S[:, None].square()) @ R.transpose(1, 2)
    p, r, M = cov[:, 0, 0], cov[:, 0, 1:], cov[:, 1:, 1:]
    dt = (TIME - raw["moment"]) * STRETCH
    means = raw["means"] + r * (dt / p)[:, None]
    C = M - r[:, :, None] * r[:, None] / p[:, None, None]
    return means, C, torch.exp(-0.5 * dt**2 / p)


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    R = matrices(quats)
    return (R * scales[:, None].square()) @ R.transpose(1, 2)


def test_cuts_and_their_gradients_agree_with_float64() -> None:
    g = torch.Generator().manual_seed(9)
    w = [torch.randn(s, generator=g).double() for s in ((N, 3), (N, 3, 3), (N,))]
    found = []
    for precise in (False, True):
        own = {
            k: (v.double() if precise else v).clone().requires_grad_() for k, v in rows().items()
        }
        if precise:
            means, cov, there = plainly(own)
        else:
            means, quats, scales, there = condition(own)
            cov = covariances(quats.double(), scales.double())
        sum((x.double() * y).sum() for x, y in zip((means, cov, there), w)).backward()
        found.append(
            [x.detach().double() for x in (means, cov, there, *(v.grad for v in own.values()))]
        )
    for name, a, b in zip(("means", "covariance", "presence", *SHAPES), *found):
        assert (a - b).abs().max() < 1e-6 * (1 + b.abs().max()), name


def test_gradients_hold_where_two_eigenvalues_are_nearly_equal() -> None:
    """Gaps down to 2e-6 of the largest, and a loss in float32, as the rasteriser's is."""
    raw = rows()
    raw["scales"][:, 1] = raw["scales"][:, 0] + torch.logspace(-6, -1, N)
    raw["lean"] = raw["lean"] * torch.tensor([1, 0.05, 0.05, 0.05])
    w = torch.randn(N, 3, 3, generator=torch.Generator().manual_seed(9))
    grads = []
    for precise in (False, True):
        own = {k: (v.double() if precise else v).clone().requires_grad_() for k, v in raw.items()}
        if precise:
            cov = plainly(own)[1]
            (cov * w).sum().backward()
        else:
            _, quats, scales, _ = condition(own)
            (covariances(quats, scales) * w).sum().backward()
        grads.append([own[k].grad.double() for k in ("scales", "lean")])
    apart = torch.linalg.eigvalsh(cov.detach()).diff(dim=1).amin(1)
    assert apart.min() < 1e-5 and apart.median() < 1e-3
    for a, b in zip(*grads):
        size = b.abs().amax(1)
        off = (a - b).abs().amax(1) / (size + 1e-3 * size.max())
        assert off.median() < 1e-4 and off.max() < 0.05


def test_gradients_of_any_function_of_quats_agree_with_finite_differences() -> None:
    w = torch.randn(N, 4, generator=torch.Generator().manual_seed(3))
    raw = rows(4)

    def loss(raw: dict[str, Tensor]) -> Tensor:
        _, quats, scales, _ = condition(raw)
        return ((quats * w).sum(1) + scales.sum(1)).double()

    for name in ("quats", "scales", "lean", "span"):
        own = {k: v.clone().requires_grad_() for k, v in raw.items()}
        loss(own).sum().backward()
        step = torch.randn(raw[name].shape, generator=torch.Generator().manual_seed(1))
        high, low = ({**raw, name: raw[name] + h * step} for h in (1e-3, -1e-3))
        slope = (loss(high) - loss(low)) / 2e-3
        flat = (own[name].grad * step).double()
        ours = flat.sum(1) if flat.ndim > 1 else flat
        off = (ours - slope).abs() / (1 + slope.abs())
        assert off.quantile(0.9) < 2e-3, name


def test_what_does_not_lean_stands_still_in_its_own_shape() -> None:
    raw = rows()
    raw["lean"] = torch.tensor([2.0, 0, 0, 0]).repeat(N, 1)
    means, quats, scales, _ = condition(raw)
    assert torch.equal(means, raw["means"])
    assert (quats - raw["quats"]).abs().max() < 1e-5
    assert (scales / raw["scales"].exp() - 1).abs().max() < 1e-5


def test_marked_rows_stand_still() -> None:
    raw, moves = rows(), (torch.arange(N) % 2).to(torch.uint8)
    own = {k: v.clone().requires_grad_() for k, v in raw.items()}
    means, quats, scales, there = condition(own, moves)
    still = moves == 0
    for a, b in ((means, raw["means"]), (quats, raw["quats"]), (there, torch.ones(N))):
        assert torch.equal(a[still], b[still]) and not torch.equal(a[~still], b[~still])
    (means.sum() + quats.sum() + scales.sum() + there.sum()).backward()
    assert own["lean"].grad[still].abs().max() == 0
    assert torch.allclose(own["scales"].grad[still], raw["scales"].exp()[still])


def test_a_turned_scene_moves_as_the_scene_turned() -> None:
    raw, turn = rows(), normalise(torch.tensor([0.5, -0.3, 0.7, 0.2]))
    all_of = turn.expand(N, 4)
    turned = raw | {"means": rotate(all_of, raw["means"]), "quats": multiply(all_of, raw["quats"])}
    means, quats, scales, there = condition(raw)
    again = condition(turned)
    assert (again[0] - rotate(all_of, means)).abs().max() < 1e-4
    difference = covariances(again[1], again[2]) - covariances(multiply(all_of, quats), scales)
    assert difference.abs().max() < 1e-5
    assert (again[3] - there).abs().max() < 1e-6


def test_gradients_stay_finite_where_shapes_are_round_needles_or_gone() -> None:
    raw = rows()
    raw["scales"] = torch.full((N, 3), -3.0)
    raw["scales"][: N // 2, 0] = -12.0
    raw["lean"][::2] = torch.tensor([1.0, 0, 0, 0])
    raw["lean"][1::4] = 0
    own = {k: v.clone().requires_grad_() for k, v in raw.items()}
    means, quats, scales, there = condition(own)
    K = torch.tensor([[[40.0, 0, 16], [0, 40, 16], [0, 0, 1]]])
    view = torch.eye(4)[None].clone()
    view[0, 2, 3] = 6.0
    image, _, _ = rasterization(means, quats, scales, there, torch.ones(N, 3), view, K, 32, 32)
    image.square().sum().backward()
    for name, value in own.items():
        assert torch.isfinite(value.grad).all(), name


def test_bits_do_not_depend_on_threads() -> None:
    found = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        own = {k: v.clone().requires_grad_() for k, v in rows().items()}
        out = condition(own)
        sum(x.sin().sum() for x in out).backward()
        found.append([*out, *(v.grad for v in own.values())])
    for a, b in zip(*found):
        assert torch.equal(a, b)


def test_a_span_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="span, extent got 0, 1.0; expected numbers above 0"):
        SpaceTime(span=0)
