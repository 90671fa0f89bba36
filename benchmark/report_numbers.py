"""What a report's tables, plots and words are made of: means with intervals of a run's results."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from clay4d.benchmark.results import Results
from clay4d.benchmark.run import ERROR, errors_of
from clay4d.benchmark.statistics import Interval, bootstrap, paired


def head_of(results: Results) -> str:
    """The metric that decides: the suite's first."""
    return results.metrics[0].name if results.metrics else ERROR


def systems_of(results: Results) -> list[str]:
    """Systems with numbers or failures, in the results' order."""
    return list(dict.fromkeys(m.system for m in results.measurements))


def tasks_of(results: Results, metric: str = "", task: str = "") -> list[str]:
    """Tasks with numbers of a metric (or any), perhaps only one of them; 5 % stands before 20 %."""
    found = {
        m.task for m in results.measurements if metric in ("", m.metric) and task in ("", m.task)
    }
    return sorted(found, key=_by_numbers)


def _by_numbers(text: str) -> list[tuple[float, str]]:
    """Sorts text with the numbers in it by size."""
    pieces = re.split(r"(\d+)", text)
    return [(float(p), "") if p.isdigit() else (-1.0, p) for p in pieces]


def shared(results: Results, metric: str) -> bool:
    """Whether all tasks have numbers of a metric, so that a mean over all scenes says something."""
    return tasks_of(results, metric) == tasks_of(results)


def interval_of(results: Results, system: str, task: str, metric: str) -> Interval | None:
    """A system's mean on a task, `all` or `hidden` tasks; None where it has no number."""
    values = errors_of(results.measurements, system, task, metric=metric)
    return bootstrap(np.array([values[k] for k in sorted(values)])) if values else None


def ranked(results: Results, task: str, metric: str) -> list[tuple[float, str]]:
    """Means of the systems, the best first."""
    means = {s: interval_of(results, s, task, metric) for s in systems_of(results)}
    known = sorted((m.mean, s) for s, m in means.items() if m is not None)
    return known[::-1] if results.metric(metric).better == "higher" else known


def lead(results: Results, first: str, second: str, task: str, metric: str) -> Interval | None:
    """By how much a system is ahead of another, paired by scene."""
    return paired(
        errors_of(results.measurements, first, task, metric=metric),
        errors_of(results.measurements, second, task, metric=metric),
        higher=results.metric(metric).better == "higher",
    )  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """What a system's answers took; None where nobody measured."""

    seconds: float | None = None
    """Wall clock of an answer, the median."""
    cpu_seconds: float | None = None
    """Processor time, the median."""
    memory: float | None = None
    """Megabytes, the most."""


def effort_of(results: Results) -> dict[str, Effort]:
    """What each system's answers took."""
    seconds: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    spent: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    memory: dict[str, float] = defaultdict(float)
    for m in results.measurements:
        if m.status == "ok" and m.seconds is not None:
            seconds[m.system][m.scene, m.seed] = m.seconds
            memory[m.system] = max(memory[m.system], m.peak_memory_mb or 0)
            if m.cpu_seconds is not None:
                spent[m.system][m.scene, m.seed] = m.cpu_seconds
    return {
        s: Effort(_median(seconds[s].values()), _median(spent[s].values()), memory[s] or None)
        for s in systems_of(results)
    }


def _median(values: Iterable[float]) -> float | None:
    known = [*values]
    return float(np.median(known)) if known else None
