"""Real motion: tossed cubes, a thrown basketball, filmed balls, each foretold from its first frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clay4d.benchmark.cases import Case, Measured, Place
from clay4d.benchmark.films import FILMS, Flight, flights
from clay4d.benchmark.motion import position_error, rotation_error
from clay4d.benchmark.observation import Prediction, observe_ball, observe_toss
from clay4d.benchmark.suites import AT, ERROR, SuiteConfig
from clay4d.physics_baseline.identify.ball import load_ball
from clay4d.physics_baseline.identify.tosses import Tosses, load_tosses

_STRAIGHT = ("static", "constant-velocity", "constant-acceleration", "engine-nominal")
_CUBE = (
    "static",
    "constant-velocity",
    "engine-nominal",
    "engine-stated",
    "engine-identified",
    "contact-identified",
)
ASKED: dict[str, tuple[str, ...]] = {
    "tosses-first-state": _CUBE,
    "tosses-six-frames": (*_CUBE, "constant-acceleration"),
    "basketball": (*_STRAIGHT, "engine-fitted", "engine-fitted-true-air"),
    "filmed-balls": (*_STRAIGHT, "engine-fitted"),
}
"""Which systems each task asks: the others cannot work on what it gives."""
FOLDERS = {
    "tosses-first-state": "cube_tosses", "tosses-six-frames": "cube_tosses",
    "basketball": "panoptic_basketball", "filmed-balls": "physics_videos",
}  # fmt: skip
PROTOCOLS = {
    "tosses-first-state": "first pose, velocity and spin of a tossed cube in, its mass, width and stuff stated; "
    "poses of all later frames; tosses with odd places in the file, none of which any system was fitted to",
    "tosses-six-frames": "six poses of a tossed cube (41 ms) in; poses of all later frames; the same tosses",
    "basketball": "six measured places of a thrown ball (frames 51 to 56) in, the twelve after them out, metres",
    "filmed-balls": "six places of a ball in a film in, with its true size, by which pixels become metres; the "
    "twelve after them out, in diameters; windows of one film overlap, so the interval is too narrow",
}


class RealCases:
    """All cases of the suite `real` in a folder of data sets.

    Raises:
        ValueError: an unknown task.
        FileNotFoundError: a data set that is not there.
    """

    def __init__(self, config: SuiteConfig, folder: Path) -> None:
        self._config, self._folder = config, folder
        for task in config.splits:
            if task not in ASKED:
                raise ValueError(f"task got {task!r}; expected one of {', '.join(ASKED)}.")
            if not (folder / FOLDERS[task]).is_dir():
                raise FileNotFoundError(
                    f"data got {folder} without {FOLDERS[task]}; expected it for {task}. Put it there, or "
                    "give the folder that has it."
                )
        self.protocols: tuple[tuple[str, str], ...] = tuple(
            (task, PROTOCOLS[task]) for task in config.splits
        )
        self._tosses: Tosses | None = None
        self._flights: list[Flight] = []

    def places(self) -> list[Place]:
        """Tosses that are held out, the one free flight of the basketball, windows of films."""
        found = []
        for task in self._config.splits:
            count = {"basketball": 1, "filmed-balls": len(self._films())}.get(task)
            count = len(self._held()) if count is None else count
            for k in range(min(count, self._config.limit or count)):
                name = self._films()[k].name if task == "filmed-balls" else f"{k:03d}"
                found.append(Place(f"{task}/{name}", task, task, k, ASKED[task]))
        return found

    def read(self, place: Place) -> Case:
        """One case."""
        seen = self._config.seen
        if place.task == "basketball":
            track = load_ball(self._folder / FOLDERS[place.task])
            ahead = track.times[seen:] - track.times[seen - 1]
            judge = BallJudge(track.positions[seen:, None], ahead, self._config.horizons)
            return Case(observe_ball(track, frames=seen), track.times[seen:], judge)
        if place.task == "filmed-balls":
            flight = self._films()[place.index]
            later = FilmJudge(flight.positions[seen:], flight.film.diameter)
            return Case(flight.observe(seen), flight.times[seen:], later)
        held = self._held()
        frames = 1 if place.task == "tosses-first-state" else seen
        first = int(held.lengths[: place.index].sum())
        truth = held.states[first : first + int(held.lengths[place.index])]
        times = np.arange(len(truth)) * held.dt
        question = observe_toss(held, place.index, frames=frames)
        return Case(question, times[frames:], TossJudge(truth[frames:, :7], held.width))

    def _held(self) -> Tosses:
        if self._tosses is None:
            self._tosses = load_tosses(self._folder / "cube_tosses").split()[1]
        return self._tosses

    def _films(self) -> list[Flight]:
        if not self._flights and "filmed-balls" in self._config.splits:
            folder = self._folder / FOLDERS["filmed-balls"]
            self._flights = [f for film in FILMS for f in flights(folder, film)]
        return self._flights


@dataclass(frozen=True)
class TossJudge:
    """Distance in per cent of the cube's width and angle in degrees, means over the frames."""

    truth: Float[np.ndarray, "T 7"]
    width: float

    def __call__(self, found: Prediction) -> Measured:
        """Both measures; without rotations the first alone."""
        place = position_error(found.positions[:, 0], self.truth[:, :3]) / self.width * 100
        values = {"toss_position": float(place.mean())}
        if found.quats is not None:
            turn = rotation_error(found.quats[:, 0], self.truth[:, 3:])
            values["toss_rotation"] = float(turn.mean())
        return Measured(values)


@dataclass(frozen=True)
class BallJudge:
    """Distance in metres, mean over the frames and at horizons."""

    truth: Float[np.ndarray, "T 1 3"]
    ahead: Float[np.ndarray, " T"]
    horizons: tuple[float, ...]

    def __call__(self, found: Prediction) -> Measured:
        """The measures."""
        off = position_error(found.positions, self.truth)[:, 0]
        at = {h: float(off[np.abs(self.ahead - h).argmin()]) for h in self.horizons if h <= self.ahead[-1] + 1e-6}  # fmt: skip
        return Measured({ERROR: float(off.mean())}, {AT: at})


@dataclass(frozen=True)
class FilmJudge:
    """Distance in the picture, in diameters of the ball."""

    truth: Float[np.ndarray, "T 3"]
    diameter: float

    def __call__(self, found: Prediction) -> Measured:
        """The mean over the frames; depth does not show and does not count."""
        off = (found.positions[:, 0] - self.truth)[:, [0, 2]]
        return Measured({"film_error": float(np.hypot(*off.T).mean() / self.diameter)})
