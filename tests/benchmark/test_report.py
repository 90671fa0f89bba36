"""The report: its words follow the numbers, its plots put them where they belong, a phone can read it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from clay4d.benchmark.report import write_report
from clay4d.benchmark.report_numbers import Effort, effort_of, ranked, tasks_of
from clay4d.benchmark.report_plots import (
    COLOURS,
    WIDTH,
    against_seconds,
    against_thoughts,
    by_task,
    over_time,
)
from clay4d.benchmark.report_words import summary
from clay4d.benchmark.results import Hypothesis, Measurement, Metric, Results

OFF = {"engine": {"drag": 0.2, "none": 0.1}, "learned": {"drag": 0.1, "none": 0.4}}


def results() -> Results:
    rows = []
    for system, by in OFF.items():
        seconds = 0.01 if system == "engine" else 1.0
        for task, off in by.items():
            for k in range(4):
                common: dict[str, Any] = {
                    "suite": "x", "task": task, "system": system, "scene": f"{task}{k}", "seed": 0,
                    "protocol": "p", "seconds": seconds, "peak_memory_mb": 100.0,
                }  # fmt: skip
                rows.append(Measurement(**common, metric="centre_error", value=off + 0.01 * k))
                for h in (0.5, 1.0):
                    rows.append(
                        Measurement(**common, metric="centre_error_at", value=off * h, horizon=h)
                    )
    rows.append(Measurement("x", "drag", "learned", "drag9", 0, "centre_error", "p", status="failed", reason="hung <i>"))  # fmt: skip
    claims = (
        Hypothesis("a", "drag", "centre_error", "learned", "engine", 0.0, "A holds.", verdict="holds", difference=0.1, low=0.09, high=0.11, scenes=4),
        Hypothesis("b", "none", "centre_error", "learned", "engine", 0.02, "B is refuted.", verdict="fails", difference=-0.3, low=-0.31, high=-0.29, scenes=4),
        Hypothesis("c", "none", "centre_error", "learned", "other", 0.0, "C was not run."),
    )  # fmt: skip
    metrics = (Metric("centre_error", "m", "lower"), Metric("centre_error_at", "m", "lower"))
    return Results(
        "x", "ab" * 32, "seeds: [0]\n", "cmd", "2026-01-02", "2 cores", (("torch", "2"),), metrics,
        (("p", "in and out"),), tuple(rows), claims,
    )  # fmt: skip


def test_words_say_what_was_won_and_lost() -> None:
    said = summary(results())
    assert (
        "Over all scenes engine is off least, by 0.165 m at the mean, learned by 0.265 m." in said
    )
    assert "engine is best where nothing is hidden (0.115 m)" in said
    assert "learned is best on drag (0.115 m)" in said
    assert said.index("Refuted: B is refuted.") < said.index("Holds: A holds.")
    assert "1 of 3 claims could not be judged" in said and "learned on 1" in said
    higher = dataclasses.replace(results(), metrics=(Metric("centre_error", "", "higher"), results().metrics[1]))  # fmt: skip
    assert "Over all scenes learned scores most, 0.265 at the mean" in summary(higher)
    assert ranked(higher, "all", "centre_error")[0][1] == "learned"
    told = [dataclasses.replace(m, system="engine-true") for m in results().measurements if m.system == "engine"]  # fmt: skip
    said = summary(dataclasses.replace(results(), measurements=(*results().measurements, *told)))
    assert (
        "engine is off least, by 0.165 m" in said and "engine-true, told the truth, 0.165 m" in said
    )
    assert "engine-true is best" not in said and "engine-true are best" not in said
    assert summary(dataclasses.replace(results(), measurements=())) == "No system answered."


def test_a_system_that_was_run_alone_wins_nothing(tmp_path: Path) -> None:
    alone = [m for m in results().measurements if m.system == "engine"]
    found = dataclasses.replace(results(), measurements=tuple(alone), hypotheses=())
    assert summary(found) == (
        "engine, which nothing was run beside, is off by 0.165 m at the mean over all scenes."
    )
    write_report(found, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert 'class="best"' not in page and "shaded" not in page


def test_parts_stand_by_the_numbers_in_their_names() -> None:
    names = ["of 100 %", "of 5 %", "none", "of 20 %", "1 % of it"]
    parts = [dataclasses.replace(results().measurements[0], task=name) for name in names]
    found = dataclasses.replace(results(), measurements=tuple(parts))
    assert tasks_of(found) == ["1 % of it", "none", "of 5 %", "of 20 %", "of 100 %"]


def test_plots_put_numbers_where_they_belong() -> None:
    line = re.findall(r'<polyline points="([^"]+)"', over_time(results()))
    ends = [[float(v) for v in points.split()[-1].split(",")] for points in line]
    assert ends[0][0] == ends[1][0] == pytest.approx(WIDTH - 14, abs=0.1)
    assert ends[0][1] > ends[1][1]  # at the end learned's mean (0.25) is above engine's (0.15)
    dots = re.findall(
        r'cx="([\d.]+)" cy="[\d.]+" r="4.5" fill="(#\w+)"', by_task(results())
    )  # drag: engine, learned; none: engine, learned
    assert [c for _, c in dots] == [COLOURS[0], COLOURS[1]] * 2
    x = [float(v) for v, _ in dots]
    assert x[1] == x[2] < x[0] < x[3]
    spent = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="5" fill="(#\w+)"', against_seconds(results()))  # fmt: skip
    engine, learned = ([float(v) for v in row[:2]] for row in spent[-2:])
    assert engine[0] < learned[0] and engine[1] > learned[1]
    assert effort_of(results())["learned"] == Effort(1.0, None, 100.0)
    assert "processor" not in against_seconds(results())
    timed = tuple(
        dataclasses.replace(m, cpu_seconds=0.2 if m.system == "learned" else 3.0) if m.status == "ok" else m
        for m in results().measurements
    )  # fmt: skip
    spent = against_seconds(dataclasses.replace(results(), measurements=timed))
    found = [float(x) for x in re.findall(r'cx="([\d.]+)" cy="[\d.]+" r="5"', spent)[-2:]]
    assert "median processor seconds" in spent and found[0] > found[1]  # busy was the other one


def test_thoughts_stand_in_the_order_of_their_counts() -> None:
    assert not against_thoughts(results())
    rows = [
        Measurement("x", "t", f"m-{n}", f"s{k}", 0, "centre_error", "p", value=v, thoughts=n)
        for n, v in ((16, 0.1), (0, 0.4), (4, 0.2)) for k in range(3)
    ]  # fmt: skip
    drawn = against_thoughts(dataclasses.replace(results(), measurements=tuple(rows)))
    dots = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert dots == sorted(dots) and [y for _, y in dots] == sorted(y for _, y in dots)
    assert re.findall(r">(\d+)</text>", drawn)[-3:] == ["0", "4", "16"]


def test_plots_without_numbers_are_left_out() -> None:
    bare = dataclasses.replace(results(), measurements=())
    assert not over_time(bare) and not by_task(bare) and not against_seconds(bare)
    timeless = [dataclasses.replace(m, seconds=None) for m in results().measurements]
    assert not against_seconds(dataclasses.replace(results(), measurements=tuple(timeless)))


def test_refuted_claims_stand_where_the_others_do(tmp_path: Path) -> None:
    write_report(results(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for verdict, word, text in (("holds", "Holds", "A holds."), ("fails", "Refuted", "B is refuted."), ("undecided", "Not run", "C was")):  # fmt: skip
        assert re.search(rf'<li class="{verdict}"><b>{word}</b> {text}', page)
    assert "-0.3 (-0.31 to -0.29) m, 4 scenes; claimed: at least 0.02 m" in page
    assert "hung &lt;i&gt;" in page and "seeds: [0]" in page and "ab" * 32 in page


@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_it_without_a_fault(tmp_path: Path, browser: Any, width: int) -> None:
    write_report(results(), tmp_path / "report.html")
    page, errors = browser.new_page(viewport={"width": width, "height": 800}), []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("request", lambda r: None if r.url.startswith("file:") else errors.append(r.url))
    page.goto(f"file://{tmp_path / 'report.html'}")
    wide = page.evaluate("document.documentElement.scrollWidth")
    small = page.evaluate(
        "Math.min(...[...document.querySelectorAll('svg')].map(s => 13 * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"
    )
    sizes = page.evaluate("[...document.querySelectorAll('.claims b')].map(b => getComputedStyle(b).fontSize)")  # fmt: skip
    page.close()
    assert not errors and wide <= width
    assert small > 9 and len(set(sizes)) == 1
