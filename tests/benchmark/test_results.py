"""results.json: what is written is read back, and what cannot be right is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from clay4d.benchmark.results import (
    Hypothesis,
    Measurement,
    Metric,
    Pane,
    Results,
    Shown,
    load_results,
    save_results,
)


def results() -> Results:
    ok = Measurement("smoke", "predict", "static", "w0", 0, "position", "p", 0.25, horizon=0.5)
    bad = Measurement("smoke", "predict", "engine", "w0", 1, "position", "p", status="failed", reason="hung")  # fmt: skip
    return Results(
        "smoke", "ab" * 32, "seeds: [0]\n", "clay4d benchmark smoke", "2026-01-02", "2 cores",
        (("torch", "2.9"),), (Metric("position", "m", "lower"),), (("p", "6 frames in, 18 out"),),
        (ok, bad), (Hypothesis("h1", "predict", "position", "engine", "static", 0.01),),
        (Shown("w0", (Pane("truth", "videos/a.mp4"), Pane("engine", "b.mp4", "scenes/b.html"))),),
    )  # fmt: skip


def test_results_are_read_back(tmp_path: Path) -> None:
    save_results(tmp_path / "results.json", results())
    assert load_results(tmp_path / "results.json") == results()


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_value_that_is_none_is_a_failure(value: float | None) -> None:
    with pytest.raises(ValueError, match="finite number"):
        Measurement("s", "t", "x", "w", 0, "m", "p", value)


def test_a_failure_has_a_reason_and_no_value() -> None:
    with pytest.raises(ValueError, match="a reason"):
        Measurement("s", "t", "x", "w", 0, "m", "p", status="failed")


@pytest.mark.parametrize(
    "path", ["/a.mp4", "../a.mp4", "a/../../b.mp4", "http://x/a.mp4", "", "a\\b.mp4"]
)
def test_panes_stay_in_their_folder(path: str) -> None:
    with pytest.raises(ValueError, match="relative"):
        Pane("x", path)


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        dataclasses.replace(results(), metrics=(Metric("other", "", "lower"),))


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "not JSON"), ('{"suite": NaN}', "finite"), ("[]", "expected a mapping"), ("[" * 99999, "not JSON")],
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=says):
        load_results(tmp_path / "results.json")


def test_a_fault_is_placed(tmp_path: Path) -> None:
    save_results(tmp_path / "results.json", results())
    raw = json.loads((tmp_path / "results.json").read_text())
    raw["measurements"][1]["status"] = "fine"
    (tmp_path / "results.json").write_text(json.dumps(raw))
    with pytest.raises(ValueError, match=r"results.json: measurements\[1\].status got 'fine'"):
        load_results(tmp_path / "results.json")
