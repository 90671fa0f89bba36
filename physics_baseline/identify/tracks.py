"""What was seen of a body: its places and perhaps rotations at moments, and how far they are off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines import Trajectory


@dataclass(frozen=True)
class Track:
    """Places of one body's centre at N moments, NaN where it was not seen.

    Raises:
        ValueError: shapes that do not agree, moments out of order, or noise that is not above 0.

    >>> Track("ball", np.arange(2) / 30, np.zeros((2, 3))).seen.tolist()
    [True, True]
    """

    body: str
    """Its name in the scene."""
    times: Float[np.ndarray, " N"]
    """Seconds since the scene's start, rising."""
    positions: Float[np.ndarray, "N 3"]
    """World axes, metres."""
    quats: Float[np.ndarray, "N 4"] | None = None
    """Body to world, wxyz; None: rotations were not seen."""
    position_noise: float = 1e-3
    """Standard deviation of each coordinate, metres."""
    angle_noise: float = 1e-2
    """Standard deviation of the rotation about each axis, radians."""

    def __post_init__(self) -> None:
        n = len(self.times)
        shapes = {"positions": (n, 3)} | ({} if self.quats is None else {"quats": (n, 4)})
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                got = list(getattr(self, name).shape)
                raise ValueError(f"{name} of {self.body} got shape {got}; expected {list(shape)}.")
        if n == 0 or not (np.diff(self.times) > 0).all() or self.times[0] < 0:
            raise ValueError(
                f"times of {self.body} got {n} that do not rise from 0 on; expected ones that do."
            )
        for name in ("position_noise", "angle_noise"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} got {getattr(self, name)}; expected above 0.")

    @property
    def seen(self) -> np.ndarray:
        """At which of the N moments it was seen."""
        seen: np.ndarray = np.isfinite(self.positions).all(1)
        return seen

    def first(self, count: int) -> Track:
        """Only its first `count` moments."""
        return Track(
            self.body, self.times[:count], self.positions[:count],
            None if self.quats is None else self.quats[:count],
            self.position_noise, self.angle_noise,
        )  # fmt: skip

    def residuals(self, trajectory: Trajectory) -> Float[np.ndarray, "N D"]:
        """Simulated less seen, in standard deviations: 3 columns of the place, 3 of the rotation.

        Simulated places are interpolated between frames, by cubics through their velocities. Rows
        where nothing was seen are 0.
        """
        at = trajectory.index(self.body)
        places = _cubic(self.times, trajectory, at)
        out = [(places - self.positions) / self.position_noise]
        if self.quats is not None:
            frames = np.searchsorted(trajectory.times, self.times - 1e-9).clip(
                0, len(trajectory.times) - 1
            )
            out.append(
                rotation_between(self.quats, trajectory.quats[frames, at]) / self.angle_noise
            )
        both = np.concatenate(out, 1)
        both[~self.seen] = 0.0
        return both


def rotation_between(
    a: Float[np.ndarray, "N 4"], b: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N 3"]:
    """Rotation vectors from a to b in a's axes, radians; quaternions wxyz of any length and sign.

    >>> h = np.sqrt(0.5)
    >>> rotation_between(np.array([[1.0, 0, 0, 0]]), np.array([[h, h, 0, 0]])).round(4).tolist()
    [[1.5708, 0.0, 0.0]]
    """
    a, b = (q / np.linalg.norm(q, axis=1, keepdims=True) for q in (a, b))
    w = (a * b).sum(1)
    v = a[:, :1] * b[:, 1:] - b[:, :1] * a[:, 1:] - np.cross(a[:, 1:], b[:, 1:])
    v = np.where(w[:, None] < 0, -v, v)
    length = np.linalg.norm(v, axis=1)
    angle = 2 * np.arctan2(length, np.abs(w))
    scale = np.where(length > 1e-12, angle / np.maximum(length, 1e-12), 2.0)
    vectors: Float[np.ndarray, "N 3"] = v * scale[:, None]
    return vectors


def _cubic(times: np.ndarray, trajectory: Trajectory, at: int) -> Float[np.ndarray, "N 3"]:
    """Hermite's cubic in each interval of frames; past the last frame its last place."""
    t, p, v = trajectory.times, trajectory.positions[:, at], trajectory.velocities[:, at]
    if len(t) == 1:
        return np.repeat(p, len(times), 0)
    k = (np.searchsorted(t, times, side="right") - 1).clip(0, len(t) - 2)
    h = (t[k + 1] - t[k])[:, None]
    s = ((times - t[k])[:, None] / h).clip(0, 1)
    places: Float[np.ndarray, "N 3"] = (
        (1 + 2 * s) * (1 - s) ** 2 * p[k]
        + s * (1 - s) ** 2 * h * v[k]
        + s**2 * (3 - 2 * s) * p[k + 1]
        + s**2 * (s - 1) * h * v[k + 1]
    )
    return places
