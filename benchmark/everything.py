"""The suite `all`: every suite whose data is there, each in a folder of its own, and one page that leads to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from clay4d.benchmark.report import STYLE, write_report
from clay4d.benchmark.report_words import summary
from clay4d.benchmark.results import Results, load_results
from clay4d.benchmark.run import run_suite
from clay4d.benchmark.suites import SUITES
from clay4d.files import written_whole
from clay4d.pages import html_page

ORDER = {
    "renderer": 1, "predict": 30, "generate": 6, "ood": 60, "hidden-physics": 120, "thoughts": 15,
    "thoughts-ood": 25, "reconstruct": 40, "real": 15,
}  # fmt: skip
"""Suites in the order they run in, and about how many minutes each takes on two cores: for the time that is left."""


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
    suites: Sequence[str] = tuple(ORDER),
    resume: bool = False,
    command: str = "",
    say: Callable[[str], None] = print,
) -> list[Part]:
    """Run all suites; leaves OUT/SUITE/results.json and report.html for each, and OUT/report.html.

    Args:
        data: worlds of `make_worlds`. real: the folder of real data sets. Suites without theirs are skipped.
        resume: go on with a run that was stopped; suites that ended are not run again.
        say: takes lines of progress, with the minutes that are left.

    Raises:
        ValueError: a folder that holds another run.
    """
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not resume:
        raise ValueError(f"out got {out}, which holds something; expected a new folder. Or use --resume.")  # fmt: skip
    parts, spent, planned = [], 0.0, 0.0
    for k, name in enumerate(suites):
        where = _data_of(name, data, real)
        if isinstance(where, str):
            parts.append(Part(name, None, where))
            say(f"{name}: skipped, {where}")
            continue
        folder, began = out / name, time.monotonic()
        done = (folder / "results.json").is_file()
        if done:
            results = load_results(folder / "results.json")
        else:
            results = run_suite(
                name, folder, data=where.path, weights=weights, limit=limit, seeds=seeds, resume=resume,
                command=command,
            )  # fmt: skip
            spent, planned = spent + time.monotonic() - began, planned + 60 * ORDER[name]
        write_report(results, folder / "report.html")
        parts.append(Part(name, results))
        left = sum(60 * ORDER[n] for n in suites[k + 1 :]) * (spent / planned if planned else 1.0)
        say(f"{name}: done ({k + 1} of {len(suites)}); about {left / 60:.0f} minutes left. {summary(results)}")  # fmt: skip
    with written_whole(out / "report.html") as place:
        place.write_text(page(parts), encoding="utf-8")
    return parts


@dataclass(frozen=True)
class _Where:
    path: Path | None


def _data_of(suite: str, data: str | Path | None, real: str | Path | None) -> _Where | str:
    """Where a suite's scenes come from, or why there are none."""
    source = SUITES[suite].source
    if source == "renderer":
        return _Where(None)
    if source == "real":
        return "no real data was given (--real)" if real is None else _Where(Path(real))
    return "no worlds were given (--data)" if data is None else _Where(Path(data))


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
