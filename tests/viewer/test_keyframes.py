"""Key frames: the curve passes them, is smooth between, and the file is checked at the door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from clay4d.renderers.keyframes import KeyFrame, interpolate
from clay4d.renderers.paths import look_at, read_path

EYES = torch.tensor([[3.0, 0, 1], [0, 3, 1.5], [-2, 0, 2], [0, -2.5, 1]])
AT = (0.0, 1.0, 1.5, 3.0)


def keys() -> list[KeyFrame]:
    views = look_at(EYES, torch.zeros(3))
    return [KeyFrame(a, a / 3, v, 40.0 + 5 * a) for a, v in zip(AT, views)]


def test_every_key_is_passed_at_its_second() -> None:
    path = interpolate(keys(), width=64, height=48, fps=20)
    assert len(path) == 61
    for key, eye in zip(keys(), EYES):
        frame = round(20 * key.at)
        torch.testing.assert_close(path.centres[frame], eye, atol=1e-5, rtol=0)
        torch.testing.assert_close(path.viewmats[frame], key.viewmat, atol=1e-5, rtol=0)
        assert float(path.times[frame]) == pytest.approx(key.time, abs=1e-6)


def test_speed_and_turning_have_no_jumps() -> None:
    path = interpolate(keys(), width=64, height=48, fps=200)
    speed = path.centres.double().diff(dim=0) * 200
    # A corner would change the velocity by about its own size within one frame.
    assert float(speed.diff(dim=0).norm(dim=1).max()) < 0.05 * float(speed.norm(dim=1).max())
    R = path.viewmats[:, :3, :3].double()
    turn = (R[1:] @ R[:-1].transpose(1, 2)) * 200
    assert float(turn.diff(dim=0).abs().max()) < 0.2
    torch.testing.assert_close(R @ R.transpose(1, 2), torch.eye(3).double().expand_as(R), atol=1e-5, rtol=0)  # fmt: skip


def test_two_keys_are_joined_at_constant_speed() -> None:
    a, b = keys()[:2]
    path = interpolate([a, b], width=8, height=8, fps=50)
    steps = path.centres.double().diff(dim=0).norm(dim=1)
    length = float((EYES[1] - EYES[0]).norm())
    assert float(steps.min()) * 50 == pytest.approx(length, rel=1e-3)
    assert float(steps.max()) * 50 == pytest.approx(length, rel=1e-3)


def test_time_never_runs_back_between_keys_that_go_on() -> None:
    held = [KeyFrame(a, t, torch.eye(4), 50.0) for a, t in zip(AT, (0.0, 0.9, 0.9, 1.0))]
    times = interpolate(held, width=8, height=8, fps=100).times
    assert bool((times.diff() >= -1e-6).all())
    assert float(times.max()) <= 1.0 + 1e-6


def test_a_path_file_may_hold_keyframes(tmp_path: Path) -> None:
    rows = [key.to_json() for key in keys()]
    file = tmp_path / "path.json"
    file.write_text(json.dumps({"width": 64, "height": 48, "fps": 20, "keyframes": rows}))
    path, fps = read_path(file)
    assert (fps, len(path), path.width, path.height) == (20, 61, 64, 48)
    focal = 24 / torch.tan(torch.deg2rad(torch.tensor(20.0)))
    assert float(path.Ks[0, 1, 1]) == pytest.approx(float(focal), abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": 9.0}, "seconds that grow"),
        ({"fov": 190}, "less than 180"),
        ({"viewmat": [[1, 0], [0, 1]]}, "shape|expected"),
        ({"time": float("nan")}, "expected numbers"),
        ({"at": None}, "expected a path file"),
        ({"at": -1e9}, "frames"),
    ],
)
def test_what_is_no_path_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    rows = [key.to_json() for key in keys()]
    rows[0] |= change
    file = tmp_path / "path.json"
    file.write_text(json.dumps({"width": 64, "height": 48, "fps": 20, "keyframes": rows}))
    with pytest.raises(ValueError, match=message):
        read_path(file)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    file.write_text('{"width": 8, "height": 8, "keyframes": [{"at": 0}]}')
    with pytest.raises(ValueError, match="no key 'time'"):
        read_path(file)
