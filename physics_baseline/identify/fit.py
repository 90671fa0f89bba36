"""Least squares over simulations: values, and how uncertain they are (Laplace and profile likelihood).

Residuals are simulated less seen, in standard deviations of the tracks; priors are one residual each.
Steps are the trust-region reflective ones of scipy (Branch, Coleman and Li 1999) within the bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import least_squares
from scipy.special import chdtri, ndtri  # scipy.stats takes half a second to import

from clay4d.physics_baseline.engines import Engine, SimulationError, make_engine
from clay4d.physics_baseline.identify.tracks import Track
from clay4d.physics_baseline.identify.unknowns import Unknown, guesses, write
from clay4d.physics_baseline.spec import SceneSpec

STEP = 1e-4
"""Of finite differences, as a share of the bounds' distance."""
FAILED = 1e4
"""Residual of a simulation that blew up, standard deviations."""


@dataclass(frozen=True)
class Experiment:
    """A scene and what was seen of it; the scene must last as long as its tracks.

    Raises:
        ValueError: no tracks, a track of no body, or one that is longer than the scene.
    """

    scene: SceneSpec
    tracks: tuple[Track, ...]

    def __post_init__(self) -> None:
        if not self.tracks:
            raise ValueError("tracks got none; expected at least one.")
        last = self.scene.times[-1]
        for track in self.tracks:
            self.scene.body(track.body)
            if track.times[-1] > last + 1e-6:
                raise ValueError(
                    f"track of {track.body} got moments up to {track.times[-1]:.4g} s; expected at "
                    f"most the scene's last frame, {last:.4g} s. Lengthen its duration."
                )


@dataclass(frozen=True)
class Identified:
    """What was found: U values with a joint normal distribution around them."""

    unknowns: tuple[Unknown, ...]
    values: Float[np.ndarray, " U"]
    """In the units of their fields."""
    covariance: Float[np.ndarray, "U U"]
    rms: float
    """Of the residuals, in the tracks' standard deviations: 1 where these were right."""
    at_bound: Bool[np.ndarray, " U"]
    """Which values ended on a bound, so that their uncertainty is only a guess."""

    @property
    def deviations(self) -> Float[np.ndarray, " U"]:
        """Standard deviation of each value."""
        return np.sqrt(np.diag(self.covariance))

    def interval(self, path: str, *, level: float = 0.95) -> tuple[float, float]:
        """The central interval of one value by its normal distribution, cut at the bounds."""
        k = self.index(path)
        reach = float(ndtri(0.5 + level / 2) * self.deviations[k])
        u = self.unknowns[k]
        return max(u.low, self.values[k] - reach), min(u.high, self.values[k] + reach)

    def index(self, path: str) -> int:
        """Which of the U unknowns has this path.

        Raises:
            ValueError: none has.
        """
        paths = [u.path for u in self.unknowns]
        if path not in paths:
            raise ValueError(f"path got {path!r}; expected one of {', '.join(paths)}.")
        return paths.index(path)

    def apply(self, scene: SceneSpec, engine: Any = None) -> SceneSpec:
        """The scene with the values found."""
        return write(scene, dict(zip([u.path for u in self.unknowns], self.values)), engine)

    def draw(self, count: int, *, seed: int = 0) -> Float[np.ndarray, "count U"]:
        """Values drawn from the distribution, moved to the bounds where they lie outside."""
        generator = np.random.default_rng(seed)
        drawn = generator.multivariate_normal(
            self.values, self.covariance, size=count, method="eigh"
        )
        return np.clip(drawn, [u.low for u in self.unknowns], [u.high for u in self.unknowns])

    def table(self) -> str:
        """Values and 95 % intervals as Markdown."""
        lines = ["| unknown | value | deviation | 95 % interval |", "|---|---|---|---|"]
        for k, u in enumerate(self.unknowns):
            low, high = self.interval(u.path)
            note = " (at its bound)" if self.at_bound[k] else ""
            lines.append(
                f"| {u.path} | {self.values[k]:.5g}{note} | {self.deviations[k]:.2g} | {low:.5g} to {high:.5g} |"
            )
        return "\n".join(lines)


def identify(
    experiments: Sequence[Experiment],
    unknowns: Sequence[Unknown],
    *,
    engine: Engine | None = None,
    rounds: int = 40,
    tolerance: float = 1e-9,
    progress: Callable[[int], None] | None = None,
) -> Identified:
    """Find the unknowns that all experiments share, by least squares.

    The covariance is Laplace's: the inverse of JᵀJ, plus the bounds' own variance (that of an even
    distribution between them) as a prior, times the mean square of the residuals where this is above 1.

    Args:
        engine: which simulates; None: MuJoCo.
        rounds: evaluations at most, not counting those of the derivatives.
        tolerance: relative change of squares or unknowns below which the search ends.
        progress: told the number of simulations done, now and then.

    Raises:
        ValueError: nothing to find, or fewer numbers seen than unknowns.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> scene = SceneSpec(bodies=(Sphere(name="a", position=(0, 0, 1)),), floor=None, duration=0.2)
    >>> t = np.arange(4) / 24
    >>> fall = np.stack([0 * t, 0 * t, 1 - 0.5 * 3.7 * t**2], 1)
    >>> g = Unknown("fields.gravity.acceleration.2", -20, 0)
    >>> identify([Experiment(scene, (Track("a", t, fall),))], [g]).values.round(3).tolist()
    [-3.7]
    """
    problem = _Problem(experiments, unknowns, engine or make_engine(), progress)
    return problem.solve(rounds, tolerance)


def profile_interval(
    found: Identified,
    experiments: Sequence[Experiment],
    path: str,
    *,
    level: float = 0.95,
    engine: Engine | None = None,
) -> tuple[float, float]:
    """The interval of one value by profile likelihood: all others are fitted anew at each trial.

    It ends where the sum of squares has risen by χ²₁'s quantile (Wilks 1938), within 5 %, or at a
    bound. It costs some ten fits; unlike `Identified.interval` it may be lopsided.

    Raises:
        ValueError: no such unknown, or one of the engine's.
    """
    k = found.index(path)
    if path.startswith("engine."):
        raise ValueError(f"path got {path}; expected a number of the scene.")
    engine = engine or make_engine()
    others = [u for u in found.unknowns if u.path != path]
    start = np.delete(found.values, k)
    scale = max(1.0, found.rms) ** 2
    base = _Problem(experiments, found.unknowns, engine, None).squares(found.values)
    target = float(chdtri(1, 1 - level))

    def rise(value: float) -> float:
        moved = [replace(e, scene=write(e.scene, {path: value})) for e in experiments]
        problem = _Problem(moved, others, engine, None)
        u = found.unknowns[k]
        own = 0.0 if u.prior is None else ((value - u.prior[0]) / u.prior[1]) ** 2
        if not others:
            return (problem.squares(start) + own - base) / scale
        return (problem.minimum(start, 15) + own - base) / scale

    ends = []
    for sign, bound in ((-1, found.unknowns[k].low), (1, found.unknowns[k].high)):
        reach = float(np.sqrt(target) * found.deviations[k])
        limit = abs(bound - found.values[k])
        for _ in range(6):
            reach = min(reach, limit)
            risen = rise(float(found.values[k] + sign * reach))
            if abs(risen / target - 1) < 0.05 or (reach == limit and risen < target):
                break
            reach *= float(np.clip(np.sqrt(target / max(risen, 1e-9)), 0.3, 3.0))
        ends.append(float(found.values[k] + sign * min(reach, limit)))
    return ends[0], ends[1]


class _Problem:
    """Residuals and their derivatives over unknowns scaled to 0…1 between their bounds."""

    def __init__(
        self, experiments: Sequence[Experiment], unknowns: Sequence[Unknown], engine: Any, progress: Any
    ) -> None:  # fmt: skip
        self.experiments, self.unknowns = list(experiments), tuple(unknowns)
        self.engine, self.progress, self.runs = engine, progress, 0
        self.low = np.array([u.low for u in unknowns])
        self.range = np.array([u.high for u in unknowns]) - self.low
        if not self.experiments:
            raise ValueError("experiments got none; expected at least one.")
        self.seen = int(
            sum(t.seen.sum() * (3 if t.quats is None else 6) for e in experiments for t in e.tracks)
        )

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Of all tracks, then of the priors."""
        values = self.low + self.range * x
        named = dict(zip([u.path for u in self.unknowns], values.tolist()))
        out = [self._of(e, named) for e in self.experiments]
        out.append(
            np.array([(v - u.prior[0]) / u.prior[1] for u, v in zip(self.unknowns, values) if u.prior])
        )  # fmt: skip
        return np.concatenate(out)

    def _of(self, experiment: Experiment, named: dict[str, float]) -> np.ndarray:
        self.runs += 1
        if self.progress is not None and self.runs % 20 == 0:
            self.progress(self.runs)
        try:
            scene = write(experiment.scene, named, self.engine)
            trajectory = self.engine.run(scene, check=False)
        except SimulationError:
            size = sum(len(t.times) * (3 if t.quats is None else 6) for t in experiment.tracks)
            return np.full(size, FAILED)
        return np.concatenate([t.residuals(trajectory).ravel() for t in experiment.tracks])

    def derivatives(self, x: np.ndarray, *, central: bool = False) -> np.ndarray:
        """Finite differences inside the bounds."""
        here = None if central else self.residuals(x)
        columns = []
        for k in range(len(x)):
            up, down = x.copy(), x.copy()
            up[k] = min(1.0, x[k] + STEP)
            down[k] = max(0.0, x[k] - STEP) if central or up[k] == x[k] else x[k]
            low = here if here is not None and down[k] == x[k] else self.residuals(down)
            columns.append((self.residuals(up) - low) / (up[k] - down[k]))
        return np.stack(columns, 1)

    def squares(self, values: np.ndarray) -> float:
        """The sum of squares at some values."""
        return float((self.residuals((values - self.low) / self.range) ** 2).sum())

    def _fit(self, start: np.ndarray, rounds: int, tolerance: float = 1e-9) -> Any:
        x = np.clip((start - self.low) / self.range, 1e-6, 1 - 1e-6)
        return least_squares(
            self.residuals, x, jac=self.derivatives, bounds=(0.0, 1.0), x_scale="jac",
            max_nfev=rounds, xtol=tolerance, ftol=tolerance, gtol=tolerance,
        )  # fmt: skip

    def minimum(self, start: np.ndarray, rounds: int) -> float:
        """The least sum of squares that a search from `start` finds."""
        return 2 * float(self._fit(start, rounds).cost)

    def solve(self, rounds: int, tolerance: float = 1e-9) -> Identified:
        n = len(self.unknowns)
        if n == 0 or self.seen + sum(u.prior is not None for u in self.unknowns) < n:
            raise ValueError(
                f"unknowns got {n}, with {self.seen} numbers seen; expected 1 to as many as those. "
                "See more, or fix some unknowns."
            )
        fitted = self._fit(
            guesses(self.experiments[0].scene, self.unknowns, self.engine), rounds, tolerance
        )
        J = self.derivatives(fitted.x, central=True)
        rest = fitted.fun[: len(fitted.fun) - sum(u.prior is not None for u in self.unknowns)]
        rms = float(np.sqrt((rest**2).sum() / max(self.seen - n, 1)))
        # 1/12 is the variance of an even distribution over the scaled bounds.
        information = J.T @ J / max(1.0, rms) ** 2 + 12 * np.eye(n)
        covariance = np.linalg.inv(information) * np.outer(self.range, self.range)
        edge = (fitted.x < 1e-4) | (fitted.x > 1 - 1e-4)
        return Identified(
            self.unknowns, self.low + self.range * fitted.x, covariance, rms, edge
        )  # fmt: skip
