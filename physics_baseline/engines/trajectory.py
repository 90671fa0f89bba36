"""What an engine gives back: poses, velocities, contacts, energies and momenta of every frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int


class SimulationError(ValueError):
    """A scene that cannot be simulated as it is, or an engine that blew up; the message says where."""


@dataclass(frozen=True)
class Contact:
    """Two bodies touch, from the first moment until they part for longer than `GAP` seconds."""

    time: float
    """Of the first touch, seconds."""
    end: float
    """Of the last touch, seconds."""
    bodies: tuple[str, str]
    """Names, in the scene's order; the floor is "floor"."""
    position: tuple[float, float, float]
    """Where they first touch, world axes, metres."""
    normal: tuple[float, float, float]
    """From the first body to the second, world axes, no unit."""
    speed: float
    """At which they approach along the normal at first, metres per second."""
    impulse: float
    """Of the normal force within `BLOW` seconds of the first touch, newton seconds."""


GAP = 0.02
"""Seconds of separation after which a touch counts as a new one."""
BLOW = 0.02
"""Seconds after the first touch whose normal force is the blow's."""


@dataclass(frozen=True)
class Trajectory:
    """A simulated scene, frame by frame: T frames, B bodies in the scene's order.

    Positions are of the bodies' own origins (the centre; a mesh's origin), velocities those of the
    same points. A cloth or soft body has the mean of its vertices and no rotation.
    """

    engine: str
    """Its name and version."""
    step: float
    """Of its integration, seconds."""
    names: tuple[str, ...]
    times: Float[np.ndarray, " T"]
    """Seconds."""
    positions: Float[np.ndarray, "T B 3"]
    """World axes, metres."""
    quats: Float[np.ndarray, "T B 4"]
    """Body to world, wxyz, no jumps of sign from frame to frame."""
    velocities: Float[np.ndarray, "T B 3"]
    """World axes, metres per second."""
    angular_velocities: Float[np.ndarray, "T B 3"]
    """World axes, radians per second."""
    contacts: tuple[Contact, ...]
    """In the order of their first moments."""
    kinetic: Float[np.ndarray, "T B"]
    """Energy of translation and rotation, joules; 0 for what is fixed."""
    potential: Float[np.ndarray, "T B"]
    """Energy in the field of gravity and in tethers, joules."""
    work: Float[np.ndarray, " T"]
    """What wind, drag, lift, buoyancy, tethers' damping and blows have put in so far, joules."""
    momentum: Float[np.ndarray, "T 3"]
    """Of all moving bodies, kilogram metres per second."""
    angular_momentum: Float[np.ndarray, "T 3"]
    """Of all moving bodies about the world's origin, kilogram square metres per second."""
    vertices: dict[str, Float[np.ndarray, "T V 3"]] = field(default_factory=dict)
    """Of each cloth and soft body, world axes, metres."""
    faces: dict[str, Int[np.ndarray, "F 3"]] = field(default_factory=dict)
    """Triangles of their surfaces."""

    @property
    def energy(self) -> Float[np.ndarray, " T"]:
        """Kinetic and potential energy of all bodies, joules."""
        total: Float[np.ndarray, " T"] = self.kinetic.sum(1) + self.potential.sum(1)
        return total

    @property
    def unexplained(self) -> Float[np.ndarray, " T"]:
        """Energy since the start that no known force put in, joules: below 0 where some is lost."""
        gained: Float[np.ndarray, " T"] = self.energy - self.energy[0] - self.work
        return gained

    def index(self, name: str) -> int:
        """Which of the B bodies has that name.

        Raises:
            ValueError: none has.
        """
        if name not in self.names:
            raise ValueError(f"body got {name!r}; expected one of {', '.join(self.names)}.")
        return self.names.index(name)

    def path(self, name: str) -> Float[np.ndarray, "T 3"]:
        """Positions of one body, metres."""
        path: Float[np.ndarray, "T 3"] = self.positions[:, self.index(name)]
        return path


def continuous(quats: Float[np.ndarray, "T B 4"]) -> Float[np.ndarray, "T B 4"]:
    """The same rotations, of both signs always the one nearer to the frame before.

    >>> continuous(np.array([[[1.0, 0, 0, 0]], [[-1.0, 0, 0, 0]]]))[1, 0].tolist()
    [1.0, -0.0, -0.0, -0.0]
    """
    flips = np.sign((quats[1:] * quats[:-1]).sum(-1))
    flips[flips == 0] = 1
    signs = np.concatenate([np.ones((1, quats.shape[1])), np.cumprod(flips, 0)])
    steady: Float[np.ndarray, "T B 4"] = quats * signs[..., None]
    return steady
