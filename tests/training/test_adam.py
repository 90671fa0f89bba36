"""The fused Adam against torch's, under gsplat's density edits, and at any thread count."""

from __future__ import annotations

import copy

import numba
import pytest
import torch
from gsplat.strategy.ops import duplicate, remove, reset_opa
from torch import Tensor

from clay4d.training.adam import CHUNK, SERIAL, FusedAdam, any_nonfinite

SHAPES = ((), (7,), (300, 3), (CHUNK + 3,), (SERIAL + 5,))


def leaves(seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=g).requires_grad_() for s in SHAPES]


def fill_gradients(parameters: list[Tensor], seed: int, scale: float = 1.0) -> None:
    g = torch.Generator().manual_seed(seed)
    for p in parameters:
        p.grad = scale * torch.randn(p.shape, generator=g)


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e3])
def test_fifty_steps_equal_torch(scale: float) -> None:
    ours, theirs = leaves(), leaves()

    def groups(p: list[Tensor]) -> list[dict[str, object]]:
        return [
            {"params": p[:2], "lr": 0.01, "betas": (0.8, 0.99)},
            {"params": p[2:], "eps": 1e-15},
        ]

    a = FusedAdam(groups(ours), lr=0.003)
    b = torch.optim.Adam(groups(theirs), lr=0.003)
    for step in range(50):
        for optimizer, parameters in ((a, ours), (b, theirs)):
            fill_gradients(parameters, step, scale)
            optimizer.param_groups[1]["lr"] = 0.003 * 0.98**step
            optimizer.step()
    for p, q in zip(ours, theirs):
        assert (p - q).abs().max() < 1e-6
        for key in ("exp_avg", "exp_avg_sq"):
            assert torch.allclose(a.state[p][key], b.state[q][key], rtol=1e-5, atol=1e-6 * scale)
        assert a.state[p]["step"] == b.state[q]["step"] == 50


@pytest.mark.parametrize("rows", [0, 5, 3000])
def test_pace_multiplies_the_step_of_each_element_of_a_row(rows: int) -> None:
    pace = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.05, 1.0]])
    p, q = torch.zeros(rows, 2, 3, requires_grad=True), torch.zeros(rows, 2, 3, requires_grad=True)
    a, b = FusedAdam([p], pace=pace), FusedAdam([q])
    for step in range(3):
        fill_gradients([p], step)
        q.grad = p.grad
        a.step()
        b.step()
    assert torch.allclose(p, q * pace, rtol=1e-6, atol=1e-9)


def test_a_pace_that_does_not_fit_is_refused() -> None:
    p = torch.zeros(4, 3, requires_grad=True)
    p.grad = torch.zeros(4, 3)
    with pytest.raises(ValueError, match="pace got 2 factors; expected 3"):
        FusedAdam([p], pace=torch.ones(2)).step()


def test_a_zero_gradient_moves_nothing_and_no_gradient_is_skipped() -> None:
    p, q = torch.ones(5, requires_grad=True), torch.ones(5, requires_grad=True)
    p.grad = torch.zeros(5)
    optimizer = FusedAdam([p, q])
    optimizer.step()
    assert torch.equal(p, torch.ones(5)) and torch.equal(q, torch.ones(5))
    assert q not in optimizer.state


def test_checkpoints_fit_torch_both_ways() -> None:
    ours, theirs = leaves(), leaves()
    a, b = FusedAdam(ours), torch.optim.Adam(theirs)
    fill_gradients(ours, 0)
    a.step()
    # torch takes the tensors of a checkpoint as they are, without copying.
    state = copy.deepcopy(a.state_dict()["state"])
    b.load_state_dict({"state": state, "param_groups": b.state_dict()["param_groups"]})
    again = FusedAdam(leaves())
    again.load_state_dict(copy.deepcopy(a.state_dict()))
    with torch.no_grad():
        for p, q, r in zip(ours, theirs, again.param_groups[0]["params"]):
            q.copy_(p)
            r.copy_(p)
    rest = again.param_groups[0]["params"]
    for optimizer, parameters in ((a, ours), (b, theirs), (again, rest)):
        fill_gradients(parameters, 1)
        optimizer.step()
    for p, q, r in zip(ours, theirs, rest):
        assert torch.equal(p, r) and torch.allclose(p, q, atol=1e-6)


def test_gsplat_density_edits_carry_the_state() -> None:
    n = 40
    params = {
        "means": torch.nn.Parameter(torch.randn(n, 3)),
        "opacities": torch.nn.Parameter(torch.randn(n)),
    }
    optimizers = {k: FusedAdam([p], lr=0.1) for k, p in params.items()}

    def step() -> None:
        for p in params.values():
            p.grad = torch.ones_like(p)
        for optimizer in optimizers.values():
            optimizer.step()

    step()
    duplicate(params, optimizers, {}, torch.arange(n) < 10)
    step()
    average = optimizers["means"].state[params["means"]]["exp_avg"]
    assert average.shape == (n + 10, 3)
    assert torch.allclose(average[:n], torch.tensor(0.19)) and torch.allclose(
        average[n:], torch.tensor(0.1)
    )
    remove(params, optimizers, {}, torch.arange(n + 10) >= 25)
    reset_opa(params, optimizers, {}, value=0.01)
    step()
    assert params["means"].shape == (25, 3)
    assert optimizers["opacities"].state[params["opacities"]]["step"] == 3


def test_transposed_gradients_and_states_are_understood() -> None:
    p, q = torch.zeros(4, 6, requires_grad=True), torch.zeros(4, 6, requires_grad=True)
    gradient = torch.randn(6, 4).T
    a, b = FusedAdam([p]), torch.optim.Adam([q])
    for _ in range(3):
        p.grad, q.grad = gradient, gradient.clone()
        a.step()
        b.step()
        a.state[p]["exp_avg"] = a.state[p]["exp_avg"].T.contiguous().T
    assert torch.allclose(p, q, atol=1e-7)


def test_same_bits_at_any_thread_count() -> None:
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            parameters = leaves()
            optimizer = FusedAdam(parameters)
            for step in range(3):
                fill_gradients(parameters, step)
                optimizer.step()
            results.append(parameters)
    finally:
        numba.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results))


def test_a_backward_through_old_values_is_refused() -> None:
    p = torch.ones(3, requires_grad=True)
    loss = (p * p).sum()
    p.grad = torch.ones(3)
    FusedAdam([p]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_closure_gives_its_loss() -> None:
    p = torch.ones(3, requires_grad=True)

    def closure() -> float:
        loss = (p * p).sum()
        loss.backward()
        return float(loss.detach())

    assert FusedAdam([p]).step(closure) == 3


@pytest.mark.parametrize(
    "given", [{"lr": -1}, {"lr": float("nan")}, {"eps": -1}, {"betas": (1, 0)}]
)
def test_wrong_rates_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got .*; expected"):
        FusedAdam([torch.zeros(2, requires_grad=True)], **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("parameter", [torch.zeros(2, dtype=torch.float64), torch.zeros(2, 3).T])
def test_wrong_parameters_are_refused(parameter: Tensor) -> None:
    parameter.requires_grad_().grad = torch.zeros_like(parameter)
    with pytest.raises(ValueError, match="expected contiguous torch.float32"):
        FusedAdam([parameter]).step()


@pytest.mark.parametrize("size", [1, 100, SERIAL + 7])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), -float("nan")])
def test_any_nonfinite_sees_each_kind_anywhere(size: int, bad: float) -> None:
    x = torch.full((size,), torch.finfo(torch.float32).max)
    assert not any_nonfinite(x) and not any_nonfinite(-x)
    for at in {0, size // 2, size - 1}:
        y = x.clone()
        y[at] = bad
        assert any_nonfinite(y) and any_nonfinite(y.double())


def test_any_nonfinite_of_nothing_is_false() -> None:
    assert not any_nonfinite(torch.zeros(0)) and not any_nonfinite(torch.tensor(1e-45))
