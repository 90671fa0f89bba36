"""What a prompt's sentences say, before anything of it has a size or a place."""

from __future__ import annotations

from dataclasses import dataclass, field

from clay4d.physics_baseline.planner.vocabulary import Noun
from clay4d.physics_baseline.planner.words import Measure


@dataclass
class Phrase:
    """A thing as the prompt names it."""

    noun: Noun | None = None
    pronoun: str = ""
    group: str = ""
    count: int | None = None
    many: bool = False
    definite: bool = False
    another: bool = False
    first: bool = False
    """Whether only the first of several is meant: "the first of ten dominoes"."""
    ordinal: int = 0
    """Which of several by its number, "the second": 1 and up, −1 for the last, 0 where none is said."""
    member: tuple[str, int] | None = None
    """Of which things this is one, and its number among them."""
    both: bool = False
    every: bool = False
    """Whether it is said of each of several that were named."""
    same: Phrase | None = None
    """The phrase that it repeats: "a cube, which falls"."""
    one: bool = False
    """Whether "one" stands for its noun."""
    adjectives: list[tuple[str, str]] = field(default_factory=list)
    measures: list[tuple[str, Measure]] = field(default_factory=list)
    speed: float = 1.0
    places: list[tuple[str, list[Phrase]]] = field(default_factory=list)
    each: list[tuple[int, tuple[str, str]]] = field(default_factory=list)
    """How many have which quality: "three crates, two red and one blue"."""
    colours: list[tuple[int, tuple[str, str]]] = field(default_factory=list)
    """Colours of single ones by their place: "three cubes; the second is yellow"."""
    shared: Phrase | None = None
    """Qualities of all in its list: "a cube and a cone, which are blue"."""
    carries: list[tuple[str, list[Phrase]]] = field(default_factory=list)
    """Others and where they are from it: "with a ball on top"."""
    predicates: list[Predicate] = field(default_factory=list)
    text: str = ""


@dataclass
class Predicate:
    """What things do: a motion with its object and complements."""

    motion: str
    text: str
    passive: bool = False
    objects: list[Phrase] = field(default_factory=list)
    tails: list[tuple[str, list[Phrase]]] = field(default_factory=list)
    measures: list[tuple[str, Measure]] = field(default_factory=list)
    speed: float = 1.0
    heading: float = 0.0
    """1 to the right, −1 to the left, 0 where the prompt does not say."""
    finite: bool = False
    """Whether it is a sentence's verb ("rolls", "is thrown") and no participle ("rolling")."""
    adverbs: list[str] = field(default_factory=list)
    quality: Phrase | None = None
    """What the things are said to be: "is blue", "is 30 cm wide"."""


@dataclass
class Statement:
    """Things, and what they do."""

    subjects: list[Phrase]
    predicates: list[Predicate]
    text: str = ""
    led_by_place: bool = False
    """Whether it begins with a place: "on a table sits a ball"."""
    after: list[Statement] = field(default_factory=list)
    """What happens before: "… after it rolls along the floor"."""


@dataclass
class Wind:
    """Air that moves, from where, in metres per second."""

    speed: float
    towards: tuple[float, float, float]
    text: str


@dataclass
class CameraWish:
    """What the prompt says of cameras."""

    view: str = ""
    distance: float = 1.0
    move: str = ""
    count: int | None = None
    target: list[Phrase] = field(default_factory=list)
    text: str = ""


@dataclass
class Sentences:
    """A whole prompt, read."""

    statements: list[Statement] = field(default_factory=list)
    winds: list[Wind] = field(default_factory=list)
    cameras: list[CameraWish] = field(default_factory=list)
    worlds: list[tuple[str, float, str]] = field(default_factory=list)
    floor: str = ""
    floor_quality: list[tuple[str, str]] = field(default_factory=list)
    duration: float | None = None
    fps: float | None = None
