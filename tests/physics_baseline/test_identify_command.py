"""`clay4d identify`: tracks, simulated folders and pictures in; numbers, forecasts and reports out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clay4d.cli import main
from clay4d.physics_baseline.identify.report import identify_source, parse_unknown
from clay4d.physics_baseline.identify.sources import read_tracks
from clay4d.physics_baseline.identify.toss_report import report_tosses
from clay4d.physics_baseline.identify.tosses import load_tosses
from clay4d.physics_baseline.simulate import simulate
from clay4d.physics_baseline.spec import FixedCamera, Floor, Gravity, Material, SceneSpec, Sphere

RED = Material(colour=(0.8, 0.1, 0.1), restitution=0.7)
FILES = ["errors.png", "forecast.csv", "identified.json", "report.md", "scene.json"]


def write_flight(path: Path, *, g: float, noise: float = 5e-4, frames: int = 24) -> np.ndarray:
    """A flight by the closed form as CSV, from second 3 on, with one place not seen."""
    t = np.arange(frames) / 30
    p = np.stack([1 + 2 * t, 0.5 - t, 1 + 3 * t - 0.5 * g * t**2], 1)
    noisy = p + np.random.default_rng(0).normal(0, noise, p.shape)
    lines = ["time,x,y,z"]
    for k in range(frames):
        place = "," * 2 if k == 4 else ",".join(f"{v:.6f}" for v in noisy[k])
        lines.append(f"{3 + t[k]:.6f},{place}")
    path.write_text("\n".join(lines) + "\n")
    return p


def vacuum(path: Path) -> None:
    ball = Sphere(name="ball", position=(1, 0.5, 1), velocity=(2.5, -1, 2.5))
    SceneSpec(bodies=(ball,), floor=None, fps=30, fields=(Gravity(),)).save(path)


def test_a_track_says_its_gravity_and_is_foretold(tmp_path: Path) -> None:
    truth = write_flight(tmp_path / "t.csv", g=3.71)
    vacuum(tmp_path / "scene.json")
    out = tmp_path / "found"
    arguments = ["identify", str(tmp_path / "t.csv"), "--out", str(out), "--seen", "14"]
    arguments += ["--scene", str(tmp_path / "scene.json")]
    arguments += ["--unknown", "start", "fields.gravity.acceleration.2=-20:0"]
    assert main(arguments) == 0
    assert sorted(p.name for p in out.iterdir()) == FILES
    found = json.loads((out / "identified.json").read_text())
    gravity = found["unknowns"]["fields.gravity.acceleration.2"]
    assert abs(gravity["value"] + 3.71) < 2.5 * gravity["deviation"] < 0.2
    assert gravity["interval"][0] < gravity["value"] < gravity["interval"][1]
    body = found["bodies"]["ball"]
    assert body["fitted_moments"] == 13 and body["foretold_moments"] == 10
    assert body["mean_error"] < 0.01
    with (out / "forecast.csv").open() as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    assert len(rows) == 24 and float(rows[-1]["z_low"]) < truth[-1, 2] < float(rows[-1]["z_high"])
    assert SceneSpec.load(out / "scene.json").bodies[0].velocity[0] == pytest.approx(2, abs=0.02)
    assert "foretold" in (out / "report.md").read_text()
    again = identify_source(
        tmp_path / "t.csv", tmp_path / "again", scene=tmp_path / "scene.json", seen=14,
        unknowns=("start", "fields.gravity.acceleration.2=-20:0"),
    )  # fmt: skip
    assert again.text == (out / "report.md").read_text()
    assert (tmp_path / "again" / "forecast.csv").read_bytes() == (out / "forecast.csv").read_bytes()


@pytest.fixture(scope="module")
def bounced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red ball that falls and bounces, seen by five cameras."""
    ball = Sphere(name="ball", radius=0.1, position=(-0.3, 0, 0.5), velocity=(0.8, 0, 0), material=RED)  # fmt: skip
    floor = Floor(material=Material(restitution=0.7, colour=(0.5, 0.55, 0.6)))
    camera = FixedCamera(name="main", position=(0, -1.6, 0.6), look_at=(0, 0, 0.3), width=128, height=128)  # fmt: skip
    scene = SceneSpec(bodies=(ball,), floor=floor, cameras=(camera,), duration=0.75, fps=24)
    out = tmp_path_factory.mktemp("bounced") / "data"
    simulate(scene, out, rig=5, every=1, sound=False)
    return out


def test_a_simulated_folder_says_its_restitution(bounced: Path, tmp_path: Path) -> None:
    report = identify_source(
        bounced, tmp_path / "found", unknowns=("bodies.ball.material.restitution=0:1:0.1",)
    )
    found = report.values["unknowns"]["bodies.ball.material.restitution"]
    assert found["value"] == pytest.approx(0.7, abs=0.01) and report.values["rms"] < 1


def test_pictures_alone_say_the_flight(bounced: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    arguments = ["identify", str(bounced), "--out", str(out), "--colour", "0.8", "0.1", "0.1"]
    arguments += ["--end", "0.26", "--unknown", "start", "fields.gravity.acceleration.2=-20:0:-5"]
    assert main(arguments) == 0
    found = json.loads((out / "identified.json").read_text())["unknowns"]
    gravity = found["fields.gravity.acceleration.2"]
    assert abs(gravity["value"] + 9.81) < 3 * gravity["deviation"]
    for path, expected in (("position.0", -0.3), ("position.2", 0.5), ("velocity.0", 0.8)):
        assert found[f"bodies.ball.{path}"]["value"] == pytest.approx(expected, abs=0.05)


def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, bounced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_flight(tmp_path / "t.csv", g=9.81)
    (tmp_path / "bad.csv").write_text("time,x\n0,1\n")
    (tmp_path / "words.csv").write_text("time,x,y,z\n0,1,2,three\n")
    (tmp_path / "empty").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())
    cases = {
        "which is not there": ["no.csv"],
        "expected a CSV file of tracks": ["empty"],
        "no column y, z": ["bad.csv"],
        "could not convert": ["words.csv"],
        "expected PATH=LOW:HIGH": ["t.csv", "--unknown", "mass"],
        "there is no feathers": ["t.csv", "--unknown", "bodies.feathers.mass=1:2"],
        "expected seconds within the track": ["t.csv", "--start", "9"],
        "three moments or more": [str(bounced), "--colour", "0", "1", "0", "--start", "0.7"],
        "that three cameras agree on": [str(bounced), "--colour", "0", "1", "0", "--end", "0.2"],
    }
    for words, (source, *more) in cases.items():
        name = source if source.startswith("/") else str(tmp_path / source)
        assert main(["identify", name, "--out", str(tmp_path / "out"), *more]) == 2, words
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1, said
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert main(["identify", str(tmp_path / "t.csv"), "--out", str(bounced)]) == 2
    assert "holds something" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected PATH=LOW:HIGH"):
        parse_unknown("a=1:2:3:4")


def test_columns_of_tracks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "body,time,x,y,z,qw,qx,qy,qz\na,1,0,0,1,1,0,0,0\nb,1.5,0,0,2,1,0,0,0\na,2,1,0,1,0,0,0,1\n"
    )
    a, b = read_tracks(tmp_path / "a.csv")
    assert (a.body, b.body) == ("a", "b") and a.times.tolist() == [0, 1] and b.times[0] == 0.5
    assert a.quats is not None and a.quats[1].tolist() == [0, 0, 0, 1]


def test_the_real_ball_from_its_track_and_from_pictures(shared_data: Path, tmp_path: Path) -> None:
    """Frames 51 to 68 are free flight; six are seen, twelve foretold. Gravity alone errs by 3.9 cm."""
    folder = shared_data / "panoptic_basketball"
    when = {"start": 1.7, "end": 2.2667, "seen": 6}
    track = identify_source(folder, tmp_path / "track", **when)  # type: ignore[arg-type]
    seen = identify_source(folder, tmp_path / "seen", colour=(0.63, 0.17, 0.17), **when)  # type: ignore[arg-type]
    for report in (track, seen):
        ball = report.values["bodies"]["ball"]
        assert (ball["fitted_moments"], ball["foretold_moments"]) == (6, 12)
        assert ball["last_error"] < 0.017 and ball["mean_error"] < 0.01


def test_real_tosses(shared_data: Path, tmp_path: Path) -> None:
    tosses = load_tosses(shared_data / "cube_tosses").choose(np.arange(0, 450, 5))
    report = report_tosses(tosses, tmp_path, evaluations=150)
    held = report.values["held_out"]
    assert held["tosses"] == 45 and held["position_percent"] < 13 and held["rotation_degrees"] < 17
    with np.load(tmp_path / "predicted.npz") as file:
        assert len(file["poses"]) == file["lengths"].sum()
    assert (tmp_path / "errors.png").is_file() and "untouched" in report.text
