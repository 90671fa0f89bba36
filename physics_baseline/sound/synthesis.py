"""From a trajectory's contacts to the sound of it.

A blow of impulse J starts every vibration of both bodies at J·φ(place)·n, less what the blow's length
takes away: it lasts as Hertz's contact does (Johnson, Contact Mechanics, 1985, 11.24) and its force is
about half a sine. A vibration of angular frequency ω and surface speed v is heard at a distance r as a ball of
the same volume would be, ρ·c·v·σ·a/r with σ = (ka)²/(1 + (ka)²) (Morse and Ingard 1968). A free body also
clicks, since its sudden acceleration pushes air: the far field of a moving ball, ρ·a³/(2·c·r)·dA/dt.
The way to the ear takes no time, so that sound and picture agree. What is left out: echoes, hollow
bodies, cloth and soft bodies (which make no sound of their own), and how a body's stand changes its
vibrations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines.trajectory import Contact, Trajectory
from clay4d.physics_baseline.engines.tree import SOFT_KINDS, rotation
from clay4d.physics_baseline.sound.modes import Modes, body_modes
from clay4d.physics_baseline.sound.timbres import REST, Timbre, timbre_of
from clay4d.physics_baseline.spec import SceneSpec, body_mass

RATE = 48_000
"""Samples a second."""
AIR, SPEED = 1.2, 343.0
"""Of air: kilograms per cubic metre, metres per second."""
HIGHEST = 20_000.0
"""Hertz; what is above is not heard."""
NEAREST = 0.3
"""Metres from which the ear hears a blow, at the least."""
FADE = 1e-4
"""Share of its first strength at which a tone is cut."""
SHORTEST = 1e-4
"""Seconds of a blow, at the least: five samples."""
SLOWEST = 0.01
"""Metres per second; a slower meeting is no blow but a touch."""


class Instrument:
    """One rigid body as it sounds."""

    def __init__(self, body: Any) -> None:
        self.body = body
        self.timbre: Timbre = timbre_of(body.material)
        self.mass = body_mass(body)
        self.volume = float(body.volume)
        self.radius = (3 * self.volume / (4 * math.pi)) ** (1 / 3)
        self.modes: Modes = body_modes(body, self.timbre.poisson_ratio)
        frequencies = self.modes.frequencies(self.timbre.shear_speed)
        self.heard = frequencies < HIGHEST
        self.omegas = 2 * math.pi * frequencies[self.heard]
        self.decays = 0.5 * self.timbre.loss * self.omegas + REST
        size = (self.omegas * self.radius / SPEED) ** 2
        #: Pascals at 1 m for each newton second that a vibration is struck with, where φ is 1.
        self.loudness = AIR * SPEED * self.radius * size / (1 + size) / self.mass

    def roundness(self) -> float:
        """Radius of the surface that meets others, metres; flat faces count as their half extent."""
        return float(self.modes.half.min())

    def ring(
        self, place: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"], length: float
    ) -> Float[np.ndarray, " K"]:
        """Strength of each heard vibration for a blow of 1 N·s of a length in seconds, pascals at 1 m."""
        gains = self.modes.gains(place, direction)[self.heard]
        strength: Float[np.ndarray, " K"] = (
            self.loudness * gains * blow_spectrum(self.omegas * length)
        )
        return strength


def blow_spectrum(phase: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
    """Strength of a blow's force over its impulse, at ω times its length.

    The envelope of a half sine's spectrum |cos(φ/2)/(1 − (φ/π)²)|: its zeros would mute a tone for blows
    of one length, which contacts of real bodies, never quite a half sine, do not.

    >>> blow_spectrum(np.array([0.0, math.pi, 10 * math.pi])).round(4).tolist()
    [1.0, 0.7071, 0.01]
    """
    spectrum: Float[np.ndarray, " K"] = 1 / np.sqrt(1 + (phase / math.pi) ** 4)
    return spectrum


def blow_length(a: Timbre, b: Timbre, mass: float, radius: float, speed: float) -> float:
    """Seconds for which two elastic bodies touch, by Hertz; masses and radii are the reduced ones."""
    give = sum((1 - t.poisson_ratio**2) / t.young_modulus for t in (a, b))
    length = 2.87 * (mass**2 * give**2 / (radius * max(speed, SLOWEST))) ** 0.2
    return max(float(length), SHORTEST)


def synthesize(
    scene: SceneSpec,
    trajectory: Trajectory,
    *,
    ear: Float[np.ndarray, "T 3"] | None = None,
    rubbing: bool = True,
) -> Float[np.ndarray, " S"]:
    """The sound of a simulated scene in pascals, 48,000 samples a second, as long as its video.

    Args:
        ear: where it is heard from in each frame, world axes, metres; None: 2 m from every contact.
        rubbing: what rolls and slides is heard too.

    Returns:
        Samples from time 0 on; all 0 where nothing touches.

    >>> from clay4d.physics_baseline.engines import simulate
    >>> from clay4d.physics_baseline.spec import Sphere
    >>> scene = SceneSpec(bodies=(Sphere(name="a", position=(0, 0, 0.3)),), duration=0.5)
    >>> sound = synthesize(scene, simulate(scene))
    >>> len(sound), round(float(np.flatnonzero(sound)[0]) / RATE, 2)  # falls 20 cm in 0.2 s
    (24000, 0.2)
    """
    from clay4d.physics_baseline.sound.rubbing import add_rubbing

    frames = len(trajectory.times)
    out = np.zeros(round((trajectory.times[-1] + 1 / scene.fps) * RATE))
    instruments = {b.name: Instrument(b) for b in scene.bodies if b.kind not in SOFT_KINDS}
    for number, contact in enumerate(trajectory.contacts):
        known, _ = touching(contact, instruments)
        if any(k is None and n != "floor" for k, n in zip(known, contact.bodies)):
            continue  # Cloth and soft bodies: their blows last too long to be heard.
        place = np.array(contact.position)
        frame = int(np.clip(round(contact.time * scene.fps), 0, frames - 1))
        away = 2.0 if ear is None else max(float(np.linalg.norm(ear[frame] - place)), NEAREST)
        _strike(out, scene, trajectory, contact, instruments, away)
        if rubbing and contact.end - contact.time > 2 / scene.fps:
            add_rubbing(out, scene, trajectory, contact, instruments, away, number)
    return out


def touching(
    contact: Contact, instruments: dict[str, Instrument]
) -> tuple[list[Instrument | None], list[Instrument]]:
    """The two bodies of a contact, None for what has no instrument, and those of them that can move."""
    known = [instruments.get(n) for n in contact.bodies]
    return known, [k for k in known if k is not None and k.body.motion != "fixed"]


def _strike(
    out: Float[np.ndarray, " S"],
    scene: SceneSpec,
    trajectory: Trajectory,
    contact: Contact,
    instruments: dict[str, Instrument],
    away: float,
) -> None:
    """Add one blow as both bodies give it back."""
    known, free = touching(contact, instruments)
    if contact.speed < SLOWEST or not free:
        return
    mass = 1 / sum(1 / k.mass for k in free)
    radii = [k.roundness() for k in known if k is not None]
    timbres = [timbre_of(scene.floor.material) if k is None and scene.floor else k.timbre for k in known]  # type: ignore[union-attr]  # fmt: skip
    length = blow_length(timbres[0], timbres[1], mass, 1 / sum(1 / r for r in radii), contact.speed)
    # What rests on a body is in the log's impulse too; a blow has no more than a full rebound's.
    impulse = min(contact.impulse, 2 * mass * contact.speed)
    for k in known:
        if k is None:
            continue
        place, direction = in_body_axes(trajectory, k.body.name, contact)
        strength = impulse * k.ring(place, direction, length) / away
        add_tones(out, contact.time, strength, k.omegas, k.decays)
        if k in free:
            add_click(out, contact.time, impulse / k.mass, length, k.radius, away)


def in_body_axes(
    trajectory: Trajectory, name: str, contact: Contact
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """A contact's place and normal in a body's axes at that moment, metres."""
    i = trajectory.index(name)
    k = int(np.clip(np.searchsorted(trajectory.times, contact.time), 1, max(1, len(trajectory.times) - 1))) - 1  # fmt: skip
    since = contact.time - trajectory.times[k]
    origin = trajectory.positions[k, i] + since * trajectory.velocities[k, i]
    turn = rotation(trajectory.quats[k, i])
    place: Float[np.ndarray, " 3"] = turn.T @ (np.array(contact.position) - origin)
    direction: Float[np.ndarray, " 3"] = turn.T @ np.array(contact.normal)
    return place, direction


def add_tones(
    out: Float[np.ndarray, " S"],
    time: float,
    strengths: Float[np.ndarray, " K"],
    omegas: Float[np.ndarray, " K"],
    decays: Float[np.ndarray, " K"],
) -> None:
    """Add decaying sines that start at a time, pascals."""
    first = math.ceil(time * RATE)
    for strength, omega, decay in zip(strengths, omegas, decays):
        count = min(len(out) - first, math.ceil(-math.log(FADE) / decay * RATE))
        if count <= 0 or strength <= 0:
            continue
        since = (first + np.arange(count)) / RATE - time
        out[first : first + count] += strength * np.exp(-decay * since) * np.sin(omega * since)


def add_click(
    out: Float[np.ndarray, " S"],
    time: float,
    speed: float,
    length: float,
    radius: float,
    away: float,
) -> None:
    """Add the push on the air of a ball whose speed changes by `speed` in `length` seconds, pascals.

    Its acceleration is a squared sine, so that neither it nor its slope jumps; what is quicker than
    sound takes to go around the ball is weaker by that.
    """
    first, count = math.ceil(time * RATE), math.ceil(length * RATE)
    count = min(count, len(out) - first)
    if count <= 0:
        return
    since = (first + np.arange(count)) / RATE - time
    around = math.pi * radius / (SPEED * length)
    jerk = speed * 2 * math.pi / length**2 * np.sin(2 * math.pi * since / length)
    jerk[since > length] = 0.0
    out[first : first + count] += AIR * radius**3 / (2 * SPEED * away) / (1 + around**2) * jerk


def recorded(sound: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """Pascals as a recorder with automatic gain keeps them, −1 to 1.

    Only the loudest sample decides: p pascals become 0.9·√p/(1 + √p), so that a marble is heard and a
    cannonball does not clip, while louder scenes stay louder.

    >>> recorded(np.array([0.0, -1.0, 0.5])).tolist()
    [0.0, -0.45, 0.225]
    """
    peak = float(np.abs(sound).max(initial=0.0))
    if peak == 0:
        return sound
    root = math.sqrt(peak)
    kept: Float[np.ndarray, " S"] = sound * (0.9 * root / (1 + root) / peak)
    return kept
