"""Splat files: real ones, parity with other readers and writers, round trips, golden bytes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import gsply
import numpy as np
import plyfile
import pytest
import torch
from gsplat import exporter
from PIL import Image

from clay4d.renderers.torch_reference import spherical_harmonics
from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import (
    READERS,
    from_gsplat,
    read_ply,
    read_ply_sequence,
    read_sog,
    read_spz,
    to_gsplat,
    write_ply,
    write_ply_sequence,
    writer_for,
)
from clay4d.scenes.exchange.spz import FLIP, SH_FLIP
from clay4d.scenes.motion import Polynomial, Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import load_scene, save_scene

N = 300
"""More than one chunk of a compressed PLY file."""
LOSSES = {
    # means (metres), logarithms of sizes, cosine of half the turn, opacities, constant harmonics, others
    ".ply": (0.0, 1e-6, 1e-6, 1e-6, 0.0, 0.0),
    ".compressed.ply": (3e-3, 2e-3, 2e-6, 2.1e-3, 0.03, 1 / 64 + 1e-6),
    ".splat": (0.0, 1e-6, 1e-4, 2.1e-3, 0.008, None),
    ".spz": (1.3e-4, 0.0321, 6e-6, 2.1e-3, 0.0131, 9 / 128),
    ".v4.spz": (1.3e-4, 0.0321, 6e-6, 2.1e-3, 0.0131, 9 / 128),
    # Tables and palettes are as fine as the numbers need: of 300 Gaussians 37 entries are random
    # here, so their harmonics may lie anywhere.
    ".sog": (2e-3, 0.05, 1e-4, 2.1e-3, 0.01, 1.7),
}
"""What each format may change: half of its own steps."""


def given(degree: int = 3, count: int = N) -> Gaussians:
    g = torch.Generator().manual_seed(7)
    return Gaussians(
        torch.randn(count, 3, generator=g), torch.randn(count, 4, generator=g),
        torch.rand(count, 3, generator=g) * 0.1 + 0.01, torch.rand(count, generator=g) * 0.98 + 0.01,
        torch.rand(count, (degree + 1) ** 2, 3, generator=g) * 1.6 - 0.8,
    )  # fmt: skip


def still(gaussians: Gaussians) -> SplatScene:
    return SplatScene(raw_from_gaussians(gaussians), Static())


def nearest(a: Gaussians, b: Gaussians) -> Gaussians:
    """`b` in the order of `a`."""
    rows = torch.cdist(a.means, b.means).argmin(1)
    assert sorted(rows.tolist()) == list(range(len(a)))
    return Gaussians(**{k: v[rows] for k, v in b.tensors().items()})


def turns(a: Gaussians, b: Gaussians) -> float:
    """1 − |cosine of half the angle| between two sets of rotations, at the worst."""
    unit = [torch.nn.functional.normalize(g.quats.double(), dim=1) for g in (a, b)]
    return float((1 - (unit[0] * unit[1]).sum(1).abs()).max())


@pytest.mark.parametrize("suffix", LOSSES)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trips_within_each_formats_own_steps(
    suffix: str, degree: int, tmp_path: Path
) -> None:
    a, path = given(degree), tmp_path / f"a{suffix}"
    writer_for(path)(still(a), path, times=None)
    b = nearest(a, load_scene(path).at(0.0))
    means, logs, turn, alphas, first, rest = LOSSES[suffix]
    assert float((a.means - b.means).abs().max()) <= means
    assert float((a.scales.log() - b.scales.log()).abs().max()) <= logs
    assert turns(a, b) <= turn
    assert float((a.opacities - b.opacities).abs().max()) <= alphas
    assert float((a.sh[:, 0] - b.sh[:, 0]).abs().max()) <= (first if suffix != ".splat" else 2)
    inside = (0.5 + 0.2820948 * a.sh[:, 0]).clamp(0, 1) == 0.5 + 0.2820948 * a.sh[:, 0]
    assert float((a.sh[:, 0] - b.sh[:, 0])[inside].abs().max()) <= first
    if rest is None:
        assert b.sh_degree == 0
    elif degree:
        assert b.sh_degree == degree
        assert float((a.sh[:, 1:] - b.sh[:, 1:]).abs().max()) <= rest


GOLDEN = {
    ".compressed.ply": "cbc7ace0143877d6", ".splat": "4b765d68f90024a9", ".spz": "b5d9b7d15d641ea3",
    ".v4.spz": "9f55a417bcd1c11d",
}  # fmt: skip


@pytest.mark.parametrize("suffix", GOLDEN)
def test_bytes_are_golden_and_repeat(suffix: str, tmp_path: Path) -> None:
    """zlib and zstandard may pack differently in another version: then what is inside must not."""
    for name in ("a", "b"):
        path = tmp_path / f"{name}{suffix}"
        writer_for(path)(still(given(1, 20)), path, times=None)
    data = path.read_bytes()
    assert (tmp_path / f"a{suffix}").read_bytes() == data
    if suffix == ".spz":
        import gzip

        data = gzip.decompress(data)
    if suffix == ".v4.spz":
        payload = gsply.spz._read_spz_payload(path)
        data = data[:32] + payload.payload.tobytes()
    if suffix == ".splat":
        # The last bits of float32 logarithms differ between kinds of CPU.
        words = np.frombuffer(data, "<u4").reshape(-1, 8).copy()
        words[:, 3:6] &= 0xFFFFF000
        data = words.tobytes()
    assert hashlib.sha256(data).hexdigest()[:16] == GOLDEN[suffix]


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply"])
def test_another_reader_of_ply_finds_the_same(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    writer_for(path)(still(given()), path, times=None)
    ours, theirs = read_ply(path).raw, gsply.plyread(path)
    for key in ("means", "quats", "scales"):
        assert np.allclose(ours[key], getattr(theirs, key), atol=2e-6)
    assert np.allclose(
        torch.sigmoid(ours["opacities"]), 1 / (1 + np.exp(-theirs.opacities)), atol=1e-6
    )
    assert np.allclose(ours["sh"][:, 1:], theirs.shN, atol=0.02)  # gsply does not centre its steps
    assert plyfile.PlyData.read(str(path))["vertex"].count == N


@pytest.mark.parametrize("version", [3, 4])
def test_another_reader_and_writer_of_spz_agree(version: int, tmp_path: Path) -> None:
    gsply.plywrite(tmp_path / "a.ply", *_their_arrays(given(2)))
    gsply.write_spz(tmp_path / "t.spz", gsply.plyread(tmp_path / "a.ply"), version=version)
    read_spz(tmp_path / "t.spz")
    path = tmp_path / ("o.spz" if version == 3 else "o.v4.spz")
    writer_for(path)(still(given(2)), path, times=None)
    for file in ("t.spz", path.name):
        ours, theirs = read_spz(tmp_path / file).raw, gsply.read_spz(tmp_path / file)
        assert np.allclose(ours["means"] * torch.tensor([1.0, -1, -1]), theirs.means, atol=1e-6)
        turned = ours["quats"] * torch.tensor([1.0, 1, -1, -1])
        assert np.allclose(turned, theirs.quats, atol=1e-6)
        assert np.allclose(ours["scales"], theirs.scales, atol=1e-6)
        assert np.allclose(ours["sh"][:, 0], theirs.sh0, atol=1e-6)
        assert np.allclose(ours["sh"][:, 1:].abs(), np.abs(theirs.shN), atol=1e-6)


def _their_arrays(g: Gaussians) -> tuple[np.ndarray, ...]:
    raw = raw_from_gaussians(g)
    unit = torch.nn.functional.normalize(raw["quats"], dim=1)
    return tuple(
        x.contiguous().numpy()
        for x in (
            raw["means"], raw["scales"], unit, raw["opacities"], raw["sh"][:, 0], raw["sh"][:, 1:]
        )
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".spz", ".v4.spz", ".sog", ".clay4d", ".safetensors"])
@pytest.mark.parametrize("antialiased", [False, True])
def test_files_say_whether_a_scene_is_antialiased(
    suffix: str, antialiased: bool, tmp_path: Path
) -> None:
    scene, path = still(given(1, 20)), tmp_path / f"a{suffix}"
    scene.antialiased = antialiased
    scene.eps2d = 0.1 if antialiased else 0.3
    if suffix == ".safetensors":
        save_scene(path, scene)
    else:
        writer_for(path)(scene, path, times=None)
    back = load_scene(path)
    assert isinstance(back, SplatScene) and back.antialiased is antialiased
    assert back.eps2d == (0.1 if antialiased and suffix in (".clay4d", ".safetensors") else 0.3)


def test_sog_repeats_its_bytes_and_keeps_harmonics_that_are_few(tmp_path: Path) -> None:
    a = given(2, 400)
    few = a.sh.clone()
    few[:, 1:] = few[torch.arange(400) % 4, 1:]
    a = Gaussians(a.means, a.quats, a.scales, a.opacities, few)
    for name in ("a.sog", "b.sog"):
        writer_for(name)(still(a), tmp_path / name, times=None)
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()
    b = nearest(a, load_scene(tmp_path / "a.sog").at(0.0))
    # Four kinds of harmonics have 96 numbers: a table of 256 holds each of them.
    assert float((a.sh[:, 1:] - b.sh[:, 1:]).abs().max()) < 1e-5


def test_turned_harmonics_give_the_same_colours() -> None:
    """What SPZ's signs say: a colour seen along d is that of the turned harmonics along d turned."""
    g = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=g), dim=1)
    sh = torch.randn(50, 16, 3, generator=g)
    turned = sh.clone()
    turned[:, 1:] *= torch.tensor(SH_FLIP, dtype=torch.float32)[:, None]
    flipped = directions * torch.tensor(FLIP, dtype=torch.float32)
    seen = spherical_harmonics(3, directions, sh)
    assert torch.allclose(seen, spherical_harmonics(3, flipped, turned), atol=1e-5)


@pytest.mark.parametrize("format_", ["ply", "ply_compressed", "splat"])
def test_what_gsplats_exporter_writes_is_read(format_: str, tmp_path: Path) -> None:
    a = given(3 if format_ != "splat" else 0)
    parts = to_gsplat(a)
    parts["quats"] = torch.nn.functional.normalize(parts["quats"], dim=1)
    suffix = ".splat" if format_ == "splat" else ".ply"
    exporter.export_splats(
        parts["means"], parts["scales"], parts["quats"], parts["opacities"], parts["sh0"],
        parts["shN"], format=format_, save_to=str(tmp_path / f"a{suffix}"),
    )  # fmt: skip
    b = nearest(a, load_scene(tmp_path / f"a{suffix}").at(0.0))
    assert float((a.means - b.means).abs().max()) < 5e-3
    assert float((a.scales / b.scales).log().abs().max()) < 5e-3
    assert turns(a, b) < 1e-3
    assert float((a.opacities - b.opacities).abs().max()) < 5e-3
    if suffix == ".ply":
        assert float((a.sh[:, 1:] - b.sh[:, 1:]).abs().max()) < 1 / 32


@pytest.mark.parametrize("rest", [0, 9, 24, 45, 72])
@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("normals", [True, False])
def test_every_dialect_of_ply_is_read(rest: int, text: bool, normals: bool, tmp_path: Path) -> None:
    names = ["x", "y", "z", *(["nx", "ny", "nz"] if normals else []), "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [f"f_rest_{i}" for i in range(rest)]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    rows = np.zeros(4, [(n, "f4") for n in names])
    for k, n in enumerate(names):
        rows[n] = k + np.arange(4) / 8
    order = "=" if text else ">"
    element = plyfile.PlyElement.describe(rows, "vertex")
    plyfile.PlyData([element], text=text, byte_order=order).write(str(tmp_path / "a.ply"))
    raw = read_ply(tmp_path / "a.ply").raw
    assert raw["sh"].shape == (4, min(1 + rest // 3, 16), 3)
    assert np.array_equal(raw["scales"][:, 2], rows["scale_2"])
    for k in range(1, raw["sh"].shape[1]):
        for c in range(3):
            assert np.array_equal(raw["sh"][:, k, c], rows[f"f_rest_{c * (rest // 3) + k - 1}"])


def test_gsplats_parameters_come_back() -> None:
    a = given(2)
    b = from_gsplat({k: v for k, v in to_gsplat(a).items()})
    for key, value in a.tensors().items():
        assert torch.allclose(value, b.tensors()[key], atol=1e-6)
    with pytest.raises(ValueError, match="no sh0"):
        from_gsplat({k: v for k, v in to_gsplat(a).items() if k != "sh0"})


def test_a_folder_of_numbered_files_moves(tmp_path: Path) -> None:
    motion = Polynomial()
    raw = raw_from_gaussians(given(0, 5))
    raw |= motion.rows(raw["means"])
    raw["path"] = torch.ones_like(raw["path"])
    scene = SplatScene(raw, motion, duration=2.0)
    write_ply_sequence(scene, tmp_path / "s", times=[0.5, 1.0, 2.0])
    back: Any = load_scene(tmp_path / "s")
    assert back.times == (0.0, 0.5, 1.5) and len(back) == 5
    for time, at in ((0.0, 0.5), (0.2, 0.5), (0.6, 1.0), (9.0, 2.0)):
        assert torch.equal(back.at(time).means, scene.at(at).means)
    for k, number in enumerate((2, 10, 1)):  # no times in them: by number, 30 a second
        write_ply(scene, tmp_path / f"n/f{number}.ply", times=[float(k)])
    plain = read_ply_sequence(tmp_path / "n")
    assert [p.name for p in plain.paths] == ["f1.ply", "f2.ply", "f10.ply"]
    assert plain.times == (0.0, 1 / 30, 2 / 30)
    assert torch.equal(plain.at(1 / 30).means, scene.at(0.0).means)


def sog(path: Path, count: int = 6, degree: int = 0, **change: Any) -> dict[str, Any]:
    """A .sog file of a few Gaussians; gives what should be read."""
    g = np.random.default_rng(0)
    side = (4, 4)

    def picture(values: np.ndarray, size: tuple[int, int] = side) -> bytes:
        pixels = np.full((size[0] * size[1], 4), 255, np.uint8)
        pixels[: len(values), : values.shape[1]] = values
        out = io.BytesIO()
        image = Image.fromarray(pixels.reshape(*size, 4))
        image.save(out, "WEBP", lossless=True, exact=True)
        return out.getvalue()

    steps = g.integers(0, 65536, (count, 3))
    quats = np.concatenate([g.integers(0, 256, (count, 3)), g.integers(252, 256, (count, 1))], 1)
    scales, shades = g.integers(0, 256, (count, 3)), g.integers(1, 255, (count, 4))
    books = {k: np.sort(g.normal(size=256)).tolist() for k in ("scales", "sh0")}
    meta: dict[str, Any] = {
        "version": 2, "count": count,
        "means": {"mins": [-1, -2, -3], "maxs": [1, 2, 3], "files": ["l.webp", "u.webp"]},
        "quats": {"files": ["q.webp"]},
        "scales": {"codebook": books["scales"], "files": ["s.webp"]},
        "sh0": {"codebook": books["sh0"], "files": ["c.webp"]},
    }  # fmt: skip
    files = {
        "l.webp": picture(steps % 256), "u.webp": picture(steps // 256), "q.webp": picture(quats),
        "s.webp": picture(scales), "c.webp": picture(shades),
    }  # fmt: skip
    wanted: dict[str, Any] = {"sh0": np.array(books["sh0"])[shades[:, :3]]}
    if degree:
        width, palette = (degree + 1) ** 2 - 1, 70
        entries = g.integers(0, 256, (2 * 64 * width, 3))
        labels = g.integers(0, palette, count)
        book = np.sort(g.normal(size=256))
        meta["shN"] = {
            "count": palette, "bands": degree, "codebook": book.tolist(), "files": ["e.webp", "n.webp"]
        }  # fmt: skip
        files["e.webp"] = picture(entries, (2, 64 * width))
        files["n.webp"] = picture(np.stack([labels % 256, labels // 256], 1))
        wanted["shN"] = book[entries.reshape(128, width, 3)[labels]]
    logs = np.array([-1, -2, -3]) + steps / 65535 * np.array([2, 4, 6])
    wanted |= {"means": np.sign(logs) * (np.exp(np.abs(logs)) - 1)}
    wanted |= {"scales": np.array(books["scales"])[scales], "opacities": shades[:, 3] / 255}
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
        bundle.writestr("meta.json", json.dumps({**meta, **change}))
    return wanted


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sog_is_read_as_it_is_described(degree: int, tmp_path: Path) -> None:
    wanted = sog(tmp_path / "a.sog", degree=degree)
    scene = read_sog(tmp_path / "a.sog")
    g = scene.at(0.0)
    assert np.allclose(g.means, wanted["means"], atol=1e-5)
    assert np.allclose(scene.raw["scales"], wanted["scales"], atol=1e-6)
    assert np.allclose(g.opacities, wanted["opacities"], atol=1e-6)
    assert np.allclose(g.sh[:, 0], wanted["sh0"], atol=1e-6)
    assert np.allclose(torch.linalg.norm(g.quats, dim=1), 1, atol=0.1)
    if degree:
        assert np.allclose(g.sh[:, 1:], wanted["shN"], atol=1e-6)


def test_real_files_of_one_model_agree(shared_data: Path) -> None:
    folder = shared_data / "splats"
    a = load_scene(folder / "biker.compressed.ply").at(0.0)
    b = load_scene(folder / "biker.spz").at(0.0)
    assert len(a) == len(b) == 152746
    assert float((a.means - b.means).abs().max()) < 1.3e-4
    large = a.scales.log() > -9.9  # SPZ has none smaller
    assert float((a.scales.log() - b.scales.log())[large].abs().max()) < 0.0321
    assert float((a.sh - b.sh).abs().max()) < 0.0132
    steep = (a.quats * b.quats).sum(1).abs()
    assert float(steep.quantile(0.01)) > 0.999


def test_real_small_files_are_the_same_four_gaussians(shared_data: Path) -> None:
    folder = shared_data / "splats/minimal_fixtures"
    plain = load_scene(folder / "minimal.splat").at(0.0)
    assert plain.means.tolist() == [[-1, 0, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 0]]
    for name in ("minimal.ksplat", "minimal-v3.spz", "minimal-v4.spz"):
        other = load_scene(folder / name).at(0.0)
        assert torch.allclose(other.means, plain.means)
        assert torch.allclose(other.scales, plain.scales, atol=2e-3)
        assert torch.allclose(other.opacities, plain.opacities, atol=1e-3)
    # Versions 1 and 2 come from a writer that turned nothing.
    for name in ("minimal-raw.spz", "minimal-v2.spz"):
        turned = load_scene(folder / name).at(0.0).means * torch.tensor([1.0, -1, -1])
        assert torch.allclose(turned, plain.means)
    assert load_scene(folder / "test-splat.3-points-from-train.ply").at(0.0).sh_degree == 3
    assert len(load_scene(folder / "OneSplat.splat").at(0.0)) == 1


def test_the_real_animated_files_are_there(shared_data: Path) -> None:
    for path in sorted((shared_data / "splats/flipbook").glob("*.sog")):
        g = load_scene(path).at(0.0)
        assert len(g) == 31658 and 1 < float(g.means.abs().max()) < 3.1
        assert torch.allclose(g.quats.norm(dim=1), torch.ones(len(g)), atol=1e-2)


def test_all_suffixes_are_in_the_documents() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/files.md").read_text(encoding="utf-8")
    assert all(f"`{suffix}`" in text for suffix in READERS)
