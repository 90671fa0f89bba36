"""What a scene is made of: materials, rigid bodies, cloth and soft bodies."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from clay4d.physics_baseline.spec.units import (
    AngularVelocity,
    Colour,
    Density,
    Finite,
    Fraction,
    Kilograms,
    Length,
    Name,
    NotNegative,
    Pascals,
    Position,
    Quaternion,
    Seconds,
    Size2,
    Size3,
    Velocity,
    part,
)

Motion = Literal["free", "fixed", "held"]
"""Free bodies obey forces, fixed ones never move, held ones stay until a `Release`."""

Texture = Literal["plain", "checker", "stripes", "dots", "noise"]

Sound = Literal["auto", "plastic", "wood", "metal", "glass", "stone", "rubber", "soft"]


@part
class Material:
    """What a body is made of and looks like.

    Where two bodies touch, their pair's friction and restitution are the geometric means of the two
    (so one body that does not bounce is enough for no bounce). Engines say how near they come.

    >>> Material(density=2700, colour=(0.8, 0.8, 0.85)).friction
    0.5
    """

    density: Density = 1000.0
    """Mass per volume, kilograms per cubic metre; a body's `mass` has precedence."""
    friction: NotNegative = 0.5
    """Coulomb's coefficient of sliding friction, no unit."""
    rolling_friction: NotNegative = 0.0
    """Lever arm of rolling resistance, metres: torque over normal force."""
    restitution: Fraction = 0.5
    """Speed after over speed before a bounce, 0 to 1, no unit."""
    colour: Colour = (0.7, 0.7, 0.7)
    """sRGB, 0 to 1, no unit."""
    texture: Texture = "plain"
    """Pattern of `colour` and `texture_colour` over the surface."""
    texture_colour: Colour = (0.95, 0.95, 0.95)
    """The pattern's second colour, sRGB, 0 to 1, no unit."""
    roughness: Fraction = 0.6
    """Of the surface: 0 is a mirror's polish, 1 is chalk, no unit."""
    metallic: Fraction = 0.0
    """0 for plastics, wood and stone, 1 for bare metal, no unit."""
    opacity: Fraction = 1.0
    """1 hides what lies behind, 0 is invisible, no unit."""
    sound: Sound = "auto"
    """What it sounds like when it is struck; auto: guessed from its density and look."""


@part
class _Body:
    name: Name
    """Unique in the scene: a letter, then letters, digits, `_` or `-`."""
    material: Material = Material()
    """Density, friction, restitution and look."""
    position: Position = (0.0, 0.0, 0.0)
    """Of the shape's centre at time 0, world axes, metres."""
    quat: Quaternion = (1.0, 0.0, 0.0, 0.0)
    """Body to world at time 0, wxyz, normalised by whoever reads it, no unit."""
    velocity: Velocity = (0.0, 0.0, 0.0)
    """Of the centre at time 0, world axes, metres per second."""
    motion: Motion = "free"
    """Free, fixed for good, or held until a `Release` event."""


@part
class _Rigid(_Body):
    angular_velocity: AngularVelocity = (0.0, 0.0, 0.0)
    """At time 0, world axes, radians per second."""
    mass: Kilograms | None = None
    """Kilograms; None: the material's density times the shape's volume."""
    mass_centre: Position = (0.0, 0.0, 0.0)
    """Shift of the centre of mass from that of the even solid, body's axes, metres."""
    inertia_factor: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 1.0
    """Moments of inertia about the centre of mass over the even solid's, no unit; a ball or a cube whose
    mass is all in its surface has 5/3."""

    def __post_init__(self) -> None:
        moving = any(self.velocity) or any(self.angular_velocity)
        if self.motion == "fixed" and moving:
            raise ValueError("velocity got a moving start; expected zeros, since it is fixed.")


@part
class Sphere(_Rigid):
    """A solid ball.

    >>> Sphere(name="ball", radius=0.1).volume.__round__(5)
    0.00419
    """

    kind: Literal["sphere"] = "sphere"
    radius: Length = 0.1
    """Metres."""

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return 4 / 3 * math.pi * self.radius**3


@part
class Box(_Rigid):
    """A solid cuboid, centred on its position.

    >>> Box(name="cube", size=(0.5, 0.5, 0.5)).volume
    0.125
    """

    kind: Literal["box"] = "box"
    size: Size3 = (0.2, 0.2, 0.2)
    """Whole edges along the body's x, y and z, metres."""

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return self.size[0] * self.size[1] * self.size[2]


@part
class Cylinder(_Rigid):
    """A solid cylinder about the body's z axis."""

    kind: Literal["cylinder"] = "cylinder"
    radius: Length = 0.1
    """Metres."""
    height: Length = 0.2
    """Whole height along z, metres."""

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return math.pi * self.radius**2 * self.height


@part
class Capsule(_Rigid):
    """A cylinder about the body's z axis with half a ball on each end."""

    kind: Literal["capsule"] = "capsule"
    radius: Length = 0.1
    """Of the cylinder and of its caps, metres."""
    height: Length = 0.2
    """Of the cylinder without its caps, along z, metres."""

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return math.pi * self.radius**2 * (self.height + 4 / 3 * self.radius)


Triangle = tuple[
    Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]
]


@part
class Mesh(_Rigid):
    """A solid of triangles; engines collide its convex hull.

    Vertices are in the body's axes and the body's position is their origin. The corners of a
    triangle run counter-clockwise seen from outside.
    """

    kind: Literal["mesh"] = "mesh"
    vertices: tuple[Position, ...]
    """At least four, metres."""
    faces: tuple[Triangle, ...]
    """Indices of each triangle's corners, no unit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.vertices) < 4 or len(self.faces) < 4:
            raise ValueError(
                f"faces got {len(self.vertices)} vertices and {len(self.faces)} triangles; "
                "expected at least 4 of each."
            )
        worst = max(max(face) for face in self.faces)
        if worst >= len(self.vertices):
            raise ValueError(f"faces got index {worst}; expected less than {len(self.vertices)}.")
        edges: dict[tuple[int, int], int] = {}
        for a, b, c in self.faces:
            for edge in ((a, b), (b, c), (c, a)):
                edges[edge] = edges.get(edge, 0) + 1
        for (a, b), count in edges.items():
            if count != 1 or edges.get((b, a)) != 1 or a == b:
                raise ValueError(
                    f"faces got an edge {a}–{b} that is not shared by exactly two triangles of the "
                    "same turn; expected a watertight mesh. Close its holes."
                )
        if self.volume <= 0:
            raise ValueError(
                f"faces enclose {self.volume:.3g} m³; expected more than 0. Turn the faces outwards."
            )

    @property
    def volume(self) -> float:
        """Cubic metres, by the signed tetrahedra of the faces."""
        total = 0.0
        for i, j, k in self.faces:
            (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (self.vertices[n] for n in (i, j, k))
            total += ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
        return total / 6


Cells = Annotated[int, Field(ge=1, le=64)]


@part
class Cloth(_Body):
    """A thin rectangle that bends, flat in the body's x and y at time 0.

    Its mass is the material's density times size and thickness.
    """

    kind: Literal["cloth"] = "cloth"
    size: Size2 = (1.0, 1.0)
    """Edges along the body's x and y, metres."""
    cells: tuple[Cells, Cells] = (16, 16)
    """Grid cells along x and y; one more vertex than cells each way, no unit."""
    thickness: Length = 0.002
    """Metres."""
    young_modulus: Pascals = 1e5
    """Resistance to stretching, pascals."""
    poisson_ratio: Annotated[float, Field(ge=0, lt=0.5)] = 0.3
    """No unit."""
    damping: Seconds = 0.01
    """Stress per rate of strain over the Young modulus, seconds."""
    pins: tuple[tuple[Fraction, Fraction], ...] = ()
    """Held points as fractions of the size: (0, 0) is the corner at −x −y; the vertex nearest to
    each stays in place until a `Release` of the cloth. No unit."""

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return self.size[0] * self.size[1] * self.thickness


@part
class Soft(_Body):
    """An elastic solid or a liquid: a box or an ellipsoid at the start."""

    kind: Literal["soft"] = "soft"
    shape: Literal["box", "ellipsoid"] = "box"
    """An ellipsoid fills the box of the same size."""
    size: Size3 = (0.3, 0.3, 0.3)
    """Whole extents along the body's x, y and z, metres."""
    cells: Annotated[int, Field(ge=1, le=32)] = 5
    """Grid cells along the longest extent, no unit."""
    young_modulus: Pascals = 2e4
    """Resistance to strain, pascals."""
    poisson_ratio: Annotated[float, Field(ge=0, lt=0.5)] = 0.3
    """No unit."""
    damping: Seconds = 0.01
    """Stress per rate of strain over the Young modulus, seconds."""
    liquid: bool = False
    """Whether it flows like water, which the engine genesis alone can do; stiffness and damping say nothing then."""

    @property
    def volume(self) -> float:
        """Cubic metres."""
        whole = self.size[0] * self.size[1] * self.size[2]
        return whole if self.shape == "box" else whole * math.pi / 6


Rigid = Sphere | Box | Cylinder | Capsule | Mesh
Body = Annotated[Rigid | Cloth | Soft, Field(discriminator="kind")]


def body_mass(body: Sphere | Box | Cylinder | Capsule | Mesh | Cloth | Soft) -> float:
    """Mass in kilograms: as given, or density times volume.

    >>> body_mass(Box(name="cube", size=(0.1, 0.1, 0.1))).__round__(9)
    1.0
    """
    given: Finite | None = getattr(body, "mass", None)
    return body.material.density * body.volume if given is None else given
