"""Lists of prompts and of runs: what is made one by one, going on, and not mixing results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from on_disk import written

from clay4d.cli import main
from clay4d.cli_sweep import job_of
from clay4d.lists import NAME, begin_list, read_list
from clay4d.physics_baseline import suite
from clay4d.physics_baseline.simulate import simulate
from clay4d.scenes import Dataset
from clay4d.training.run import SCENE, train

FALL = "a red ball falls onto a blue box for 0.2 seconds at 10 fps"
ROLL = "a green ball falls for 0.2 seconds at 10 fps"
TINY = {
    "motion": {"kind": "static"}, "start": {"count": 100}, "steps": 12, "checkpoint_every": 4,
    "density": {"kind": "mcmc-density", "cap": 120, "begin": 4, "every": 4},
    "schedule": {"coarse": [[0.0, 1.0]], "sh_degree": 1},
}  # fmt: skip


@pytest.fixture
def pictures(swinging: Dataset, tmp_path: Path) -> Path:
    return written(swinging, tmp_path / "some data")


def listed(place: Path, *lines: str) -> Path:
    place.write_text("\n".join(lines), encoding="utf-8")
    return place


def bits(folder: Path) -> dict[str, bytes]:
    """Of a run or a simulated scene, without what tells the time."""
    told = ("trace.json", "checkpoint.safetensors")
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in told and "tensorboard" not in p.parts
    }  # fmt: skip


def test_a_list_is_lines_that_say_something(tmp_path: Path) -> None:
    assert read_list(listed(tmp_path / "a.txt", "# two", "", " one ", "ü")) == ["one", "ü"]
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    for name, said in (("b.txt", "no UTF-8"), ("c.txt", "got 0 lines; expected 1 to")):
        if name == "c.txt":
            listed(tmp_path / name, "# nothing")
        with pytest.raises(ValueError, match=said):
            read_list(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="expected a text file"):
        read_list(tmp_path / "none.txt")


def test_results_of_other_lines_are_not_mixed(tmp_path: Path) -> None:
    first, second = begin_list(tmp_path / "out", ["a", "b"], seed=0)
    first.mkdir()
    # A line without a folder may change, and others may follow.
    assert len(begin_list(tmp_path / "out", ["a", "c", "d"], seed=0)) == 3
    for lines, options, said in (
        (["b"], {"seed": 0}, "line 1 got 'b'.*results of 'a'"), (["a"], {"seed": 1}, "other options"),
        ([], {"seed": 0}, "line 1 got 'nothing'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            begin_list(tmp_path / "out", lines, **options)
    assert not second.exists()
    (tmp_path / "else").mkdir()
    (tmp_path / "else/file").touch()
    with pytest.raises(ValueError, match="holds something else"):
        begin_list(tmp_path / "else", ["a"])
    for text in ("[" * 100_000, "[]", '{"lines": 3, "options": {}}', "{"):
        (tmp_path / "out" / NAME).write_text(text)
        with pytest.raises(ValueError, match="got no list; expected lines and options"):
            begin_list(tmp_path / "out", ["a"], seed=0)


def test_a_suite_is_simulated_line_by_line_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = listed(tmp_path / "prompts.txt", FALL, ROLL)
    done: list[str] = []

    def once(what: str, out: Path, **options: Any) -> Any:
        done.append(what)
        if done == [FALL, ROLL]:
            raise KeyboardInterrupt
        return simulate(what, out, **options)

    monkeypatch.setattr(suite, "simulate", once)
    command = ["simulate", str(prompts), "--out", str(tmp_path / "out"), "--rig", "1"]
    assert main(command) == 130
    assert main(command) == 0 and done == [FALL, ROLL, ROLL]
    simulate(ROLL, tmp_path / "alone", rig=1)
    assert bits(tmp_path / "out/0001") == bits(tmp_path / "alone")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0000", "0001", NAME]
    listed(prompts, FALL, ROLL, "qwertz xyzzy")
    assert main(command) == 2 and "clay4d: 'qwertz xyzzy': " in capsys.readouterr().err
    assert main(["simulate", FALL, "--out", str(tmp_path / "b"), "--distributed"]) == 2
    assert "distributed got 'local' for one scene; expected a list" in capsys.readouterr().err


def test_a_suites_scenes_are_beside_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(suite, "simulate", lambda what, out, **_: asked.append(what))
    suite.simulate_suite(listed(tmp_path / "a.txt", "sub/s.json", FALL), tmp_path / "out", seed=3)
    assert asked == [str(tmp_path / "sub/s.json"), FALL]


def test_a_sweep_trains_each_line_and_only_what_is_missing(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = tmp_path / "tiny.yaml"
    preset.write_text(yaml.safe_dump(TINY))
    line = f"{preset} --data '{pictures}'"
    runs = listed(tmp_path / "runs.txt", f"{line} --seed 1", f"{line} --shards 2")
    command = ["sweep", str(runs), "--out", str(tmp_path / "out"), "--split", "test"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.count(" dB, SSIM ") == 2 and f"{line} --shards 2" in said
    given = job_of(f"{line} --seed 1", tmp_path / "x")
    train(given.config, given.data, tmp_path / "alone")
    one = bits(tmp_path / "out/0000")
    assert one.pop("metrics.json") and one == bits(tmp_path / "alone")
    assert (tmp_path / "out/0001" / SCENE).read_bytes() != one[SCENE]
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob(SCENE)}
    (tmp_path / "out/0001" / SCENE).unlink()  # killed after the last checkpoint
    assert main(command) == 0
    assert (tmp_path / "out/0000" / SCENE).stat().st_mtime_ns == made[tmp_path / "out/0000" / SCENE]
    assert (tmp_path / "out/0001" / SCENE).is_file()


def test_what_a_sweep_cannot_train_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected quotes that close"):
        job_of("quick --data 'a", tmp_path)
    with pytest.raises(ValueError, match=r"minutes got 1.0 in .*; expected none. Use --steps"):
        job_of("quick --data a --minutes 1", tmp_path)
    with pytest.raises(SystemExit):
        job_of("quick --data a --no-such-option", tmp_path)
