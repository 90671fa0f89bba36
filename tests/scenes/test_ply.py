"""INRIA PLY: golden bytes, the layout read back by a reader of the test's own, and refusals."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import write_ply, write_ply_sequence
from clay4d.scenes.motion import Polynomial, Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians

N = 5


def given(degree: int = 2) -> Gaussians:
    g = torch.Generator().manual_seed(3)
    return Gaussians(
        torch.randn(N, 3, generator=g), torch.randn(N, 4, generator=g),
        torch.rand(N, 3, generator=g) + 0.1, torch.rand(N, generator=g) * 0.8 + 0.1,
        torch.randn(N, (degree + 1) ** 2, 3, generator=g),
    )  # fmt: skip


def still(degree: int = 2) -> SplatScene:
    return SplatScene(raw_from_gaussians(given(degree)), Static())


def read(path: Path) -> dict[str, np.ndarray]:
    """Columns by name, by the PLY format's own description."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    lines = [x for x in header.decode().splitlines() if not x.startswith("comment ")]
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    count = int(lines[2].removeprefix("element vertex "))
    names = [line.removeprefix("property float ") for line in lines[3:]]
    table = np.frombuffer(body, "<f4").reshape(count, len(names))
    return dict(zip(names, table.T))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_columns_are_those_of_the_original_code(tmp_path: Path, degree: int) -> None:
    write_ply(still(degree), tmp_path / "a.ply")
    found, g = read(tmp_path / "a.ply"), given(degree)
    assert len(found) == 17 + 3 * ((degree + 1) ** 2 - 1)
    assert np.array_equal(found["y"], g.means[:, 1].numpy())
    assert np.allclose(1 / (1 + np.exp(-found["opacity"])), g.opacities.numpy(), atol=1e-6)
    assert np.allclose(np.exp(found["scale_2"]), g.scales[:, 2].numpy(), atol=1e-6)
    unit = torch.nn.functional.normalize(g.quats, dim=1)
    assert np.allclose(found["rot_0"], unit[:, 0].numpy(), atol=1e-6)
    assert np.array_equal(found["f_dc_1"], g.sh[:, 0, 1].numpy())
    more = (degree + 1) ** 2 - 1
    for k in range(more):  # all of red first, then all of green, then all of blue
        for c in range(3):
            assert np.array_equal(found[f"f_rest_{c * more + k}"], g.sh[:, 1 + k, c].numpy())


def test_bytes_stay_as_they_are(tmp_path: Path) -> None:
    ones = Gaussians(
        torch.arange(6.0).reshape(2, 3), torch.tensor([[1.0, 0, 0, 0]] * 2), torch.ones(2, 3),
        torch.full((2,), 0.5), torch.full((2, 1, 3), 0.25),
    )  # fmt: skip
    write_ply(SplatScene(raw_from_gaussians(ones), Static()), tmp_path / "a.ply")
    data = (tmp_path / "a.ply").read_bytes()
    assert len(data) == 411 + 2 * 17 * 4
    assert hashlib.sha256(data).hexdigest()[:16] == "456b04c476d5a71b"


def test_a_sequence_has_a_file_for_each_moment(tmp_path: Path) -> None:
    motion = Polynomial()
    raw = raw_from_gaussians(given(0))
    raw |= motion.rows(raw["means"])
    raw["path"] = torch.ones_like(raw["path"])
    scene = SplatScene(raw, motion, duration=2.0)
    write_ply_sequence(scene, tmp_path / "s", times=[0.0, 1.5])
    for name, time in (("frame_0000.ply", 0.0), ("frame_0001.ply", 1.5)):
        x = read(tmp_path / "s" / name)["x"]
        assert np.array_equal(x, scene.at(time).means[:, 0].numpy())
    with pytest.raises(ValueError, match="holds .ply files already"):
        write_ply_sequence(scene, tmp_path / "s", times=[0.0])


def test_what_is_not_finite_or_not_one_moment_is_refused(tmp_path: Path) -> None:
    scene = still()
    with pytest.raises(ValueError, match="2 moments; expected one"):
        write_ply(scene, tmp_path / "a.ply", times=[0.0, 1.0])
    scene.raw["means"][0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        write_ply(scene, tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())
