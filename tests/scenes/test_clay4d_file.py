"""The container: every kind of scene within its steps, bytes as specified, hostile files refused."""

from __future__ import annotations

import json
import lzma
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import read_clay4d, write_clay4d
from clay4d.scenes.exchange.codings import coded_by_steps, decoded, packed
from clay4d.scenes.motion import (
    ControlNodes,
    Deformation,
    HexPlane,
    Motion,
    MotionBases,
    Polynomial,
    RigidPaths,
    SpaceTime,
    Static,
)
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import load_scene, write_tensors

N = 40


def made(motion: Motion) -> SplatScene:
    g = torch.Generator().manual_seed(0)
    dots = Gaussians.from_points(torch.rand(N, 3, generator=g), torch.rand(N, 3, generator=g))
    raw = raw_from_gaussians(dots, sh_degree=1)
    raw["quats"] = torch.randn(N, 4, generator=g)
    raw |= motion.rows(raw["means"])
    if isinstance(motion, ControlNodes):
        motion.place(raw["means"])
    motion.refresh(raw)
    return SplatScene(raw, motion, duration=1.5)


def nearest(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Which row of `b` each row of `a` is."""
    return torch.cdist(a, b).argmin(1)


@pytest.mark.parametrize(
    "motion",
    [
        Static(), ControlNodes(nodes=6, width=8, depth=1), Deformation(), HexPlane(resolution=8),
        MotionBases(), Polynomial(), RigidPaths(objects=2, knots=3), SpaceTime(),
    ],
    ids=lambda m: m.kind,
)  # fmt: skip
def test_every_kind_comes_back_within_its_steps(motion: Motion, tmp_path: Path) -> None:
    scene, path = made(motion), tmp_path / "s.clay4d"
    write_clay4d(scene, path)
    back = load_scene(path)
    assert back.motion.kind == motion.kind and back.duration == 1.5
    for time in (0.0, 0.6):
        a, b = scene.at(time), back.at(time)
        row = nearest(b.means, a.means)
        assert sorted(row.tolist()) == list(range(N))
        usual = float(a.scales.detach().median())
        assert float((b.means - a.means[row]).abs().max()) < 0.25 * usual
        assert float((b.scales / a.scales[row]).log().abs().max()) < 0.05
        assert float((b.opacities - a.opacities[row]).abs().max()) < 0.02
        assert float((b.sh - a.sh[row]).abs().max()) < 1 / 40
        turned = (
            torch.nn.functional.normalize(b.quats) * torch.nn.functional.normalize(a.quats[row])
        ).sum(1)
        assert float(turned.abs().min()) > 0.999


def test_equal_scenes_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_clay4d(made(MotionBases()), tmp_path / f"{name}.clay4d")
    assert (tmp_path / "a.clay4d").read_bytes() == (tmp_path / "b.clay4d").read_bytes()


def test_a_reader_of_the_specification_alone_reads_it(tmp_path: Path) -> None:
    scene, path = made(Static()), tmp_path / "s.clay4d"
    write_clay4d(scene, path)
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    index = json.loads(raw[8 : 8 + length])
    header = json.loads(index.pop("__metadata__")["clay4d"])
    assert header["format"] == "clay4d-1" and header["motion"] == "static"
    begin, end = index["raw.means"]["data_offsets"]
    coding = header["tensors"]["raw.means"]
    planes = np.frombuffer(lzma.decompress(raw[8 + length + begin : 8 + length + end]), np.uint8)
    rows, columns = coding["shape"]
    planes = planes.reshape(coding["bytes"], columns, rows).astype(np.int64)
    numbers = sum(plane << (8 * k) for k, plane in enumerate(planes)).T
    numbers = np.where(numbers % 2, -(numbers + 1) // 2, numbers // 2)
    if coding["delta"]:
        numbers = numbers.cumsum(0)
    means = torch.from_numpy((numbers * coding["step"]).astype(np.float32))
    assert torch.equal(means, read_clay4d(path).raw["means"])


@pytest.mark.parametrize("values", [[0.0], [-3.0, 2.75, 1e4], [], [5e-3] * 300])
def test_steps_are_the_nearest(values: list[float]) -> None:
    x = torch.tensor(values)
    back = decoded(*coded_by_steps(x, 0.25))
    assert back.shape == x.shape and bool(((back - x).abs() <= 0.125).all())


def coded(tmp_path: Path, change: dict[str, Any], data: bytes | None = None) -> Path:
    """A file with one coding changed, and maybe its bytes."""
    path = tmp_path / "s.clay4d"
    write_clay4d(made(Static()), path)
    from clay4d.scenes.store import read_tensors

    tensors, header = read_tensors(path)
    header["tensors"]["raw.means"] |= change
    if data is not None:
        tensors["raw.means"] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    write_tensors(path, tensors, header)
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        ({"shape": [2**39, 3]}, "got a claim of"),
        ({"shape": [-1, 3]}, "shape got"),
        ({"shape": [N + 1, 3]}, "data got another size"),
        ({"kind": "pickle"}, "coding got 'pickle'"),
        ({"step": float("inf")}, "got step inf"),
        ({"step": 0.0}, "got step 0.0"),
        ({"bytes": 9}, "bytes 9"),
        ({"dtype": "complex64"}, "dtype got 'complex64'"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_clay4d(coded(tmp_path, change))


def test_a_bomb_and_a_torn_stream_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data got another size"):
        read_clay4d(coded(tmp_path, {}, packed(bytes(1 << 24))))
    with pytest.raises(ValueError, match="data got"):
        read_clay4d(coded(tmp_path, {}, packed(bytes(999))[:-9]))
    path = tmp_path / "torn.clay4d"
    path.write_bytes((tmp_path / "s.clay4d").read_bytes()[:300])
    with pytest.raises(ValueError):
        read_clay4d(path)
