"""The runner: scenes × systems → measurements, kept one by one so that a killed run goes on."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from clay4d.benchmark.observation import observe_world
from clay4d.benchmark.results import Hypothesis, Measurement, Metric, Results, save_results
from clay4d.benchmark.statistics import paired
from clay4d.benchmark.suites import SUITES, Claim, SuiteConfig
from clay4d.benchmark.systems import ConstantVelocity, FittedEngine, Learned, NominalEngine, Static
from clay4d.benchmark.workers import Worker
from clay4d.config import to_dict
from clay4d.world_model.worlds import World, open_worlds
from clay4d.world_model.worlds.make import make_worlds

SYSTEMS: dict[str, Callable[..., Any]] = {
    "static": Static, "constant-velocity": ConstantVelocity, "engine-nominal": NominalEngine,
    "engine-fitted": partial(FittedEngine, air=False), "engine-fitted-air": partial(FittedEngine, air=True),
    "world-model": Learned,
}  # fmt: skip
ERROR, AT = "centre_error", "centre_error_at"
METRICS = (
    Metric(ERROR, "m", "lower", "distance of movers' centres from the truth, mean over the future"),
    Metric(AT, "m", "lower", "distance of movers' centres from the truth at a moment"),
)
PARTIAL = "answers.jsonl"
Verdict = Literal["holds", "fails", "undecided"]


def run_suite(
    suite: str | SuiteConfig,
    out: str | Path,
    *,
    data: str | Path | None = None,
    systems: tuple[str, ...] = (),
    weights: str | Path | None = None,
    limit: int | None = None,
    resume: bool = False,
    command: str = "",
) -> Results:
    """Run a suite; leaves results.json and what it is made from.

    Args:
        data: a folder of `make_worlds`; a suite that makes its own needs none.
        systems: a choice of the suite's systems. weights: of the world model; the released ones by default.
        limit: scenes of each split, if not the suite's.
        resume: go on with a run that was stopped.

    Raises:
        ValueError: an unknown suite or system, a folder that holds another run.
        FileNotFoundError: no worlds.
    """
    config = _config(suite, systems, limit)
    out = Path(out)
    text = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    done = _begin(out, digest, text, resume=resume)
    folder = _worlds(config, out, data)
    scenes = {s: open_worlds(folder, split=s) for s in config.splits}
    count = sum(_count(len(w), config.limit) for w in scenes.values())
    if not count:
        raise ValueError(f"data got {folder} without worlds of {', '.join(config.splits)}; expected some.")  # fmt: skip
    rows = dict(done)
    with (
        (out / PARTIAL).open("a", encoding="utf-8") as log,
        _bar(count * len(config.systems)) as tick,
    ):
        for name in config.systems:
            worker = Worker(SYSTEMS[name], *([weights] if name == "world-model" else []))
            for split, world in _each(scenes, config.limit):
                key = f"{name} {split} {world.name}"
                if key not in rows:
                    rows[key] = _measured(worker, world, config)
                    log.write(json.dumps({"key": key, "row": rows[key]}) + "\n")
                    log.flush()
                tick(name)
            worker.stop()
    results = _results(config, digest, text, rows, scenes, command)
    save_results(out / "results.json", results)
    return results


def _config(suite: str | SuiteConfig, systems: tuple[str, ...], limit: int | None) -> SuiteConfig:
    if isinstance(suite, str):
        if suite not in SUITES:
            raise ValueError(f"suite got {suite!r}; expected one of {', '.join(SUITES)}.")
        suite = SUITES[suite]
    chosen = systems or suite.systems
    for name in chosen:
        if name not in SYSTEMS:
            raise ValueError(f"system got {name!r}; expected one of {', '.join(SYSTEMS)}.")
    return replace(suite, systems=tuple(chosen), limit=suite.limit if limit is None else limit)


def _begin(out: Path, digest: str, text: str, *, resume: bool) -> dict[str, Any]:
    """What a stopped run of the same config had measured."""
    place = out / "suite.yaml"
    if out.exists() and any(out.iterdir()) and not resume:
        raise ValueError(f"out got {out}, which holds something; expected a new folder. Or use --resume.")  # fmt: skip
    if place.is_file() and place.read_text(encoding="utf-8") != text:
        raise ValueError(f"{out} holds a run of another config; expected {digest[:12]}. Use a new folder.")  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    done = {}
    if (out / PARTIAL).is_file():
        lines = (out / PARTIAL).read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        # A line that was cut by a kill is dropped from the file, too, or the next would join it.
        (out / PARTIAL).write_text("".join(whole), encoding="utf-8")
        for line in whole:
            found = json.loads(line)
            done[found["key"]] = found["row"]
    return done


def _worlds(config: SuiteConfig, out: Path, data: str | Path | None) -> Path:
    if data is not None:
        return Path(data)
    if not config.make:
        raise FileNotFoundError(
            f"data got nothing; expected worlds for {config.name}. Make some with: clay4d make-worlds "
            "standard --out WORLDS --count 5000, and give them with --data"
        )
    make_worlds("standard", out / "worlds", count=config.make, seed=1)
    return out / "worlds"


def _count(length: int, limit: int) -> int:
    return min(length, limit) if limit else length


def _each(scenes: Mapping[str, Any], limit: int) -> Iterator[tuple[str, World]]:
    for split, worlds in scenes.items():
        for k in range(_count(len(worlds), limit)):
            yield split, worlds.read(k)


def _measured(worker: Worker, world: World, config: SuiteConfig) -> dict[str, Any]:
    """One system on one scene; the truth never goes to the worker."""
    observation = observe_world(world, frames=config.seen)
    later = world.times[config.seen :]
    answer = worker.ask(observation, later, timeout=config.timeout)
    row: dict[str, Any] = {
        "input": observation.key, "seconds": round(answer.seconds, 4),
        "memory": round(answer.peak_memory_mb, 1),
    }  # fmt: skip
    if answer.prediction is None:
        return row | {"reason": answer.reason}
    first = world.masks[: config.seen]
    seen = np.array([bool((first == b + 1).any()) for b in range(world.movers)])
    if not seen.any():
        return row | {"reason": "no mover was seen, by any system"}
    off = np.linalg.norm(
        answer.prediction.positions - world.tracks.positions[config.seen :], axis=-1
    )
    off = off[:, : world.movers][:, seen].mean(1)
    ahead = later - world.times[config.seen - 1]
    at = {f"{h:g}": float(off[np.abs(ahead - h).argmin()]) for h in config.horizons if h <= ahead[-1] + 1e-6}  # fmt: skip
    return row | {"error": float(off.mean()), "at": at}


def _results(
    config: SuiteConfig, digest: str, text: str, rows: dict[str, Any], scenes: Mapping[str, Any], command: str,
) -> Results:  # fmt: skip
    kinds = {
        (split, world.name): world.hidden.kind if len(config.splits) == 1 else split
        for split, world in _each(scenes, config.limit)
    }
    inputs: dict[tuple[str, str], set[str]] = defaultdict(set)
    measurements: list[Measurement] = []
    for key, row in rows.items():
        name, split, world = key.split(" ")
        if name not in config.systems or (split, world) not in kinds:
            continue
        inputs[split, world].add(row["input"])
        common: dict[str, Any] = {
            "suite": config.name, "task": kinds[split, world], "system": name, "scene": f"{split}/{world}",
            "seed": 0, "protocol": "places", "seconds": row["seconds"], "peak_memory_mb": row["memory"],
        }  # fmt: skip
        if "reason" in row:
            measurements.append(Measurement(**common, metric=ERROR, status="failed", reason=row["reason"]))  # fmt: skip
            continue
        measurements.append(Measurement(**common, metric=ERROR, value=row["error"]))
        for horizon, value in row["at"].items():
            measurements.append(Measurement(**common, metric=AT, value=value, horizon=float(horizon)))  # fmt: skip
    for scene, seen in inputs.items():
        if len(seen) > 1:
            raise ValueError(f"systems saw different inputs on {scene}; expected the same. Run them again.")  # fmt: skip
    protocol = (
        f"{config.seen} frames with masks, cameras, shapes, sizes, materials and the prompt in; centres of "
        "movers that were seen, at all later frames, metres"
    )
    order = sorted(measurements, key=lambda m: (m.system, m.scene, m.metric, m.horizon or 0))
    return Results(
        config.name, digest, text, command, datetime.date.today().isoformat(),
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        tuple((n, importlib.metadata.version(n)) for n in ("torch", "numpy", "mujoco")),
        METRICS, (("places", protocol),), tuple(order),
        tuple(_judged(claim, order, config) for claim in config.claims),
    )  # fmt: skip


def errors_of(measurements: list[Measurement] | tuple[Measurement, ...], system: str, task: str) -> dict[str, float]:  # fmt: skip
    """Each scene's error of one system; `all` scenes, those of a task, or all where a force is `hidden`."""
    out = {}
    for m in measurements:
        within = task == "all" or m.task == task or (task == "hidden" and m.task != "none")
        if m.system == system and m.metric == ERROR and m.value is not None and within:
            out[m.scene] = m.value
    return out


def _judged(claim: Claim, measurements: list[Measurement], config: SuiteConfig) -> Hypothesis:
    share = 1 - claim.margin if claim.relative else 1.0
    margin = 0.0 if claim.relative else claim.margin
    found = paired(
        errors_of(measurements, claim.system, claim.task), errors_of(measurements, claim.rival, claim.task),
        share=share, count=config.resamplings,
    )  # fmt: skip
    said = Hypothesis(claim.id, claim.task, ERROR, claim.system, claim.rival, margin, claim.claim)
    if found is None:
        return said
    verdict: Verdict = "undecided"
    if found.low >= margin:
        verdict = "holds"
    elif found.high < margin:
        verdict = "fails"
    return replace(
        said,
        verdict=verdict,
        difference=found.mean,
        low=found.low,
        high=found.high,
        scenes=found.count,
    )


class _bar:
    """Progress with the time that is left, where somebody watches."""

    def __init__(self, total: int) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn()  # fmt: skip
        self._bar, self._total = Progress(*columns, transient=True), total

    def __enter__(self) -> Callable[[str], None]:
        self._bar.start()
        task = self._bar.add_task("", total=self._total)
        return lambda name: self._bar.update(task, advance=1, description=name)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
