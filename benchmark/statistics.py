"""Means with bootstrap intervals, and differences paired by scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int
    """Scenes it is over."""

    def said(self, digits: int = 3) -> str:
        """As tables print it."""
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def bootstrap(values: Float[np.ndarray, " N"], *, count: int = 2000, seed: int = 0) -> Interval:
    """The mean and its 95 % percentile interval over resampled scenes (Efron 1979).

    Raises:
        ValueError: no values.

    >>> bootstrap(np.ones(5)).said()
    '1.000 (1.000–1.000)'
    """
    if not len(values):
        raise ValueError("values got none; expected at least one scene.")
    draws = np.random.default_rng(seed).integers(0, len(values), (count, len(values)))
    means = values[draws].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high), len(values))


def paired(
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    *,
    relative: bool = False,
    higher: bool = False,
    count: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """By how much `ours` is better than `theirs`, over the scenes that both have; None if there is none.

    Args:
        relative: as a share of the mean of `theirs`, by means over the same resampled scenes.
        higher: whether higher is better.

    >>> found = paired({"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 3.0, "c": 9.0})
    >>> found.mean, found.count
    (1.0, 2)
    >>> paired({"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 3.0}, relative=True).mean
    0.4
    """
    both = sorted(set(ours) & set(theirs))
    if not both:
        return None
    base = np.array([theirs[k] for k in both])
    off = base - np.array([ours[k] for k in both])
    off = -off if higher else off
    if not relative or not base.sum():
        return bootstrap(off, count=count, seed=seed)
    draws = np.random.default_rng(seed).integers(0, len(off), (count, len(off)))
    shares = off[draws].sum(1) / np.abs(base[draws].sum(1)).clip(1e-12)
    low, high = np.quantile(shares, (0.025, 0.975))
    return Interval(float(off.sum() / abs(base.sum())), float(low), float(high), len(off))
