"""What a system is handed: the first frames and what the protocol states, and nothing that comes later.

An observation is a copy of the first moments. It holds no name, path or number of the world it was taken
from, so there is nothing in it by which the rest could be found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.physics_baseline.identify.tosses import Tosses
from clay4d.physics_baseline.identify.tracks import Track
from clay4d.world_model.worlds import World


@dataclass(frozen=True)
class Thing:
    """A thing as the protocol states it."""

    name: str
    shape: str
    """ball, cube, cylinder, capsule, ramp, wall, platform or pillar."""
    size: tuple[float, float, float]
    """Whole extents along its axes, metres."""
    material: str
    """A substance of the planner's vocabulary, or acrylic or basketball."""
    moves: bool
    mass: float | None = None
    """Kilograms; None: the substance's density times the volume."""


@dataclass(frozen=True)
class Observation:
    """The first T moments of B things; arrays are copies that cannot be written.

    Pictures (of C cameras that stand still) are given, or places that somebody measured, or both.

    Raises:
        ValueError: neither pictures nor places, or shapes that do not agree.
    """

    things: tuple[Thing, ...]
    """In the order of the masks' numbers: the first is 1. Those that move come first."""
    times: Float[np.ndarray, " T"]
    """Seconds."""
    prompt: str = ""
    floor: bool = True
    """Whether there is a floor at z = 0."""
    images: UInt8[np.ndarray, "T C H W 3"] | None = None
    masks: UInt8[np.ndarray, "T C H W"] | None = None
    viewmats: Float[np.ndarray, "C 4 4"] | None = None
    Ks: Float[np.ndarray, "C 3 3"] | None = None
    positions: Float[np.ndarray, "T B 3"] | None = None
    """Measured centres, metres; NaN where not seen."""
    quats: Float[np.ndarray, "T B 4"] | None = None
    """Measured rotations, body to world, wxyz."""
    velocities: Float[np.ndarray, "B 3"] | None = None
    """Of the centres at the last moment where somebody measured them, metres per second."""
    spins: Float[np.ndarray, "B 3"] | None = None
    """The same of rotations: world axes, radians per second."""
    noise: float = 5e-3
    """Standard deviation of a measured coordinate, metres."""

    def __post_init__(self) -> None:
        if self.masks is None and self.positions is None:
            raise ValueError("observation got neither pictures nor places; expected one of them.")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                # Not a view: a view's base would still hold the frames that come later.
                own = np.array(value, order="C", copy=True)
                own.flags.writeable = False
                object.__setattr__(self, field.name, own)
        for name in ("images", "masks", "positions", "quats"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.times):
                raise ValueError(
                    f"{name} got {len(value)} moments; expected the {len(self.times)} of times."
                )

    @property
    def key(self) -> str:
        """SHA-256 of all that it holds: systems are compared only where these are equal.

        >>> a = Observation((), np.zeros(1), positions=np.zeros((1, 0, 3)))
        >>> b = Observation((), np.zeros(1), positions=np.zeros((1, 0, 3)), prompt="A ball.")
        >>> a.key == a.key, a.key == b.key
        (True, False)
        """
        digest = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            digest.update(field.name.encode())
            if isinstance(value, np.ndarray):
                digest.update(f"{value.dtype.str}{value.shape}".encode())
                digest.update(value.tobytes())
            else:
                digest.update(repr(value).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Prediction:
    """Where a system says that B things are at the T moments it was asked for."""

    positions: Float[np.ndarray, "T B 3"]
    """Centres, metres."""
    quats: Float[np.ndarray, "T B 4"] | None = None
    """Body to world, wxyz; None where the system says nothing of them."""
    samples: Float[np.ndarray, "K T B 3"] | None = None
    """Centres in K futures that the system holds for equally likely; None where it has but one."""


def observe_world(world: World, *, frames: int = 6) -> Observation:
    """The first frames of a made world: pictures, masks, cameras, prompt, shapes and sizes."""
    things = tuple(
        Thing(o.name, o.shape, o.size, o.material, o.role == "mover") for o in world.objects
    )
    return Observation(
        things, world.times[:frames], world.prompt, True, world.images[:frames],
        world.masks[:frames], world.viewmats, world.Ks,
    )  # fmt: skip


def observe_toss(tosses: Tosses, number: int, *, frames: int = 6) -> Observation:
    """The first frames of a real toss: measured poses of the cube, whose mass and width are known.

    Of a single frame the recorded velocity and spin are given too, as nothing else tells them.
    """
    first = int(tosses.lengths[:number].sum())
    seen = tosses.states[first : first + frames]
    cube = Thing("cube", "cube", (tosses.width,) * 3, "acrylic", True, 0.37)
    start = tosses.choose(np.array([number])).starts()
    return Observation(
        (cube,), np.arange(len(seen)) * tosses.dt, positions=seen[:, None, :3],
        quats=seen[:, None, 3:7], noise=2e-4,
        velocities=start[:, 7:10] if frames == 1 else None, spins=start[:, 10:] if frames == 1 else None,
    )  # fmt: skip


def observe_ball(track: Track, *, frames: int = 6) -> Observation:
    """The first frames of a thrown basketball's measured track; there is no floor in reach."""
    ball = Thing("ball", "ball", (0.24,) * 3, "basketball", True, 0.62)
    return Observation(
        (ball,), track.times[:frames], floor=False, positions=track.positions[:frames, None],
        noise=1e-3,
    )  # fmt: skip
