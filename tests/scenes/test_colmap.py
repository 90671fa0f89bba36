"""COLMAP's text and binary models, written here from colmap.github.io/format.html."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clay4d.scenes.loaders import load_dataset

MODELS = {0: "SIMPLE_PINHOLE", 1: "PINHOLE", 2: "SIMPLE_RADIAL", 4: "OPENCV"}
W, H = 64, 48
POINT = np.array([0.2, -0.1, 0.3])
"""In the model's world."""


def quaternion(R: np.ndarray) -> np.ndarray:
    """wxyz by the eigenvector of the largest eigenvalue (Bar-Itzhack 2000)."""
    (a, b, c), (d, e, f), (g, h, i) = R
    K = np.array(
        [
            [a - e - i, 0, 0, 0], [d + b, e - a - i, 0, 0],
            [g + c, h + f, i - a - e, 0], [h - f, c - g, d - b, a + e + i],
        ]
    ) / 3  # fmt: skip
    x, y, z, w = np.linalg.eigh(K)[1][:, -1]
    return np.array([w, x, y, z])


def views(n: int = 9) -> dict[int, np.ndarray]:
    """World-to-camera poses in a world whose y points down, by image id, out of order with gaps."""
    poses = {}
    for i in range(n):
        a = 0.3 * i - 1
        eye = np.array([4 * np.sin(a), -0.5, -4 * np.cos(a)])
        z = -eye / np.linalg.norm(eye)
        x = np.cross([0, 1.0, 0], z)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(z, x), z])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = R, -R @ eye
        poses[100 - 7 * i] = pose
    return poses


def name_of(number: int) -> str:
    return f"cam a/{(100 - number) // 7:03d}.png"


def write_bin(root: Path, poses: dict, cameras: dict, points: np.ndarray) -> None:
    root.mkdir(parents=True, exist_ok=True)
    data = struct.pack("<Q", len(cameras))
    for number, (model, params) in cameras.items():
        data += struct.pack("<iiQQ", number, model, W, H) + struct.pack(f"<{len(params)}d", *params)
    (root / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(poses))
    for number, pose in poses.items():
        data += struct.pack("<i7di", number, *quaternion(pose[:3, :3]), *pose[:3, 3], 5)
        data += name_of(number).encode() + b"\0"
        count = number % 3
        data += struct.pack("<Q", count) + struct.pack("<ddq", 1.5, 2.5, -1) * count
    (root / "images.bin").write_bytes(data)
    data = struct.pack("<Q", len(points))
    for i, (x, y, z, r, g, b) in enumerate(points):
        data += struct.pack("<QdddBBBd", i + 3, x, y, z, int(r), int(g), int(b), 0.5)
        data += struct.pack("<Q", i) + struct.pack("<ii", 100, 0) * i
    (root / "points3D.bin").write_bytes(data)


def write_txt(root: Path, poses: dict, cameras: dict, points: np.ndarray) -> None:
    root.mkdir(parents=True, exist_ok=True)
    lines = ["# Camera list", f"# Number of cameras: {len(cameras)}"]
    for number, (model, params) in cameras.items():
        lines += [" ".join(map(str, (number, MODELS[model], W, H, *params)))]
    (root / "cameras.txt").write_text("\n".join(lines) + "\n")
    lines = ["# Image list with two lines of data per image:"]
    for number, pose in poses.items():
        numbers = map(repr, map(float, (*quaternion(pose[:3, :3]), *pose[:3, 3])))
        lines += [f"{number} {' '.join(numbers)} 5 {name_of(number)}"]
        lines += ["1.5 2.5 -1 3 4 7" if number % 2 else ""]
    (root / "images.txt").write_text("\n".join(lines) + "\n")
    lines = [
        f"{i + 3} {x} {y} {z} {r:.0f} {g:.0f} {b:.0f} 0.5 1 2"
        for i, (x, y, z, r, g, b) in enumerate(points)
    ]
    (root / "points3D.txt").write_text("\n".join(lines))


CAMERAS = {5: (1, (60.0, 62.0, 33.0, 23.0))}
POINTS = np.array([[*POINT, 255, 0, 51], [1.0, 2, 3, 0, 255, 0]])


def fixture(root: Path, kind: str = "bin", *, at: str = "sparse/0", images: str = "images", size: tuple[int, int] = (W, H), cameras: dict = CAMERAS) -> dict:  # fmt: skip
    poses = views()
    {"bin": write_bin, "txt": write_txt}[kind](root / at, poses, cameras, POINTS)
    for number in poses:
        path = root / images / name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (90, 90, 90)).save(path)
    return poses


def project(data: Any, split: str, index: int, point: np.ndarray) -> np.ndarray:
    camera = data.split(split).cameras[index]
    turned = np.array(data.notes["world_from_file"])[:3, :3] @ point
    p = camera.viewmats[0, :3, :3].double().numpy() @ turned + camera.viewmats[0, :3, 3].numpy()
    p = camera.Ks[0].double().numpy() @ p
    return p[:2] / p[2]


def expected(pose: np.ndarray, params: tuple[float, ...], scale: float = 1.0) -> np.ndarray:
    x, y, z = pose[:3, :3] @ POINT + pose[:3, 3]
    fx, fy, cx, cy = params
    return scale * np.array([fx * x / z + cx, fy * y / z + cy])


@pytest.mark.parametrize("kind", ["bin", "txt"])
@pytest.mark.parametrize("at", ["sparse/0", "sparse", "", "colmap/sparse/0"])
def test_text_and_binary_say_the_same(tmp_path: Path, kind: str, at: str) -> None:
    poses = fixture(tmp_path, kind, at=at)
    data = load_dataset(tmp_path)
    assert data.notes["format"] == "COLMAP" and data.notes["model"] == (at or ".")
    assert data.split("test").names == [f"images/cam a/{i:03d}.png" for i in (0, 8)]
    assert len(data.train) == 7 and data.duration == 0
    for i in range(7):
        pixel = project(data, "train", i, POINT)
        np.testing.assert_allclose(
            pixel, expected(poses[100 - 7 * (i + 1)], CAMERAS[5][1]), atol=1e-4
        )
    assert data.points is not None and data.points.shape == (2, 6)
    turn = np.array(data.notes["world_from_file"])[:3, :3]
    np.testing.assert_allclose(data.points[0, :3], turn @ POINT, atol=1e-6)
    np.testing.assert_allclose(data.points[0, 3:], [1, 0, 0.2], atol=1e-6)
    assert float(data.train.cameras.viewmats[:, 1, 2].max()) < -0.9  # z is up


def test_a_pixel_worked_out_by_hand(tmp_path: Path) -> None:
    """A quarter turn about y takes (1, 2, 0) to (0, 2, -1); 5 ahead that is (0, 2, 4)."""
    fixture(tmp_path, "txt")
    half = 0.5**0.5
    lines = [f"1 {half} 0 {half} 0 0 0 5 5 cam a/000.png", ""]
    lines += [f"2 {half} 0 {half} 0 0 1 5 5 cam a/001.png", ""]
    (tmp_path / "sparse/0/images.txt").write_text("\n".join(lines))
    data = load_dataset(tmp_path)
    point = np.array([1.0, 2.0, 0.0])
    np.testing.assert_allclose(project(data, "test", 0, point), [33, 23 + 62 * 2 / 4], atol=1e-4)
    np.testing.assert_allclose(project(data, "train", 0, point), [33, 23 + 62 * 3 / 4], atol=1e-4)


def test_binary_goes_before_text_and_the_largest_model_before_others(tmp_path: Path) -> None:
    poses = fixture(tmp_path, at="sparse/1")
    (tmp_path / "sparse/1/images.txt").write_text("broken")
    two = dict(list(poses.items())[:2])
    write_bin(tmp_path / "sparse/0", two, CAMERAS, POINTS)
    (tmp_path / "sparse/1/rigs.bin").write_bytes(b"\x00" * 3)
    (tmp_path / "sparse/1/frames.bin").write_bytes(b"")
    data = load_dataset(tmp_path)
    assert data.notes["model"] == "sparse/1" and data.notes["other_models"] == ["sparse/0"]
    assert len(data.train) + len(data.split("test")) == 9


def test_smaller_pictures_scale_the_camera(tmp_path: Path) -> None:
    poses = fixture(tmp_path, images="images_2", size=(W // 2, H // 2))
    data = load_dataset(tmp_path)
    assert data.train.names[0].startswith("images_2/") and data.train.cameras.width == W // 2
    np.testing.assert_allclose(
        project(data, "train", 0, POINT), expected(poses[93], CAMERAS[5][1], 0.5), atol=1e-4
    )
    fixture(tmp_path, images="images")
    assert load_dataset(tmp_path).train.cameras.width == W
    assert load_dataset(tmp_path, factor=2).train.cameras.width == W // 2
    with pytest.raises(FileNotFoundError, match="factor got 4, but images_4 is not in"):
        load_dataset(tmp_path, factor=4)


def test_distortion_is_honoured(tmp_path: Path) -> None:
    fixture(tmp_path, cameras={5: (2, (60.0, 33.0, 23.0, -0.1))})
    data = load_dataset(tmp_path)
    assert data.notes["undistorted"] and float(data.train.cameras.Ks[0, 0, 0]) != 60
    assert data.train.pixels(0).shape == (H, W, 3)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_every_cut_of_a_binary_file_is_a_clear_error(posed: Any, tmp_path: Path, name: str) -> None:
    fixture(tmp_path)
    path = tmp_path / "sparse/0" / name
    data = path.read_bytes()
    for size in range(0 if name != "images.bin" else 1, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:size])
        posed.refused(tmp_path, f"^sparse/0/{name} got a file that .* COLMAP")
    path.write_bytes(data + b"\0")
    posed.refused(tmp_path, "has 1 bytes after its last entry")


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
@pytest.mark.parametrize("count", [10, 1 << 40, (1 << 64) - 1])
def test_counts_that_cannot_be_reserve_nothing(
    posed: Any, tmp_path: Path, name: str, count: int
) -> None:
    fixture(tmp_path)
    path = tmp_path / "sparse/0" / name
    path.write_bytes(struct.pack("<Q", count) + path.read_bytes()[8:])
    posed.refused(tmp_path, f"^sparse/0/{name} got a file that (speaks of|ends)")


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        ("cameras.txt", "PINHOLE", "EQUIRECTANGULAR", "got camera model 'EQUIRECTANGULAR'"),
        ("cameras.txt", "60.0 62.0", "60.0", "got 3 parameters of PINHOLE; expected 4"),
        ("cameras.txt", "60.0", "sixty", "got 'sixty 62.0 33.0 23.0'; expected numbers"),
        ("cameras.txt", " 64 ", " 9999999999 ", "got 9999999999×48 pixels"),
        ("cameras.txt", "5 PINHOLE", "6 PINHOLE", "got camera 5; expected one of 6"),
        ("images.txt", "5 cam a/000.png", "5 ../../out.png", "path got"),
        ("images.txt", "5 cam a/000.png", "5 cam a/001.png", "got cam a/001.png twice"),
        ("images.txt", "5 cam a/000.png", "", "expected at least 10 entries"),
        ("points3D.txt", "0.2", "nan", "got points with NaN"),
    ],
)  # fmt: skip
def test_refused(posed: Any, tmp_path: Path, file: str, old: str, new: str, match: str) -> None:
    fixture(tmp_path, "txt")
    path = tmp_path / "sparse/0" / file
    path.write_text(path.read_text().replace(old, new, 1))
    posed.refused(tmp_path, match)


def test_layouts_that_are_broken_are_named(posed: Any, tmp_path: Path) -> None:
    (tmp_path / "sparse/0").mkdir(parents=True)
    posed.refused(tmp_path, "without images.bin or images.txt.*read as COLMAP", FileNotFoundError)
    fixture(tmp_path)
    (tmp_path / "sparse/0/cameras.bin").unlink()
    posed.refused(tmp_path, "'sparse/0/cameras.bin', which is not there", FileNotFoundError)
    fixture(tmp_path, size=(W, W))
    posed.refused(tmp_path, "got 64×64 pixels; expected 64×48 as its camera says")
    (tmp_path / "images/cam a/000.png").unlink()
    posed.refused(tmp_path, "images/cam a/000.png', which is not there", FileNotFoundError)
