"""What moves, as a few ways of moving: each Gaussian's path is a sum of shared modes (principal components).

Neighbours move alike, so a scene's paths through time have few directions (Karhunen 1947, Loève): the
modes are the eigenvectors of the paths' second moments, and a Gaussian keeps one whole number for each.
With K modes over D numbers a path, coefficients in steps of `step · √(D / K)` err as much as the numbers
themselves would in steps of `step`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.renderers.player.streams import Streams, read_floats, read_whole

ROWS = 20_000
"""Paths from which modes are found and their number is chosen, evenly spaced."""
NUMBERS = 4_000_000
"""Numbers in those paths, at the most: long scenes take fewer of them, and no more memory."""
WORST = 0.999
"""Share of the paths that must err by less than `step` (root of the mean square)."""


@dataclass(frozen=True)
class Modes:
    """Shared ways of moving, and how much of each is in every path."""

    basis: Float[np.ndarray, "T C K"]
    """What one step of a coefficient adds."""
    weights: Int[np.ndarray, "N K"]


def add_track(
    streams: Streams, values: Float[Tensor, "T N C"], step: float, *, base: Tensor | None = None
) -> dict[str, Any]:
    """Keep values that may change over time: a base in steps, and modes where there is more to say.

    Args:
        step: largest rounding is half of it.
        base: what is known already and not kept, instead of the mean over time.
    """
    track: dict[str, Any] = {"step": step, "columns": values.shape[2]}
    if base is None:
        whole = np.rint(values.double().mean(0).numpy() / step).astype(np.int64)
        track["base"] = streams.add_whole(whole)
        base = torch.from_numpy(whole * step).float()
    if len(values) > 1:
        modes = find_modes(values - base, step)
        if modes is not None:
            track["weights"] = streams.add_whole(modes.weights)
            track["basis"] = streams.add_floats(modes.basis)
    return track


def find_modes(paths: Float[Tensor, "T N C"], step: float) -> Modes | None:
    """The modes of paths, as many as keep the errors of `step`; None if the paths never leave zero by it.

    >>> t = torch.linspace(0, 1, 9)[:, None, None]
    >>> find_modes(t * torch.rand(50, 3), 0.01).basis.shape[2]
    3
    """
    T, N, C = paths.shape
    flat = paths.permute(1, 0, 2).reshape(N, T * C)
    rows = min(ROWS, max(NUMBERS // (T * C), 1000))
    some = flat[:: math.ceil(N / rows)].double()
    _, vectors = torch.linalg.eigh(some.T @ some)
    vectors = vectors.flip(1)
    # Eigenvectors have no sign of their own; one is chosen, so that equal scenes give equal bytes.
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    vectors = vectors * largest.sign()
    # What is left of each path's square after the first modes; after all of them nothing is.
    left = (some @ vectors).square_().flip(1)
    left = torch.cumsum(left, 1, out=left).flip(1).div_(T * C)
    worst = left.kthvalue(min(math.ceil(WORST * len(left)), len(left)), dim=0).values
    enough = (left.mean(0) <= step**2 / 12) & (worst <= step**2)
    count = int(enough.int().argmax()) if enough.any() else T * C
    if not count:
        return None
    coarse = step * math.sqrt(T * C / count)
    basis = vectors[:, :count].float()
    weights = (flat @ basis / coarse).round().long().numpy()
    return Modes((basis * coarse).reshape(T, C, count).numpy(), weights)


def read_track(
    data: bytes, track: dict[str, Any], rows: Float[np.ndarray, " T"], *, base: Any = None
) -> Float[np.ndarray, "N C"]:
    """A track's values at one time, whose `rows` say how much of each moment is in it."""
    if base is None:
        base = read_whole(data, track["base"]) * track["step"]
    if "weights" not in track:
        return np.asarray(base, np.float64)
    weights = read_whole(data, track["weights"])
    basis = read_floats(data, track["basis"]).reshape(len(rows), track["columns"], -1)
    return np.asarray(base + weights @ np.einsum("t,tck->kc", rows, basis), np.float64)


def moments_at(place: float, count: int, *, smooth: bool) -> Float[np.ndarray, " T"]:
    """How much of each of `count` moments is in a place between them, by Catmull and Rom's spline or a line.

    >>> moments_at(1.5, 4, smooth=True).tolist()
    [-0.0625, 0.5625, 0.5625, -0.0625]
    """
    rows = np.zeros(count)
    first = min(max(math.floor(place), 0), max(count - 2, 0))
    f = min(max(place - first, 0.0), 1.0)
    shares = (0.0, 1 - f, f, 0.0)
    if smooth:
        shares = (
            f * (f * (2 - f) - 1) / 2, (f * f * (3 * f - 5) + 2) / 2,
            f * (f * (4 - 3 * f) + 1) / 2, f * f * (f - 1) / 2,
        )  # fmt: skip
    for k, share in enumerate(shares):
        rows[min(max(first + k - 1, 0), count - 1)] += share
    return rows
