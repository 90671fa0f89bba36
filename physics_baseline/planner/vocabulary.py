"""The planner's words for things and their looks: what each means, in metres and kilograms.

Everything here is a table; `docs/prompts.md` is written from these tables. Sizes are those of the
real thing where a camera that sees the whole scene would still show it, and larger otherwise
(marbles, coins). Densities and frictions are handbook values rounded to two digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clay4d.physics_baseline.planner import wordings

Shape = Literal["sphere", "box", "cylinder", "capsule", "cone", "ramp", "cloth", "floor"]


@dataclass(frozen=True)
class Noun:
    """A thing: its shape, whole extents x, y, z in metres, and what it is made of if nobody says."""

    words: tuple[str, ...]
    shape: Shape
    size: tuple[float, float, float]
    material: str = "plastic"
    colour: str | None = None
    density: float | None = None
    restitution: float | None = None
    fixed: bool = False
    soft: bool = False
    texture: str = "plain"

    @property
    def name(self) -> str:
        """The first of its words."""
        return self.words[0]


@dataclass(frozen=True)
class Substance:
    """What a material's name means; density kg/m³, sRGB colour by name."""

    density: float
    friction: float
    restitution: float
    colour: str
    roughness: float = 0.6
    metallic: float = 0.0
    opacity: float = 1.0


def _ball(words: str, diameter: float, **more: object) -> Noun:
    return Noun(tuple(words.split("/")), "sphere", (diameter,) * 3, **more)  # type: ignore[arg-type]


def _noun(words: str, shape: Shape, *size: float, **more: object) -> Noun:
    return Noun(tuple(words.split("/")), shape, (size[0], size[1], size[2]), **more)  # type: ignore[arg-type]


NOUNS: tuple[Noun, ...] = (
    _ball("ball/sphere/orb/globe", 0.24),
    _ball("marble", 0.06, material="glass"),
    _ball("basketball", 0.24, density=86, restitution=0.8, material="rubber", colour="orange"),
    _ball("football/soccer ball", 0.22, density=77, restitution=0.75, material="leather",
          colour="white", texture="dots"),
    _ball("tennis ball", 0.1, density=110, restitution=0.75, material="rubber", colour="lime"),
    _ball("baseball/cricket ball", 0.1, density=700, restitution=0.5, material="leather", colour="white"),
    _ball("volleyball", 0.22, density=50, restitution=0.75, material="leather", colour="white"),
    _ball("snowball", 0.16, density=400, restitution=0.05, colour="white"),
    _ball("golf ball", 0.06, density=1130, restitution=0.8, colour="white"),
    _ball("ping-pong ball/table tennis ball", 0.06, density=80, restitution=0.85, colour="white"),
    _ball("billiard ball/pool ball/snooker ball", 0.1, density=1700, restitution=0.92, colour=None),
    _ball("bowling ball", 0.22, density=1100, restitution=0.4, colour="black"),
    _ball("cannonball/cannon ball/wrecking ball", 0.3, material="iron"),
    _ball("beach ball", 0.4, density=8, restitution=0.6, texture="stripes", colour="yellow"),
    _ball("balloon", 0.3, density=2.5, restitution=0.6, material="rubber", colour="red"),
    _ball("pendulum", 0.2, material="steel"),
    _ball("boulder/rock/stone", 0.4, material="stone"),
    _ball("pebble/bead", 0.08, material="stone"),
    _ball("apple", 0.09, density=800, restitution=0.4, colour="red"),
    _ball("melon/watermelon", 0.26, density=950, restitution=0.3, colour="dark green"),
    _ball("weight/bob", 0.16, material="steel"),
    _noun("cube", "box", 0.22, 0.22, 0.22),
    _noun("box/crate/package/parcel/carton", "box", 0.3, 0.3, 0.3, material="wood"),
    _noun("block/building block", "box", 0.24, 0.24, 0.24, material="wood"),
    _noun("brick", "box", 0.22, 0.11, 0.08, material="brick"),
    _noun("die", "box", 0.08, 0.08, 0.08, colour="white"),
    _noun("domino", "box", 0.04, 0.12, 0.24),
    _noun("book", "box", 0.2, 0.28, 0.05, material="paper", colour="brown"),
    _noun("plank/board/beam", "box", 1.0, 0.25, 0.04, material="wood"),
    _noun("slab/tile", "box", 0.6, 0.6, 0.06, material="stone"),
    _noun("table/desk/bench/counter/tabletop", "box", 1.4, 0.8, 0.6, material="wood", fixed=True),
    _noun("platform/pedestal/shelf/ledge/plinth/podium", "box", 1.0, 0.8, 0.4, material="stone", fixed=True),
    _noun("wall/barrier/obstacle", "box", 0.2, 1.6, 0.9, material="brick", fixed=True),
    _noun("cylinder/drum", "cylinder", 0.24, 0.24, 0.3),
    _noun("barrel/keg/cask", "cylinder", 0.36, 0.36, 0.5, material="wood"),
    _noun("can/tin/tin can/soda can", "cylinder", 0.14, 0.14, 0.22, material="aluminium", density=300),
    _noun("bottle/jar", "cylinder", 0.12, 0.12, 0.34, material="glass", density=800),
    _noun("pillar/column/post", "cylinder", 0.2, 0.2, 0.9, material="stone"),
    _noun("disc/disk/puck/hockey puck", "cylinder", 0.24, 0.24, 0.05),
    _noun("coin/penny", "cylinder", 0.12, 0.12, 0.012, material="copper"),
    _noun("plate", "cylinder", 0.6, 0.6, 0.04, material="steel"),
    _noun("wheel/tyre/tire", "cylinder", 0.4, 0.4, 0.1, material="rubber", colour="black"),
    _noun("log", "cylinder", 0.24, 0.24, 0.8, material="wood"),
    _noun("capsule/pill", "capsule", 0.16, 0.16, 0.36),
    _noun("pin/bowling pin/skittle", "capsule", 0.12, 0.12, 0.38, colour="white", density=650),
    _noun("cone", "cone", 0.3, 0.3, 0.36),
    _noun("ramp/slope/incline/inclined plane/hill/hillside/wedge", "ramp", 1.4, 0.7, 0.6, material="wood", fixed=True),
    _noun("cloth/fabric/blanket/sheet/towel/tablecloth/bedsheet/scarf/handkerchief/napkin", "cloth", 1.0, 1.0, 0.002, material="cotton"),
    _noun("flag/curtain/banner", "cloth", 0.9, 0.6, 0.002, material="cotton", colour="red"),
    _noun("jelly", "box", 0.3, 0.3, 0.3, material="gelatine", soft=True),
    _noun("cushion/pillow/sponge", "box", 0.5, 0.4, 0.2, material="foam", soft=True),
    _noun("floor/ground/surface", "floor", 0.0, 0.0, 0.0),
)  # fmt: skip

SUBSTANCES: dict[str, Substance] = {
    "plastic": Substance(950, 0.4, 0.6, "grey", 0.4),
    "wood": Substance(650, 0.45, 0.4, "tan", 0.8),
    "steel": Substance(7800, 0.35, 0.6, "silver", 0.3, 1.0),
    "iron": Substance(7200, 0.4, 0.5, "dark grey", 0.5, 1.0),
    "metal": Substance(7000, 0.35, 0.55, "silver", 0.35, 1.0),
    "aluminium": Substance(2700, 0.35, 0.55, "silver", 0.35, 1.0),
    "copper": Substance(8900, 0.4, 0.5, "copper", 0.3, 1.0),
    "brass": Substance(8500, 0.35, 0.55, "golden", 0.3, 1.0),
    "gold": Substance(19300, 0.4, 0.4, "golden", 0.2, 1.0),
    "silver": Substance(10500, 0.4, 0.5, "silver", 0.2, 1.0),
    "lead": Substance(11300, 0.5, 0.15, "dark grey", 0.7, 1.0),
    "glass": Substance(2500, 0.3, 0.65, "light blue", 0.05, 0.0, 0.45),
    "rubber": Substance(1100, 0.9, 0.8, "dark grey", 0.9),
    "leather": Substance(860, 0.6, 0.5, "brown", 0.8),
    "stone": Substance(2500, 0.65, 0.35, "grey", 0.9),
    "concrete": Substance(2400, 0.7, 0.3, "light grey", 0.95),
    "brick": Substance(1900, 0.65, 0.3, "brick red", 0.95),
    "marble": Substance(2700, 0.4, 0.5, "white", 0.2),
    "clay": Substance(1800, 0.8, 0.05, "terracotta", 0.95),
    "ice": Substance(917, 0.03, 0.2, "light blue", 0.05, 0.0, 0.7),
    "paper": Substance(250, 0.5, 0.2, "white", 0.95),
    "cardboard": Substance(150, 0.5, 0.25, "tan", 0.95),
    "foam": Substance(50, 0.6, 0.3, "white", 0.95),
    "cork": Substance(240, 0.6, 0.5, "tan", 0.9),
    "gelatine": Substance(1050, 0.5, 0.3, "green", 0.1, 0.0, 0.7),
    "cotton": Substance(150, 0.5, 0.0, "white", 0.95),
    "silk": Substance(100, 0.25, 0.0, "beige", 0.4),
    "grass": Substance(1000, 0.6, 0.35, "dark green", 1.0),
    "sand": Substance(1600, 0.7, 0.05, "beige", 1.0),
    "carpet": Substance(300, 0.8, 0.2, "maroon", 1.0),
}
"""Density, friction, restitution and look of each material."""

SOUNDS: dict[str, tuple[str, ...]] = {
    "plastic": ("plastic",), "wood": ("wood", "cork"), "glass": ("glass",),
    "metal": ("steel", "iron", "metal", "aluminium", "copper", "brass", "gold", "silver", "lead"),
    "stone": ("stone", "concrete", "brick", "marble", "clay", "ice"),
    "rubber": ("rubber", "leather", "gelatine"),
    "soft": ("paper", "cardboard", "foam", "cotton", "silk", "grass", "sand", "carpet"),
}  # fmt: skip
"""What each material sounds like when it is struck (`spec.Material.sound`)."""

SUBSTANCE_WORDS: dict[str, str] = {
    **{name: name for name in SUBSTANCES if name not in ("silver", "marble")},
    "wooden": "wood", "metallic": "metal", "plastics": "plastic", "bricks": "brick", "aluminum": "aluminium",
    "tin": "aluminium", "bronze": "copper", "concrete": "concrete", "clay": "clay",
    "stony": "stone", "granite": "stone", "tarmac": "concrete", "asphalt": "concrete",
    "cement": "concrete", "styrofoam": "foam", "polystyrene": "foam", "woollen": "cotton",
    "linen": "cotton", "leaden": "lead", "lawn": "grass", "parquet": "wood",
}  # fmt: skip
"""Words that make a thing of a material."""

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.12, 0.12), "green": (0.15, 0.62, 0.22), "blue": (0.12, 0.3, 0.85),
    "yellow": (0.95, 0.82, 0.12), "orange": (0.95, 0.5, 0.1), "purple": (0.5, 0.18, 0.65),
    "violet": (0.5, 0.25, 0.8), "pink": (0.95, 0.55, 0.7), "magenta": (0.85, 0.12, 0.6),
    "cyan": (0.1, 0.78, 0.85), "turquoise": (0.2, 0.75, 0.7), "teal": (0.05, 0.5, 0.5),
    "lime": (0.7, 0.88, 0.15), "olive": (0.45, 0.45, 0.12), "brown": (0.42, 0.26, 0.13),
    "tan": (0.72, 0.55, 0.36), "beige": (0.87, 0.8, 0.66), "golden": (0.85, 0.65, 0.15),
    "silver": (0.76, 0.77, 0.8), "copper": (0.72, 0.43, 0.25), "maroon": (0.45, 0.08, 0.12),
    "crimson": (0.78, 0.06, 0.2), "scarlet": (0.9, 0.14, 0.05), "navy": (0.06, 0.1, 0.4),
    "indigo": (0.28, 0.12, 0.6), "white": (0.95, 0.95, 0.95), "black": (0.06, 0.06, 0.07),
    "grey": (0.5, 0.5, 0.52), "brick red": (0.62, 0.27, 0.2), "terracotta": (0.7, 0.38, 0.26),
}  # fmt: skip
"""sRGB of each colour's name; `light`, `dark`, `pale` and `bright` go before the plain ones."""
COLOURS.update(
    {
        f"{tone} {name}": tuple(round(way * k + (1 - k) * v, 3) for v in COLOURS[name])  # type: ignore[misc]
        for tone, way, k in (("light", 1.0, 0.45), ("pale", 1.0, 0.6), ("dark", 0.0, 0.45))
        for name in ("red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "grey")
    }
)
COLOURS.update({f"bright {n}": COLOURS[n] for n in ("red", "green", "blue", "yellow", "orange")})
COLOUR_WORDS: dict[str, str] = {
    **{name: name for name in COLOURS if name != "copper"},
    **{n.replace("grey", "gray"): n for n in COLOURS if "grey" in n},
    **{n.replace(" ", "-"): n for n in COLOURS if " " in n},
    "violet": "violet", "lilac": "pale purple", "gold-coloured": "golden",
}  # fmt: skip
"""Words for colours."""

PALETTE = ("red", "blue", "yellow", "green", "orange", "purple", "cyan", "pink")
"""Colours of plastic things of which the prompt names none, in an order drawn from the seed."""


@dataclass(frozen=True)
class Quality:
    """What an adjective changes: extents by factors, or one property of the material or motion."""

    doc: str
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    density: float = 1.0
    restitution: float | None = None
    friction: float | None = None
    speed: float = 1.0
    texture: str | None = None
    opacity: float | None = None
    roughness: float | None = None
    flag: str = ""


def _sized(doc: str, factor: float) -> Quality:
    return Quality(doc, (factor, factor, factor))


QUALITIES: dict[str, Quality] = {
    "tiny": _sized("0.4 of the size", 0.4), "small": _sized("0.65 of the size", 0.65),
    "medium": _sized("the size as it is", 1.0), "large": _sized("1.5 of the size", 1.5),
    "huge": _sized("2.2 of the size", 2.2),
    "tall": Quality("1.6 of the height", (1, 1, 1.6)),
    "short": Quality("0.6 of the height", (1, 1, 0.6)),
    "long": Quality("1.6 of the length along x", (1.6, 1, 1)),
    "wide": Quality("1.6 of the width along y", (1, 1.6, 1)),
    "narrow": Quality("0.6 of the width along y", (1, 0.6, 1)),
    "thin": Quality("half as thick along x", (0.5, 1, 1)),
    "thick": Quality("1.6 as thick along x", (1.6, 1, 1)),
    "flat": Quality("0.4 of the height", (1, 1, 0.4)),
    "steep": Quality("1.6 of the height (ramps)", (1, 1, 1.6)),
    "gentle": Quality("0.6 of the height (ramps)", (1, 1, 0.6)),
    "heavy": Quality("3 times as dense", density=3.0),
    "lightweight": Quality("0.3 of the density", density=0.3),
    "hollow": Quality("0.2 of the density", density=0.2),
    "solid": Quality("the density as it is"),
    "bouncy": Quality("restitution 0.9", restitution=0.9),
    "dead": Quality("restitution 0.05", restitution=0.05),
    "slippery": Quality("friction 0.03", friction=0.03),
    "rough": Quality("friction 0.9", friction=0.9, roughness=1.0),
    "sticky": Quality("friction 1.2", friction=1.2),
    "fast": Quality("twice the speed", speed=2.0), "slow": Quality("half the speed", speed=0.5),
    "striped": Quality("stripes", texture="stripes"),
    "checkered": Quality("a checkerboard", texture="checker"),
    "spotted": Quality("dots", texture="dots"),
    "marbled": Quality("noise", texture="noise"),
    "transparent": Quality("opacity 0.4", opacity=0.4),
    "shiny": Quality("a polished surface", roughness=0.1),
    "matte": Quality("a dull surface", roughness=1.0),
    "soft": Quality("an elastic body (boxes and balls)", flag="soft"),
    "colourful": Quality("each its own colour", flag="colourful"),
    "fixed": Quality("never moves", flag="fixed"),
    "still": Quality("at rest at the start"), "upright": Quality("on its end", flag="upright"), "lying": Quality("on its side", flag="lying"),
}  # fmt: skip
QUALITY_WORDS: dict[str, str] = {
    **{name: name for name in QUALITIES},
    "little": "small", "mini": "small", "miniature": "tiny", "big": "large", "giant": "huge",
    "massive": "huge", "enormous": "huge", "gigantic": "huge", "high": "tall", "low": "short",
    "shallow": "gentle", "light": "lightweight", "weightless-looking": "lightweight",
    "elastic": "bouncy", "springy": "bouncy", "icy": "slippery", "smooth": "slippery",
    "frictionless": "slippery", "polished": "shiny", "glossy": "shiny", "fast-moving": "fast",
    "speeding": "fast", "quick": "fast", "slow-moving": "slow", "stripy": "striped",
    "chequered": "checkered", "checkerboard": "checkered", "dotted": "spotted",
    "see-through": "transparent", "translucent": "transparent", "clear": "transparent",
    "squishy": "soft", "deformable": "soft", "multicoloured": "colourful",
    "multicolored": "colourful", "colorful": "colourful", "rainbow": "colourful",
    "of different colours": "colourful", "of different colors": "colourful",
    "in different colours": "colourful", "in different colors": "colourful",
    "static": "fixed", "immovable": "fixed", "standing": "upright", "round": "medium",
    "ordinary": "medium", "normal": "medium", "regular": "medium", "average": "medium",
    "horizontal": "lying", "vertical": "upright", **wordings.QUALITIES,
}  # fmt: skip
"""Adjectives."""

GROUPS: dict[str, str] = {
    "stack": "stack", "tower": "stack", "column": "stack", "row": "row", "line": "row",
    "chain": "row", "pyramid": "pyramid", "pile": "pile", "heap": "pile", "bunch": "pile",
    "ring": "ring", "circle": "ring", "pair": "pair", "couple": "pair", "group": "cluster",
    "set": "cluster", "dozen": "dozen", "cluster": "cluster", "grid": "cluster",
}  # fmt: skip
"""Nouns that arrange what follows `of`."""

NUMBERS: dict[str, int] = {
    "one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "both": 2, "several": 4, "few": 3, "some": 3, "many": 8,
}  # fmt: skip
"""Words for counts."""
MAX_COUNT = 60
"""Things one noun phrase may ask for."""

FLOORS: dict[str, str] = {"ice": "ice", "grass": "grass", "sand": "sand", "carpet": "carpet",
                          "concrete": "concrete", "wood": "wood", "marble": "marble"}  # fmt: skip
"""Materials that are a floor after `on`: "on ice"."""
