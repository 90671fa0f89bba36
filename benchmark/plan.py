"""What `clay4d benchmark all` is about to do, and how long it will take: said before it begins.

The time is the sum over all missing answers of the seconds that one of that system was measured to take.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clay4d.benchmark.registry import SOURCES, system_of
from clay4d.benchmark.results import kept_lines
from clay4d.benchmark.run import asked_of, config_of
from clay4d.benchmark.suites import SUITES

ORDER = (
    "renderer", "predict", "generate", "thoughts", "thoughts-ood", "real", "reconstruct", "ood", "hidden-physics",
)  # fmt: skip
"""Suites in the order they run in: short ones first."""
SECONDS: dict[str, float] = {
    "static": 0.11, "constant-velocity": 0.12, "engine-nominal": 0.23, "engine-fitted": 1.5,
    "engine-fitted-air": 8.4, "engine-residual": 0.3, "world-model": 0.4,
    "planner-engine": 6.0, "world-model-prompted": 0.82, "true-world": 0.02,
}  # fmt: skip
"""Of one answer about a world, by system, means over 3 to 200 test worlds on one core; those of `OF_SOURCE` go before."""
OF_SOURCE: dict[str, dict[str, float]] = {"renderer": {}, "real": {}, "captured": {}}
"""The same of suites that ask about something else."""


@dataclass(frozen=True)
class Planned:
    """One suite: how much of it there is, and what is missing of it."""

    suite: str
    path: Path | None = None
    """Where its data is."""
    scenes: int = 0
    answers: int = 0
    left: int = 0
    """Answers that are missing."""
    seconds: float = 0.0
    """For these, as far as their systems were timed."""
    untimed: int = 0
    """How many of these answers are of systems that nobody timed."""
    reason: str = ""
    """Why it is skipped."""


def plan(
    out: str | Path, suites: Sequence[str] = ORDER, *, data: str | Path | None = None,
    real: str | Path | None = None, limit: int | None = None, seeds: int | None = None,
) -> list[Planned]:  # fmt: skip
    """What is to be done for each suite, what a stopped run left in `out` taken off.

    Raises:
        FileNotFoundError, ValueError: a folder without the data it was given for.
    """
    return [_planned(Path(out), name, data, real, limit, seeds) for name in suites]


def _planned(
    out: Path, name: str, data: str | Path | None, real: str | Path | None, limit: int | None, seeds: int | None
) -> Planned:  # fmt: skip
    kind = SUITES[name].source
    given = real if kind == "real" else data
    if given is None and kind != "renderer":
        lacks = "no real data was given (--real)" if kind == "real" else "no worlds were given (--data)"  # fmt: skip
        return Planned(name, reason=lacks)
    config = config_of(name, (), limit, seeds)
    path = out / name if kind == "renderer" else Path(str(given))
    places = SOURCES[kind](config, path).places()
    asked = asked_of(config, places)
    whole = (out / name / "results.json").is_file()
    kept = {json.loads(line)["key"] for line in kept_lines(out / name)}
    missing = {} if whole else {k: v for k, v in asked.items() if k not in kept}
    took = [seconds_of(kind, system) for _, system, _, _ in missing.values()]
    return Planned(
        name, None if kind == "renderer" else path, len(places), len(asked), len(missing),
        sum(t for t in took if t is not None), sum(t is None for t in took),
    )  # fmt: skip


def seconds_of(source: str, system: str) -> float | None:
    """Of one answer; systems whose names begin alike take as long. None: nobody timed it.

    >>> seconds_of("worlds", "world-model-16") == seconds_of("worlds", "world-model")
    True
    """
    known = OF_SOURCE[source] if source in OF_SOURCE else SECONDS
    system = system_of(system)
    for name in sorted(known, key=len, reverse=True):
        if system == name or (name == "world-model" and system.startswith(f"{name}-")):
            return known[name]
    return None


def lines(plans: Iterable[Planned]) -> list[str]:
    """The plan as a table."""
    plans = list(plans)
    rows = [f"{'suite':<16}{'scenes':>8}{'answers':>9}{'missing':>9}  about"]
    for p in plans:
        rows.append(
            f"{p.suite:<16}skipped: {p.reason}" if p.reason
            else f"{p.suite:<16}{p.scenes:>8}{p.answers:>9}{p.left:>9}  {spoken(p.seconds)}{_more(p.untimed)}"
        )  # fmt: skip
    rows.append(f"{'in all':<33}{sum(p.left for p in plans):>9}  {spoken(sum(p.seconds for p in plans))}{_more(sum(p.untimed for p in plans))}")  # fmt: skip
    return rows


def _more(untimed: int) -> str:
    return f", and {untimed} answers that nobody timed" if untimed else ""


def spoken(seconds: float) -> str:
    """A duration in words.

    >>> spoken(20), spoken(61), spoken(7300)
    ('below a minute', '1 min', '2 h 02 min')
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return "below a minute" if seconds else "nothing"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def say_plan(plans: Iterable[Planned], say: Callable[[str], None] = print) -> None:
    """Say it line by line."""
    for line in lines(plans):
        say(line)
