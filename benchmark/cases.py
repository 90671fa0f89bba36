"""Cases: what all systems are asked about one scene, and how their answers are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.benchmark.hidden import Told
from clay4d.benchmark.motion import (
    FLOOR,
    best_of_k,
    collision_time_error,
    energy_score,
    first_touches,
    penetration,
    velocity_error,
)
from clay4d.benchmark.observation import Prediction, observe_world
from clay4d.benchmark.suites import AT, ERROR, SuiteConfig
from clay4d.world_model.model.world_model import FPS
from clay4d.world_model.worlds import World, open_worlds


class Unscored(Exception):
    """Nothing can be measured on this scene, by nobody's fault; the text says why."""


@dataclass(frozen=True)
class Measured:
    """Numbers of one answer, by metric."""

    values: Mapping[str, float]
    at: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    """By metric, at horizons in seconds."""


@dataclass(frozen=True)
class Place:
    """Where a case is found: its scene and the task that it belongs to."""

    scene: str
    task: str
    split: str
    index: int
    systems: tuple[str, ...] = ()
    """The only ones that are asked; empty: all."""


@dataclass(frozen=True)
class Case:
    """One scene: the question, which holds nothing that comes later, and the judge, who knows the truth."""

    question: Any
    """An `Observation`, or another with a `key`."""
    times: Float[np.ndarray, " T"]
    """Moments that are asked for, seconds."""
    measure: Callable[[Any], Measured]
    told: Any = None
    """The question with the truth in it, for systems that are a ceiling and say so by `needs_truth`."""
    film: Callable[[Any], UInt8[np.ndarray, "T H W 3"]] | None = None
    """Of an answer, to look at; None where paths are drawn over the truth instead."""
    truth: UInt8[np.ndarray, "T H W 3"] | None = None
    """The true film, where there is one."""


class Source(Protocol):
    """A suite's cases."""

    protocols: tuple[tuple[str, str], ...]
    """For each task its id, and the protocol in words; the id `*` holds for all others."""

    def places(self) -> list[Place]:
        """All cases in their order."""
        ...

    def read(self, place: Place) -> Case:
        """One case."""
        ...


class WorldCases:
    """Worlds of `make_worlds`: six frames in, places at all later ones out.

    Raises:
        ValueError: no worlds of these splits.
    """

    def __init__(self, config: SuiteConfig, folder: Path) -> None:
        self._config = config
        self._worlds = {s: open_worlds(folder, split=s) for s in config.splits}
        if not any(len(w) for w in self._worlds.values()):
            raise ValueError(
                f"data got {folder} without worlds of {', '.join(config.splits)}; expected some."
            )
        said = (
            f"{config.seen} frames with masks, cameras, shapes, sizes, materials and the prompt in; centres "
            "of movers that were seen, at all later frames, metres"
        )
        self.protocols: tuple[tuple[str, str], ...] = (("places", said),)

    def places(self) -> list[Place]:
        """The first `limit` worlds of each split; tasks are splits, or parts of it if there is but one."""
        found = []
        for split, worlds in self._worlds.items():
            for k in range(min(len(worlds), self._config.limit or len(worlds))):
                words = worlds.words(k)
                task = split if len(self._worlds) > 1 else self._task(words)
                found.append(Place(f"{split}/{words['name']}", task, split, k))
        return found

    def world(self, place: Place) -> World:
        """One world as it was made, truth and all: for pictures of results, never for a system."""
        return self._worlds[place.split].read(place.index)

    def _task(self, words: dict[str, Any]) -> str:
        if self._config.by == "force":
            return str(words["hidden"]["kind"])
        seen = (self._config.seen - 1) / FPS
        count = sum(e["time"] > seen and " stops" not in e["words"] for e in words["events"])
        return f"events-{'0-1' if count < 2 else '2-3' if count < 4 else '4+'}"

    def read(self, place: Place) -> Case:
        """One world; its truth stays with the judge."""
        world, seen = self._worlds[place.split].read(place.index), self._config.seen
        judge = PathJudge.of_world(world, seen, self._config.horizons)
        question = observe_world(world, frames=seen)
        return Case(question, world.times[seen:], judge, Told(question, world.scene))


@dataclass(frozen=True)
class PathJudge:
    """Measures foretold paths of B things, of which some count, by the true ones."""

    truth: Float[np.ndarray, "T B 3"]
    """Metres, at the moments asked for."""
    counted: Sequence[int]
    """Things that count: movers that some camera saw."""
    radii: Float[np.ndarray, " B"]
    """Of the largest ball in each thing, metres."""
    before: Float[np.ndarray, "B 3"]
    """True places at the last moment that was seen, metres."""
    times: Float[np.ndarray, " T"]
    """Seconds after that moment."""
    horizons: tuple[float, ...]

    @classmethod
    def of_world(cls, world: World, seen: int, horizons: tuple[float, ...]) -> PathJudge:
        """For the frames of a world after the first `seen`."""
        first = world.masks[:seen]
        counted = [b for b in range(world.movers) if bool((first == b + 1).any())]
        radii = np.array([0.5 * min(o.size) for o in world.objects])
        path = world.tracks.positions
        ahead = world.times[seen:] - world.times[seen - 1]
        return cls(path[seen:], counted, radii, path[seen - 1], ahead, horizons)

    def __call__(self, found: Prediction) -> Measured:
        """All measures of one prediction.

        Raises:
            Unscored: no thing counts.
        """
        if not len(self.counted):
            raise Unscored("no mover was seen, by any system")
        own, true = found.positions[:, self.counted], self.truth[:, self.counted]
        off = np.linalg.norm(own - true, axis=-1).mean(1)
        at = {h: float(off[np.abs(self.times - h).argmin()]) for h in self.horizons if h <= self.times[-1] + 1e-6}  # fmt: skip
        samples = found.positions[None] if found.samples is None else found.samples
        samples = samples[:, :, self.counted]
        values = {
            ERROR: float(off.mean()),
            "velocity_error": float(velocity_error(own, true, self.times).mean()),
            "penetration": float(penetration(found.positions, self.radii, floor=0.0).max()),
            "crps": float(energy_score(samples, true).mean()),
            "best_of_k": best_of_k(samples, true),
        }
        late = self._touches(found.positions), self._touches(self.truth)
        moments = collision_time_error(*late, end=float(self.times[-1]))
        if moments is not None:
            values["collision_time_error"] = moments
        return Measured(values, {AT: at})

    def _touches(self, path: Float[np.ndarray, "T B 3"]) -> dict[tuple[int, int], float]:
        """First touches of things that count, from the last seen moment on."""
        whole = np.concatenate([self.before[None], path])
        clock = np.concatenate([[0.0], self.times])
        touches = first_touches(whole, self.radii, clock, floor=0.0)
        return {p: t for p, t in touches.items() if {*p} - {FLOOR} & {*self.counted}}
