"""Cameras that stand still: poses_bounds.npy with films and pictures, and multi-view folders."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from clay4d.scenes.loaders import load_dataset

W, H, FOCAL = 64, 48, 70.0


def film(path: Path, value: int, frames: int = 5, size: tuple[int, int] = (W, H)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(frames):
            pixels = np.full((size[1], size[0], 3), value + 5 * i, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def rows(n: int = 3) -> np.ndarray:
    """Cameras side by side at (i, 0, 0) that look along -z with y up: right x, down -y, back z."""
    table = []
    for i in range(n):
        matrix = np.array(
            [[0, 1, 0, i, H], [-1, 0, 0, 0, W], [0, 0, 1, 0, FOCAL]], float
        )  # columns: down, right, back, centre, (height, width, focal length)
        table.append([*matrix.reshape(-1), 1.0, 20.0])
    return np.array(table)


def pixel(data: Any, split: str, index: int, point: tuple[float, float, float]) -> np.ndarray:
    c = data.split(split).cameras[index]
    x = np.array(data.notes["world_from_file"]) @ [*point, 1.0]
    p = c.Ks[0].double().numpy() @ (c.viewmats[0].double().numpy() @ x)[:3]
    return p[:2] / p[2]


def test_n3dv_by_hand(tmp_path: Path) -> None:
    """From (1, 0, 0) the point (1.4, 0.2, -2) is 2 ahead, 0.4 right and 0.2 up."""
    np.save(tmp_path / "poses_bounds.npy", rows())
    for i in range(3):
        film(tmp_path / f"cam{i:02d}.mp4", 40 * i + 20)
    data = load_dataset(tmp_path)
    assert data.notes["format"] == "N3DV"
    assert data.train.names[:3] == ["cam01.mp4#00000", "cam02.mp4#00000", "cam01.mp4#00001"]
    assert data.split("test").camera_ids == [0] * 5 and data.duration == pytest.approx(4 / 30)
    expected = [W / 2 + FOCAL * 0.2, H / 2 - FOCAL * 0.1]
    np.testing.assert_allclose(pixel(data, "train", 0, (1.4, 0.2, -2)), expected, atol=1e-4)
    np.testing.assert_allclose(np.array(data.notes["world_from_file"])[:3, 1], [0, 0, 1], atol=1e-9)
    for i, value in ((0, 60), (1, 100), (9, 120), (4, 70)):
        assert abs(int(data.train.pixels(i)[20, 20, 0]) - value) <= 2
    low, high = (np.array(side) for side in data.bounds.tolist())
    assert low[1] == pytest.approx(1, abs=1e-4) and high[1] == pytest.approx(4, abs=1e-4)


def test_frames_are_decoded_when_asked_for_within_the_budget(tmp_path: Path) -> None:
    np.save(tmp_path / "poses_bounds.npy", rows())
    for i in range(3):
        film(tmp_path / f"cam{i:02d}.mp4", 20)
    views = load_dataset(tmp_path, memory_budget=3 * W * H * 3).train
    for i in range(len(views)):
        views.pixels(i)
    assert len(views._kept) == 3


def test_wide_films_are_halved(tmp_path: Path) -> None:
    np.save(tmp_path / "poses_bounds.npy", rows(2) * np.where(np.arange(17) % 5 == 4, 32, 1))
    for i in range(2):
        film(tmp_path / f"cam{i:02d}.mp4", 90, frames=1, size=(2048, 1536))
    data = load_dataset(tmp_path)
    assert (data.train.cameras.width, data.train.cameras.height) == (1024, 768)
    assert float(data.train.cameras.Ks[0, 0, 0]) == pytest.approx(FOCAL * 16)
    assert data.train.pixels(0).shape == (768, 1024, 3)
    assert load_dataset(tmp_path, factor=4).train.cameras.width == 512


def test_llff_pictures(tmp_path: Path, posed: Any) -> None:
    np.save(tmp_path / "poses_bounds.npy", rows(9))
    for i in range(9):
        posed.save(tmp_path / f"images_4/{i}.png", size=(W // 4, H // 4))
    data = load_dataset(tmp_path)
    assert data.notes["format"] == "LLFF" and len(data.split("test")) == 2 and data.duration == 0
    expected = [(W / 2 + FOCAL * 0.2) / 4, (H / 2 - FOCAL * 0.1) / 4]
    np.testing.assert_allclose(pixel(data, "train", 0, (1.4, 0.2, -2)), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda t: t[:2], "poses_bounds.npy got 2 rows for 3 films"),
        (lambda t: t[:, :16], r"got shape \[3, 16\]; expected \[N, 17\]"),
        (lambda t: np.where(np.arange(17) == 3, np.nan, t), "row 0 got NaN"),
        (
            lambda t: t * np.where(np.arange(17) == 14, -1, 1),
            "row 0 got height 48, width 64, focal",
        ),
        (
            lambda t: t * np.where(np.arange(17) == 0, 2, 1) + 0.5,
            "row 0 got a pose that is not rigid",
        ),
        (lambda t: t[:, [*range(15), 16, 15]], "row 0 got depths 20 to 1"),
    ],
)
def test_poses_bounds_refuses(posed: Any, tmp_path: Path, edit: Any, match: str) -> None:
    np.save(tmp_path / "poses_bounds.npy", edit(rows()))
    for i in range(3):
        film(tmp_path / f"cam{i:02d}.mp4", 20)
    posed.refused(tmp_path, match + ".*read as N3DV")


def test_broken_rigs_are_named(posed: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "poses_bounds.npy", rows())
    posed.refused(tmp_path, "without films .* or pictures in images; .*LLFF", FileNotFoundError)
    film(tmp_path / "cam00.mp4", 20)
    (tmp_path / "cam01.mp4").write_bytes(b"no film")
    posed.refused(tmp_path, "cam01.mp4 got .*expected a whole film.*N3DV")
    data = (tmp_path / "poses_bounds.npy").read_bytes()
    (tmp_path / "cam01.mp4").unlink()
    (tmp_path / "poses_bounds.npy").write_bytes(data[:-8])
    posed.refused(tmp_path, "poses_bounds.npy got no readable array")


def listed(root: Path, **changes: Any) -> None:
    entries = []
    for i, name in enumerate(("left", "middle", "right")):
        entry = {
            "id": i, "img_name": name, "width": W, "height": H, "fx": FOCAL, "fy": FOCAL,
            "position": [i, 0.0, 0.0], "rotation": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
        }  # fmt: skip
        entries.append(entry | (changes if i == 1 else {}))
    (root / "cameras.json").write_text(json.dumps(entries))


def folders(
    root: Path, frames: int = 4, names: tuple[str, ...] = ("left", "middle", "right")
) -> None:
    for i, name in enumerate(names):
        for t in range(frames):
            path = root / name / f"frame_{t + 1:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (W, H), (30 * i + 10 * t,) * 3).save(path)


@pytest.mark.parametrize("films", [False, True])
def test_cameras_json(tmp_path: Path, films: bool) -> None:
    listed(tmp_path, cx=30.0, cy=25.0)
    if films:
        for i, name in enumerate(("left", "middle", "right")):
            film(tmp_path / f"{name}.mp4", 30 * i, frames=4)
    else:
        folders(tmp_path)
    data = load_dataset(tmp_path)
    assert data.notes["format"] == "multi-view" and data.split("test").camera_ids == [0] * 4
    expected = [30 + FOCAL * 0.2, 25 - FOCAL * 0.1]  # as in N3DV's, seen from the middle
    np.testing.assert_allclose(pixel(data, "train", 0, (1.4, 0.2, -2)), expected, atol=1e-4)
    assert data.train.cameras.times.tolist() == pytest.approx([0, 0, 1 / 30, 1 / 30, 2 / 30, 2 / 30, 0.1, 0.1])  # fmt: skip
    assert abs(int(data.train.pixels(3)[9, 9, 0]) - (65 if films else 70)) <= 3


def test_multipleview_of_4dgaussians(tmp_path: Path) -> None:
    """sparse_ has one picture for each camera, image1.jpg for cam01."""
    folders(tmp_path, names=("cam01", "cam02"))
    (tmp_path / "sparse_").mkdir()
    data = struct.pack("<Q", 1) + struct.pack("<iiQQ4d", 1, 1, W, H, FOCAL, FOCAL, 32.0, 24.0)
    (tmp_path / "sparse_/cameras.bin").write_bytes(data)
    data = struct.pack("<Q", 2)
    for i in (1, 2):
        data += struct.pack("<i7di", i, 0.0, 1.0, 0.0, 0.0, -float(i), 0.0, 0.0, 1)
        data += f"image{i}.jpg".encode() + b"\0" + struct.pack("<Q", 0)
    (tmp_path / "sparse_/images.bin").write_bytes(data)
    loaded = load_dataset(tmp_path)
    expected = [W / 2 + FOCAL * 0.2, H / 2 - FOCAL * 0.1]  # half a turn about x: looks along -z
    np.testing.assert_allclose(pixel(loaded, "train", 0, (2.4, 0.2, -2)), expected, atol=1e-4)
    assert len(loaded.train) == 4 and loaded.duration == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"img_name": "else"}, "camera middle got no pose; expected one of left, else, right"),
        ({"img_name": "left"}, "got a name that is empty or there twice"),
        ({"fx": 0}, "got fl_x = 0; expected a number above 0"),
        ({"rotation": None}, "rotation of cameras.json, camera middle got 'None'"),
        ({"width": 1e9}, "pixels; expected up to 65536"),
        ({"width": 99}, "camera middle got 64×48 pixels; expected 99×48"),
    ],
)
def test_multiview_refuses(posed: Any, tmp_path: Path, change: dict, match: str) -> None:
    listed(tmp_path, **change)
    folders(tmp_path)
    posed.refused(tmp_path, match + ".*read as multi-view")


def test_multiview_without_pictures_or_with_one_camera(posed: Any, tmp_path: Path) -> None:
    listed(tmp_path)
    posed.refused(tmp_path, "got neither films nor folders of pictures", FileNotFoundError)
    folders(tmp_path, names=("left",))
    data = load_dataset(tmp_path)
    assert list(data.splits) == ["train"] and len(data.train) == 4
    Image.new("RGB", (H, W)).save(tmp_path / "left/frame_00002.jpg")
    posed.refused(tmp_path, "left got pictures of 48×64, 64×48 pixels; expected one size a camera")
