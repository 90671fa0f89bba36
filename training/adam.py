"""Adam in one pass over memory (Kingma & Ba 2015), and a quick look-out for NaN.

An update is bound by memory: torch's Adam on the CPU walks the arrays several times, this one once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import numba
import numpy as np
import torch
from torch import Tensor

from clay4d.jit import device, kernel

F32 = np.float32
CHUNK = 8192  # floats that one task updates
SERIAL = 4 * CHUNK  # up to here starting threads costs more than they save

# Sign bit off, a float32 is infinite or NaN from this integer up.
INFINITY_BITS = np.int32(0x7F800000)
MAGNITUDE_BITS = np.int32(0x7FFFFFFF)


class FusedAdam(torch.optim.Optimizer):
    """Adam with `torch.optim.Adam`'s update, state and groups, for float32 parameters on the CPU.

    The state's keys are "step", "exp_avg" and "exp_avg_sq", so gsplat's density strategies, which
    edit them, and checkpoints of `torch.optim.Adam` fit. The update is elementwise: the same bits
    at any number of threads. NaN in a gradient is not looked for (see `any_nonfinite`).

    Args:
        params: tensors, or groups with their own "lr", "betas" and "eps".
        lr: step size. betas: decay of the two averages. eps: added to the root, as torch does.
        pace: factors of the step size for the elements of a row, for parameters [N, ...] whose rows
            have that many elements (higher harmonics move slower than the constant colour).

    Raises:
        ValueError: a rate outside its range, or (on `step`) a parameter that is not a contiguous
            float32 tensor on the CPU or whose rows `pace` does not fit.

    Source: Kingma & Ba 2015, algorithm 1.

    Example:
        >>> x = torch.tensor([4.0, -2.0], requires_grad=True)
        >>> optimizer = FusedAdam([x], lr=0.5)
        >>> (x**2).sum().backward()
        >>> optimizer.step()
        >>> x.tolist()
        [3.5, -1.5]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        pace: Tensor | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self.pace = None if pace is None else _flat(pace.float().clone())

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add tensors with their own "lr", "betas" and "eps"; the defaults fill the gaps."""
        group = {**self.defaults, **param_group}
        if not group["lr"] >= 0:
            raise ValueError(f"lr got {group['lr']}; expected 0 or more.")
        if not group["eps"] >= 0:
            raise ValueError(f"eps got {group['eps']}; expected 0 or more.")
        if not all(0 <= beta < 1 for beta in group["betas"]):
            raise ValueError(f"betas got {group['betas']}; expected two numbers from 0 up to 1.")
        # Torch wraps this method so that its first call loads torch's compiler, a second of each start.
        plain = getattr(torch.optim.Optimizer.add_param_group, "__wrapped__", None)
        if plain is None:
            super().add_param_group(param_group)
        else:
            plain(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or zero them; torch's own would load its compiler."""
        for group in self.param_groups:
            for value in group["params"]:
                if set_to_none:
                    value.grad = None
                elif value.grad is not None:
                    value.grad.detach_().zero_()

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; return the closure's loss if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _step(parameter, self.state[parameter], group, self.pace)
        return loss


def _step(
    parameter: Tensor,
    state: dict[str, Any],
    group: dict[str, Any],
    pace: np.ndarray[Any, Any] | None,
) -> None:
    _check(parameter, pace)
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(parameter)
        state["exp_avg_sq"] = torch.zeros_like(parameter)
    state["step"] += 1
    step = float(state["step"])
    for key in ("exp_avg", "exp_avg_sq"):
        # What edits the state may leave it transposed; the kernel walks memory.
        state[key] = state[key].contiguous()
    beta1, beta2 = group["betas"]
    chunk, factors = CHUNK, None
    if pace is not None:
        # Whole rows in every chunk, so the factors of one chunk are those of all.
        repeats = max(1, CHUNK // pace.size)
        chunk, factors = repeats * pace.size, np.tile(pace, repeats)
    update = _update if parameter.numel() <= SERIAL else _update_parallel
    update(
        _flat(parameter),
        _flat(parameter.grad.contiguous()),  # type: ignore[union-attr]
        _flat(state["exp_avg"]),
        _flat(state["exp_avg_sq"]),
        factors,
        chunk,
        F32(group["lr"] / (1 - beta1**step)),
        F32(1 - beta1),
        F32(beta2),
        F32(1 - beta2),
        F32(1 / math.sqrt(1 - beta2**step)),
        F32(group["eps"]),
    )
    # Numba writes behind torch's back: count it, so that a backward through old values is refused.
    torch.autograd.graph.increment_version(parameter)


def _check(parameter: Tensor, pace: np.ndarray[Any, Any] | None) -> None:
    fits = parameter.dtype == torch.float32 and parameter.device.type == "cpu"
    if not fits or not parameter.is_contiguous():
        raise ValueError(
            f"parameter got {parameter.dtype} on {parameter.device}, strides {parameter.stride()}; "
            "expected contiguous torch.float32 on cpu. Use torch.optim.Adam for others."
        )
    if pace is not None and pace.size != math.prod(parameter.shape[1:]):
        raise ValueError(
            f"pace got {pace.size} factors; expected {math.prod(parameter.shape[1:])}, "
            f"one for each element of a row of {tuple(parameter.shape)}."
        )


def _flat(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().numpy().reshape(-1)


@device
def _update_chunk(  # type: ignore[no-untyped-def]
    p, g, m, v, factors, rate, rest1, beta2, rest2, inverse_root, eps, low, high
):
    start = np.uint64(low)
    for k in range(np.uint64(0), np.uint64(high - low)):
        i = start + k
        slope = g[i]
        mean = m[i] + rest1 * (slope - m[i])
        square = beta2 * v[i] + rest2 * slope * slope
        m[i] = mean
        v[i] = square
        move = rate * mean / (np.sqrt(square) * inverse_root + eps)
        if factors is not None:
            move *= factors[k]
        p[i] -= move


@device
def _update(p, g, m, v, factors, chunk, rate, rest1, beta2, rest2, inverse_root, eps):  # type: ignore[no-untyped-def]
    for low in range(0, p.size, chunk):
        high = min(low + chunk, p.size)
        _update_chunk(p, g, m, v, factors, rate, rest1, beta2, rest2, inverse_root, eps, low, high)


@kernel
def _update_parallel(p, g, m, v, factors, chunk, rate, rest1, beta2, rest2, inverse_root, eps):  # type: ignore[no-untyped-def]
    for task in numba.prange((p.size + chunk - 1) // chunk):
        low = task * chunk
        high = min(low + chunk, p.size)
        _update_chunk(p, g, m, v, factors, rate, rest1, beta2, rest2, inverse_root, eps, low, high)


def any_nonfinite(tensor: Tensor) -> bool:
    """Whether any element is NaN or infinite, read from the bits, which fast maths cannot spoil.

    >>> any_nonfinite(torch.tensor([1.0, float("nan")])), any_nonfinite(torch.ones(3))
    (True, False)
    """
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        return not bool(torch.isfinite(tensor).all())
    bits = tensor.detach().contiguous().reshape(-1).view(torch.int32).numpy()
    if bits.size <= SERIAL:
        return bool(_largest_magnitude(bits, 0, bits.size) >= INFINITY_BITS)
    return bool(_largest_magnitudes(bits).max() >= INFINITY_BITS)


@device
def _largest_magnitude(bits, low, high):  # type: ignore[no-untyped-def]
    top = np.int32(0)
    for i in range(np.uint64(low), np.uint64(high)):
        top = max(top, np.int32(bits[i] & MAGNITUDE_BITS))
    return top


@kernel
def _largest_magnitudes(bits):  # type: ignore[no-untyped-def]
    tasks = (bits.size + CHUNK - 1) // CHUNK
    tops = np.empty(tasks, np.int32)
    for task in numba.prange(tasks):
        tops[task] = _largest_magnitude(bits, task * CHUNK, min((task + 1) * CHUNK, bits.size))
    return tops
