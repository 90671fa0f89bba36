"""What the prompt's things are in metres and kilograms, and how several of them stand together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random

from clay4d.physics_baseline.planner import vocabulary as n
from clay4d.physics_baseline.planner.syntax import Phrase
from clay4d.physics_baseline.planner.words import Measure, PlanError
from clay4d.physics_baseline.spec import Material

Vec = tuple[float, float, float]
FLAT_TOPS = ("box", "cylinder")
GAP = 0.08
"""Metres between things that stand side by side."""


@dataclass
class Copy:
    """One body of a thing: where it is and how it moves, as the layout decides."""

    position: Vec
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    velocity: Vec = (0.0, 0.0, 0.0)
    spin: Vec = (0.0, 0.0, 0.0)
    held: bool = False


@dataclass
class Thing:
    """One noun phrase: its bodies' shape, size, look and number, and then where they are."""

    phrase: Phrase
    noun: n.Noun
    count: int
    arrangement: str
    size: Vec
    material: Material
    colours: tuple[str, ...]
    mass: float | None = None
    soft: bool = False
    fixed: bool = False
    speed: float = 1.0
    lying: bool = False
    spacing: float = GAP
    copies: list[Copy] = field(default_factory=list)
    pins: tuple[tuple[float, float], ...] = ()
    mirrored: bool = False
    names: tuple[str, ...] = ()

    @property
    def shape(self) -> str:
        return self.noun.shape

    @property
    def placed(self) -> bool:
        return bool(self.copies)

    @property
    def solid_size(self) -> Vec:
        """Extents of one body as it stands: lying cylinders have their axis along y, flags hang."""
        if self.lying or self.pins:
            return (self.size[0], self.size[2], self.size[1])
        return self.size

    def offsets(self) -> list[Vec]:
        """Centres of its bodies, from the middle of the ground they stand on."""
        return arrange(self.arrangement, self.count, self.solid_size, self.spacing)

    def extents(self) -> Vec:
        """Whole size of all its bodies together."""
        at, (w, d, h) = self.offsets(), self.solid_size
        span = [max(p[k] for p in at) - min(p[k] for p in at) for k in range(3)]
        return (span[0] + w, span[1] + d, span[2] + h)

    def put(self, x: float, y: float, base: float) -> None:
        """Stand it with the middle of its ground at (x, y), on the height `base`."""
        turned = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0) if self.lying else (1.0, 0.0, 0.0, 0.0)
        self.copies = [Copy((x + dx, y + dy, base + dz), turned) for dx, dy, dz in self.offsets()]

    def bounds(self) -> tuple[Vec, Vec]:
        """Corners of the box around its bodies where they are."""
        w, d, h = self.solid_size
        low = [min(c.position[k] for c in self.copies) for k in range(3)]
        high = [max(c.position[k] for c in self.copies) for k in range(3)]
        return (
            (low[0] - w / 2, low[1] - d / 2, low[2] - h / 2),
            (high[0] + w / 2, high[1] + d / 2, high[2] + h / 2),
        )

    @property
    def middle(self) -> Vec:
        low, high = self.bounds()
        return ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2)

    def shift(self, dx: float, dy: float, dz: float = 0.0) -> None:
        for copy in self.copies:
            x, y, z = copy.position
            copy.position = (x + dx, y + dy, z + dz)


def arrange(how: str, count: int, size: Vec, gap: float) -> list[Vec]:
    """Centres of `count` bodies of one size, arranged about the origin and standing on z = 0.

    >>> arrange("stack", 2, (1, 1, 1), 0.1)
    [(0.0, 0.0, 0.5), (0.0, 0.0, 1.5)]
    >>> arrange("row", 2, (1, 1, 1), 0.5)
    [(-0.75, 0.0, 0.5), (0.75, 0.0, 0.5)]
    """
    w, d, h = size
    half = h / 2
    middle = (count - 1) / 2
    if how == "stack":
        return [(0.0, 0.0, half + h * k) for k in range(count)]
    if how == "row":
        return [((w + gap) * (k - middle), 0.0, half) for k in range(count)]
    if how == "across":
        return [(0.0, (d + gap) * (k - middle), half) for k in range(count)]
    if how == "ring":
        around = count * (math.hypot(w, d) + gap) / (2 * math.pi)
        radius = max(around, 0.75 * math.hypot(w, d))
        angles = [2 * math.pi * k / count for k in range(count)]
        return [(radius * math.cos(a), radius * math.sin(a), half) for a in angles]
    if how == "pyramid":
        rows = math.ceil((math.sqrt(8 * count + 1) - 1) / 2)
        found: list[Vec] = []
        for level in range(rows):
            wide = rows - level
            row = [
                ((w + 0.02 * w) * (k - (wide - 1) / 2), 0.0, half + h * level) for k in range(wide)
            ]
            found += row
        return found[:count]
    if how == "triangle":
        rows = math.ceil((math.sqrt(8 * count + 1) - 1) / 2)
        spots = [
            ((w + gap) * 0.9 * (r - (rows - 1) / 2), (d + gap) * (k - r / 2), half)
            for r in range(rows)
            for k in range(r + 1)
        ]
        return spots[:count]
    return _layers(count, size, gap)


def _layers(count: int, size: Vec, gap: float) -> list[Vec]:
    """A square grid, in several layers with room between them where there are more than nine."""
    w, d, h = size
    side = min(3, math.ceil(math.sqrt(count)))
    found = []
    for k in range(count):
        layer, place = divmod(k, side * side)
        row, column = divmod(place, side)
        # Each layer is shifted a little, so that a falling pile spreads and does not stand as columns.
        nudge = 0.15 * w * (layer % 2)
        found.append(
            (
                (w + gap) * (column - (side - 1) / 2) + nudge,
                (d + gap) * (row - (side - 1) / 2) + nudge,
                h / 2 + (h + 0.5 * gap) * layer,
            )
        )
    return found


def stand_up(thing: Thing) -> None:
    """Stand a thing on its end: a plank or a book on its shortest side.

    Raises:
        PlanError: it has no end.
    """
    if thing.shape not in ("box", "cylinder", "capsule", "cone"):
        raise PlanError(
            f"no rule for a {thing.noun.name} that stands upright; known: boxes, cylinders."
        )
    thing.lying = False
    if thing.shape == "box":
        x, y, z = sorted(thing.size)
        thing.size = (x, y, z)


def lay_down(thing: Thing) -> None:
    """Lay a thing on its side: a cylinder with its axis along y, a box on its largest face.

    Raises:
        PlanError: it has no side.
    """
    if thing.shape in ("cylinder", "capsule"):
        thing.lying = True
    elif thing.shape == "box":
        z, y, x = sorted(thing.size)
        thing.size = (x, y, z)
    else:
        raise PlanError(
            f"no rule for a {thing.noun.name} that lies on its side; known: boxes, cylinders."
        )


def make_thing(phrase: Phrase, palette: list[str]) -> Thing:
    """The thing a phrase names; `palette` gives a colour where the prompt does not.

    Raises:
        PlanError: more things than the vocabulary's limit, or qualities that contradict the shape.
    """
    noun = phrase.noun or next(x for x in n.NOUNS if x.name == "block")
    count = phrase.count or (_default_count(phrase) if phrase.many else 1)
    if not 1 <= count <= n.MAX_COUNT:
        raise PlanError(f"{phrase.text!r} got {count} things; expected 1 to {n.MAX_COUNT}.")
    qualities = [n.QUALITIES[a] for kind, a in phrase.adjectives if kind == "quality"]
    flags = {q.flag for q in qualities}
    named = [a for kind, a in phrase.adjectives if kind == "colour"]
    materials = [a for kind, a in phrase.adjectives if kind == "material"]
    size, mass = _sized(phrase, noun, qualities)
    material, colour = _material(noun, qualities, materials, named, palette)
    how = phrase.group or ("triangle" if noun.name == "pin" and count > 3 else "row")
    how = {"cluster": "pile"}.get(how, how)
    if how in ("stack", "pyramid") and noun.shape not in FLAT_TOPS:
        raise PlanError(
            f"no rule for a {how} of {noun.words[0]}s, which roll off each other; "
            "known: boxes, cubes, blocks, bricks, cylinders, cans. Or say 'a pile of'."
        )
    colours = _colours(phrase, count, colour, palette, colourful="colourful" in flags)
    thing = Thing(
        phrase, noun, count, how if count > 1 else "row", size, material, colours, mass,
        soft=noun.soft or "soft" in flags, fixed=noun.fixed or "fixed" in flags,
        lying="lying" in flags or noun.name in ("log", "wheel"),
        speed=math.prod(q.speed for q in qualities),
    )  # fmt: skip
    if thing.lying and noun.shape not in ("cylinder", "capsule"):
        thing.lying = False
        lay_down(thing)
    if "upright" in flags:
        stand_up(thing)
    if noun.name == "domino":
        thing.spacing = 0.55 * size[2] - size[0]
    if thing.soft and noun.shape not in ("box", "sphere"):
        raise PlanError(
            f"no rule for a soft {noun.name}; known soft things: boxes, cubes, balls, jelly."
        )
    return thing


def _colours(
    phrase: Phrase, count: int, colour: str, palette: list[str], *, colourful: bool
) -> tuple[str, ...]:
    """Names of colours for its bodies, in turn where there are fewer of them."""
    colours: tuple[str, ...] = (colour,)
    named = [a for kind, a in phrase.adjectives if kind == "colour"]
    if colourful or len(named) > 1:
        more = [c for c in n.COLOURS if c not in palette and " " not in c]
        colours = tuple(named) if len(named) > 1 else (*palette, *more)
    if phrase.colours:
        single = [colours[k % len(colours)] for k in range(count)]
        for number, (_, name) in phrase.colours:
            single[number - 1] = name
        colours = tuple(single)
    return colours


def _default_count(phrase: Phrase) -> int:
    return {"": 3, "stack": 5, "row": 5, "pyramid": 6, "pile": 6, "ring": 6}.get(phrase.group, 4)


def _sized(phrase: Phrase, noun: n.Noun, qualities: list[n.Quality]) -> tuple[Vec, float | None]:
    x, y, z = noun.size
    for quality in qualities:
        # "long" is the axis for a log or plank; all of a ball's extents are one.
        fx, fy, fz = quality.scale
        if noun.shape == "sphere" and not fx == fy == fz:
            raise PlanError(f"no rule for {phrase.text!r}: a {noun.name} is as wide as it is tall.")
        if noun.shape in ("cylinder", "capsule", "cone"):
            long_ = fx if noun.name == "log" else 1.0
            across = (
                fx if fx == fy == fz else (fx * fy if fz == 1.0 and noun.name != "log" else 1.0)
            )
            fx, fy, fz = across, across, fz * long_
        x, y, z = x * fx, y * fy, z * fz
    mass = None
    for dimension, measure in phrase.measures:
        if measure.kind == "mass":
            mass = measure.value
        elif measure.kind == "length":
            x, y, z = _measured((x, y, z), noun, dimension, measure, phrase)
        else:
            raise PlanError(f"no rule for {measure.text!r} of {phrase.text!r}; known: lengths and masses.")  # fmt: skip
    return (x, y, z), mass


def _measured(size: Vec, noun: n.Noun, dimension: str, measure: Measure, phrase: Phrase) -> Vec:
    """The size with one measure of the prompt put in."""
    x, y, z = size
    value = measure.value * (2.0 if dimension == "radius" else 1.0)
    if not 0.001 <= value <= 50:
        raise PlanError(f"{phrase.text!r} got {measure.text}; expected 1 mm to 50 m.")
    alike = x == y == z
    if alike or noun.shape == "sphere" or (dimension == "" and noun.shape != "ramp"):
        factor = value / max(size)
        return (x * factor, y * factor, z * factor)
    if dimension == "height":
        return (x, y, value)
    if dimension == "thickness":
        thinnest = min(range(3), key=lambda k: size[k])
        return tuple(value if k == thinnest else size[k] for k in range(3))  # type: ignore[return-value]
    if noun.shape in ("cylinder", "capsule", "cone"):
        return (x, y, value) if dimension == "length" else (value, value, z)
    return (x, value, z) if dimension == "size" and noun.shape == "ramp" else (value, y, z)


def _material(
    noun: n.Noun, qualities: list[n.Quality], materials: list[str], named: list[str],
    palette: list[str],
) -> tuple[Material, str]:  # fmt: skip
    name = materials[0] if materials else noun.material
    substance = n.SUBSTANCES[name]
    density = substance.density if materials or noun.density is None else noun.density
    if materials and noun.density is not None:  # A wooden barrel is hollow as any barrel is.
        density = noun.density * substance.density / n.SUBSTANCES[noun.material].density
    colour = named[0] if named else substance.colour
    if not named and not materials:
        if noun.colour:
            colour = noun.colour
        elif noun.material == "plastic":
            colour = palette[0]
            palette.append(palette.pop(0))
    texture = "stripes" if name == "wood" else noun.texture
    made = Material(
        density=density, friction=substance.friction,
        restitution=substance.restitution if noun.restitution is None else noun.restitution,
        colour=n.COLOURS[colour], texture=texture if not named or noun.texture != "plain" else "plain",  # type: ignore[arg-type]
        texture_colour=_second(n.COLOURS[colour], name), roughness=substance.roughness,
        metallic=substance.metallic if not named else 0.0, opacity=substance.opacity,
        sound=sound_of(name),  # type: ignore[arg-type]
    )  # fmt: skip
    for quality in qualities:
        made = replace(
            made,
            density=made.density * quality.density,
            **{
                key: getattr(quality, key)
                for key in ("restitution", "friction", "texture", "opacity", "roughness")
                if getattr(quality, key) is not None
            },
        )
    return made, colour


def sound_of(substance: str) -> str:
    """What a material sounds like when it is struck.

    >>> sound_of("brass")
    'metal'
    """
    return next(sound for sound, names in n.SOUNDS.items() if substance in names)


def _second(colour: Vec, name: str) -> Vec:
    """The colour of a pattern: white on what is coloured, a darker grain on wood."""
    if name == "wood":
        return tuple(round(0.8 * c, 3) for c in colour)  # type: ignore[return-value]
    bright = sum(colour) > 2.2
    return (0.2, 0.25, 0.3) if bright else (0.95, 0.95, 0.95)


def describe(thing: Thing) -> str:
    """What was understood of a thing, in words and numbers."""
    size = " × ".join(f"{100 * s:.3g}" for s in thing.size)
    kind = f"soft {thing.shape}" if thing.soft else thing.shape
    many = f"{thing.count} × " if thing.count > 1 else ""
    how = f" as a {thing.arrangement}" if thing.count > 1 else ""
    colour = ", ".join(thing.colours[: thing.count])
    return f"{many}{kind}{how}, {size} cm, {colour}, {thing.material.density:.3g} kg/m³" + (
        ", fixed" if thing.fixed else ""
    )


def shuffled_palette(rng: Random) -> list[str]:
    """The palette in an order drawn from the seed."""
    colours = list(n.PALETTE)
    rng.shuffle(colours)
    return colours
