"""The suite all: what has data runs, what has ended is not run again, what is skipped says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clay4d.benchmark import everything
from clay4d.benchmark.everything import ORDER, run_all
from clay4d.benchmark.results import Measurement, Metric, Results, save_results
from clay4d.benchmark.suites import SUITES


def results(suite: str) -> Results:
    rows = tuple(
        Measurement(suite, "t", s, "w", 0, "e", "p", value=v) for s, v in (("a", 1.0), ("b<", 2.0))
    )
    return Results(
        suite,
        "0",
        "",
        "cmd",
        "today",
        "here",
        (),
        (Metric("e", "m", "lower"),),
        (("p", "in"),),
        rows,
    )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def run_suite(name: str, folder: Path, **options: Any) -> Results:
        asked.append({"name": name} | options)
        found = results(name)
        folder.mkdir(parents=True, exist_ok=True)
        save_results(folder / "results.json", found)
        return found

    monkeypatch.setattr(everything, "run_suite", run_suite)
    return asked


def test_suites_run_in_turn_and_are_not_run_again(
    tmp_path: Path, ran: list[dict[str, Any]]
) -> None:
    said: list[str] = []
    parts = run_all(tmp_path / "all", data=tmp_path, seeds=2, say=said.append)
    names = [a["name"] for a in ran]
    assert names == [n for n in ORDER if n != "real"] and all(a["seeds"] == 2 for a in ran)
    assert [p.suite for p in parts if p.results is None] == ["real"]
    page = (tmp_path / "all/report.html").read_text()
    assert "no real data was given" in page and 'href="predict/report.html"' in page
    assert "b&lt; by 2.00 m" in page and "b< by" not in page
    assert (tmp_path / "all/predict/report.html").is_file()
    assert len(said) == len(ORDER) and "minutes left" in said[0]
    with pytest.raises(ValueError, match="holds something"):
        run_all(tmp_path / "all", data=tmp_path, say=said.append)
    (tmp_path / "all/ood/results.json").unlink()
    run_all(tmp_path / "all", data=tmp_path, resume=True, say=said.append)
    assert [a["name"] for a in ran[len(names) :]] == ["ood"] and ran[-1]["resume"]


def test_every_suite_is_part_of_it() -> None:
    assert set(SUITES) - {"smoke"} == set(ORDER)
