"""One rigid body and a floor with smooth contacts, compiled: thousands of motions a second.

Each corner within the floor is pushed out by a damped spring, F = m·max(0, ω²·d + 2ζω·ḋ), d its depth,
and dragged by Coulomb friction smoothed below a slip speed ε, −μ·F·u/√(u² + ε²). Steps are
semi-implicit Euler's; the corners of a convex body are all that a plane can touch. What it lacks beside
the engines is everything else; it is here because fitting a chaotic motion takes 10⁵ of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from clay4d.jit import device

SUBSTEPS = 8
"""In a frame, at 148 frames a second: steps of 0.84 ms."""


@dataclass(frozen=True)
class SmoothContact:
    """What decides the motion.

    >>> SmoothContact(friction=0.2).damping
    0.5
    """

    friction: float = 0.18
    """Coulomb's coefficient, no unit."""
    rate: float = 230.0
    """ω of a corner's spring under the whole mass, 1/s."""
    damping: float = 0.5
    """ζ, no unit."""
    slip: float = 0.01
    """ε, metres per second."""
    gravity: tuple[float, float, float] = (0.0, 0.0, -9.81)
    """Metres per second squared."""
    floor: float = 0.0
    """Height, metres."""
    gyration: float = 0.003
    """Moment of inertia over mass, the same about all axes, square metres."""
    mass_centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """From the body's origin, its axes, metres."""

    def vector(self) -> Float[np.ndarray, " 12"]:
        """All numbers in the order of the kernel."""
        return np.array(
            [
                self.friction, self.rate, self.damping, self.slip, *self.gravity, self.floor,
                self.gyration, *self.mass_centre,
            ]
        )  # fmt: skip


def roll_out(
    contact: SmoothContact,
    corners: Float[np.ndarray, "V 3"],
    starts: Float[np.ndarray, "N 13"],
    lengths: Int[np.ndarray, " N"],
    dt: float,
    *,
    substeps: int = SUBSTEPS,
) -> Float[np.ndarray, "F 7"]:
    """Poses of N motions one after another: origin and quaternion wxyz, F the sum of `lengths`.

    Args:
        corners: of the body, its axes, metres.
        starts: of the origin: position, quaternion wxyz, velocity and spin, world axes.
        lengths: frames of each motion, the start included.
        dt: seconds between frames.

    >>> start = np.array([[0, 0, 9.0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]])
    >>> end = roll_out(SmoothContact(), np.eye(3) * 0.1, start, np.array([11]), 0.01, substeps=64)[-1]
    >>> end[[0, 2]].round(2).tolist()
    [0.1, 8.95]
    """
    out = np.zeros((int(lengths.sum()), 7))
    _all(
        contact.vector(), np.ascontiguousarray(corners, float), np.ascontiguousarray(starts, float),
        np.ascontiguousarray(lengths, np.int64), dt, substeps, out,
    )  # fmt: skip
    return out


@device
def _turn(q, R):  # type: ignore[no-untyped-def]
    w, x, y, z = q[0], q[1], q[2], q[3]
    R[0, 0], R[0, 1], R[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    R[1, 0], R[1, 1], R[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    R[2, 0], R[2, 1], R[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


@device
def _push(p, arms, R, height, v, w, force, torque):  # type: ignore[no-untyped-def]
    """Add the corners' forces over the mass, and their torques about the centre of mass."""
    mu, k, c, slip = p[0], p[1] * p[1], 2 * p[2] * p[1], p[3]
    for i in range(len(arms)):
        a, b, d = arms[i, 0], arms[i, 1], arms[i, 2]
        z = R[2, 0] * a + R[2, 1] * b + R[2, 2] * d
        depth = p[7] - height - z
        if depth <= 0:
            continue
        x, y = R[0, 0] * a + R[0, 1] * b + R[0, 2] * d, R[1, 0] * a + R[1, 1] * b + R[1, 2] * d
        ux, uy = v[0] + w[1] * z - w[2] * y, v[1] + w[2] * x - w[0] * z
        uz = v[2] + w[0] * y - w[1] * x
        push = k * depth - c * uz
        if push <= 0:
            continue
        drag = mu * push / math.sqrt(ux * ux + uy * uy + slip * slip)
        fx, fy = -drag * ux, -drag * uy
        force[0] += fx
        force[1] += fy
        force[2] += push
        torque[0] += y * push - z * fy
        torque[1] += z * fx - x * push
        torque[2] += x * fy - y * fx


@device
def _spin(q, w, dt):  # type: ignore[no-untyped-def]
    """Turn a quaternion by a spin in world axes over dt."""
    speed = math.sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2])
    if speed < 1e-12:
        return
    s, c = math.sin(speed * dt / 2) / speed, math.cos(speed * dt / 2)
    x, y, z = w[0] * s, w[1] * s, w[2] * s
    a, b, d, e = q[0], q[1], q[2], q[3]
    q[0] = c * a - x * b - y * d - z * e
    q[1] = c * b + x * a + y * e - z * d
    q[2] = c * d + y * a + z * b - x * e
    q[3] = c * e + z * a + x * d - y * b
    size = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    for k in range(4):
        q[k] /= size


@device
def _all(p, corners, starts, lengths, frame, substeps, out):  # type: ignore[no-untyped-def]
    dt, row, far = frame / substeps, 0, 0.0
    arms = np.empty_like(corners)
    for i in range(len(corners)):
        for k in range(3):
            arms[i, k] = corners[i, k] - p[9 + k]
        far = max(far, math.sqrt(arms[i, 0] ** 2 + arms[i, 1] ** 2 + arms[i, 2] ** 2))
    R, shift = np.empty((3, 3)), np.empty(3)
    force, torque = np.empty(3), np.empty(3)
    for n in range(len(starts)):
        q, v, w = starts[n, 3:7].copy(), starts[n, 7:10].copy(), starts[n, 10:13].copy()
        q /= math.sqrt((q * q).sum())
        x = starts[n, :3].copy()
        for f in range(lengths[n]):
            _turn(q, R)
            for k in range(3):
                shift[k] = R[k, 0] * p[9] + R[k, 1] * p[10] + R[k, 2] * p[11]
            if f == 0:  # From the origin to the centre of mass.
                x += shift
                v[0] += w[1] * shift[2] - w[2] * shift[1]
                v[1] += w[2] * shift[0] - w[0] * shift[2]
                v[2] += w[0] * shift[1] - w[1] * shift[0]
            for k in range(3):
                out[row, k] = x[k] - shift[k]
            for k in range(4):
                out[row, 3 + k] = q[k]
            row += 1
            if f + 1 == lengths[n]:
                break
            for _ in range(substeps):
                for k in range(3):
                    force[k], torque[k] = p[4 + k], 0.0
                if x[2] - p[7] < far:
                    _turn(q, R)
                    _push(p, arms, R, x[2], v, w, force, torque)
                for k in range(3):
                    v[k] += force[k] * dt
                    w[k] += torque[k] / p[8] * dt
                    x[k] += v[k] * dt
                _spin(q, w, dt)
