"""Models of the cube tosses, fitted to those for fitting and judged on those held out.

`python -m clay4d.physics_baseline.identify.toss_models FOLDER --out OUT` fits everything, prints the
table of docs/identification.md and draws its plot; about ten minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines import make_engine
from clay4d.physics_baseline.engines.mujoco_engine import MujocoEngine
from clay4d.physics_baseline.identify.fit import Experiment
from clay4d.physics_baseline.identify.plots import chart
from clay4d.physics_baseline.identify.search import Searched, identify_by_search, search
from clay4d.physics_baseline.identify.smooth_contact import SmoothContact, roll_out
from clay4d.physics_baseline.identify.tosses import (
    ANGLE_NOISE,
    WIDTH_NOISE,
    Tosses,
    load_tosses,
    toss_experiments,
)
from clay4d.physics_baseline.identify.tracks import rotation_between
from clay4d.physics_baseline.identify.unknowns import Unknown, write
from clay4d.physics_baseline.spec import Material

MODELS = ["mujoco", "bullet", "smooth"]
HEAD = "| model | position, % of the width | rotation, ° | median % | median ° |\n|---|---|---|---|---|"
BOTH = "bodies.cube.material.{0}+floor.material.{0}"
SHELL = 1.196
"""Inertia of the data's experiment.json over the even solid's."""
MASS_CENTRE = [Unknown(f"bodies.cube.mass_centre.{k}", -0.01, 0.01) for k in range(3)]
ENGINE_UNKNOWNS = [
    Unknown(BOTH.format("friction"), 0.1, 0.3, 0.18),
    Unknown(BOTH.format("restitution"), 0.02, 0.6, 0.2),
    Unknown("bodies.cube.inertia_factor", 1.0, 2.2, 1.667),
    Unknown("fields.gravity.acceleration.2", -10.2, -9.2, -9.7),
    Unknown("floor.height", -0.003, 0.003),
    *MASS_CENTRE,
]
CONTACT_RATE = Unknown("engine.contact_rate", 60.0, 236.0, 180.0)
SMOOTH_UNKNOWNS = [
    Unknown("friction", 0.1, 0.3, 0.18),
    Unknown("rate", 100.0, 450.0, 230.0),
    Unknown("damping", 0.1, 1.2, 0.5),
    Unknown("slip", 0.001, 0.04, 0.01),
    Unknown("gravity.0", -0.05, 0.05, 0.0),
    Unknown("gravity.1", -0.05, 0.05, 0.0),
    Unknown("gravity.2", -10.2, -9.2, -9.7),
    Unknown("floor", -0.005, 0.005, 0.0),
    Unknown("size", 0.95, 1.03, 1.0),
    Unknown("gyration", 0.0018, 0.0042, 0.003),
    *[Unknown(f"mass_centre.{k}", -0.01, 0.01, 0.0) for k in range(3)],
]


@dataclass(frozen=True)
class Row:
    """One model's errors on N tosses."""

    name: str
    errors: Float[np.ndarray, "N 2"]
    """Per cent of the width and degrees."""

    def interval(self, *, count: int = 2000, seed: int = 0) -> Float[np.ndarray, "2 2"]:
        """95 % bootstrap interval of both means: lower ends, upper ends."""
        picks = np.random.default_rng(seed).integers(0, len(self.errors), (count, len(self.errors)))
        ends: Float[np.ndarray, "2 2"] = np.quantile(self.errors[picks].mean(1), [0.025, 0.975], 0)
        return ends

    def line(self) -> str:
        """As a line of the table."""
        (a, b), (c, d) = self.interval()
        (p, r), (mp, mr) = self.errors.mean(0), np.median(self.errors, 0)
        return f"| {self.name} | {p:.1f} ({a:.1f}–{c:.1f}) | {r:.1f} ({b:.1f}–{d:.1f}) | {mp:.1f} | {mr:.1f} |"


def smooth_of(values: Sequence[float], names: Sequence[str] | None = None) -> tuple[Any, float]:
    """A `SmoothContact` of values in the order of `SMOOTH_UNKNOWNS` (or of `names`), and the size."""
    fields: dict[str, Any] = {"gravity": [0.0, 0.0, -9.81], "mass_centre": [0.0, 0.0, 0.0]}
    size = 1.0
    for path, value in zip(names or [u.path for u in SMOOTH_UNKNOWNS], values):
        name, _, k = path.partition(".")
        if name == "size":
            size = float(value)
        elif k:
            fields[name][int(k)] = float(value)
        else:
            fields[name] = float(value)
    whole: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return SmoothContact(**whole), size


def smooth_poses(tosses: Tosses, model: tuple[Any, float], starts: Any = None) -> Any:
    """Poses that a smooth model predicts, from the first frames or other `starts`."""
    contact, size = model
    starts = tosses.starts(-contact.gravity[2]) if starts is None else starts
    return roll_out(contact, tosses.corners() * size, starts, tosses.lengths, tosses.dt)


def fit_smooth(
    tosses: Tosses, unknowns: Sequence[Unknown], *, evaluations: int, seed: int = 1, progress: Any = None
) -> Searched:  # fmt: skip
    """Fit `SmoothContact` by CMA-ES over the mean distance and angle of all tosses."""
    names = [u.path for u in unknowns]

    def losses(values: np.ndarray) -> np.ndarray:
        errors = tosses.errors(smooth_poses(tosses, smooth_of(values.tolist(), names)))
        bad = ~np.isfinite(errors)
        errors[bad] = 1e4
        loss: np.ndarray = errors @ [0.01 / WIDTH_NOISE, np.radians(1) / ANGLE_NOISE]
        return loss

    start = np.array([u.guess for u in unknowns], float)
    return search(
        losses, unknowns, start, evaluations=evaluations, seed=seed, progress=progress
    )  # fmt: skip


def typical(
    tosses: Tosses, found: Searched, *, jitter: float, draws: int = 24, seed: int = 0
) -> Float[np.ndarray, "F 7"]:
    """For each toss the one of many possible motions that is nearest to all the others (the medoid).

    The motions differ in their values, drawn from the bootstrap, and in their starts: by 0.1 mm, 2 mrad,
    5 mm/s and 0.05 rad/s, each times `jitter`. Where motions part ways this takes the commoner way.
    """
    generator = np.random.default_rng(seed)
    names = [u.path for u in found.unknowns]
    values = [found.values, *found.bootstrap(count=draws - 1, seed=seed)]
    motions = []
    for k, value in enumerate(values):
        model = smooth_of(value.tolist(), names)
        starts = tosses.starts(-model[0].gravity[2])
        shake = generator.normal(size=(len(starts), 13)) * jitter * (k > 0)
        scales = np.repeat([1e-4, 1e-3, 5e-3, 0.05], [3, 4, 3, 3])
        motions.append(smooth_poses(tosses, model, starts + shake * scales))
    stack = np.stack(motions)
    total = np.zeros((draws, len(tosses)))
    firsts = np.cumsum(tosses.lengths) - tosses.lengths
    for a in range(draws):
        for b in range(a):
            far = np.linalg.norm(stack[a, :, :3] - stack[b, :, :3], axis=1)
            far = far / (WIDTH_NOISE * tosses.width)
            turn = rotation_between(stack[a, :, 3:], stack[b, :, 3:])
            far += np.linalg.norm(turn, axis=1) / ANGLE_NOISE
            means = np.add.reduceat(far, firsts) / tosses.lengths
            total[a] += means
            total[b] += means
    chosen = np.repeat(total.argmin(0), tosses.lengths)
    poses: Float[np.ndarray, "F 7"] = stack[chosen, np.arange(len(chosen))]
    return poses


def engine_errors(
    engine: Any, experiments: Sequence[Experiment], tosses: Tosses, values: dict[str, float]
) -> Float[np.ndarray, "N 2"]:
    """Errors of an engine whose scenes have some values changed."""
    poses = []
    for experiment in experiments:
        t = engine.run(write(experiment.scene, values, engine), check=False)
        poses.append(np.concatenate([t.positions[:, 0], t.quats[:, 0]], 1))
    return tosses.errors(np.concatenate(poses))


def _engine(name: str, tosses: Tosses) -> Any:
    """Steps of 0.84 ms for MuJoCo's soft contacts; Bullet's impulses need no more than 1.7 ms."""
    step = tosses.dt / (8 if name == "mujoco" else 4)
    if name == "mujoco":
        return MujocoEngine(step=step, contact_rate=0.2 / step)
    return make_engine(name, step=step)


def _say(count: int, best: float) -> None:
    print(f"\r{count} candidates, loss {best:.4f}", end="", file=sys.stderr, flush=True)


def engine_rows(
    name: str, fitting: Tosses, held: Tosses, *, some: int, evaluations: int
) -> tuple[list[Row], dict[str, Any]]:
    """An engine untouched and fitted to `some` of the tosses for fitting; and the values found."""
    engine = _engine(name, fitting)
    label = {"mujoco": "MuJoCo", "bullet": "PyBullet"}[name]
    untouched = toss_experiments(held, inertia_factor=SHELL)
    rows = [Row(f"{label}, untouched", engine_errors(engine, untouched, held, {}))]
    few = fitting.choose(np.linspace(0, len(fitting) - 1, some).round().astype(int))
    soft = Material(friction=0.18, restitution=0.2)
    flown = dict(zip([u.path for u in MASS_CENTRE], fitting.flight()[0].tolist()))
    unknowns = [
        replace(u, guess=flown.get(u.path, u.guess))
        for u in [*ENGINE_UNKNOWNS, *([CONTACT_RATE] if name == "mujoco" else [])]
    ]
    found = identify_by_search(
        toss_experiments(few, material=soft, inertia_factor=5 / 3, g=9.7), unknowns, engine=engine,
        evaluations=evaluations, progress=_say,
    )  # fmt: skip
    values = dict(zip([u.path for u in unknowns], found.values.tolist()))
    scenes = toss_experiments(held, material=soft, g=-values["fields.gravity.acceleration.2"])
    errors = engine_errors(engine, scenes, held, values)
    rows.append(Row(f"{label}, fitted", errors))
    print(f"\n{label}\n\n{found.table()}\n", flush=True)
    return rows, values


def smooth_rows(fitting: Tosses, held: Tosses, *, evaluations: int) -> tuple[list[Row], dict[str, Any]]:  # fmt: skip
    """The smooth model untouched, fitted without and with a shifted centre of mass, and more."""
    shell = SHELL * fitting.width**2 / 6
    untouched = smooth_of([0.18, shell], ["friction", "gyration"])
    rows = [Row("smooth contact, untouched", held.errors(smooth_poses(held, untouched)))]
    centred = SMOOTH_UNKNOWNS[:-3]
    plain = fit_smooth(fitting, centred, evaluations=evaluations // 2, progress=_say)
    model = smooth_of(plain.values.tolist(), [u.path for u in centred])
    rows.append(
        Row("smooth contact, fitted, mass centred", held.errors(smooth_poses(held, model)))
    )  # fmt: skip
    found = fit_smooth(fitting, SMOOTH_UNKNOWNS, evaluations=evaluations, progress=_say)
    model = smooth_of(found.values.tolist())
    rows.append(Row("smooth contact, fitted", held.errors(smooth_poses(held, model))))
    scores = {
        j: float((fitting.errors(typical(fitting, found, jitter=j)) / [12, 16]).mean()) for j in (1.0, 2.0, 4.0)
    }  # fmt: skip
    jitter = min(scores, key=lambda j: scores[j])
    poses = typical(held, found, jitter=jitter)
    rows.append(Row("smooth contact, most typical of 24", held.errors(poses)))
    starts = held.smoothed_starts(
        6, np.array(model[0].gravity), np.array(model[0].mass_centre)
    )  # fmt: skip
    poses = smooth_poses(held, model, starts)
    rows.append(Row("smooth contact, start from 6 frames", held.errors(poses)))
    print(f"\nsmooth contact\n\n{found.table()}\n\njitter {jitter}, of {scores}\n", flush=True)
    own = fitting.errors(smooth_poses(fitting, model)).mean(0)
    print(f"on the tosses for fitting: {own[0]:.1f} %, {own[1]:.1f} degrees\n", flush=True)
    return rows, dict(zip([u.path for u in SMOOTH_UNKNOWNS], found.values.tolist()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="with tosses.npz")
    parser.add_argument("--out", type=Path, default=Path("runs/tosses"))
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--smooth-evaluations", type=int, default=2500)
    parser.add_argument("--engine-evaluations", type=int, default=300)
    parser.add_argument("--engine-tosses", type=int, default=30)
    given = parser.parse_args(arguments)
    fitting, held = load_tosses(given.folder).split()
    flown, off = fitting.flight()
    print(f"free flight alone: centre of mass {flown[:3] * 1e3} ± {off[:3] * 1e3} mm, gravity {flown[3]:.3f} ± {off[3]:.3f} m/s²", flush=True)  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.models:
        if name == "smooth":
            rows, found = smooth_rows(fitting, held, evaluations=given.smooth_evaluations)
        else:
            rows, found = engine_rows(
                name, fitting, held, some=given.engine_tosses, evaluations=given.engine_evaluations
            )  # fmt: skip
        errors = {r.name: r.errors.round(4).tolist() for r in rows}
        text = json.dumps({"values": found, "errors": errors})
        (given.out / f"{name}.json").write_text(text, encoding="utf-8")
    files = [given.out / f"{name}.json" for name in MODELS]
    errors = {}
    for file in files:  # Those of earlier runs too.
        if file.is_file():
            errors |= json.loads(file.read_text(encoding="utf-8"))["errors"]
    rows = [Row(name, np.array(e)) for name, e in errors.items()]
    print(HEAD + "\n" + "\n".join(r.line() for r in rows))
    draw(given.out / "tosses.png", rows)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """How many of the tosses held out each model predicts within an error of place."""
    lines = {}
    for row in rows:
        errors = np.sort(row.errors[:, 0])
        lines[row.name] = errors, 100 * (np.arange(len(errors)) + 1) / len(errors)
    chart(
        path, lines, title="Cube tosses held out: how many are predicted how well",
        across="mean error of place, % of the cube's width", up="% of tosses", ends=(0, 40, 0, 100), legend="right bottom",
    )  # fmt: skip


if __name__ == "__main__":
    main()
