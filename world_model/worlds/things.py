"""The things that worlds are made of: drawn by words, turned into bodies of a `SceneSpec`.

Words, sizes and materials are the planner's (`physics_baseline.planner.vocabulary`), so a world's prompt means
the same to both. Fixtures (ramps, walls, targets) are smaller than the planner's, to fit the stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from clay4d.physics_baseline.planner.vocabulary import (
    COLOURS,
    NOUNS,
    PALETTE,
    QUALITIES,
    SUBSTANCES,
)
from clay4d.physics_baseline.spec import Box, Capsule, Cylinder, Material, Mesh, Sphere
from clay4d.world_model.worlds.format import Role, WorldObject

Vec = tuple[float, float, float]

SHAPES = ("ball", "cube", "cylinder", "capsule")
MATERIALS = ("plastic", "rubber", "wood", "steel")
SIZES, SIZES_OOD = ("small", "", "large"), ("tiny", "huge")
HELD_OUT: dict[str, tuple[str, ...]] = {
    "ball": ("cyan", "pink"), "cube": ("orange", "purple"), "cylinder": ("red", "green"),
    "capsule": ("blue", "yellow"),
}  # fmt: skip
"""Colours that a shape has in `ood-combination` only; every colour and every shape is seen in training."""
TINTS: dict[str, tuple[Vec, float]] = {
    "plastic": ((1.0, 1.0, 1.0), 0.0), "rubber": ((0.0, 0.0, 0.0), 0.3),
    "wood": (COLOURS["tan"], 0.35), "steel": (COLOURS["silver"], 0.4),
}  # fmt: skip
"""What a material mixes into a thing's colour, and how much."""
SLIPPERY = 0.05
"""Friction of what is to slide, no unit."""
FIXTURES: dict[str, tuple[Role, str, str, Vec]] = {
    "ramp": ("ramp", "tan", "wood", (0.8, 0.44, 0.4)),
    "wall": ("wall", "brick red", "brick", (0.1, 0.9, 0.32)),
    "platform": ("target", "grey", "stone", (0.5, 0.5, 0.2)),
    "pillar": ("target", "white", "stone", (0.18, 0.18, 0.55)),
}
"""Role, colour, material and extents along x, y and z in metres."""


@dataclass(frozen=True)
class Thing:
    """A thing in words, before it has a place."""

    shape: str
    colour: str
    material: str
    grade: str
    """A size in words; empty for the usual one."""
    role: Role

    @property
    def short(self) -> str:
        """Without an article: what tells it from the world's other things."""
        return f"{self.colour} {self.shape}" if self.role == "mover" else self.shape

    @property
    def full(self) -> str:
        """Without an article: all that is said of it."""
        material = {"plastic": "", "wood": "wooden"}.get(self.material, self.material)
        words = [self.grade, self.colour, material] if self.role == "mover" else []
        return " ".join(w for w in [*words, self.shape] if w)

    @property
    def name(self) -> str:
        """Of its body."""
        return self.short.replace(" ", "-")

    @property
    def extents(self) -> Vec:
        """Whole extents along the body's axes, metres."""
        if self.role != "mover":
            return FIXTURES[self.shape][3]
        noun = next(n for n in NOUNS if self.shape in n.words)
        factor = QUALITIES[self.grade].scale[0] if self.grade else 1.0
        x, y, z = noun.size
        return (round(x * factor, 4), round(y * factor, 4), round(z * factor, 4))

    @property
    def reach(self) -> float:
        """Radius about the centre, in the plane of the floor, that holds it, metres."""
        x, y, z = self.extents
        if self.shape == "ball" or self.shape == "pillar" or self.shape == "cylinder":
            return x / 2
        if self.shape == "capsule":
            return z / 2
        return 0.5 * math.hypot(x, y)

    @property
    def stand(self) -> float:
        """Height of its centre when it stands on the floor, metres; capsules lie."""
        x, _, z = self.extents
        return x / 2 if self.shape == "capsule" else z / 2


def draw_things(
    rng: np.random.Generator, count: int, *, combination: bool = False, size: bool = False
) -> list[Thing]:
    """Movers of different colour and shape; with `combination` or `size` some are out of distribution."""
    things: list[Thing] = []
    odd = int(rng.integers(count)) if count else 0
    while len(things) < count:
        first = len(things) == odd
        shape = str(rng.choice(SHAPES, p=(0.4, 0.25, 0.2, 0.15)))
        colours = [c for c in PALETTE if (c in HELD_OUT[shape]) == (combination and first)]
        grade = str(rng.choice(SIZES, p=(0.25, 0.45, 0.3)))
        if size and (first or rng.random() < 0.4):
            grade = str(rng.choice(SIZES_OOD))
        material = str(rng.choice(MATERIALS, p=(0.4, 0.2, 0.2, 0.2)))
        thing = Thing(shape, str(rng.choice(colours)), material, grade, "mover")
        if all(thing.short != other.short for other in things):
            things.append(thing)
    return things


def fixture(shape: str) -> Thing:
    """A ramp, wall, platform or pillar."""
    role, colour, material, _ = FIXTURES[shape]
    return Thing(shape, colour, material, "", role)


def make_body(
    thing: Thing,
    position: Vec,
    *,
    yaw: float,
    velocity: Vec = (0.0, 0.0, 0.0),
    spin: Vec = (0.0, 0.0, 0.0),
    restitution: float | None = None,
    friction: float | None = None,
) -> Any:
    """The body of a thing at a place, turned about the vertical by `yaw` radians."""
    made = SUBSTANCES[thing.material]
    tint, share = TINTS.get(thing.material, ((0, 0, 0), 0.0)) if thing.role == "mover" else ((0, 0, 0), 0.0)  # fmt: skip
    r, g, b = (round((1 - share) * c + share * t, 3) for c, t in zip(COLOURS[thing.colour], tint))
    material = Material(
        density=made.density, friction=made.friction if friction is None else friction,
        restitution=made.restitution if restitution is None else round(restitution, 3),
        colour=(r, g, b), roughness=made.roughness, metallic=made.metallic,
    )  # fmt: skip
    c, s = math.cos(yaw / 2), math.sin(yaw / 2)
    quat = (c, 0.0, 0.0, s)
    if thing.shape == "capsule":  # Its axis, z, turned into the plane of the floor, then by yaw.
        h = math.sqrt(0.5)
        quat = (c * h, -s * h, c * h, s * h)
    common: dict[str, Any] = {
        "name": thing.name, "material": material, "position": _rounded(position),
        "quat": tuple(round(q, 6) for q in quat),
    }  # fmt: skip
    if thing.role == "mover":
        common |= {"velocity": _rounded(velocity), "angular_velocity": _rounded(spin)}
    else:
        common["motion"] = "fixed"
    x, y, z = thing.extents
    if thing.shape == "ball":
        return Sphere(**common, radius=x / 2)
    if thing.shape in ("cylinder", "pillar"):
        return Cylinder(**common, radius=x / 2, height=z)
    if thing.shape == "capsule":
        return Capsule(**common, radius=x / 2, height=round(z - x, 4))
    if thing.shape == "ramp":
        return Mesh(**common, vertices=wedge(x, y, z), faces=WEDGE)
    return Box(**common, size=(x, y, z))


def describe(thing: Thing, mass: float) -> WorldObject:
    """The thing as a world's files hold it."""
    return WorldObject(
        thing.name, f"the {thing.short}", thing.role, thing.shape, thing.colour, thing.material,
        thing.extents, mass,
    )  # fmt: skip


WEDGE = (
    (0, 1, 2), (3, 5, 4), (0, 4, 1), (0, 3, 4), (1, 4, 5), (1, 5, 2), (0, 2, 5), (0, 5, 3),
)  # fmt: skip


def wedge(length: float, width: float, height: float) -> tuple[Vec, ...]:
    """A ramp about the middle of its box, high at −x, its foot at +x."""
    x, y, z = length / 2, width / 2, height / 2
    return ((-x, -y, -z), (x, -y, -z), (-x, -y, z), (-x, y, -z), (x, y, -z), (-x, y, z))


def _rounded(values: Any) -> Vec:
    x, y, z = (round(float(v), 4) + 0.0 for v in values)
    return (x, y, z)
