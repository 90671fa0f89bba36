"""What moves, as a few ways of moving: each Gaussian's path is a sum of shared modes (principal components).

Neighbours move alike, so a scene's paths through time have few directions (Karhunen 1947, Loève): the
modes are the eigenvectors of the paths' second moments, and a Gaussian keeps one whole number for each.
With K modes over D numbers a path, coefficients in steps of `step · √(D / K)` err as much as the numbers
themselves would in steps of `step`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.player.sampling import Moments
from clay4d.renderers.player.streams import Streams, read_floats, read_whole

ROWS = 20_000
"""Paths from which modes are found and their number is chosen, evenly spaced."""
NUMBERS = 2_000_000
"""Numbers in those paths, at the most: long scenes take fewer of them, and no more memory."""
CHUNK = 1000
"""Paths that are taken at a time in double precision."""
WORST = 0.999
"""Share of the paths that must err by less than `step` (root of the mean square)."""


def add_tracks(
    streams: Streams, moments: Moments, bases: Mapping[str, Tensor], steps: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Keep what moves: modes, and each path's weights of them, by two passes over the moments.

    Args:
        bases: what is known of each track already and not kept here, [N, C] or [1, C].
        steps: of each track; largest rounding is half of it.

    Returns:
        Of each track in which there is something to say `weights` and `basis`.
    """
    paths = sample_paths(moments, bases)
    found = {name: find_modes(paths.pop(name), steps[name]) for name in list(paths)}
    modes = {name: basis for name, basis in found.items() if basis is not None}
    count = len(moments.order)
    sums = {name: torch.zeros(count, basis.shape[2]) for name, basis in modes.items()}
    for t, now in enumerate(moments if modes else ()):
        for name, basis in modes.items():
            sums[name].addmm_(now[name] - bases[name], basis[t])
    made = {}
    for name, basis in modes.items():
        # Errors of coefficients add up to those of `step` in the numbers.
        coarse = steps[name] * math.sqrt(basis.shape[0] * basis.shape[1] / basis.shape[2])
        weights = sums.pop(name).div_(coarse).round_().numpy()
        made[name] = {
            "weights": streams.add_whole(weights), "basis": streams.add_floats((basis * coarse).numpy())
        }  # fmt: skip
    return made


def sample_paths(
    moments: Moments, bases: Mapping[str, Tensor]
) -> dict[str, Float[Tensor, "T R C"]]:
    """What moves, of some Gaussians: R evenly spaced in their order, as many as `NUMBERS` has room for."""
    if not moments.moving:
        return {}
    paths: dict[str, Tensor] = {}
    some = {}
    for name in moments.moving:
        (N, C), T = moments.means[name].shape, moments.count
        rows = min(ROWS, max(NUMBERS // max(T * C, 1), 1000))
        some[name] = torch.arange(0, N, math.ceil(N / rows))
        paths[name] = torch.empty(T, len(some[name]), C)
    for t, now in enumerate(moments):
        for name, which in some.items():
            paths[name][t] = now[name][which]
    for name, which in some.items():
        paths[name] -= bases[name][which] if len(bases[name]) > 1 else bases[name]
    return paths


def find_modes(paths: Float[Tensor, "T R C"], step: float) -> Float[Tensor, "T C K"] | None:
    """The modes of paths, unit and across each other, as many as keep the errors of `step`.

    None if the paths never leave zero by it.

    >>> t = torch.linspace(0, 1, 9)[:, None, None]
    >>> find_modes(t * torch.rand(50, 3), 0.01).shape[2]
    3
    """
    T, R, C = paths.shape
    flat = paths.permute(1, 0, 2).reshape(R, T * C)
    squares = torch.zeros(T * C, T * C, dtype=torch.float64)
    for part in flat.split(CHUNK):
        squares.addmm_(part.T.double(), part.double())
    _, vectors = torch.linalg.eigh(squares)
    vectors = vectors.flip(1)
    # Eigenvectors have no sign of their own; one is chosen, so that equal scenes give equal bytes.
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    vectors = vectors * largest.sign()
    # What is left of each path's square after the first modes; after all of them nothing is.
    for part in flat.split(CHUNK):
        along = (part.double() @ vectors).square_().flip(1)
        part[:] = torch.cumsum(along, 1, out=along).flip(1).div_(T * C)
    worst = flat.kthvalue(min(math.ceil(WORST * R), R), dim=0).values
    enough = (flat.mean(0) <= step**2 / 12) & (worst <= step**2)
    count = int(enough.int().argmax()) if enough.any() else T * C
    return vectors[:, :count].float().reshape(T, C, count) if count else None


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
