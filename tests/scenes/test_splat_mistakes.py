"""Hostile splat files: one line that names the file, and no memory for what is only claimed."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from PIL import Image

from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import WRITERS, read_ply_sequence, writer_for
from clay4d.scenes.motion import Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import load_scene

HUGE = 2**32 - 1
MANY = 2**40


def still() -> SplatScene:
    g = torch.Generator().manual_seed(1)
    dots = Gaussians.from_points(torch.rand(40, 3, generator=g), torch.rand(40, 3, generator=g))
    return SplatScene(raw_from_gaussians(dots, sh_degree=1), Static())


def refused(path: Path, match: str = "got") -> None:
    """It is, in one line, and 80 MB are never taken."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match) as caught:
            load_scene(path)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".splat", ".spz", ".v4.spz"])
def test_files_cut_short_anywhere_are_refused(suffix: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / f"w{suffix}", tmp_path / f"c{suffix}"
    writer_for(whole)(still(), whole, times=None)
    data = whole.read_bytes()
    for length in {0, 1, 3, 15, 17, 40, len(data) // 3, len(data) // 2, len(data) - 1}:
        if suffix == ".splat" and length and length % 32 == 0:
            continue  # nothing in the file says how many there should be
        cut.write_bytes(data[:length])
        refused(cut)


@pytest.mark.parametrize("suffix", [".ply", ".splat", ".ksplat", ".spz", ".sog"])
def test_files_of_something_else_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    for data in (
        b"hello",
        b"\x1f\x8b" + bytes(50),
        b"PK\x03\x04" + bytes(61),
        b"\x89PNG" + bytes(61),
    ):
        path.write_bytes(data)
        refused(path)


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".splat", ".ksplat", ".spz", ".sog"])
def test_bytes_that_are_changed_raise_nothing_else(suffix: str, tmp_path: Path) -> None:
    """A scene, or a ValueError: no other error whatever byte is wrong."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".ksplat":
        path.write_bytes(ksplat(1))
    elif suffix == ".sog":
        bundle(path)
    else:
        writer_for(path)(still(), path, times=None)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for k in range(150):
        spoiled = bytearray(data)
        at = rng.integers(0, len(data) if k % 2 else min(len(data), 300), 3)
        for i in at:
            spoiled[i] = rng.integers(0, 256)
        path.write_bytes(spoiled)
        try:
            load_scene(path)
        except ValueError:
            pass


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
@pytest.mark.parametrize("count", [MANY, 10**17])
def test_ply_that_claims_too_much(kind: str, count: int, tmp_path: Path) -> None:
    names = [
        "x",
        "y",
        "z",
        "f_dc_0",
        "f_dc_1",
        "f_dc_2",
        "opacity",
        "scale_0",
        "scale_1",
        "scale_2",
    ]
    names += [f"rot_{i}" for i in range(4)]
    lines = ["ply", f"format {kind} 1.0", f"element vertex {count}"]
    lines += [f"property float {name}" for name in names]
    path = tmp_path / "a.ply"
    path.write_text("\n".join([*lines, "end_header", "1 2 3"]))
    refused(path, f"{count} rows of vertex")


@pytest.mark.parametrize(
    "header, message",
    [
        ("element vertex 1\nproperty float x\nproperty float y\nproperty float z", "no Gaussians"),
        ("element vertex 1\nproperty list uint float x", "lists in its element vertex"),
        ("element vertex -1\nproperty float x", "'element vertex -1'"),
        ("element vertex 1\nproperty float x\nproperty float x", "'property float x'"),
        ("element vertex 1\nproperty floaty x", "'property floaty x'"),
        ("element vertex 5", "no Gaussians"),
        ("element chunk 1\nproperty float min_x", "not those of compressed"),
    ],
)
def test_ply_headers_that_say_nonsense(header: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_text(f"ply\nformat ascii 1.0\n{header}\nend_header\n1 2 3\n")
    refused(path, message)


@pytest.mark.parametrize("key", ["means", "scales", "opacities"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused_both_ways(key: str, value: float, tmp_path: Path) -> None:
    scene = still()
    path = tmp_path / "a.ply"
    WRITERS[".ply"](scene, path, times=None)
    data = bytearray(path.read_bytes())
    start = data.index(b"end_header\n") + 11
    column = {"means": 0, "opacities": 18, "scales": 19}[key]
    data[start + 4 * column : start + 4 * column + 4] = struct.pack("<f", value)
    path.write_bytes(data)
    refused(path, f"{key} with NaN or infinity")
    scene.raw[key].view(-1)[0] = value
    if key == "opacities" and value > 0:
        return  # an infinite logit is an opacity of 1
    for suffix in (".compressed.ply", ".splat", ".spz", ".v4.spz"):
        with pytest.raises(ValueError, match="not finite"):
            WRITERS[suffix](scene, tmp_path / f"new{suffix}", times=None)
        assert not list(tmp_path.glob("*new*"))


def head(version: int, count: int, degree: int = 0, fraction: int = 12, flags: int = 0) -> bytes:
    return struct.pack("<3I4B", 0x5053474E, version, count, degree, fraction, flags, 0)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_spz_that_claims_too_much(version: int, tmp_path: Path) -> None:
    path = tmp_path / "a.spz"
    data = head(version, HUGE, 3)
    path.write_bytes(gzip.compress(data) if version < 4 else data + bytes(200))
    refused(path, "got a claim of")


def test_gzip_bombs_are_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "a.spz"
    path.write_bytes(gzip.compress(head(3, 10) + bytes(1 << 25)))
    refused(path, "more or less than its 10 Gaussians")
    for data in (head(5, 1), head(3, 1, degree=5), head(3, 1, fraction=200)):
        path.write_bytes(gzip.compress(data + bytes(100)))
        refused(path, "expected a whole .spz file")


def test_zstandard_bombs_are_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "a.spz"
    writer_for("a.v4.spz")(still(), path, times=None)
    data = bytearray(path.read_bytes())
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    number = data[15]
    table = struct.unpack_from(f"<{2 * number}Q", data, 32)
    rest = data[32 + 16 * number + table[0] :]
    contents = struct.pack(f"<{2 * number}Q", len(bomb), *table[1:])
    path.write_bytes(bytes(data[:32]) + contents + bomb + bytes(rest))
    refused(path, "a stream of other than 360 bytes")
    contents = struct.pack(f"<{2 * number}Q", table[0], 2**60, *table[2:])
    path.write_bytes(bytes(data[:32]) + contents + bytes(data[32 + 16 * number :]))
    refused(path, "a stream of")
    struct.pack_into("<I", data, 16, HUGE)
    path.write_bytes(data)
    refused(path, "streams, with their sizes at")


def ksplat(
    level: int, *, count: int = 4, section: int = 4, sections: int = 1, full: int = 0
) -> bytes:
    """A file of four Gaussians in one bucket that is not full."""
    header = bytearray(4096)
    header[1] = 1
    struct.pack_into("<4I", header, 4, sections, sections, count, count)
    struct.pack_into("<H", header, 20, level)
    own = bytearray(1024)
    struct.pack_into("<4IfH", own, 0, section, section, 256, 1, 10.0, 12)
    struct.pack_into("<I4x2IH", own, 24, 32767, full, 1 - full, 1)
    data = struct.pack("<I3f", 4, 1.0, 2.0, 3.0)
    rest = {0: np.arange(9, dtype="<f4"), 1: np.arange(9, dtype="<f2"), 2: np.arange(9, dtype="u1")}
    for k in range(4):
        if level == 0:
            data += struct.pack("<10f", k, 0, 0, 1, 1, 1, 1, 0, 0, 0)
        else:
            data += np.array([32767 + 3276 * k, 32767, 32767], "<u2").tobytes()
            data += np.array([1, 1, 1, 1, 0, 0, 0], "<f2").tobytes()
        data += bytes([255, 0, 0, 128]) + rest[level].tobytes()
    return bytes(header) + bytes(own) + data


@pytest.mark.parametrize("level", [0, 1, 2])
def test_ksplat_is_read_at_every_level(level: int, tmp_path: Path) -> None:
    path = tmp_path / "a.ksplat"
    path.write_bytes(ksplat(level))
    g = load_scene(path).at(0.0)
    wanted = [[k, 0, 0] if level == 0 else [1 + k * 3276 / 32767 * 5, 2, 3] for k in range(4)]
    assert np.allclose(g.means, wanted, atol=1e-5)
    assert g.quats[0].tolist() == [1, 0, 0, 0] and np.allclose(g.scales, 1)
    numbers = np.arange(9.0) if level < 2 else -1.5 + np.arange(9) / 255 * 3
    assert np.allclose(g.sh[0, 1:], numbers.reshape(3, 3).T, atol=1e-6)  # all of red first


def test_ksplat_that_claims_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.ksplat"
    for data in (
        ksplat(1, count=HUGE), ksplat(1, section=HUGE), ksplat(1, sections=HUGE), ksplat(1, full=1),
        ksplat(1)[:-1], b"\x00\x02" + bytes(4094), ksplat(0)[:20] + b"\x07\x00" + ksplat(0)[22:],
    ):  # fmt: skip
        path.write_bytes(data)
        refused(path, "whole .ksplat file|no Gaussians")


def bundle(
    path: Path, *, pixels: tuple[int, int] = (4, 4), count: object = 6, **more: object
) -> None:
    """A .sog file of one colour."""
    out = io.BytesIO()
    Image.new("RGBA", pixels, (10, 20, 30, 255)).save(out, "WEBP", lossless=True)
    files = {"files": ["p.webp"]}
    meta = {
        "version": 2, "count": count, "quats": files, "scales": {"codebook": [0.0] * 256, **files},
        "means": {"mins": [0] * 3, "maxs": [1] * 3, "files": ["p.webp"] * 2},
        "sh0": {"codebook": [0.0] * 256, **files},
    }  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("p.webp", out.getvalue())
        file.writestr("meta.json", json.dumps({**meta, **more}))


@pytest.mark.parametrize(
    "more, message",
    [
        ({"count": MANY}, "count"), ({"count": HUGE}, "got a claim of"), ({"count": 17}, "pixels"),
        ({"count": -1}, "count -1"), ({"count": True}, "count True"),
        ({"pixels": (300, 300)}, "pixels in p.webp"), ({"version": 3}, "another version"),
        ({"means": {"files": ["../a", "b"]}}, "no 3 numbers"), ({"means": 3}, "no files of means"),
        ({"scales": {"files": ["p.webp"], "codebook": [10**400] * 256}}, "not finite"),
        ({"scales": {"files": ["p.webp"], "codebook": [None] * 256}}, "not finite"),
        ({"quats": {"files": ["gone.webp"]}}, "gone.webp"),
        ({"shN": {"files": ["p.webp"] * 2, "count": 9, "bands": 1, "codebook": [0.0] * 256}}, "palette"),
    ],
)  # fmt: skip
def test_sog_that_claims_too_much(more: dict[str, object], message: str, tmp_path: Path) -> None:
    bundle(tmp_path / "a.sog")
    assert len(load_scene(tmp_path / "a.sog").at(0.0)) == 6
    bundle(tmp_path / "a.sog", **more)  # type: ignore[arg-type]
    refused(tmp_path / "a.sog", message)


def test_zip_bombs_are_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "a.sog"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("meta.json", b" " * (65 << 20))
    refused(path, "got a claim of")


def test_sequences_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no numbered .ply"):
        read_ply_sequence(tmp_path)
    for k, time in enumerate((1.0, 0.5)):
        (tmp_path / f"f{k}.ply").write_text(
            f"ply\nformat ascii 1.0\ncomment time {time}\nelement vertex 0\nproperty float x\nend_header\n"
        )
    with pytest.raises(ValueError, match="do not rise"):
        read_ply_sequence(tmp_path)
    (tmp_path / "f1.ply").write_text("no")
    with pytest.raises(ValueError, match="f1.ply got no PLY header"):
        read_ply_sequence(tmp_path)


def test_places_too_far_for_spz_are_refused(tmp_path: Path) -> None:
    scene = still()
    scene.raw["means"][0, 0] = 3000.0
    with pytest.raises(ValueError, match="3000 m away"):
        WRITERS[".spz"](scene, tmp_path / "a.spz", times=None)
