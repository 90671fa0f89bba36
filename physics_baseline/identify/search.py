"""Search without derivatives, for chaotic motions whose error is no smooth function: CMA-ES (Hansen 2016)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines import Engine, SimulationError, make_engine
from clay4d.physics_baseline.identify.fit import FAILED, Experiment
from clay4d.physics_baseline.identify.unknowns import Unknown, guesses, write

Losses = Callable[[Float[np.ndarray, " U"]], Float[np.ndarray, " N"]]


@dataclass(frozen=True)
class Searched:
    """The best of K candidates over N experiments, and all of them."""

    unknowns: tuple[Unknown, ...]
    values: Float[np.ndarray, " U"]
    """In the units of their fields."""
    candidates: Float[np.ndarray, "K U"]
    losses: Float[np.ndarray, "K N"]

    @property
    def loss(self) -> float:
        """Mean over the experiments at the best values."""
        return float(self.losses.mean(1).min())

    def bootstrap(self, *, count: int = 400, seed: int = 0) -> Float[np.ndarray, "count U"]:
        """The best candidate of each of `count` resamplings of the experiments (Efron 1979).

        Nothing is simulated anew, so the spread is a little too narrow where candidates are few.
        """
        generator = np.random.default_rng(seed)
        n = self.losses.shape[1]
        picks = generator.multinomial(n, np.full(n, 1 / n), size=count)
        best: Float[np.ndarray, "count U"] = self.candidates[(self.losses @ picks.T).argmin(0)]
        return best

    def interval(self, path: str, *, level: float = 0.95) -> tuple[float, float]:
        """The central interval of one value in the bootstrap.

        Raises:
            ValueError: no such unknown.
        """
        paths = [u.path for u in self.unknowns]
        if path not in paths:
            raise ValueError(f"path got {path!r}; expected one of {', '.join(paths)}.")
        values = self.bootstrap()[:, paths.index(path)]
        low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)

    def table(self) -> str:
        """Values and 95 % intervals as Markdown."""
        lines = ["| unknown | value | 95 % interval |", "|---|---|---|"]
        for u, value in zip(self.unknowns, self.values):
            low, high = self.interval(u.path)
            lines.append(f"| {u.path} | {value:.4g} | {low:.4g} to {high:.4g} |")
        return "\n".join(lines)


def search(
    losses: Losses,
    unknowns: Sequence[Unknown],
    start: Float[np.ndarray, " U"],
    *,
    evaluations: int = 1000,
    spread: float = 0.15,
    seed: int = 1,
    progress: Callable[[int, float], None] | None = None,
) -> Searched:
    """The values within the bounds whose mean loss is least.

    Args:
        losses: of values, one loss for each experiment.
        start: where to begin.
        evaluations: candidates tried.
        spread: of the first candidates, as a share of the bounds' distance.
        progress: told the candidates so far and the best mean loss.

    Raises:
        ImportError: the package cma is missing.

    >>> unknowns = [Unknown("x", -1.0, 2.0), Unknown("y", 0.0, 4.0)]
    >>> bowl = lambda v: np.array([(v[0] - 0.5) ** 2 + (v[1] - 3) ** 2])
    >>> search(bowl, unknowns, np.array([0.0, 1.0]), evaluations=300).values.round(2).tolist()
    [0.5, 3.0]
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It wants to plot, which nobody asked for.
        try:
            import cma
        except ModuleNotFoundError as error:
            raise ImportError("search got no package cma; expected it. Run: pip install cma") from error  # fmt: skip
    low = np.array([u.low for u in unknowns])
    width = np.array([u.high for u in unknowns]) - low
    options = {
        "seed": seed, "bounds": [0.0, 1.0], "maxfevals": evaluations, "verbose": -9,
        "popsize": 4 + int(4 * np.log(len(unknowns))),
        # cma 4.5 cannot keep a single unknown's spread under a limit.
        "maxstd": np.inf if len(unknowns) == 1 else None,
    }  # fmt: skip
    first = np.clip((start - low) / width, 0.001, 0.999)
    strategy: Any = cma.CMAEvolutionStrategy(first, spread, options)
    kept: list[tuple[np.ndarray, np.ndarray]] = [(low + width * first, losses(low + width * first))]
    best = kept[0][1].mean()
    while not strategy.stop():
        asked = strategy.ask()
        values = [low + width * np.asarray(x) for x in asked]
        found = [losses(v) for v in values]
        kept += list(zip(values, found))
        means = [float(f.mean()) for f in found]
        strategy.tell(asked, means)
        best = min(best, *means)
        if progress is not None:
            progress(len(kept), float(best))
    candidates, table = np.array([k[0] for k in kept]), np.array([k[1] for k in kept])
    return Searched(tuple(unknowns), candidates[table.mean(1).argmin()], candidates, table)


def identify_by_search(
    experiments: Sequence[Experiment],
    unknowns: Sequence[Unknown],
    *,
    engine: Engine | None = None,
    evaluations: int = 400,
    spread: float = 0.15,
    seed: int = 1,
    progress: Callable[[int, float], None] | None = None,
) -> Searched:
    """As `identify`, by CMA-ES over the mean distance instead of the mean square.

    An experiment's loss is the mean over what was seen of distance / `position_noise` + angle /
    `angle_noise`; distances do not let the few experiments that go another way decide everything.
    """
    engine = engine or make_engine()
    paths = [u.path for u in unknowns]

    def losses(values: np.ndarray) -> np.ndarray:
        named = dict(zip(paths, values.tolist()))
        return np.array([_loss(e, named, engine) for e in experiments])

    start = guesses(experiments[0].scene, unknowns, engine)
    return search(
        losses, unknowns, start, evaluations=evaluations, spread=spread, seed=seed, progress=progress
    )  # fmt: skip


def _loss(experiment: Experiment, named: dict[str, float], engine: Any) -> float:
    try:
        trajectory = engine.run(write(experiment.scene, named, engine), check=False)
    except SimulationError:
        return FAILED
    parts = []
    for track in experiment.tracks:
        rows = track.residuals(trajectory)[track.seen]
        distance = np.linalg.norm(rows[:, :3], axis=1)
        parts.append(float((distance + np.linalg.norm(rows[:, 3:], axis=1)).mean()))
    return float(np.mean(parts))
