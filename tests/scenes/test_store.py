"""Scene files: all kinds come back as they were, and hostile ones are refused before a kernel sees them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from clay4d.scenes import Gaussians
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
from clay4d.scenes.store import (
    load_scene,
    save_scene,
    scene_header,
    scene_tensors,
    write_tensors,
)

N = 30


def made(motion: Motion) -> SplatScene:
    g = torch.Generator().manual_seed(0)
    dots = Gaussians.from_points(torch.rand(N, 3, generator=g), torch.rand(N, 3, generator=g))
    raw = raw_from_gaussians(dots, sh_degree=1)
    raw |= motion.rows(raw["means"])
    if isinstance(motion, ControlNodes):
        motion.place(raw["means"])
    motion.refresh(raw)
    return SplatScene(raw, motion, duration=1.5)


@pytest.mark.parametrize(
    "motion",
    [
        Static(), ControlNodes(nodes=6, width=8, depth=1), Deformation(), HexPlane(resolution=8),
        MotionBases(), Polynomial(), RigidPaths(objects=2, knots=3), SpaceTime(),
    ],
    ids=lambda m: m.kind,
)  # fmt: skip
def test_every_kind_comes_back(motion: Motion, tmp_path: Path) -> None:
    scene = made(motion)
    save_scene(tmp_path / "s.safetensors", scene)
    back = load_scene(tmp_path / "s.safetensors")
    a, b = scene.at(0.6), back.at(0.6)
    assert torch.equal(a.means, b.means) and torch.equal(a.quats, b.quats)
    assert torch.equal(a.scales, b.scales) and torch.equal(a.opacities, b.opacities)


Change = Callable[[dict[str, Tensor], dict[str, Any]], None]


def at(name: str, value: int) -> Change:
    def change(tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        tensors[name].view(-1)[3] = value

    return change


def shape(name: str, *size: int) -> Change:
    def change(tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        tensors[name] = torch.zeros(size, dtype=tensors[name].dtype)

    return change


def option(**given: Any) -> Change:
    return lambda tensors, header: header["options"].update(given)


def entry(**given: Any) -> Change:
    return lambda tensors, header: header.update(given)


def without(name: str) -> Change:
    return lambda tensors, header: tensors.__delitem__(name)


def retyped(name: str, dtype: torch.dtype) -> Change:
    return lambda tensors, header: tensors.__setitem__(name, tensors[name].to(dtype))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (at("raw.nodes", 10**9), r"raw.nodes got 1000000000; expected 0 to 5"),
        (at("raw.nodes", 6), r"raw.nodes got 6"),
        (at("raw.nodes", -1), r"raw.nodes got -1"),
        (shape("raw.nodes", N - 1, 3), r"raw.nodes got int32 \[29, 3\]; expected int32 \[30, 3\]"),
        (shape("raw.codes", N, 9), r"raw.codes got"),
        (shape("raw.quats", N, 3), r"raw.quats got"),
        (shape("raw.opacities", N, 1), r"raw.opacities got"),
        (shape("raw.sh", N, 5, 3), r"raw.sh got"),
        (shape("raw.means", 3), r"raw.means got"),
        (retyped("raw.nodes", torch.int64), r"raw.nodes got int64"),
        (retyped("raw.means", torch.float64), r"raw.means got float64"),
        (without("raw.nodes"), r"raw.nodes got nothing"),
        (without("motion.centres"), r"motion.centres got nothing"),
        (option(nodes=2**40), r"motion.centres got"),
        (option(neighbours=2**40), r"raw.nodes got"),
        (option(nodes=-1), r"control-nodes got"),
        (option(nodes="many"), r"control-nodes got"),
        (option(colour=1), r"control-nodes got"),
        (entry(options=None), r"options None"),
        (entry(duration="long"), r"duration 'long'"),
        (entry(background=[1, 2]), r"background got"),
        (entry(background=["a", 1, 1]), r"background got"),
        (entry(sh_degree=7), r"sh_degree got 7"),
        (entry(motion=["a"]), r"motion \['a'\]"),
        (entry(motion="none"), r"motion got 'none'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(change: Change, said: str, tmp_path: Path) -> None:
    scene = made(ControlNodes(nodes=6, width=8, depth=1))
    tensors = {k: v.detach().clone() for k, v in scene_tensors(scene).items()}
    header = {"format": "clay4d-scene-1", **scene_header(scene)}
    change(tensors, header)
    write_tensors(tmp_path / "s.safetensors", tensors, header)
    with pytest.raises(ValueError, match=said):
        load_scene(tmp_path / "s.safetensors")


@pytest.mark.parametrize("value", [-2, 2])
def test_objects_that_are_not_there_are_refused(value: int, tmp_path: Path) -> None:
    scene = made(RigidPaths(objects=2, knots=3))
    scene.raw["object"][0] = value
    save_scene(tmp_path / "s.safetensors", scene)
    with pytest.raises(ValueError, match=rf"raw.object got {value}; expected -1 to 1"):
        load_scene(tmp_path / "s.safetensors")


def test_a_scene_is_as_readable_as_other_files(tmp_path: Path) -> None:
    save_scene(tmp_path / "s.safetensors", made(Static()))
    (tmp_path / "other.txt").touch()
    modes = [(tmp_path / name).stat().st_mode for name in ("s.safetensors", "other.txt")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("motion", [ControlNodes(nodes=6), Deformation()], ids=lambda m: m.kind)
def test_a_scene_opens_without_torchs_compiler(motion: Motion, tmp_path: Path) -> None:
    """Draws on tensors without memory would load it: two seconds before each command's first picture."""
    save_scene(tmp_path / "s.safetensors", made(motion))
    code = (
        "import sys; from clay4d.training.run import load_run; "
        f"load_run({str(tmp_path / 's.safetensors')!r}); "
        "print([m for m in ('torch._dynamo', 'viser', 'scipy.ndimage') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
