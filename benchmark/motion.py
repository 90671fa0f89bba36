"""Measures of motion: how far paths are off, and what no real motion does; metres, seconds, kilograms.

T moments, B bodies, K sampled futures. Nothing here knows of scenes or systems.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

Touches = Mapping[tuple[int, int], float]
"""Seconds at which two bodies first touch; the floor is FLOOR."""
FLOOR = -1


def position_error(
    predicted: Float[np.ndarray, "*lead 3"], truth: Float[np.ndarray, "*lead 3"]
) -> Float[np.ndarray, "*lead"]:
    """Distance of centres, metres.

    Raises:
        ValueError: shapes that differ.

    >>> position_error(np.zeros((1, 3)), np.array([[3.0, 0, 4]])).tolist()
    [5.0]
    """
    _same(predicted, truth)
    return np.asarray(np.linalg.norm(predicted - truth, axis=-1))


def rotation_error(
    predicted: Float[np.ndarray, "*lead 4"], truth: Float[np.ndarray, "*lead 4"]
) -> Float[np.ndarray, "*lead"]:
    """Angle between rotations, degrees, 0 to 180; quaternions wxyz of any sign and length above 0.

    Raises:
        ValueError: shapes that differ.

    >>> rotation_error(np.array([[1.0, 0, 0, 0]]), np.array([[0.0, 0, 0, -2]])).round(6).tolist()
    [180.0]
    """
    _same(predicted, truth)
    a, b = (q / np.linalg.norm(q, axis=-1, keepdims=True) for q in (predicted, truth))
    b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    # By both chords: the arc cosine alone loses half of the digits of small angles.
    half = 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
    return np.asarray(np.degrees(2 * half))


def velocity_error(
    predicted: Float[np.ndarray, "T *lead 3"],
    truth: Float[np.ndarray, "T *lead 3"],
    times: Float[np.ndarray, " T"],
) -> Float[np.ndarray, "T ..."]:
    """Distance of the velocities of two paths, metres per second.

    Velocities are of second order at all moments, at the ends too: exact under an even acceleration.

    Raises:
        ValueError: shapes that differ, fewer than three moments, or moments that do not rise.

    >>> t = np.arange(4.0)
    >>> velocity_error(np.outer(t**2, [1, 0, 0]), np.zeros((4, 3)), t).tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    _same(predicted, truth)
    return np.asarray(np.linalg.norm(velocities(predicted - truth, times), axis=-1))


def velocities(
    positions: Float[np.ndarray, "T *lead 3"], times: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T *lead 3"]:
    """Of a path, metres per second.

    Raises:
        ValueError: fewer than three moments, or moments that do not rise.

    >>> velocities(np.outer([0.0, 1, 4], [1, 0, 0]), np.arange(3.0))[:, 0].tolist()
    [0.0, 2.0, 4.0]
    """
    if len(times) < 3 or len(times) != len(positions) or not (np.diff(times) > 0).all():
        raise ValueError(
            f"times got {len(times)} for {len(positions)} places; expected three or more that rise, as "
            "many as places."
        )
    return np.asarray(np.gradient(positions, times, axis=0, edge_order=2))


def first_touches(
    positions: Float[np.ndarray, "T B 3"],
    radii: Float[np.ndarray, " B"],
    times: Float[np.ndarray, " T"],
    *,
    floor: float | None = None,
) -> dict[tuple[int, int], float]:
    """When balls first touch each other, or the floor, along straight lines between the moments.

    What touches at the first moment is left out: it is a state and no blow.

    Args:
        radii: metres; of what is no ball, of the largest ball in it.
        floor: its height, metres; None: there is none.

    Raises:
        ValueError: shapes that do not agree.

    >>> path = np.array([[[0.0, 0, 0], [1, 0, 0]], [[0.5, 0, 0], [1, 0, 0]]])
    >>> first_touches(path, np.array([0.25, 0.25]), np.array([0.0, 0.5]))
    {(0, 1): 0.5}
    """
    t, count, _ = positions.shape
    if radii.shape != (count,) or times.shape != (t,):
        raise ValueError(
            f"radii and times got {radii.shape}, {times.shape}; expected ({count},) and ({t},)."
        )
    found: dict[tuple[int, int], float] = {}
    for b in range(count):
        if floor is not None:
            gap = positions[:, b, 2] - radii[b] - floor
            moment = _first_fall(gap, times)
            if moment is not None:
                found[FLOOR, b] = moment
        for a in range(b):
            moment = _first_meeting(positions[:, a] - positions[:, b], radii[a] + radii[b], times)
            if moment is not None:
                found[a, b] = moment
    return found


def collision_time_error(predicted: Touches, truth: Touches, *, end: float) -> float | None:
    """Mean absolute error of the moments at which pairs first touch, seconds; None if none ever does.

    A pair that touches in one of both alone counts as touching at the end in the other.

    Args:
        end: of the time that was asked for, seconds.

    >>> collision_time_error({(0, 1): 0.5}, {(0, 1): 0.75, (0, 2): 1.0}, end=2.0)
    0.625
    """
    pairs = set(predicted) | set(truth)
    if not pairs:
        return None
    return float(np.mean([abs(predicted.get(p, end) - truth.get(p, end)) for p in sorted(pairs)]))


def permanence(there: Bool[np.ndarray, "T B"], expected: Bool[np.ndarray, "T B"]) -> float:
    """Share of the moments at which things should be there that they are; 1 if none should be.

    >>> permanence(np.array([[True, False]]), np.array([[True, True]]))
    0.5
    """
    if there.shape != expected.shape:
        raise ValueError(f"there got shape {there.shape}; expected {expected.shape}.")
    return float((there & expected).sum() / expected.sum()) if expected.any() else 1.0


def energy_drift(
    positions: Float[np.ndarray, "T B 3"],
    times: Float[np.ndarray, " T"],
    masses: Float[np.ndarray, " B"],
    *,
    gravity: float = 9.81,
) -> float:
    """How far kinetic (of centres) and potential energy rise above their least so far, joules, at most.

    Contacts and air may take energy away; only what comes from nowhere counts.

    >>> t = np.arange(5) / 10
    >>> fall = np.stack([0 * t, 0 * t, 2 - 4.905 * t**2], -1)[:, None]
    >>> round(energy_drift(fall, t, np.ones(1)), 9)
    0.0
    """
    speed = (velocities(positions, times) ** 2).sum(-1)
    energy = ((0.5 * speed + gravity * positions[..., 2]) * masses).sum(1)
    return float((energy - np.minimum.accumulate(energy)).max())


def momentum_drift(
    positions: Float[np.ndarray, "T B 3"],
    times: Float[np.ndarray, " T"],
    masses: Float[np.ndarray, " B"],
    *,
    gravity: float = 9.81,
) -> Float[np.ndarray, " T"]:
    """How far the momentum of all bodies is from what gravity alone makes of the first, kg·m/s.

    Of a system that touches nothing else it is 0, whatever its bodies do to each other.

    >>> t = np.arange(5) / 10
    >>> fall = np.stack([t, 0 * t, 2 - 4.905 * t**2], -1)[:, None]
    >>> momentum_drift(fall, t, np.ones(1)).round(9).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    momentum = (velocities(positions, times) * masses[:, None]).sum(1)
    free = momentum[0] - np.outer(times - times[0], [0, 0, gravity * masses.sum()])
    return np.asarray(np.linalg.norm(momentum - free, axis=-1))


def penetration(
    positions: Float[np.ndarray, "T B 3"],
    radii: Float[np.ndarray, " B"],
    *,
    floor: float | None = None,
) -> Float[np.ndarray, " T"]:
    """How deep balls are in each other or in the floor, the deepest of each moment, metres; 0: none is.

    Args:
        radii: metres; of what is no ball, of the largest ball in it, which gives a lower bound.
        floor: its height, metres; None: there is none.

    >>> path = np.array([[[0.0, 0, 0.1], [0.15, 0, 0.08]]])
    >>> penetration(path, np.array([0.1, 0.1]), floor=0.0).round(3).tolist()
    [0.049]
    """
    deep = np.zeros(len(positions))
    for b in range(positions.shape[1]):
        if floor is not None:
            deep = np.maximum(deep, floor + radii[b] - positions[:, b, 2])
        for a in range(b):
            apart = np.linalg.norm(positions[:, a] - positions[:, b], axis=-1)
            deep = np.maximum(deep, radii[a] + radii[b] - apart)
    return deep


def best_of_k(samples: Float[np.ndarray, "K T B 3"], truth: Float[np.ndarray, "T B 3"]) -> float:
    """Mean distance of the one of K futures that is nearest to the truth, metres.

    >>> best_of_k(np.array([[[[1.0, 0, 0]]], [[[0.25, 0, 0]]]]), np.zeros((1, 1, 3)))
    0.25
    """
    _same(samples[0], truth)
    off = np.linalg.norm(samples - truth, axis=-1)
    return float(off.reshape(len(samples), -1).mean(1).min())


def crps(
    samples: Float[np.ndarray, "K ..."], truth: Float[np.ndarray, "*lead"]
) -> Float[np.ndarray, "*lead"]:
    """Continuous ranked probability score of K sampled numbers, in their unit; lower is better.

    The integral of (F(x) − 1[x ≥ y])² with F the samples' own distribution, which is
    E|X − y| − ½·E|X − X′| (Gneiting & Raftery 2007, eq. 21). One sample gives its absolute error.

    >>> crps(np.array([0.0, 1.0]), np.array(0.0)).item()
    0.25
    """
    _same(samples[0], truth)
    ordered = np.sort(samples, axis=0)
    k = len(samples)
    weights = (2 * np.arange(k) - k + 1).reshape(-1, *[1] * truth.ndim)
    spread = (weights * ordered).sum(0) / k**2  # Half of the mean of all |x − x′|.
    return np.asarray(np.abs(samples - truth).mean(0) - spread)


def energy_score(
    samples: Float[np.ndarray, "K *lead 3"], truth: Float[np.ndarray, "*lead 3"]
) -> Float[np.ndarray, "*lead"]:
    """The same of K sampled places, with distances for differences, metres (Gneiting & Raftery 2007).

    >>> energy_score(np.array([[0.0, 0, 0], [1, 0, 0]]), np.zeros(3)).item()
    0.25
    """
    _same(samples[0], truth)
    between = np.stack([np.linalg.norm(samples - one, axis=-1).mean(0) for one in samples])
    return np.asarray(np.linalg.norm(samples - truth, axis=-1).mean(0) - 0.5 * between.mean(0))


def _same(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"prediction got shape {list(a.shape)}; expected the truth's, {list(b.shape)}.")  # fmt: skip


def _first_fall(gap: Float[np.ndarray, " T"], times: Float[np.ndarray, " T"]) -> float | None:
    """When a gap that is open at first closes, linear between the moments."""
    shut = np.flatnonzero(gap <= 0)
    if not len(shut) or shut[0] == 0:
        return None
    k = int(shut[0])
    share = gap[k - 1] / (gap[k - 1] - gap[k])
    return float(times[k - 1] + share * (times[k] - times[k - 1]))


def _first_meeting(
    apart: Float[np.ndarray, "T 3"], reach: float, times: Float[np.ndarray, " T"]
) -> float | None:
    """When two centres first come within reach: |d + s·e|² = r², s from 0 to 1, in each interval."""
    if (apart[0] ** 2).sum() <= reach**2:
        return None
    for k in range(len(times) - 1):
        d, e = apart[k], apart[k + 1] - apart[k]
        a, b, c = float(e @ e), float(d @ e), float(d @ d) - reach**2
        inside = b * b - a * c
        if b >= 0 or inside < 0:  # They part, or pass each other.
            continue
        s = c / (-b + np.sqrt(inside))
        if 0 <= s <= 1:
            return float(times[k] + s * (times[k + 1] - times[k]))
    return None
