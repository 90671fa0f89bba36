"""`prepare` on films that the tests draw themselves, whose poses are known."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from clay4d.scenes import Dataset
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.prepare import prepare
from clay4d.scenes.prepare.poses import pairs
from clay4d.scenes.prepare.sources import find_sources

needs_sfm = pytest.mark.skipif(
    find_spec("pycolmap") is None, reason="pycolmap is not installed (the extra `sfm`)"
)
FRAMES = 30
"""Of the film; 10 are kept."""


@pytest.fixture(scope="module")
def walked(room: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A film of a walk through the room while the square rises, prepared once."""
    if find_spec("pycolmap") is None:
        pytest.skip("pycolmap is not installed (the extra `sfm`)")
    root = tmp_path_factory.mktemp("walk")
    views = room.walk(FRAMES)
    room.film(root / "walk.mp4", [room.draw(v, i / FRAMES) for i, v in enumerate(views)])
    told: list[str] = []
    done = prepare(root / "walk.mp4", root / "data", frames=10, say=told.append)
    return SimpleNamespace(root=root, views=views, done=done, told=told)


def compare(room: SimpleNamespace, data: Dataset, views: list) -> tuple[np.ndarray, np.ndarray]:
    """Errors of centres (the room is 6 long) and of directions in degrees, once aligned."""
    ours, truth, turns = [], [], []
    for split in data.splits.values():
        for i, name in enumerate(split.names):
            true = views[int(Path(name).stem)]
            ours.append(split.cameras.centres[i].double().numpy())
            truth.append(-true[:3, :3].T @ true[:3, 3])
            turns.append((split.cameras.viewmats[i, :3, :3].double().numpy(), true[:3, :3]))
    moved, _, R = room.aligned(np.stack(ours), np.stack(truth))
    angles = [np.degrees(np.linalg.norm(a @ R.T @ b.T - np.eye(3)) / 2**0.5) for a, b in turns]
    return np.linalg.norm(moved - np.stack(truth), axis=1), np.array(angles)


def test_poses_of_a_moving_camera(room: SimpleNamespace, walked: SimpleNamespace) -> None:
    data = load_dataset(walked.root / "data")
    report = walked.done.report
    assert report.registered == report.frames == 10 and not report.fixed
    assert 0 < report.error < 1 and report.points > 100
    centres, angles = compare(room, data, walked.views)
    assert centres.max() < 0.03 and angles.max() < 1.5  # half a percent of the room's 6
    assert float(data.train.cameras.Ks[0, 0, 0]) == pytest.approx(300, rel=0.03)
    assert any(line.startswith("matching") for line in walked.told)


def test_points_lie_in_the_room(room: SimpleNamespace, walked: SimpleNamespace) -> None:
    data = load_dataset(walked.root / "data")
    assert data.points is not None and len(data.points) == walked.done.report.points
    camera = data.train.cameras
    p = data.points[:, :3] @ camera.viewmats[5, :3, :3].T + camera.viewmats[5, :3, 3]
    pixel = (p @ camera.Ks[5].T)[:, :2] / p[:, 2:]
    inside = (p[:, 2] > 0) & (pixel > 2).all(1) & (pixel[:, 0] < room.W - 2)
    inside &= pixel[:, 1] < room.H - 2
    picture = data.train[5].image
    u, v = pixel[inside].long().T
    off = (picture[v, u] - data.points[inside, 3:]).abs().mean(1)
    assert int(inside.sum()) > 50 and float(off.median()) < 0.12


def test_times_are_the_films_and_masks_say_what_moves(
    room: SimpleNamespace, walked: SimpleNamespace
) -> None:
    data = load_dataset(walked.root / "data")
    meta = json.loads((walked.root / "data/transforms.json").read_text())
    numbers = sorted(int(Path(f["file_path"]).stem) for f in meta["frames"])
    assert data.duration == pytest.approx((numbers[-1] - numbers[0]) / 30, abs=1e-3)
    found, wrong, all_there = 0.0, 0.0, 0.0
    for split in data.splits.values():
        for i, name in enumerate(split.names):
            k = int(Path(name).stem)
            still = room.draw(walked.views[k], None).astype(int)
            square = np.abs(room.draw(walked.views[k], k / FRAMES) - still).sum(2) > 0
            mask = split[i].mask
            assert mask is not None
            said = mask.numpy() > 0.5
            found, all_there = found + (said & square).sum(), all_there + square.sum()
            wrong += (said & ~square).mean() / len(meta["frames"])
    assert found / all_there > 0.9 and wrong < 0.06


def test_what_is_left_behind(walked: SimpleNamespace) -> None:
    assert sorted(os.listdir(walked.root)) == ["data", "walk.mp4"]
    names = sorted(os.listdir(walked.root / "data"))
    assert names == [
        "contact_sheet.png", "images", "moving", "points.ply", "report.md", "transforms.json",
    ]  # fmt: skip
    text = (walked.root / "data/report.md").read_text()
    assert "| frames registered | 10 of 10 |" in text and "unknown scale" in text
    with Image.open(walked.root / "data/contact_sheet.png") as sheet:
        assert sheet.width > 300
    with pytest.raises(ValueError, match="out got .*which holds something"):
        prepare(walked.root / "walk.mp4", walked.root / "data")


@needs_sfm
def test_the_same_film_gives_the_same_bits(walked: SimpleNamespace) -> None:
    prepare(walked.root / "walk.mp4", walked.root / "again", frames=10)
    for name in ("transforms.json", "points.ply"):
        first, second = ((walked.root / at / name).read_bytes() for at in ("data", "again"))
        assert first == second


@needs_sfm
def test_a_folder_of_films_by_cameras_that_stand_still(
    room: SimpleNamespace, tmp_path: Path
) -> None:
    """Four cameras, each its own film: one pose each, the first is held out."""
    views = room.walk(4)
    (tmp_path / "in").mkdir()
    for i, view in enumerate(views):
        pictures = [room.draw(view, t / 8) for t in range(8)]
        room.film(tmp_path / f"in/cam{i}.mp4", pictures)
    report = prepare(tmp_path / "in", tmp_path / "out").report
    data = load_dataset(tmp_path / "out")
    assert report.fixed and report.registered == 32 and report.cameras == 4
    assert len(data.train) == 24 and set(data.split("test").camera_ids) == {0}
    assert data.duration == pytest.approx(7 / 30, abs=1e-3)
    centres = {
        c: v.cameras.centres[i] for v in data.splits.values() for i, c in enumerate(v.camera_ids)
    }
    ours = np.stack([centres[i].double().numpy() for i in range(4)])
    truth = np.stack([-v[:3, :3].T @ v[:3, 3] for v in views])
    assert np.linalg.norm(room.aligned(ours, truth)[0] - truth, axis=1).max() < 0.12


def test_one_camera_that_stands_still_is_said(room: SimpleNamespace, tmp_path: Path) -> None:
    view = room.walk(3)[1]
    room.film(tmp_path / "a.mp4", [room.draw(view, t / 20) for t in range(20)])
    report = prepare(tmp_path / "a.mp4", tmp_path / "out", frames=10).report
    assert report.fixed and "One view gives no depth" in report.notes[0]
    data = load_dataset(tmp_path / "out")
    assert len(data.train) + len(data.split("test")) == 10
    assert (data.train.cameras.viewmats == data.train.cameras.viewmats[0]).all()
    assert data.duration == pytest.approx(19 / 30, abs=1e-3)
    assert float(data.train.cameras.viewmats[0, 1, 2]) == pytest.approx(-1)  # z is up


@needs_sfm
def test_pictures_of_nothing_in_common_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for i in range(4):
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(tmp_path / f"in/{i}.png")
    with pytest.raises(ValueError, match="poses got 0 of 4 pictures; .*Walk around the scene"):
        prepare(tmp_path / "in", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_photographs_are_turned_by_exif_and_their_focal_length_is_read(tmp_path: Path) -> None:
    picture = Image.new("RGB", (80, 60), (200, 0, 0))
    picture.paste((0, 0, 200), (0, 0, 80, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right: its top is then on the right
    exif.get_ifd(0x8769)[0xA405] = 27
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    (source,) = find_sources(tmp_path)
    seen = source.frame(0, longest=1000)
    assert seen.shape == (80, 60, 3) and seen[40, 50, 2] > 150 and seen[40, 10, 0] > 150
    assert source.focal(1000) == pytest.approx(27 / 36 * 80)
    assert source.focal(40) == pytest.approx(27 / 36 * 40)
    assert source.frame(0, longest=40).shape == (40, 30, 3) and source.times is None


def test_many_pictures_are_matched_with_few() -> None:
    two = [[f"{c}/{i}" for i in range(100)] for c in "ab"]
    found = set(pairs(two))
    assert {("a/0", "a/8"), ("a/0", "a/64"), ("a/7", "b/8"), ("a/10", "a/90")} <= found
    assert ("a/1", "a/10") not in found and len(found) < 3000 < 200 * 199 // 2
    assert len(pairs([["a", "b", "c"]])) == 3


def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="which is not there; expected a film or a folder"):
        prepare(tmp_path / "none", tmp_path / "out")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match="got a.txt; expected a film"):
        prepare(tmp_path / "a.txt", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="input folder in got nothing; expected films"):
        prepare(tmp_path / "in", tmp_path / "out")
    with pytest.raises(ValueError, match="frames got 1; expected at least 3"):
        prepare(tmp_path / "in", tmp_path / "out", frames=1)
    (tmp_path / "in/a.mp4").write_bytes(b"no film")
    with pytest.raises(ValueError, match="a.mp4 got .*expected a whole film"):
        prepare(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in/a.mp4").unlink()
    for i in range(3):
        Image.new("RGB", (40, 30)).save(tmp_path / f"in/{i}.png")
    monkeypatch.setattr("clay4d.scenes.prepare.poses.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'clay4d\[sfm\]'"):
        prepare(tmp_path / "in", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "in"]
