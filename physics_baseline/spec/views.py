"""Who looks and by what light: cameras and lights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clay4d.physics_baseline.spec.units import (
    Colour,
    Coordinate,
    Degrees,
    Length,
    Name,
    NotNegative,
    Position,
    Seconds,
    Vec3,
    part,
)

Pixels = Annotated[int, Field(ge=8, le=8192, json_schema_extra={"unit": "pixels"})]
FieldOfView = Annotated[float, Field(gt=0, lt=170, json_schema_extra={"unit": "degrees"})]


@part
class _Camera:
    name: Name
    """Unique among cameras; names the folder of its pictures."""
    width: Pixels = 256
    """Pixels."""
    height: Pixels = 256
    """Pixels."""
    fov: FieldOfView = 45.0
    """Vertical field of view, degrees."""


@part
class FixedCamera(_Camera):
    """A camera on a tripod, z up in its pictures."""

    kind: Literal["fixed"] = "fixed"
    position: Position
    """Metres."""
    look_at: Position = (0.0, 0.0, 0.0)
    """The point at the centre of its picture, metres."""

    def __post_init__(self) -> None:
        if sum((a - b) ** 2 for a, b in zip(self.position, self.look_at)) < 1e-12:
            raise ValueError(f"look_at got {self.look_at}, its position; expected another point.")


@part
class Keyframe:
    """Where a moving camera is at a time."""

    time: Seconds
    """Seconds after the start."""
    position: Position
    """Metres."""
    look_at: Position
    """The point at the centre of its picture, metres."""


@part
class PathCamera(_Camera):
    """A camera that moves from keyframe to keyframe in straight lines, eased at neither end."""

    kind: Literal["path"] = "path"
    keyframes: tuple[Keyframe, ...]
    """At least one, in the order of time; before the first and after the last it stands still."""

    def __post_init__(self) -> None:
        times = [k.time for k in self.keyframes]
        if not times:
            raise ValueError("keyframes got none; expected at least one.")
        if any(a >= b for a, b in zip(times, times[1:])):
            raise ValueError(f"keyframes got times {times}; expected each later than the last.")


@part
class OrbitCamera(_Camera):
    """A camera that goes around a point at one height."""

    kind: Literal["orbit"] = "orbit"
    centre: Position = (0.0, 0.0, 0.0)
    """What it looks at and goes around, metres."""
    radius: Length = 3.0
    """Horizontal distance from the centre, metres."""
    rise: Coordinate = 1.5
    """Above the centre, metres."""
    start_angle: Degrees = -90.0
    """At time 0, from +x towards +y, degrees."""
    turn: Degrees = 360.0
    """Over the scene's duration, counter-clockwise seen from above, degrees."""


@part
class FollowCamera(_Camera):
    """A camera that keeps its distance from a body and looks at it."""

    kind: Literal["follow"] = "follow"
    body: Name
    """The body that it follows."""
    offset: Vec3 = (0.0, -2.0, 1.0)
    """From the body's centre to the camera, world axes, metres."""


Camera = Annotated[
    FixedCamera | PathCamera | OrbitCamera | FollowCamera, Field(discriminator="kind")
]


@part
class SunLight:
    """Parallel light from far away; throws shadows."""

    kind: Literal["sun"] = "sun"
    direction: Vec3 = (0.3, 0.4, -1.0)
    """The way the light goes, no unit."""
    intensity: NotNegative = 0.8
    """Brightness of a white surface that faces it, 1 is white, no unit."""
    colour: Colour = (1.0, 1.0, 1.0)
    """sRGB, 0 to 1, no unit."""


@part
class PointLight:
    """A lamp; its light falls with the square of the distance; throws shadows."""

    kind: Literal["point"] = "point"
    position: Position
    """Metres."""
    intensity: NotNegative = 1.0
    """Brightness of a white surface that faces it at 1 metre, 1 is white, no unit."""
    colour: Colour = (1.0, 1.0, 1.0)
    """sRGB, 0 to 1, no unit."""


@part
class AmbientLight:
    """Light from everywhere, without shadows."""

    kind: Literal["ambient"] = "ambient"
    intensity: NotNegative = 0.35
    """Brightness of a white surface, 1 is white, no unit."""
    colour: Colour = (1.0, 1.0, 1.0)
    """sRGB, 0 to 1, no unit."""


Light = Annotated[SunLight | PointLight | AmbientLight, Field(discriminator="kind")]
