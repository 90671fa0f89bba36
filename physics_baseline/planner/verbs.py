"""The planner's words for what happens, where, how seen and in which world."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clay4d.physics_baseline.planner import wordings as w


@dataclass(frozen=True)
class Motion:
    """A motion: its verbs in the base form, and which prepositions it has a rule for."""

    doc: str
    verbs: tuple[str, ...]
    after: tuple[str, ...] = ()
    acts_on: bool = False
    """Whether it takes an object: "hits a cube"."""


_PATH = ("into", "at", "against", "towards", "across", "past", "off", "on", "from", "over", "to")

MOTIONS: dict[str, Motion] = {
    "fall": Motion(
        "starts in the air and falls; \"from 2 m\" is the gap below it",
        ("fall", "drop", "plummet", "plunge", "land", "descend", "come down", "dive", "sink"),
        ("on", "into", "over", "from", "off", "above", "to")
    ),
    "bounce": Motion(
        "falls with restitution of at least 0.8; \"off\" something: rolls into it",
        ("bounce", "rebound", "hop", "ricochet"), ("on", "off", "from", "against"),
    ),
    "roll": Motion(
        "rolls along +x at 2 m/s, or from rest on a ramp; balls and cylinders",
        ("roll",), ("down", *_PATH)
    ),
    "slide": Motion(
        "slides along +x at 3 m/s with friction of at most 0.15, or from rest on a ramp",
        ("slide", "glide", "skid"), ("down", *_PATH)
    ),
    "move": Motion(
        "rolls if it can, and slides else",
        ("move", "go", "travel", "speed", "race", "rush", "dash", "hurtle", "charge", "head", "zoom", "whizz"),
        ("down", *_PATH)
    ),
    "throw": Motion(
        "flies along a parabola from 0.6 m above the floor",
        ("throw", "toss", "fly", "launch", "shoot", "fire", "hurl", "fling", "lob"),
        ("at", "into", "against", "over", "towards", "across", "past", "on", "to", "up")
    ),
    "swing": Motion(
        "a pendulum let go at 60 degrees",
        ("swing", "sway"), ("into", "at", "against", "towards", "past"),
    ),
    "hang": Motion("at rest on a rope", ("hang", "dangle"), ("above", "over")),
    "spin": Motion(
        "turns about the vertical at 10 rad/s",
        ("spin", "rotate", "twirl", "turn"), ("on", "around", "above", "at")
    ),
    "rest": Motion(
        "does not move",
        ("rest", "lie", "stand", "sit", "stay", "balance", "wait", "place"),
        ("on", "beside", "left_of", "right_of", "front_of", "behind", "between", "against",
         "above", "at", "under", "foot_of", "top_of")
    ),
    "hit": Motion(
        "the first meets the second, which stands in its way",
        ("hit", "strike", "crash into", "crash", "smash into", "smash", "bump into", "bump",
         "run into", "slam into", "collide with", "collide", "push", "knock over", "knock down",
         "knock", "topple over", "knock into", "bang into", "ram",
         "meet", "kick", "touch", "crush", "squash", "flatten", "bowl over", "tap", "nudge", "shove",
         "bash", "bash into", "scatter", "clip", "destroy", "wreck", "demolish", "head for"),
        ("into", "against", "with", "off", "on", "at", "towards"),
        acts_on=True,
    ),
    "topple": Motion(
        "the first of a row is pushed over",
        ("topple", "tip over", "fall over", "tumble", "collapse", "tip"),
        ("off",),
    ),
    "float": Motion(
        "drifts slowly; needs a world without gravity",
        ("float", "drift", "hover"), ("above", "towards", "over"),
    ),
    "drape": Motion(
        "a cloth falls over something", ("drape", "cover"), ("over", "on", "above"), acts_on=True
    ),
    "flutter": Motion(
        "a cloth held by an edge in the wind", ("flutter", "wave", "flap", "ripple", "blow"),
        (),
    ),
    "hold": Motion("held in place until it is released", ("hold", "suspend"), ("above", "on", "over")),
    "release": Motion("let go", ("release", "let go of", "let go"), ("from", "above", "over", "on")),
    "carry": Motion(
        "stands still with something on it", ("carry", "support", "bear"), (), acts_on=True
    ),
    "stack": Motion("stands as a stack", (), ("in", "into")),
    "pile": Motion("stands as a pile, or as it is said to: piled up in a pyramid", (), ("on", "into")),
    "line": Motion("stands in a row", (), ("in",)),
    "stop": Motion("comes to rest in the end; adds nothing", ("stop", "settle", "come to rest", "come to a stop", "come to a halt", "halt", "end up"), ("against", "on", "at")),
}  # fmt: skip
"""What things do."""
MOTIONS.update({k: replace(MOTIONS[k], verbs=(*MOTIONS[k].verbs, *(x for x in more if x not in MOTIONS[k].verbs))) for k, more in w.VERBS.items()})  # fmt: skip

PARTICIPLES: dict[str, str] = {
    "stacked": "stack", "stacked up": "stack", "piled": "pile", "piled up": "pile", "heaped": "pile",
    "heaped up": "pile", "lined up": "line", "stacked on top of each other": "stack",
    "on top of each other": "stack", "on top of one another": "stack",
}  # fmt: skip
"""Ways in which several things stand, said like a passive."""
DOUBLED = ("propel",)
"""Verbs of two syllables whose last letter is doubled."""

IRREGULAR: dict[str, tuple[str, ...]] = {
    "fall": ("fell", "fallen"), "throw": ("threw", "thrown"), "fly": ("flew", "flown"),
    "shoot": ("shot",), "swing": ("swung",), "hang": ("hung",), "spin": ("spun",),
    "lie": ("lay", "lain"), "stand": ("stood",), "sit": ("sat",), "hit": ("hit",),
    "strike": ("struck",), "run": ("ran",), "meet": ("met",), "hold": ("held",),
    "slide": ("slid",), "let": ("let",), "come": ("came",), "fling": ("flung",), "go": ("went", "gone"), "sink": ("sank", "sunk"), "speed": ("sped",),
    "blow": ("blew", "blown"), **w.PAST,
}  # fmt: skip

PREPOSITIONS: dict[str, str] = {
    "on": "on", "onto": "on", "on top of": "on", "on to": "on", "upon": "on", "atop": "on",
    "over": "over", "above": "above", "under": "under", "below": "under", "beneath": "under",
    "underneath": "under", "next to": "beside", "beside": "beside", "near": "beside",
    "alongside": "beside", "close to": "beside", "to the left of": "left_of",
    "on the left of": "left_of", "left of": "left_of", "to the right of": "right_of",
    "on the right of": "right_of", "right of": "right_of", "in front of": "front_of",
    "behind": "behind", "in back of": "behind", "between": "between", "into": "into",
    "at": "at", "towards": "towards", "toward": "towards", "against": "against", "down": "down",
    "up": "up", "off": "off", "off of": "off", "from": "from", "across": "across",
    "along": "across", "past": "past", "by": "by", "with": "with", "around": "around", "to": "to",
    "in": "in", "after": "after", "for": "for", "of": "of", "at the top of": "top_of",
    "on the top of": "top_of", "at the bottom of": "foot_of", "at the foot of": "foot_of",
    "at the end of": "foot_of", "off the edge of": "off", "through": "past",
    "down from": "off", "high above": "above", "right next to": "beside", "directly above": "above",
    **w.PREPOSITIONS,
}  # fmt: skip
"""Prepositions and the relation that each stands for."""

ARRIVING = ("into", "on", "against", "at", "towards", "over")
"""Relations whose thing may be named before the verb: "the box that the ball rolls into"."""
STATIC = (
    "on", "above", "under", "beside", "left_of", "right_of", "front_of", "behind", "between",
    "top_of", "foot_of", "against", "over",
)  # fmt: skip
"""Relations that place a thing without any motion."""

ADVERBS: dict[str, float] = {
    "fast": 2.0, "quickly": 2.0, "rapidly": 2.0, "hard": 2.0, "at high speed": 2.0,
    "at full speed": 2.0, "forcefully": 2.0, "slowly": 0.5, "gently": 0.5, "softly": 0.5,
    "at low speed": 0.5, "lightly": 0.5, "straight": 1.0, "freely": 1.0, "together": 1.0,
    "down": 1.0, "over": 1.0, "away": 1.0, "again": 1.0, "back and forth": 1.0, "up": 1.0,
    "in place": 1.0, "around": 1.0, "side by side": 1.0, "at the same time": 1.0, "head-on": 1.0,
    "head on": 1.0, "one by one": 1.0, "still": 1.0, "apart": 1.0, "upright": 1.0,
    "up and down": 1.0, 
    "through the air": 1.0, "once": 1.0,
    "twice": 1.0, "three times": 1.0, "several times": 1.0, "a few times": 1.0, 
    "off the edge": 1.0, "over the edge": 1.0, "at once": 1.0, "sideways": 1.0, "on its side": 1.0, 
    "from the ceiling": 1.0, "to a stop": 1.0, "to a halt": 1.0, "to rest": 1.0, "off": 1.0, "aside": 1.0, "forward": 1.0, "forwards": 1.0,
    **dict.fromkeys(w.PLAIN, 1.0), **dict.fromkeys(w.ROPES, 1.0), **dict.fromkeys(w.FASTER, 2.0),
    **dict.fromkeys(w.SLOWER, 0.5),
}  # fmt: skip
"""Words after a verb; the number multiplies its speed."""

FITTING: dict[str, tuple[str, ...]] = {
    word: motions for words, motions in w.FITTING for word in words
}
"""The motions of which an adverb says something; the rest fit all."""

DIRECTIONS: dict[str, tuple[float, float]] = {
    "to the right": (1.0, 0.0), "rightwards": (1.0, 0.0), "from left to right": (1.0, 0.0),
    "to the left": (-1.0, 0.0), "leftwards": (-1.0, 0.0), "from right to left": (-1.0, 0.0),
}  # fmt: skip
"""Ways a thing can go; without one it goes to the right, +x."""

VIEWS: dict[str, tuple[float, float, float]] = {
    "front": (0.25, -1.0, 0.4), "side": (0.0, -1.0, 0.12), "above": (0.0, -0.02, 1.0),
    "back": (-0.2, 1.0, 0.4), "left": (-1.0, -0.3, 0.35), "right": (1.0, -0.3, 0.35),
    "low angle": (0.15, -1.0, 0.06), "high angle": (0.2, -1.0, 1.1), "corner": (0.8, -0.8, 0.5),
}  # fmt: skip
"""From the scene's middle towards the camera."""
VIEW_WORDS: dict[str, str] = {
    "from the front": "front", "front view": "front", "from the side": "side", "side view": "side",
    "top view": "above", "from the top": "above", "overhead view": "above",
    "bird's-eye view": "above", "bird's eye view": "above", "top-down view": "above",
    "overhead": "above", "from above": "above", "from overhead": "above", "from behind": "back", "from the back": "back",
    "from the left": "left", "from the left side": "left", "from the right": "right",
    "from the right side": "right", "from a low angle": "low angle", "low angle": "low angle",
    "from a high angle": "high angle", "high angle": "high angle", "from the corner": "corner",
    "from an angle": "corner", "three-quarter view": "corner", "low-angle shot": "low angle", **w.VIEWS,
}  # fmt: skip
"""Where the camera stands."""
SHOTS: dict[str, float] = {
    "close-up": 0.7, "close up": 0.7, "in close-up": 0.7, "wide shot": 1.5, "wide view": 1.5,
    "long shot": 1.5, "from far away": 2.0, "from a distance": 1.6, "from afar": 2.0,
    "wide-angle shot": 1.5, "medium shot": 1.0, "static camera": 1.0, "fixed camera": 1.0,
}  # fmt: skip
"""How near the camera is: a factor on the distance from which it sees everything."""
CAMERA_MOVES: dict[str, str] = {
    "orbit": "orbit", "circle": "orbit", "rotate": "orbit", "go around": "orbit",
    "move around": "orbit", "turn around": "orbit", "follow": "follow", "track": "follow",
    "zoom in": "zoom in", "zoom out": "zoom out", "move closer": "zoom in", "pull back": "zoom out",
    "pan": "pan", "rise": "rise", "move": "pan", "stay": "still", "stand": "still",
    "look": "still", "watch": "still",
}  # fmt: skip
"""What a camera does."""

WORLDS: dict[str, tuple[str, float]] = {
    "on the moon": ("gravity", 1.62), "on mars": ("gravity", 3.71), "on earth": ("gravity", 9.81),
    "on jupiter": ("gravity", 24.8), "on venus": ("gravity", 8.87),
    "in zero gravity": ("gravity", 0.0), "without gravity": ("gravity", 0.0),
    "with no gravity": ("gravity", 0.0), "in space": ("gravity", 0.0),
    "in outer space": ("gravity", 0.0), "in weightlessness": ("gravity", 0.0),
    "no gravity": ("gravity", 0.0), "zero gravity": ("gravity", 0.0),
    "in microgravity": ("gravity", 0.0), "in low gravity": ("gravity", 1.62),
    "low gravity": ("gravity", 1.62), "with low gravity": ("gravity", 1.62),
    "in slow motion": ("slow", 4.0), "slow motion": ("slow", 4.0), "in slow-motion": ("slow", 4.0),
    "with air resistance": ("drag", 1.2), "in air": ("drag", 1.2), "with drag": ("drag", 1.2),
    "with air drag": ("drag", 1.2), "in a vacuum": ("drag", 0.0), "without air": ("drag", 0.0),
    "without air resistance": ("drag", 0.0), "without friction": ("friction", 0.0),
    "without a floor": ("floor", 0.0), "without floor": ("floor", 0.0), "no floor": ("floor", 0.0),
    **w.WORLDS,
}  # fmt: skip
"""What holds everywhere."""

WIND_WORDS = ("wind", "breeze", "gust", "storm", "gale")
WIND_SPEEDS: dict[str, float] = {
    "wind": 6.0, "breeze": 3.0, "gust": 9.0, "storm": 15.0, "gale": 18.0,
}  # fmt: skip
"""Metres per second; `strong` makes 1.8 of it, `light` half."""
WIND_STRENGTHS: dict[str, float] = {
    "strong": 1.8, "stiff": 1.5, "heavy": 1.8, "fast": 1.8, "light": 0.5, "gentle": 0.5,
    "weak": 0.5, "soft": 0.5, "slow": 0.5, "steady": 1.0, "moderate": 1.0,
}  # fmt: skip

UNITS: dict[str, tuple[str, float]] = {
    "m": ("length", 1.0), "metre": ("length", 1.0), "meter": ("length", 1.0),
    "cm": ("length", 0.01), "centimetre": ("length", 0.01), "centimeter": ("length", 0.01),
    "mm": ("length", 0.001), "millimetre": ("length", 0.001), "millimeter": ("length", 0.001),
    "inch": ("length", 0.0254), "foot": ("length", 0.3048), "feet": ("length", 0.3048),
    "ft": ("length", 0.3048), "kg": ("mass", 1.0), "kilogram": ("mass", 1.0), "kilo": ("mass", 1.0),
    "g": ("mass", 0.001), "gram": ("mass", 0.001), "s": ("time", 1.0), "sec": ("time", 1.0),
    "second": ("time", 1.0), "ms": ("time", 0.001), "minute": ("time", 60.0),
    "m/s": ("speed", 1.0), "metres per second": ("speed", 1.0), "meters per second": ("speed", 1.0),
    "km/h": ("speed", 1 / 3.6), "kph": ("speed", 1 / 3.6), "mph": ("speed", 0.44704),
    "rad/s": ("spin", 1.0), "rpm": ("spin", 0.104720), "degree": ("angle", 1.0),
    "fps": ("rate", 1.0), "frames per second": ("rate", 1.0),
}  # fmt: skip
"""Units after a number, and how many SI units (degrees for angles) each is."""
DIMENSIONS: dict[str, str] = {
    "wide": "size", "tall": "height", "high": "height", "long": "length", "thick": "thickness",
    "in diameter": "size", "across": "size", "in radius": "radius", "in size": "size",
    "in height": "height", "in length": "length",
}  # fmt: skip
"""What a length after or before a noun measures."""

FILLERS = (
    "please", "a scene of", "a scene with", "a scene in which", "a scene where", "a video of",
    "a video in which", "a simulation of", "simulate", "show me", "show", "imagine", "i want",
    "make", "create", "render", "generate", "we see", "there is", "there are", "there's", "just",
    "very", "really", "then", "suddenly", "finally", "also", "nearby", "in the scene",
    "in the middle", "its", "of it", "from rest", "on its own", "completely", "slightly",
    "positioned", "located", "made", "colored", "coloured", "at the start", "first",
    "eventually", "where", "in which", "so that", "and so", 
    "identical", "given", "under gravity", "in the end", "toy", "let", "smoothly", "steadily", "calmly", "right", "directly",
    "immediately", "soon", "now", "simply", "too", "as well", "all the way", "keeps", "keep", "starts to", "begins to", "is about to", "side of", "the side of", "in a row", "in a line", *w.FILLERS,
)  # fmt: skip
"""Words that change nothing; the explanation says which were passed over."""
