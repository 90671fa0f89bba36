"""The suite `all`: every suite whose data is there, each in a folder of its own, and one page that leads to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from clay4d.benchmark.plan import ORDER, Planned, lines, plan, spoken
from clay4d.benchmark.report import STYLE, write_report
from clay4d.benchmark.report_words import summary
from clay4d.benchmark.results import Results, load_results
from clay4d.benchmark.run import run_suite
from clay4d.files import written_whole
from clay4d.pages import html_page


@dataclass(frozen=True)
class Part:
    """What became of one suite."""

    suite: str
    results: Results | None
    reason: str = ""
    """Why it did not run."""


def run_all(
    out: str | Path,
    *,
    data: str | Path | None = None,
    real: str | Path | None = None,
    weights: str | Path | None = None,
    limit: int | None = None,
    seeds: int | None = None,
    suites: Sequence[str] = ORDER,
    resume: bool = False,
    command: str = "",
    distributed: str | None = None,
    say: Callable[[str], None] = print,
) -> list[Part]:
    """Run all suites; leaves OUT/SUITE/results.json and report.html for each, and OUT/report.html.

    Args:
        data: worlds of `make_worlds`. real: the folder of real data sets. Suites without theirs are skipped.
        resume: go on with a run that was stopped; suites that ended are not run again.
        distributed: the address of a Ray cluster that asks the systems, or "local".
        say: takes lines of progress: first the plan with its times, then each suite's end and the time left.

    Raises:
        ValueError: a folder that holds another run.
        FileNotFoundError, ValueError: a folder without the data it was given for, before anything runs.
    """
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not resume:
        raise ValueError(f"out got {out}, which holds something; expected a new folder. Or use --resume.")  # fmt: skip
    plans = plan(out, suites, data=data, real=real, limit=limit, seeds=seeds)
    for line in lines(plans):
        say(line)
    parts, spent, planned = [], 0.0, 0.0
    for k, one in enumerate(plans):
        if one.reason:
            parts.append(Part(one.suite, None, one.reason))
            continue
        folder, began = out / one.suite, time.monotonic()
        results = _ended(folder) or run_suite(
            one.suite, folder, data=one.path, weights=weights, limit=limit, seeds=seeds, resume=resume,
            command=command, distributed=distributed,
        )  # fmt: skip
        write_report(results, folder / "report.html")
        parts.append(Part(one.suite, results))
        spent, planned = spent + time.monotonic() - began, planned + one.seconds
        left = time_left(plans[k + 1 :], spent, planned)
        say(f"{one.suite}: done ({k + 1} of {len(plans)}); about {spoken(left)} left. {summary(results)}")  # fmt: skip
    with written_whole(out / "report.html") as place:
        place.write_text(page(parts), encoding="utf-8")
    return parts


def time_left(rest: Sequence[Planned], spent: float, planned: float) -> float:
    """Seconds that the rest will take, if it is as much off its plan as what is done.

    >>> time_left([Planned("ood", seconds=100.0)], spent=60.0, planned=30.0)
    200.0
    """
    return sum(p.seconds for p in rest) * (spent / planned if planned else 1.0)


def _ended(folder: Path) -> Results | None:
    """What a suite that ended has found."""
    place = folder / "results.json"
    return load_results(place) if place.is_file() else None


def page(parts: Sequence[Part]) -> str:
    """What every suite found, in words, with links to the reports."""
    rows = []
    for part in parts:
        if part.results is None:
            rows.append(f"<h2>{part.suite}</h2><p>Not run: {escape(part.reason)}.</p>")
            continue
        rows.append(
            f'<h2>{part.suite}</h2><p>{escape(summary(part.results))}</p>'
            f'<p><a href="{part.suite}/report.html">The whole report</a></p>'
        )  # fmt: skip
    body = "\n".join(["<main><h1>clay4d benchmark: all suites</h1>", *rows, "</main>"])
    return html_page(title="clay4d benchmark", body=body, style=STYLE)
