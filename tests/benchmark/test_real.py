"""Real motion: who is asked what, what they can know, and that engines do what their pages say."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from clay4d.benchmark.films import FILMS, Film, track_ball
from clay4d.benchmark.observation import Prediction, observe_toss
from clay4d.benchmark.real import RealCases, TossJudge
from clay4d.benchmark.run import errors_of, run_suite
from clay4d.benchmark.suites import METRICS, SUITES, Claim, SuiteConfig
from clay4d.benchmark.systems import ConstantAcceleration, ConstantVelocity, NominalEngine, Static
from clay4d.benchmark.tosses import IdentifiedContact, IdentifiedEngine
from clay4d.physics_baseline.identify.smooth_contact import SmoothContact, roll_out
from clay4d.physics_baseline.identify.tosses import Tosses

WIDTH, DT = 0.1048, 1 / 148
TOSSES = ("tosses-first-state", "tosses-six-frames")


def made_tosses(folder: Path, *, noise_after: int | None = None) -> Path:
    """Four tosses by a smooth contact, of which those with odd places are held out."""
    rng = np.random.default_rng(0)
    starts = np.zeros((4, 13))
    starts[:, 2], starts[:, 7:10], starts[:, 10:] = (
        0.25,
        rng.normal(0, 0.5, (4, 3)),
        rng.normal(0, 3, (4, 3)),
    )
    starts[:, 3:7] = Rotation.random(4, rng=1).as_quat(scalar_first=True)
    lengths = np.array([60, 70, 80, 90])
    corners = Tosses(np.zeros((0, 13)), lengths[:0], DT, WIDTH).corners()
    poses = roll_out(SmoothContact(gyration=0.002), corners, starts, lengths, DT)
    states = np.zeros((len(poses), 13), np.float32)
    states[:, :7] = poses
    first = np.cumsum(lengths) - lengths
    states[first, 7:10] = starts[:, 7:10]
    states[first, 9] += 0.5 * DT * 9.81
    turns = Rotation.from_quat(starts[:, 3:7], scalar_first=True)
    states[first, 10:] = turns.inv().apply(starts[:, 10:])
    states[:, :3] /= WIDTH / 2
    states[:, 7:10] /= WIDTH / 2
    if noise_after is not None:
        for a, n in zip(first, lengths):
            states[a + noise_after : a + n] = rng.normal(size=(n - noise_after, 13))
    (folder / "cube_tosses").mkdir(parents=True)
    np.savez(
        folder / "cube_tosses" / "tosses.npz",
        state=states,
        length=lengths,
        dt=DT,
        half_width_m=WIDTH / 2,
    )
    return folder


CONFIG = SuiteConfig(
    "real", TOSSES, ("static", "constant-velocity", "constant-acceleration", "contact-identified"),
    source="real", metrics=("toss_position", "toss_rotation"), resamplings=100,
    claims=(Claim("c", "tosses-six-frames", "contact-identified", "static", 0.5, relative=True),),
)  # fmt: skip


def test_only_tosses_that_nobody_was_fitted_to_are_asked_for(tmp_path: Path) -> None:
    cases = RealCases(CONFIG, made_tosses(tmp_path))
    places = cases.places()
    assert [p.scene for p in places] == [f"{t}/{k:03d}" for t in TOSSES for k in (0, 1)]
    case = cases.read(places[1])
    assert len(case.times) == 89  # the fourth toss, without its first frame
    assert len(cases.read(places[0]).times) == 69


def test_a_question_holds_nothing_of_the_future(tmp_path: Path) -> None:
    true = RealCases(CONFIG, made_tosses(tmp_path / "a"))
    other = RealCases(CONFIG, made_tosses(tmp_path / "b", noise_after=6))
    for place in true.places():
        ours, theirs = true.read(place), other.read(place)
        assert pickle.dumps(ours.question) == pickle.dumps(theirs.question)
        assert ours.told is None
        assert ours.measure.truth.std() != theirs.measure.truth.std()  # type: ignore[attr-defined]


def test_a_run_over_real_motion(tmp_path: Path) -> None:
    results = run_suite(CONFIG, tmp_path / "out", data=made_tosses(tmp_path))
    assert not [m for m in results.measurements if m.status == "failed"]
    asked = {(m.task, m.system) for m in results.measurements}
    assert ("tosses-first-state", "constant-acceleration") not in asked  # one frame has none
    assert ("tosses-six-frames", "constant-acceleration") in asked
    still, own = (
        errors_of(results.measurements, s, "tosses-six-frames", metric="toss_position")
        for s in ("static", "contact-identified")
    )
    assert max(own.values()) < min(still.values())
    found = results.hypotheses[0]
    share = 1 - np.mean(list(own.values())) / np.mean(list(still.values()))
    assert found.relative and found.margin == 0.5 and found.difference == pytest.approx(share)
    assert {m.metric for m in results.measurements} == {"toss_position", "toss_rotation"}


def test_places_and_angles_of_tosses_are_the_identifications() -> None:
    rng = np.random.default_rng(2)
    turns = Rotation.random(20, rng=3)
    truth = np.concatenate([rng.normal(size=(20, 3)), turns.as_quat(scalar_first=True)], 1)
    moved = turns * Rotation.from_rotvec([0, 0.2, 0])
    poses = np.concatenate([truth[:, :3] + [0, 0.01, 0], moved.as_quat(scalar_first=True)], 1)
    found = TossJudge(truth, WIDTH)(Prediction(poses[:, None, :3], poses[:, None, 3:])).values
    states = np.concatenate([truth, np.zeros((20, 6))], 1)
    place, angle = Tosses(states, np.array([20]), DT, WIDTH).errors(poses)[0]
    assert found["toss_position"] == pytest.approx(place) == pytest.approx(1 / WIDTH)
    assert found["toss_rotation"] == pytest.approx(angle) == pytest.approx(np.degrees(0.2))


def test_straight_lines_turn_on_evenly_and_parabolas_fall() -> None:
    t = np.arange(40) * DT
    start = Rotation.random(rng=4)
    spin = np.array([1.0, -2.0, 3.0])
    turns = Rotation.from_rotvec(np.outer(t, spin)) * start
    path = np.stack([t, 0 * t, 3 + 2 * t - 4.905 * t**2], -1)
    states = np.concatenate([path, turns.as_quat(scalar_first=True), np.zeros((40, 6))], 1)
    seen = observe_toss(Tosses(states, np.array([40]), DT, WIDTH), 0)
    judge = TossJudge(states[6:, :7], WIDTH)
    fall, line, still = (
        s.predict(seen, t[6:]) for s in (ConstantAcceleration(), ConstantVelocity(), Static())
    )
    assert judge(fall).values["toss_position"] < 1e-6
    assert judge(line).values["toss_position"] > 10
    assert judge(line).values["toss_rotation"] < 1e-3 < judge(still).values["toss_rotation"]


def test_a_ball_is_found_in_a_film() -> None:
    video = np.full((30, 120, 90, 3), 180, np.uint8)
    video[:, 100:110, 10:20] = (200, 40, 40)  # red, too, but it does not move
    for k in range(30):
        cv2.circle(video[k], (20 + k, 10 + 3 * k), 9, (210, 50, 40), -1)
    film = Film("made.mp4", 30.0, (4, 26), "red", 0.04, "rubber")
    track = track_ball(video, film)
    k = np.arange(4, 26)
    assert (
        np.abs(track[:, 0] - (20.5 + k)).max() < 0.6
        and np.abs(track[:, 1] - (10.5 + 3 * k)).max() < 0.6
    )
    assert track[:, 2].mean() == pytest.approx(18, rel=0.08)
    video[10] = 180
    with pytest.raises(ValueError, match="no red ball in frame 10"):
        track_ball(video, film)


def test_missing_data_and_wrong_questions_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a folder with cube_tosses"):
        run_suite("real", tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="without cube_tosses"):
        run_suite("real", tmp_path / "b", data=tmp_path)
    ball = SuiteConfig("real", ("juggling",), ("static",), source="real")
    with pytest.raises(ValueError, match="task got 'juggling'"):
        run_suite(ball, tmp_path / "c", data=tmp_path)
    with pytest.raises(ValueError, match="metric got 'smell'"):
        SuiteConfig(metrics=("smell",))
    assert {m for s in SUITES.values() for m in s.metrics} <= set(METRICS)


def test_identified_numbers_beat_handbook_ones_on_some_real_tosses(shared_data: Path) -> None:
    cases = RealCases(SuiteConfig("real", TOSSES, source="real"), shared_data)
    places = cases.places()
    assert len(places) == 450
    errors: dict[str, list[float]] = {}
    for place in places[5:225:40]:
        case = cases.read(place)
        for system in (NominalEngine(), IdentifiedEngine(), IdentifiedContact()):
            found = case.measure(system.predict(case.question, case.times))
            errors.setdefault(system.name, []).append(found.values["toss_position"])
    means = {k: float(np.mean(v)) for k, v in errors.items()}
    assert means["engine-identified"] < 0.8 * means["engine-nominal"]
    assert means["contact-identified"] < 20


def test_films_are_those_of_the_shared_data(shared_data: Path) -> None:
    config = SuiteConfig("real", ("basketball", "filmed-balls"), source="real")
    cases = RealCases(config, shared_data)
    places = cases.places()
    assert len(places) == 1 + 8 + 1 and {f.file for f in FILMS} == {
        "drop_120fps.mp4",
        "tennis_throw.mp4",
    }
    case = cases.read(places[1])
    good = case.measure(NominalEngine().predict(case.question, case.times)).values["film_error"]
    bad = case.measure(Static().predict(case.question, case.times)).values["film_error"]
    assert good < 0.3 < bad
