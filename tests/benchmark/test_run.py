"""The runner: failures are listed, killed runs go on to the same numbers, reports say what the numbers say."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from clay4d.benchmark.observation import Observation, Thing
from clay4d.benchmark.report import summary, write_report
from clay4d.benchmark.results import PARTIAL, Measurement, Results, load_results
from clay4d.benchmark.run import _judged, errors_of, run_suite
from clay4d.benchmark.statistics import bootstrap, paired
from clay4d.benchmark.suites import Claim, SuiteConfig
from clay4d.benchmark.workers import Worker

SYSTEMS = """
import time
import numpy as np
from clay4d.benchmark.observation import Prediction


class Bad:
    name = "bad"

    def __init__(self, how):
        if how == "unmade":
            raise ValueError("no such thing")
        self.how = how

    def predict(self, observation, times):
        if self.how == "raises":
            raise KeyError("lost")
        if self.how == "hangs":
            time.sleep(60)
        if self.how == "dies":
            import os
            os._exit(3)
        if self.how == "peeks":
            import gc
            seen = [o for o in gc.get_objects() if type(o).__name__ in ("World", "Tracks")]
            assert not seen
        out = np.zeros((len(times), len(observation.things), 3))
        return Prediction(out * np.nan if self.how == "nan" else out)
"""


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "bad_systems.py").write_text(SYSTEMS)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("bad_systems")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(__file__).parents[1] / "world_model" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_of_runs", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: Path = module.write_worlds(tmp_path_factory.mktemp("worlds"), 6, held=3)
    return folder


CONFIG = SuiteConfig(
    "predict", ("val",), ("static", "constant-velocity"), resamplings=200,
    claims=(Claim("a", "all", "static", "constant-velocity", claim="Standing still is better."),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raises", "KeyError: 'lost'"), ("hangs", "no answer within 2 s"), ("dies", "ended with code 3"),
        ("nan", "NaN or infinity"), ("unmade", "cannot be made: ValueError: no such thing"),
        ("peeks", ""),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_a_failure_and_the_next_scene_is_asked(
    bad: ModuleType, how: str, reason: str
) -> None:
    worker = Worker(bad.Bad, how)
    ball = Thing("ball", "ball", (0.2,) * 3, "rubber", True)
    seen = Observation((ball,), np.arange(2.0), positions=np.zeros((2, 1, 3)))
    for _ in range(2):
        answer = worker.ask(seen, np.arange(2.0, 4.0), timeout=2.0 if how == "hangs" else 60.0)
        assert reason in answer.reason
        assert (answer.prediction is None) == bool(reason)
    worker.stop()


@pytest.fixture(scope="module")
def whole(worlds: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return run_suite(CONFIG, folder, data=worlds, command="<b>clay4d</b>"), folder


def test_a_run_leaves_numbers_that_can_be_checked(whole: tuple[Results, Path]) -> None:
    results, folder = whole
    assert load_results(folder / "results.json") == results
    still = errors_of(results.measurements, "static", "all")
    assert len(still) == 3 and all(0 < v < 5 for v in still.values())
    found = results.hypotheses[0]
    fast = errors_of(results.measurements, "constant-velocity", "all")
    assert found.difference == pytest.approx(np.mean([fast[k] - still[k] for k in still]))
    assert found.scenes == 3


def test_a_killed_run_goes_on_to_the_same_numbers(
    whole: tuple[Results, Path], worlds: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole[1], tmp_path / "cut")
    (tmp_path / "cut" / "results.json").unlink()
    log = tmp_path / "cut" / PARTIAL
    log.write_bytes(log.read_bytes()[:-200])  # in the middle of a line
    with pytest.raises(ValueError, match="which holds something"):
        run_suite(CONFIG, tmp_path / "cut", data=worlds)
    again = run_suite(CONFIG, tmp_path / "cut", data=worlds, resume=True)

    def bare(results: object) -> list[object]:
        return [
            dataclasses.replace(m, seconds=None, cpu_seconds=None, peak_memory_mb=None)
            for m in results.measurements
        ]  # type: ignore[attr-defined]

    assert bare(again) == bare(whole[0]) and again.hypotheses == whole[0].hypotheses
    other = dataclasses.replace(CONFIG, seen=5)
    with pytest.raises(ValueError, match="another config"):
        run_suite(other, tmp_path / "cut", data=worlds, resume=True)


def test_a_scenes_number_is_the_mean_over_seeds() -> None:
    rows = [
        Measurement("x", "t", "a", scene, seed, "centre_error", "p", value)
        for scene, seed, value in (("s", 0, 1.0), ("s", 1, 3.0), ("r", 0, 5.0))
    ]
    assert errors_of(rows, "a", "all") == {"s": 2.0, "r": 5.0}


def test_a_claim_without_a_rival_is_a_bound() -> None:
    rows = [Measurement("x", "t", "a", f"{k}", 0, "centre_error", "p", 0.01) for k in range(3)]
    verdicts = [_judged(Claim("b", "all", "a", "", -most), rows, CONFIG).verdict for most in (0.02, 0.005)]  # fmt: skip
    assert verdicts == ["holds", "fails"]


def test_the_report_says_who_won_and_hides_nothing(
    whole: tuple[Results, Path], tmp_path: Path
) -> None:
    results, _ = whole
    write_report(results, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    best = min(("static", "constant-velocity"), key=lambda s: np.mean(list(errors_of(results.measurements, s, "all").values())))  # fmt: skip
    assert f"Over all scenes {best} is off least" in summary(results)
    assert "Standing still is better." in page and results.hypotheses[0].verdict in page
    assert "&lt;b&gt;clay4d" in page and "<b>clay4d" not in page
    assert "http://" not in page and "https://" not in page


def test_bad_requests_are_named(worlds: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="suite got 'all-of-it'"):
        run_suite("all-of-it", tmp_path / "a")
    with pytest.raises(ValueError, match="system got 'oracle'"):
        run_suite(CONFIG, tmp_path / "b", data=worlds, systems=("oracle",))
    with pytest.raises(FileNotFoundError, match="make-worlds"):
        run_suite(CONFIG, tmp_path / "c")
    with pytest.raises(ValueError, match="without worlds of test"):
        run_suite(dataclasses.replace(CONFIG, splits=("test",)), tmp_path / "d", data=worlds)


def test_intervals_are_those_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    found = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)
    # Paired: what both share does not widen the interval.
    ours = {str(k): v for k, v in enumerate(values)}
    theirs = {k: v + 0.1 for k, v in ours.items()}
    apart = paired(ours, theirs)
    assert apart is not None and apart.low == pytest.approx(0.1) == apart.high
    assert paired({"a": 1.0}, {"b": 1.0}) is None
