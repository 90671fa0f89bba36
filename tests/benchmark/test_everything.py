"""The suite all: what has data runs, what has ended is not run again, what is skipped says why."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from clay4d.benchmark import everything
from clay4d.benchmark.everything import run_all, time_left
from clay4d.benchmark.plan import ORDER, SECONDS, Planned, lines, plan, seconds_of
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

    def planned(out: Path, suites: Any, **options: Any) -> list[Planned]:
        lacks = {"real": "no real data was given (--real)"}
        return [Planned(n, tmp, 2, 4, 4, 60.0, reason=lacks.get(n, "")) for n in suites]

    tmp = Path("worlds")
    monkeypatch.setattr(everything, "run_suite", run_suite)
    monkeypatch.setattr(everything, "plan", planned)
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
    head = len(ORDER) + 2  # the plan is said before anything runs
    assert "in all" in said[head - 1] and "done" not in " ".join(said[:head])
    assert len(said) == head + len(ORDER) - 1 and " left. " in said[head]
    with pytest.raises(ValueError, match="holds something"):
        run_all(tmp_path / "all", data=tmp_path, say=said.append)
    (tmp_path / "all/ood/results.json").unlink()
    run_all(tmp_path / "all", data=tmp_path, resume=True, say=said.append)
    assert [a["name"] for a in ran[len(names) :]] == ["ood"] and ran[-1]["resume"]


def test_every_suite_is_part_of_it() -> None:
    assert set(SUITES) - {"smoke"} == set(ORDER)
    assert seconds_of("worlds", "world-model-noise-4") == seconds_of("worlds", "world-model")
    assert seconds_of("worlds", "constant-acceleration") is None  # and not constant-velocity's


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three worlds, which a suite takes for its own."""
    path = Path(__file__).parents[1] / "world_model" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_of_plans", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = dataclasses.replace(SUITES["predict"], splits=("val",))
    monkeypatch.setitem(SUITES, "predict", config)
    folder: Path = module.write_worlds(tmp_path / "worlds", 6, held=3)
    return folder


def test_the_plan_counts_answers_and_what_they_take(tmp_path: Path, worlds: Path) -> None:
    found = {p.suite: p for p in plan(tmp_path / "out", ("predict", "real"), data=worlds)}
    count = len(SUITES["predict"].systems)
    assert (found["predict"].scenes, found["predict"].answers) == (3, 3 * count)
    each = [seconds_of("worlds", s) for s in SUITES["predict"].systems]
    assert found["predict"].seconds == pytest.approx(3 * sum(t or 0 for t in each))
    assert found["predict"].untimed == 3 * each.count(None)
    assert "--real" in found["real"].reason and not found["real"].seconds
    text = "\n".join(lines([*found.values(), Planned("ood", left=7, seconds=90.0, untimed=5)]))
    assert "2 min, and 5 answers that nobody timed" in text
    assert "skipped: no real data" in text and f"{3 * count}" in text
    twice = plan(tmp_path / "out", ("predict",), data=worlds, seeds=2, limit=1)[0]
    assert twice.answers == count + 1  # the world model alone draws


def test_what_a_stopped_run_has_is_not_planned_again(tmp_path: Path, worlds: Path) -> None:
    out = tmp_path / "out" / "predict"
    out.mkdir(parents=True)
    before = plan(tmp_path / "out", ("predict",), data=worlds)[0]
    scene = "val/" + json.loads((worlds / "shard-00000.json").read_text())["worlds"][-1]["name"]
    line = json.dumps({"key": f"engine-fitted {scene}", "row": {}})
    (out / "answers.jsonl").write_text(line + "\n" + line[:20])
    after = plan(tmp_path / "out", ("predict",), data=worlds)[0]
    assert after.left == before.left - 1
    assert after.seconds == pytest.approx(before.seconds - SECONDS["engine-fitted"])
    (out / "results.json").write_text("{}")
    assert plan(tmp_path / "out", ("predict",), data=worlds)[0].left == 0
    with pytest.raises(FileNotFoundError, match="worlds"):
        plan(tmp_path / "out", ("predict",), data=tmp_path / "nothing")


def test_the_time_left_follows_the_machine() -> None:
    rest = [Planned("ood", seconds=100.0), Planned("predict", seconds=50.0)]
    assert time_left(rest, spent=0.0, planned=0.0) == 150
    assert time_left(rest, spent=30.0, planned=10.0) == 450
