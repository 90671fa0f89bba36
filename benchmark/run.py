"""The runner: cases × systems → measurements, kept one by one so that a killed run goes on."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from clay4d.benchmark.cases import Case, Place, Source, Unscored, WorldCases
from clay4d.benchmark.comparisons import (
    FIRST,
    RULE,
    RULE_MADE,
    chosen,
    keep_film,
    kept_comparisons,
    write_comparisons,
)
from clay4d.benchmark.observation import Prediction
from clay4d.benchmark.registry import (
    DRAWS,
    SOURCES,
    SYSTEMS,
    arm_system,
    make_system,
    system_of,
)
from clay4d.benchmark.results import (
    PARTIAL,
    Hypothesis,
    Measurement,
    Results,
    Shown,
    kept_lines,
    save_results,
)
from clay4d.benchmark.statistics import paired
from clay4d.benchmark.suites import AT, CEILINGS, COUNTS, ERROR, METRICS, SUITES, Claim, SuiteConfig
from clay4d.benchmark.workers import Worker
from clay4d.config import to_dict
from clay4d.distributed import run_tasks
from clay4d.training.progress import counted
from clay4d.world_model.worlds.make import make_worlds

__all__ = ["AT", "ERROR", "SYSTEMS", "errors_of", "run_suite"]

Keep = Callable[[str, Any], None]
"""Keeps a system's film of the scene at hand."""
Asked = tuple[str, str, int, Place]
"""A key, a system, its seed and a scene."""
TASK = 8
"""Scenes of a task on a cluster."""
_THOUGHTS = {f"world-model-{n}": n for n in COUNTS}
Verdict = Literal["holds", "fails", "undecided"]


def run_suite(
    suite: str | SuiteConfig,
    out: str | Path,
    *,
    data: str | Path | None = None,
    systems: tuple[str, ...] = (),
    weights: str | Path | None = None,
    arms: Mapping[str, str | Path] | None = None,
    limit: int | None = None,
    seeds: int | None = None,
    resume: bool = False,
    command: str = "",
    distributed: str | None = None,
) -> Results:
    """Run a suite; leaves results.json and what it is made from.

    Args:
        data: a folder of `make_worlds`, or of real motion; a suite that makes its own needs none.
        systems: a choice of the suite's systems. weights: of the world model; the released ones by default.
        arms: more world models by a name each, files or runs: the systems world-model@NAME.
        limit: scenes of each split, if not the suite's. seeds: how many times systems that draw are asked, with
            seeds from 0 on; a scene's number is the mean over them.
        resume: go on with a run that was stopped.
        distributed: the address of a Ray cluster that asks the systems, or "local".

    Raises:
        ValueError: an unknown suite or system, a folder that holds another run.
        FileNotFoundError: no worlds.
    """
    config = config_of(suite, systems, limit, seeds)
    config = replace(config, systems=(*config.systems, *map(arm_system, arms or {})))
    files = {"": weights, **(arms or {})}
    out = Path(out)
    text = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    done = _begin(out, digest, text, resume=resume)
    folder = _folder(config, out, data).resolve()
    source = SOURCES[config.source](config, folder)
    places = source.places()
    rows = dict(done)
    asked = asked_of(config, places)
    missing = [one for key, one in asked.items() if key not in rows]
    with (
        (out / PARTIAL).open("a", encoding="utf-8") as log,
        counted(len(asked)) as tell,
    ):
        if distributed is None:
            answers = _answers(config, source, files, missing, out)
        else:
            tasks = {
                k: (config, folder, files, part, out.resolve())
                for k, part in enumerate(_parts(missing))
            }
            done_tasks = run_tasks(_task, tasks, address=distributed)
            answers = (row for _, found in done_tasks for row in found)
        for key, row in answers:
            rows[key] = row
            log.write(json.dumps({"key": key, "row": row}) + "\n")
            log.flush()
            tell(1, key.split(" ")[0])
    results = _results(config, digest, text, rows, places, source, command)
    results = replace(results, shown=_shown(results, config, source, rows, out))
    save_results(out / "results.json", results)
    return results


def asked_of(config: SuiteConfig, places: Sequence[Place]) -> dict[str, Asked]:
    """Who is asked about what, by the key that answers are kept under; those that draw nothing, once."""
    found = {}
    for name in config.systems:
        for seed in range(config.seeds if system_of(name) in DRAWS else 1):
            for place in places:
                if not place.systems or name in place.systems:
                    key = f"{name} {place.scene}" + (f" {seed}" if seed else "")
                    found[key] = (key, name, seed, place)
    return found


def _answers(
    config: SuiteConfig, source: Source, weights: Any, asked: Iterable[Asked], out: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of some systems and scenes, in order; each system in a process of its own."""
    for (name, seed), group in groupby(asked, key=lambda one: one[1:3]):
        worker = Worker(*make_system(name, weights=weights, seed=seed))
        ceiling = getattr(SYSTEMS[system_of(name)], "needs_truth", False)
        try:
            for key, _, _, place in group:
                yield key, _measured(
                    worker, source.read(place), config, truth=ceiling,
                    keep=None if seed else partial(keep_film, out, place.scene), name=name,
                )  # fmt: skip
        finally:
            worker.stop()


def _parts(asked: Sequence[Asked]) -> Iterator[list[Asked]]:
    """Tasks of one system each, small enough that a lost one is soon done again."""
    for _, group in groupby(asked, key=lambda one: one[1:3]):
        whole = list(group)
        yield from (whole[k : k + TASK] for k in range(0, len(whole), TASK))


def _task(
    config: SuiteConfig, folder: Path, weights: Any, asked: list[Asked], out: Path
) -> list[tuple[str, dict[str, Any]]]:
    """What `_answers` gives, in a worker of a cluster."""
    return list(_answers(config, SOURCES[config.source](config, folder), weights, asked, out))


def config_of(
    suite: str | SuiteConfig, systems: tuple[str, ...], limit: int | None, seeds: int | None
) -> SuiteConfig:
    """The suite by its name or as it is, with what else is given; ValueError for an unknown name."""
    if isinstance(suite, str):
        if suite not in SUITES:
            raise ValueError(
                f"suite got {suite!r}; expected one of {', '.join(SUITES)}, outside or all."
            )
        suite = SUITES[suite]
    chosen = tuple(name for name in systems or suite.systems if system_of(name))
    limit, seeds = suite.limit if limit is None else limit, suite.seeds if seeds is None else seeds
    return replace(suite, systems=chosen, limit=limit, seeds=seeds)


def _begin(out: Path, digest: str, text: str, *, resume: bool) -> dict[str, Any]:
    """What a stopped run of the same config had measured."""
    place = out / "suite.yaml"
    if out.exists() and any(out.iterdir()) and not resume:
        raise ValueError(f"out got {out}, which holds something; expected a new folder. Or use --resume.")  # fmt: skip
    if place.is_file() and place.read_text(encoding="utf-8") != text:
        raise ValueError(f"{out} holds a run of another config; expected {digest[:12]}. Use a new folder.")  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    whole = kept_lines(out)
    # A line that was cut by a kill is dropped from the file, too, or the next would join it.
    (out / PARTIAL).write_text("".join(whole), encoding="utf-8")
    return {found["key"]: found["row"] for found in map(json.loads, whole)}


def _folder(config: SuiteConfig, out: Path, data: str | Path | None) -> Path:
    if data is not None:
        return Path(data)
    if config.source == "renderer":
        return out
    if config.source == "real":
        raise FileNotFoundError(
            "data got nothing; expected a folder with cube_tosses, panoptic_basketball or physics_videos. "
            "Give it with --data"
        )
    if not config.make:
        raise FileNotFoundError(
            f"data got nothing; expected worlds for {config.name}. Make some with: clay4d make-worlds "
            "standard --out WORLDS --count 5000, and give them with --data"
        )
    make_worlds("standard", out / "worlds", count=config.make, seed=1)
    return out / "worlds"


def _measured(
    worker: Worker,
    case: Case,
    config: SuiteConfig,
    *,
    truth: bool,
    keep: Keep | None = None,
    name: str = "",
) -> dict[str, Any]:
    """One system on one scene; the truth never goes to the worker, unless it is a ceiling that needs it."""
    question = case.told if truth else case.question
    answer = worker.ask(question, case.times, timeout=config.timeout)
    row: dict[str, Any] = {
        "input": case.question.key, "seconds": round(answer.seconds, 4),
        "memory": round(answer.peak_memory_mb, 1), "cpu": answer.cpu_seconds,
    }  # fmt: skip
    if answer.prediction is None:
        return row | {"reason": answer.reason}
    try:
        found = case.measure(answer.prediction)
    except (Unscored, ValueError) as error:
        return row | {"reason": str(error)}
    if not all(np.isfinite(v) for v in found.values.values()):
        return row | {"reason": "its answer has NaN or infinity"}
    if keep is not None and case.film is not None:
        keep(name, case.film(answer.prediction))
        row["title"] = getattr(case.question, "text", "")
        if case.truth is not None:
            keep("", case.truth)
    at = {m: {f"{h:g}": v for h, v in by.items()} for m, by in found.at.items()}
    row |= {"values": dict(found.values), "at": at}
    if isinstance(answer.prediction, Prediction):
        row["path"] = np.round(answer.prediction.positions, 3).tolist()
    return row


def _results(
    config: SuiteConfig, digest: str, text: str, rows: dict[str, Any], places: Sequence[Place],
    source: Source, command: str,
) -> Results:  # fmt: skip
    known = {place.scene: place for place in places}
    protocols = dict(source.protocols)
    inputs: dict[str, set[str]] = defaultdict(set)
    measurements: list[Measurement] = []
    for key, row in rows.items():
        name, scene, *drawn = key.split(" ")
        if name not in config.systems or scene not in known:
            continue
        inputs[scene].add(row["input"])
        task = known[scene].task
        common: dict[str, Any] = {
            "suite": config.name, "task": task, "system": name, "scene": scene, "seed": int(drawn[0]) if drawn else 0,
            "protocol": task if task in protocols else source.protocols[0][0], "seconds": row["seconds"],
            "peak_memory_mb": row["memory"], "cpu_seconds": row.get("cpu"), "thoughts": _THOUGHTS.get(name),
        }  # fmt: skip
        if "reason" in row:
            measurements.append(Measurement(**common, metric=config.metrics[0], status="failed", reason=row["reason"]))  # fmt: skip
            continue
        for metric, value in row["values"].items():
            if metric not in config.metrics:
                continue
            measurements.append(Measurement(**common, metric=metric, value=value))
        for metric, by in row["at"].items():
            if metric not in config.metrics:
                continue
            for horizon, value in by.items():
                measurements.append(Measurement(**common, metric=metric, value=value, horizon=float(horizon)))  # fmt: skip
    for scene, seen in inputs.items():
        if len(seen) > 1:
            raise ValueError(f"systems saw different inputs on {scene}; expected the same. Run them again.")  # fmt: skip
    order = sorted(
        measurements, key=lambda m: (m.system, m.scene, m.seed, m.metric, m.horizon or 0)
    )
    return Results(
        config.name, digest, text, command, datetime.date.today().isoformat(),
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        tuple((n, importlib.metadata.version(n)) for n in ("torch", "numpy", "mujoco")),
        tuple(METRICS[m] for m in config.metrics), source.protocols, tuple(order),
        tuple(_judged(claim, order, config) for claim in config.claims),
    )  # fmt: skip


def _shown(
    results: Results, config: SuiteConfig, source: Source, rows: dict[str, Any], out: Path
) -> tuple[Shown, ...]:
    """Films of a few scenes; the last system that is told nothing is compared with the best of the others."""
    metric = config.metrics[0]
    sign = -1 if METRICS[metric].better == "higher" else 1
    errors = {
        s: {
            k: sign * v for k, v in errors_of(results.measurements, s, "all", metric=metric).items()
        }
        for s in config.systems
    }
    known = [s for s in config.systems if errors[s]]
    asked = [s for s in known if s not in CEILINGS]
    if len(asked) < 2:
        return ()
    ours = asked[-1]
    rival = min(asked[:-1], key=lambda s: (float(np.mean(list(errors[s].values()))), s))
    scenes = chosen(errors[ours], errors[rival])
    said = {"first": FIRST, "learned": ours, "rival": rival}
    if not isinstance(source, WorldCases):
        said_of = {s: rows[f"{ours} {s}"].get("title", "") for s, _ in scenes}
        note = RULE_MADE.format(**said)
        return kept_comparisons(out, scenes, systems=known, titles=said_of, note=note)
    places = {p.scene: p for p in source.places()}
    worlds = {s: source.world(places[s]) for s, _ in scenes}
    paths = {
        (system, scene): np.array(rows[f"{system} {scene}"]["path"])
        for system in known for scene, _ in scenes if "path" in rows.get(f"{system} {scene}", {})
    }  # fmt: skip
    titles = {s: f"{worlds[s].prompt} ({s}, {places[s].task}; {why})" for s, why in scenes}
    return write_comparisons(
        out, worlds, paths, systems=known, seen=config.seen, titles=titles, note=RULE.format(**said)
    )


def errors_of(
    measurements: Sequence[Measurement], system: str, task: str, *, metric: str = ERROR
) -> dict[str, float]:
    """Each scene's number of one system, the mean over seeds; of `all` scenes, those of a task, or all where a
    force is `hidden`."""
    out: dict[str, list[float]] = defaultdict(list)
    for m in measurements:
        within = task == "all" or m.task == task or (task == "hidden" and m.task != "none")
        if m.system == system and m.metric == metric and m.value is not None and within:
            out[m.scene].append(m.value)
    return {scene: float(np.mean(values)) for scene, values in out.items()}


def _judged(claim: Claim, measurements: list[Measurement], config: SuiteConfig) -> Hypothesis:
    metric = claim.metric or config.metrics[0]
    ours = errors_of(measurements, claim.system, claim.task, metric=metric)
    rival = errors_of(measurements, claim.rival, claim.task, metric=metric)
    found = paired(
        ours, rival if claim.rival else dict.fromkeys(ours, 0.0),
        relative=claim.relative, higher=METRICS[metric].better == "higher", count=config.resamplings,
    )  # fmt: skip
    said = Hypothesis(
        claim.id, claim.task, metric, claim.system, claim.rival, claim.margin, claim.claim, claim.relative
    )  # fmt: skip
    if found is None:
        return said
    verdict: Verdict = "undecided"
    if found.low >= claim.margin:
        verdict = "holds"
    elif found.high < claim.margin:
        verdict = "fails"
    return replace(
        said,
        verdict=verdict,
        difference=found.mean,
        low=found.low,
        high=found.high,
        scenes=found.count,
    )
