"""Points in PLY files: what is written comes back, other programs' files are read, junk is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.loaders.ply import read_points, write_points

POINTS = np.array([[1.5, -2, 3, 0, 0.2, 1], [4, 5, 6, 1, 0.6, 0.4]], np.float32)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write_points(tmp_path / "p.ply", POINTS)
    np.testing.assert_allclose(read_points(tmp_path, "p.ply"), POINTS, atol=1e-6)
    data = (tmp_path / "p.ply").read_bytes()
    assert data.endswith(struct.pack("<3f3B", 4, 5, 6, 255, 153, 102))
    assert [f.name for f in tmp_path.iterdir()] == ["p.ply"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ascii_with_more_properties_and_a_comment(tmp_path: Path, end: str) -> None:
    lines = [
        "ply", "format ascii 1.0", "comment made by hand", "element vertex 2",
        "property double x", "property double y", "property double z", "property float nx",
        "property uchar red", "property uchar green", "property uchar blue",
        "element face 1", "property list uchar int vertex_indices", "end_header",
        "1.5 -2 3 0 0 51 255", "4 5 6 1 255 153 102", "3 0 1 1",
    ]  # fmt: skip
    (tmp_path / "p.ply").write_bytes(end.join([*lines, ""]).encode())
    np.testing.assert_allclose(read_points(tmp_path, "p.ply"), POINTS, atol=1e-6)


def test_big_endian_without_colours_is_grey(tmp_path: Path) -> None:
    header = "ply\nformat binary_big_endian 1.0\nelement vertex 1\n"
    header += "".join(f"property float {k}\n" for k in "xyz") + "end_header\n"
    (tmp_path / "p.ply").write_bytes(header.encode() + struct.pack(">3f", 1, 2, 3))
    assert read_points(tmp_path, "p.ply").tolist() == [[1, 2, 3, 0.5, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"ply\n", b"plx\n", "no PLY header"),
        (b"vertex 2", b"vertex 1099511627776", "1099511627776 points in"),
        (b"vertex 2", b"vertex 3", "3 points in 30 bytes"),
        (b"vertex 2", b"face 2", "'element face 2' as its first element"),
        (b"float x", b"list uchar int x", "property list"),
        (b"float x", b"float w", "without format, vertices or x, y, z"),
        (b"binary_little", b"binary_middle", "without format"),
        (struct.pack("<f", 1.5), struct.pack("<f", float("nan")), "NaN"),
    ],
)
def test_refused(tmp_path: Path, old: bytes, new: bytes, match: str) -> None:
    write_points(tmp_path / "p.ply", POINTS)
    data = (tmp_path / "p.ply").read_bytes()
    (tmp_path / "p.ply").write_bytes(data.replace(old, new, 1))
    with pytest.raises(ValueError, match=f"^p.ply got .*{match}"):
        read_points(tmp_path, "p.ply")
    (tmp_path / "p.ply").write_bytes(data[:-1])
    with pytest.raises(ValueError, match="^p.ply got 2 points in 29 bytes"):
        read_points(tmp_path, "p.ply")


def test_transforms_json_names_points_depth_and_what_moves(posed: Any, tmp_path: Path) -> None:
    """nerfstudio's ply_file_path and depth_file_path, and clay4d's moving_path and camera_id."""
    meta = posed.single(tmp_path, ply_file_path="p.ply")
    write_points(tmp_path / "p.ply", POINTS)
    for i, frame in enumerate(meta["frames"]):
        Image.fromarray(np.full((6, 8), 1500 + i, np.uint16)).save(tmp_path / f"d{i}.png")
        Image.new("L", (8, 6), 255).save(tmp_path / f"m{i}.png")
        frame |= {"depth_file_path": f"d{i}.png", "moving_path": f"m{i}.png", "camera_id": 7}
    posed.put(tmp_path, meta)
    data = load_dataset(tmp_path)
    assert data.points is not None and len(data.points) == 2
    frame = data.train[0]  # images/0001.jpg, which is the ninth entry
    assert frame.depth is not None and float(frame.depth[2, 3]) == pytest.approx(1.508)
    assert frame.mask is not None and float(frame.mask.min()) == 1
    assert data.train.camera_ids == [7] * 8
    posed.put(tmp_path, meta | {"ply_file_path": "../p.ply"})
    posed.refused(tmp_path, "path got '../p.ply'")
    meta["frames"][0]["camera_id"] = 1.5
    posed.put(tmp_path, meta)
    posed.refused(tmp_path, "got camera_id = '1.5'; expected a whole number")
