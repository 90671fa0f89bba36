"""The sound of rolling and sliding: noise of the rough surfaces, filtered by how the bodies vibrate.

Asperities strike as often as the contact passes over them, so the noise's strength grows with speed and
its band with speed over their spacing (van den Doel, Kry and Pai, FoleyAutomatic, 2001). Sliding is much
louder than rolling at the same speed.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines.trajectory import Contact, Trajectory
from clay4d.physics_baseline.sound.synthesis import (
    RATE,
    Instrument,
    add_tones,
    in_body_axes,
    touching,
)
from clay4d.physics_baseline.sound.timbres import timbre_of
from clay4d.physics_baseline.spec import SceneSpec

GRAIN = 5e-4
"""Spacing of asperities, metres."""
SLIDING, ROLLING = 0.6, 0.1
"""Noise force over normal force at 1 m/s, no unit: a 10 kg box that slides at 2 m/s is as loud as talk."""
LONGEST = 0.4
"""Seconds of the bodies' answers to noise."""


def add_rubbing(
    out: Float[np.ndarray, " S"],
    scene: SceneSpec,
    trajectory: Trajectory,
    contact: Contact,
    instruments: dict[str, Instrument],
    away: float,
    number: int,
) -> None:
    """Add the noise of one long touch; `number` and the scene's seed draw it."""
    known, free = touching(contact, instruments)
    if not free:
        return
    slip, roll = surface_speeds(trajectory, contact, instruments)
    first, last = (round(t * RATE) for t in (contact.time, contact.end))
    last = min(last, len(out))
    if last - first < 2:
        return
    times = np.arange(first, last) / RATE
    slipping, rolling = (np.interp(times, trajectory.times, s) for s in (slip, roll))
    drive = SLIDING * slipping + ROLLING * rolling
    if drive.max() < 1e-9:
        return
    timbres = [k.timbre for k in known if k is not None]
    if scene.floor is not None and "floor" in contact.bodies:
        timbres.append(timbre_of(scene.floor.material))
    weight = min(k.mass for k in free) * 9.81 * max(t.hiss for t in timbres)
    noise = np.random.Generator(np.random.Philox(key=[scene.seed, number])).standard_normal(len(times))  # fmt: skip
    force = weight * drive * _band(noise, float(np.sqrt(np.mean(slipping**2 + rolling**2))))
    edge = min(len(force) // 2, RATE // 100)
    fade = np.sin(0.5 * math.pi * (np.arange(edge) + 0.5) / edge) ** 2
    force[:edge] *= fade
    force[len(force) - edge :] *= fade[::-1]
    for k in known:
        if k is not None and len(k.omegas):
            place, direction = in_body_axes(trajectory, k.body.name, contact)
            answer = np.zeros(int(LONGEST * RATE))
            strengths = k.ring(place, direction, 0.0) / away
            add_tones(answer, 0.0, strengths, k.omegas, k.decays)
            heard = convolve(force / RATE, answer)[: len(out) - first]
            out[first : first + len(heard)] += heard


def surface_speeds(
    trajectory: Trajectory, contact: Contact, instruments: dict[str, Instrument]
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """How fast two touching surfaces slide on each other and roll along, frame by frame, m/s.

    The touching point is taken from a body's middle along the first normal; outside the touch both
    are 0.
    """
    normal = np.array(contact.normal)
    frames = len(trajectory.times)
    surface, middle = np.zeros((2, frames, 3)), np.zeros((2, frames, 3))
    for k, name in enumerate(contact.bodies):
        if name not in instruments or instruments[name].body.motion == "fixed":
            continue
        i = trajectory.index(name)
        arm = (normal if k == 0 else -normal) * instruments[name].roundness()
        middle[k] = trajectory.velocities[:, i]
        surface[k] = middle[k] + np.cross(trajectory.angular_velocities[:, i], arm)
    there = (trajectory.times >= contact.time - 1e-9) & (trajectory.times <= contact.end + 1e-9)
    speeds = []
    for pair in (surface, middle):
        apart = pair[1] - pair[0]
        along = apart - (apart @ normal)[:, None] * normal
        speeds.append(np.linalg.norm(along, axis=1) * there)
    return speeds[0], speeds[1]


def _band(noise: Float[np.ndarray, " N"], speed: float) -> Float[np.ndarray, " N"]:
    """White noise below the rate at which asperities pass."""
    spectrum = np.fft.rfft(noise)
    hertz = np.fft.rfftfreq(len(noise), 1 / RATE)
    cut = max(speed, 0.02) / GRAIN
    band: Float[np.ndarray, " N"] = np.fft.irfft(spectrum / np.sqrt(1 + (hertz / cut) ** 4), len(noise))  # fmt: skip
    return band


def convolve(a: Float[np.ndarray, " N"], b: Float[np.ndarray, " M"]) -> Float[np.ndarray, " K"]:
    """The convolution of two signals, by Fourier transforms.

    >>> convolve(np.array([1.0, 2.0]), np.array([0.0, 1.0])).round(6).tolist()
    [0.0, 1.0, 2.0]
    """
    count = len(a) + len(b) - 1
    size = 1 << (count - 1).bit_length()
    both: Float[np.ndarray, " K"] = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)
    return both[:count]
