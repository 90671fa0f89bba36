"""Fits the engine's learned residual: `python -m clay4d.benchmark.residual_fit WORLDS --out FILE`.

It reads the set's `train` worlds and no others. What the two simulations of a world gave is kept under
--work, so that a stopped run goes on. An error counts by its length and not its square, as in the
benchmark: ridge regressions are repeated, each row weighted by one over its last error (iteratively
reweighted least squares). The penalty is the one that errs least on worlds that the fit did not see, five
parts of the training worlds in turn.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from clay4d.benchmark.estimate import Estimate, estimate
from clay4d.benchmark.observation import Observation, Thing, observe_world
from clay4d.benchmark.residual import (
    WEIGHTS,
    Clues,
    Law,
    Runs,
    clues_of,
    low_of,
    powers,
    write_law,
)
from clay4d.benchmark.suites import SuiteConfig
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.world_model.worlds import World, WorldSet, open_worlds

KEPT = "clay4d-residual-world-1"
SEEN = SuiteConfig().seen
EVERY = 2
"""Of the later frames, every so manyth is learned from: neighbours say much the same."""
PENALTIES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Of a squared number, in mean squared rows of its column."""
PARTS = 5
ROUNDS = 6
"""Of reweighting."""
LEAST = 0.03
"""Metres: smaller errors weigh no more than this one."""


@dataclass(frozen=True)
class Table:
    """Rows of the regression: R things at moments."""

    design: Float[np.ndarray, "R 3 J"]
    off: Float[np.ndarray, "R 3"]
    """Truth less nominal engine, metres."""
    height: Float[np.ndarray, " R"]
    """Of the nominal engine's centre, metres."""
    low: Float[np.ndarray, " R"]
    """Of a centre on the floor."""
    share: Float[np.ndarray, " R"]
    """Of the row in its world's mean error."""
    world: Int[np.ndarray, " R"]
    """Number of its world."""

    def of(self, rows: np.ndarray) -> Table:
        """Some of the rows."""
        return Table(*(v[rows] for v in vars(self).values()))

    def errors(self, weights: Float[np.ndarray, " J"]) -> Float[np.ndarray, " R"]:
        """Metres that are left with these numbers; nothing is put into the floor."""
        moved = self.design @ weights
        least = np.minimum(self.height, self.low) - self.height
        moved[:, 2] = np.maximum(moved[:, 2], least)
        left: Float[np.ndarray, " R"] = np.linalg.norm(self.off - moved, axis=1)
        return left

    def mean_error(self, weights: Float[np.ndarray, " J"]) -> float:
        """Metres, the mean over worlds as in the benchmark."""
        return float((self.share * self.errors(weights)).sum() / self.share.sum())


@dataclass(frozen=True)
class Example:
    """A training world as the fit needs it."""

    name: str
    things: tuple[Thing, ...]
    which: tuple[int, ...]
    clues: Clues
    plain: Float[np.ndarray, "T B 3"]
    truth: Float[np.ndarray, "T B 3"]


def examples(folder: str | Path, work: str | Path, count: int) -> list[Example]:
    """The first `count` worlds of the split `train`; what is kept under `work` is not made again.

    Raises:
        FileNotFoundError, ValueError: no worlds, or a damaged set.
    """
    worlds, work, runs = open_worlds(folder, split="train"), Path(work), Runs()
    work.mkdir(parents=True, exist_ok=True)
    return [_example(worlds, k, work, runs) for k in range(min(count, len(worlds)))]


def _example(worlds: WorldSet, k: int, work: Path, runs: Runs) -> Example:
    words = worlds.words(k)
    if words["split"] != "train":
        raise ValueError(f"world {words['name']} got split {words['split']}; expected train.")
    place = work / f"{words['name']}.safetensors"
    kept, header = read_tensors(place) if place.is_file() else ({}, {})
    if header.get("format") != KEPT or header.get("prompt") != words["prompt"]:
        kept = _measured(worlds.read(k), runs)
        write_tensors(place, kept, {"format": KEPT, "prompt": words["prompt"]})
    seen = {n: v.numpy() for n, v in kept.items()}
    things = tuple(
        Thing(o["name"], o["shape"], tuple(o["size"]), o["material"], o["role"] == "mover")
        for o in words["objects"]
    )
    clock = seen["times"]
    observation = Observation(things, clock[:SEEN], positions=seen["positions"])
    found = Estimate(clock[:SEEN], seen["positions"], seen["quats"], False, observation.noise)
    which, clues = clues_of(observation, found, seen["plain"], seen["early"], clock[SEEN:])
    return Example(words["name"], things, tuple(which), clues, seen["plain"], seen["truth"])


def _measured(world: World, runs: Runs) -> dict[str, torch.Tensor]:
    """What is estimated and simulated of one world, and the truth to learn from."""
    observation = observe_world(world, frames=SEEN)
    found, later = estimate(observation), world.times[SEEN:]
    plain, early = runs.of(observation, found, later)
    kept = {
        "positions": found.positions, "quats": found.quats, "plain": plain.positions, "early": early,
        "truth": world.tracks.positions[SEEN:], "times": world.times,
    }  # fmt: skip
    return {n: torch.from_numpy(np.array(v)) for n, v in kept.items()}


def limits_of(found: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most of each gate in training."""
    gates = np.concatenate([e.clues.gates.reshape(-1, e.clues.gates.shape[-1]) for e in found])
    return gates.min(0), gates.max(0)


def table_of(found: Sequence[Example], low: np.ndarray, high: np.ndarray) -> Table:
    """The regression's rows, of every second later frame."""
    parts: list[tuple[np.ndarray, ...]] = []
    for number, e in enumerate(found):
        if not e.which:
            continue
        chosen = slice(EVERY - 1, None, EVERY)
        gates = np.clip(e.clues.gates[:, chosen], low, high)
        clock, vectors = powers(e.clues.ahead[chosen]), e.clues.vectors[:, chosen]
        design = np.einsum("nts,tp,ntvk->ntkspv", gates, clock, vectors)
        rows = design.shape[0] * design.shape[1]
        plain = e.plain[chosen][:, e.which].transpose(1, 0, 2).reshape(rows, 3)
        truth = e.truth[chosen][:, e.which].transpose(1, 0, 2).reshape(rows, 3)
        lows = np.repeat([low_of(e.things[b]) for b in e.which], design.shape[1])
        parts.append(
            (design.reshape(rows, 3, -1), truth - plain, plain[:, 2], lows, np.full(rows, 1 / rows), np.full(rows, number))
        )  # fmt: skip
    return Table(*(np.concatenate(column) for column in zip(*parts)))


def solve(table: Table, penalties: Sequence[float], *, rounds: int = ROUNDS) -> list[np.ndarray]:
    """The numbers for each penalty; the rows' weights are those of the middle one."""
    count = table.design.shape[2]
    scale = np.sqrt((table.design**2).mean((0, 1))) + 1e-9
    X = table.design.reshape(-1, count) / scale
    y = table.off.reshape(-1)
    middle = penalties[len(penalties) // 2]
    weights = np.zeros(count)
    for _ in range(rounds):
        row = table.share / np.maximum(table.errors(weights), LEAST)
        each = np.repeat(row / row.mean(), 3)
        Xw = X * each[:, None]
        gram, right = Xw.T @ X / len(y), Xw.T @ y / len(y)
        weights = np.linalg.solve(gram + middle * np.eye(count), right) / scale
    return [np.linalg.solve(gram + p * np.eye(count), right) / scale for p in penalties]


def cross_validated(table: Table, penalties: Sequence[float] = PENALTIES) -> list[float]:
    """For each penalty the mean error on worlds that were held out, metres."""
    sums, total = np.zeros(len(penalties)), 0.0
    for part in range(PARTS):
        held = table.world % PARTS == part
        found, rest = solve(table.of(~held), penalties, rounds=ROUNDS // 2), table.of(held)
        share = float(rest.share.sum())
        sums += share * np.array([rest.mean_error(w) for w in found])
        total += share
    return [float(v) for v in sums / total]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the law on training worlds and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", type=Path, help="folder of make-worlds")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the safetensors file")
    parser.add_argument(
        "--work", type=Path, required=True, help="where worlds' simulations are kept"
    )
    parser.add_argument("--count", type=int, default=1000, help="train worlds, the first ones")
    given = parser.parse_args(arguments)
    found = examples(given.worlds, given.work, given.count)
    low, high = limits_of(found)
    table = table_of(found, low, high)
    errors = cross_validated(table)
    plain = table.mean_error(np.zeros(table.design.shape[2]))
    print(f"{len(found)} train worlds; nominal engine {plain:.4f} m")
    for penalty, error in zip(PENALTIES, errors):
        print(f"penalty {penalty:g}: {error:.4f} m on worlds held out")
    best = PENALTIES[int(np.argmin(errors))]
    shape = found[0].clues.gates.shape[-1], powers(np.zeros(1)).shape[1], -1
    law = Law(solve(table, [best])[0].reshape(shape), low, high)
    names = [e.name for e in found]
    notes = {
        "split": "train", "worlds": len(found), "first": names[0], "last": names[-1], "penalty": best,
        "names": hashlib.sha256(" ".join(names).encode()).hexdigest(),
        "nominal": round(plain, 5), "held_out": round(min(errors), 5),
    }  # fmt: skip
    write_law(given.out, law, notes)
    print(f"{given.out}: penalty {best:g}, {min(errors):.4f} m where it was held out")


if __name__ == "__main__":
    main()
