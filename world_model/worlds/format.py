"""A world in memory: pictures from several cameras, words about them, and the truth behind them.

World: metres, kilograms, seconds, z up; quaternions wxyz, body to world; viewmats world to camera in
OpenCV axes. docs/worlds.md describes the files. What a model may learn from is `images`, `masks`,
cameras, times and words; `hidden`, `tracks` and `scene` are for scoring and for the twin that is
labelled as supervised by states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

FORMAT = "clay4d-worlds-1"

Split = Literal[
    "train", "val", "test", "ood-speed", "ood-size", "ood-count", "ood-combination"
]  # fmt: skip
SPLITS: tuple[Split, ...] = (
    "train", "val", "test", "ood-speed", "ood-size", "ood-count", "ood-combination",
)  # fmt: skip
"""`val` and `test` are held out of the distribution of `train`; the others lie outside it."""

Role = Literal["mover", "ramp", "wall", "target"]
ROLES: tuple[Role, ...] = ("mover", "ramp", "wall", "target")
"""Movers obey forces; the others never move."""

HiddenKind = Literal["none", "drag", "wind", "magnus", "tether", "restitution"]
HIDDEN: tuple[HiddenKind, ...] = ("none", "drag", "wind", "magnus", "tether", "restitution")
"""What a world's prompt and still pictures do not show; one for each world."""

QuestionKind = Literal["heavier", "touch", "force"]


@dataclass(frozen=True)
class WorldObject:
    """One thing of a world, in the order of instance ids: the first is 1 in the masks."""

    name: str
    """Its body's name in the scene's spec, such as `red-ball`."""
    words: str
    """How prompts and events call it, such as `the red ball`."""
    role: Role
    shape: str
    """Word of the planner's vocabulary: ball, cube, cylinder, capsule, ramp, wall, platform."""
    colour: str
    """Word of the planner's vocabulary."""
    material: str
    """Word of the planner's vocabulary, such as rubber or steel."""
    size: tuple[float, float, float]
    """Whole extents along the body's axes, metres."""
    mass: float
    """Kilograms; 0 for what never moves."""


@dataclass(frozen=True)
class WorldEvent:
    """Something that happens, in words.

    >>> WorldEvent(0.42, "the red ball hits the blue cube").line
    '0.42 s: the red ball hits the blue cube'
    """

    time: float
    """Seconds since the world's start, rounded to hundredths."""
    words: str

    @property
    def line(self) -> str:
        """Time and words, one line of the script."""
        return f"{self.time:.2f} s: {self.words}"


@dataclass(frozen=True)
class Question:
    """A question about a world, with the one answer of `choices` that is right."""

    kind: QuestionKind
    text: str
    answer: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Hidden:
    """A world's hidden physics: which, and its numbers by name with units in the names."""

    kind: HiddenKind
    values: dict[str, float]
    """Such as `wind_x_m_per_s`; empty for none."""


@dataclass(frozen=True)
class Tracks:
    """True states of all B objects at the T frames, from the simulator; origins are centres."""

    positions: Float64[np.ndarray, "T B 3"]
    """World axes, metres."""
    quats: Float64[np.ndarray, "T B 4"]
    """Body to world, wxyz, no jumps of sign."""
    velocities: Float64[np.ndarray, "T B 3"]
    """World axes, metres per second."""
    angular_velocities: Float64[np.ndarray, "T B 3"]
    """World axes, radians per second."""


@dataclass(frozen=True)
class World:
    """One world: T frames from C cameras that stand still, B objects.

    Raises:
        ValueError: shapes that do not agree.
    """

    name: str
    """Unique in its set: the number of the world in six digits."""
    split: Split
    times: Float64[np.ndarray, " T"]
    """Seconds of the frames."""
    images: UInt8[np.ndarray, "T C H W 3"]
    """sRGB, 0 to 255."""
    masks: UInt8[np.ndarray, "T C H W"]
    """0 is floor and background, k is `objects[k - 1]`."""
    viewmats: Float32[np.ndarray, "C 4 4"]
    """World to camera; x right, y down, z forward."""
    Ks: Float32[np.ndarray, "C 3 3"]
    """Intrinsics in pixels; the first pixel's centre is at (0.5, 0.5)."""
    prompt: str
    """What is in the world and what it starts to do, in English; says nothing of what is hidden."""
    paraphrases: tuple[str, ...]
    """Other words for the same."""
    events: tuple[WorldEvent, ...]
    """The script: what happens, in order of time."""
    questions: tuple[Question, ...]
    objects: tuple[WorldObject, ...]
    """B of them, movers first."""
    hidden: Hidden
    """Truth, for scoring only."""
    tracks: Tracks
    """Truth, for scoring and the labelled upper bound only."""
    scene: str
    """The simulated `SceneSpec` with its hidden fields, as JSON. Truth, for scoring only."""

    def __post_init__(self) -> None:
        frames, cameras, height, width = self.masks.shape
        count = len(self.objects)
        wanted = {
            "times": (frames,), "images": (frames, cameras, height, width, 3),
            "viewmats": (cameras, 4, 4), "Ks": (cameras, 3, 3),
        }  # fmt: skip
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{self.name}: {name} got shape {list(getattr(self, name).shape)}; expected "
                    f"{list(shape)}."
                )
        if self.tracks.positions.shape != (frames, count, 3):
            raise ValueError(
                f"{self.name}: tracks got shape {list(self.tracks.positions.shape)}; expected "
                f"{[frames, count, 3]}."
            )

    @property
    def prompt_bytes(self) -> UInt8[np.ndarray, " L"]:
        """The prompt in UTF-8."""
        return np.frombuffer(self.prompt.encode(), np.uint8).copy()

    @property
    def script(self) -> str:
        """All events, a line each, each line ended."""
        return "".join(f"{event.line}\n" for event in self.events)

    @property
    def movers(self) -> int:
        """How many objects can move; they come first."""
        return sum(thing.role == "mover" for thing in self.objects)

    @property
    def visible(self) -> Bool[np.ndarray, "T C B"]:
        """Which objects have at least one pixel in which picture."""
        ids = np.arange(1, len(self.objects) + 1, dtype=np.uint8)
        seen: Bool[np.ndarray, "T C B"] = np.stack([(self.masks == k).any((2, 3)) for k in ids], -1)
        return seen

    def centroids(self) -> Float[np.ndarray, "T C B 2"]:
        """Mean pixel (x, y) of each object's mask; NaN where it is not seen."""
        height, width = self.masks.shape[2:]
        y, x = np.mgrid[0:height, 0:width] + 0.5
        out = np.full((*self.masks.shape[:2], len(self.objects), 2), np.nan)
        for k in range(len(self.objects)):
            mask = self.masks == k + 1
            area = mask.sum((2, 3))
            some = area > 0
            out[some, k, 0] = (mask * x).sum((2, 3))[some] / area[some]
            out[some, k, 1] = (mask * y).sum((2, 3))[some] / area[some]
        return out
