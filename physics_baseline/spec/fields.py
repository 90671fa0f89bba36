"""Forces on bodies, joints between them, and events at a time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clay4d.physics_baseline.spec.units import (
    Density,
    Direction,
    Finite,
    Length,
    Name,
    NotNegative,
    Position,
    Seconds,
    Vec3,
    Velocity,
    part,
)


@part
class Gravity:
    """The same acceleration for every body; several add up, none is weightlessness."""

    kind: Literal["gravity"] = "gravity"
    acceleration: Vec3 = (0.0, 0.0, -9.81)
    """Metres per second squared."""


@part
class Wind:
    """Air that moves everywhere alike; it acts through `Drag` (a default one if there is none)."""

    kind: Literal["wind"] = "wind"
    velocity: Velocity
    """Of the air, world axes, metres per second; several add up."""


@part
class Drag:
    """Quadratic air drag, F = −½·ρ·C·A·|u|·u, u the body's velocity in the air (Rayleigh)."""

    kind: Literal["drag"] = "drag"
    air_density: Density = 1.2
    """ρ, kilograms per cubic metre."""
    coefficient: NotNegative | None = None
    """C, no unit; None: by shape (sphere 0.47, box 1.05, cylinder 0.82, capsule 0.6, other 1)."""
    bodies: tuple[Name, ...] = ()
    """Which bodies feel it; empty: all."""


@part
class Buoyancy:
    """The weight of the displaced air or water, upwards against gravity, and its added mass."""

    kind: Literal["buoyancy"] = "buoyancy"
    fluid_density: Density = 1.2
    """Kilograms per cubic metre."""
    added_mass: NotNegative = 0.0
    """Share of the displaced mass that accelerates with the body (a sphere's is 0.5), no unit."""
    bodies: tuple[Name, ...] = ()
    """Which bodies feel it; empty: all."""


@part
class Magnus:
    """Lift of a spinning body, F = ½·ρ·C·A·r·(ω × u), A and r those of the sphere of its volume."""

    kind: Literal["magnus"] = "magnus"
    air_density: Density = 1.2
    """ρ, kilograms per cubic metre."""
    coefficient: NotNegative = 1.0
    """C, no unit."""
    bodies: tuple[Name, ...] = ()
    """Which bodies feel it; empty: all."""


@part
class Tether:
    """A spring between a body's centre and a point of the world, until a `Release` of its name."""

    kind: Literal["tether"] = "tether"
    name: Name
    """Unique among tethers, joints and bodies."""
    body: Name
    """The body it pulls."""
    anchor: Position
    """World axes, metres."""
    stiffness: NotNegative
    """Newtons per metre."""
    damping: NotNegative = 0.0
    """Along the spring, newton seconds per metre."""
    rest_length: NotNegative = 0.0
    """Metres; shorter than that it pushes."""


ForceField = Annotated[
    Gravity | Wind | Drag | Buoyancy | Magnus | Tether, Field(discriminator="kind")
]


@part
class _Joint:
    name: Name
    """Unique among joints, tethers and bodies."""
    child: Name
    """The body that the joint holds."""
    parent: Name | None = None
    """The body that it is held by; None: the world."""


@part
class Hinge(_Joint):
    """Rotation about one axis."""

    kind: Literal["hinge"] = "hinge"
    anchor: Position
    """A point of the axis at time 0, world axes, metres."""
    axis: Direction
    """Direction of the axis at time 0, world axes, no unit."""
    limits: tuple[Finite, Finite] | None = None
    """Least and most angle from the start, radians."""
    damping: NotNegative = 0.0
    """Newton metres per radian per second."""


@part
class Slider(_Joint):
    """Translation along one axis."""

    kind: Literal["slider"] = "slider"
    axis: Direction
    """Direction at time 0, world axes, no unit."""
    limits: tuple[Finite, Finite] | None = None
    """Least and most shift from the start, metres."""
    damping: NotNegative = 0.0
    """Newton seconds per metre."""


@part
class Socket(_Joint):
    """Any rotation about one point: a ball joint."""

    kind: Literal["socket"] = "socket"
    anchor: Position
    """The point at time 0, world axes, metres."""
    damping: NotNegative = 0.0
    """Newton metres per radian per second."""


@part
class Weld(_Joint):
    """No motion between the two."""

    kind: Literal["weld"] = "weld"


@part
class Rope(_Joint):
    """A massless string that cannot stretch and may go slack."""

    kind: Literal["rope"] = "rope"
    parent_anchor: Position
    """Its end on the parent at time 0, world axes, metres."""
    child_anchor: Position
    """Its end on the child at time 0, world axes, metres."""
    length: Length | None = None
    """Metres; None: the distance of its ends at time 0."""


Joint = Annotated[Hinge | Slider | Socket | Weld | Rope, Field(discriminator="kind")]


@part
class Impulse:
    """A blow: momentum given to a body at a time."""

    kind: Literal["impulse"] = "impulse"
    time: Seconds
    """Seconds after the start."""
    body: Name
    """The rigid body that is hit; it must be free or released by then."""
    impulse: Vec3
    """Newton seconds, world axes."""
    offset: Vec3 = (0.0, 0.0, 0.0)
    """From the body's centre to where it is hit, world axes, metres."""
    angular_impulse: Vec3 = (0.0, 0.0, 0.0)
    """Added to that of the offset, newton metre seconds, world axes."""


@part
class Release:
    """Lets go: a held body falls, a cloth's pins open, a joint or tether breaks."""

    kind: Literal["release"] = "release"
    time: Seconds
    """Seconds after the start."""
    target: Name
    """Name of a held body, a pinned cloth, a joint or a tether."""


Event = Annotated[Impulse | Release, Field(discriminator="kind")]
