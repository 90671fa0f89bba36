"""What is fuzzed: for each format valid seeds, which of their files are changed, and how they are read."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image

from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import writer_for
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.motion import ControlNodes, Polynomial, RigidPaths, Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.scenes.store import load_scene, save_scene

TESTS = Path(__file__).resolve().parents[1]
SPLATS = TESTS.parents[1] / "shared/data/splats"
"""Real files, where they are; the flipbook's and the biker's are too large to be read thousands of times."""
Seed = dict[str, bytes]
"""Files by their path in a folder."""


@dataclass(frozen=True)
class Format:
    """One kind of input."""

    name: str
    seeds: Callable[[Path], list[Seed]]
    """Valid inputs, made in an empty folder."""
    read: Callable[[Path], Any]
    """Takes the folder; must give a result or raise ValueError or FileNotFoundError."""
    focus: tuple[str, ...] = ()
    """Ends of names of the files that are changed most often; all files by default."""


@cache
def borrowed(path: str) -> ModuleType:
    """A test module, for the fixtures that it writes."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), TESTS / f"{path}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def collected(folder: Path) -> Seed:
    """The files of a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.is_symlink()
    }


def still(motion: Any = None, degree: int = 1, count: int = 12) -> SplatScene:
    """A few Gaussians."""
    g = torch.Generator().manual_seed(1)
    dots = Gaussians.from_points(
        torch.rand(count, 3, generator=g), torch.rand(count, 3, generator=g)
    )
    motion = motion or Static()
    raw = raw_from_gaussians(dots, sh_degree=degree)
    raw |= motion.rows(raw["means"])
    if isinstance(motion, ControlNodes):
        motion.place(raw["means"])
    motion.refresh(raw)
    return SplatScene(raw, motion, duration=1.0)


def _shown(folder: Path) -> None:
    """The one scene in a folder, read and asked for its Gaussians and a picture of them."""
    from clay4d.renderers.rasterization import rasterization

    path = next((p for p in sorted(folder.iterdir()) if p.name.startswith("a.")), folder)
    g: Any = load_scene(path).at(0.5)
    if not isinstance(g, Gaussians) or not 0 < len(g) < 1000:
        return
    view = torch.eye(4)[None]
    view[0, 2, 3] = 3.0
    K = torch.tensor([[[20.0, 0, 8], [0, 20.0, 8], [0, 0, 1]]])
    rasterization(
        g.means, g.quats, g.scales, g.opacities, g.sh, view, K, 16, 16, sh_degree=g.sh_degree
    )


def _splats(suffix: str, *real: str) -> Callable[[Path], list[Seed]]:
    def seeds(folder: Path) -> list[Seed]:
        found = []
        if suffix not in (".ksplat", ".v2.spz"):
            for degree in (0, 1):
                writer_for(f"a{suffix}")(still(degree=degree), folder / f"a{suffix}", times=None)
                found.append({f"a{suffix}": (folder / f"a{suffix}").read_bytes()})
        if suffix == ".ksplat":
            mistakes = borrowed("scenes/test_splat_mistakes")
            found += [{"a.ksplat": mistakes.ksplat(level)} for level in (0, 1, 2)]
        found += [{f"a{suffix}": (SPLATS / r).read_bytes()} for r in real if (SPLATS / r).is_file()]
        return found

    return seeds


def _ascii_ply(folder: Path) -> list[Seed]:
    writer_for("a.ply")(still(degree=0, count=3), folder / "a.ply", times=None)
    data = (folder / "a.ply").read_bytes()
    head, _, body = data.partition(b"end_header\n")
    rows = np.frombuffer(body, "<f4").reshape(3, -1)
    text = "\n".join(" ".join(map(repr, map(float, row))) for row in rows)
    return [{"a.ply": head.replace(b"binary_little_endian", b"ascii") + b"end_header\n" + text.encode()}]  # fmt: skip


def _sog(folder: Path) -> list[Seed]:
    files = borrowed("scenes/test_splat_files")
    found = []
    for degree in (0, 1):
        files.sog(folder / "a.sog", degree=degree)
        found.append({"a.sog": (folder / "a.sog").read_bytes()})
    writer_for("a.sog")(still(), folder / "a.sog", times=None)
    return [*found, {"a.sog": (folder / "a.sog").read_bytes()}]


def _scenes(suffix: str) -> Callable[[Path], list[Seed]]:
    def seeds(folder: Path) -> list[Seed]:
        found = []
        for motion in (Static(), Polynomial(), ControlNodes(nodes=6, width=8, depth=1),
                       RigidPaths(objects=2, knots=3)):  # fmt: skip
            scene, path = still(motion), folder / f"a{suffix}"
            if suffix == ".clay4d":
                writer_for(path)(scene, path, times=None)
            else:
                save_scene(path, scene)
            found.append({path.name: path.read_bytes()})
        return found

    return seeds


def _sequence(folder: Path) -> list[Seed]:
    from clay4d.scenes.exchange import write_ply_sequence

    write_ply_sequence(still(Polynomial(), 0, 3), folder / "s", times=[0.0, 0.5, 1.0])
    return [collected(folder / "s")]


def _looked(folder: Path) -> None:
    """A data set, with the first picture of each split."""
    data = load_dataset(folder)
    for views in data.splits.values():
        frame = views[0]
        assert frame.image.ndim == 3


def _posed() -> ModuleType:
    return borrowed("scenes/conftest")


def _transforms(folder: Path) -> list[Seed]:
    posed, seeds = _posed(), []
    posed.blender(folder / "b", n=3)
    seeds.append(collected(folder / "b"))
    posed.single(folder / "s", 3, k1=0.01, p1=0.001, aabb_scale=4)
    seeds.append(collected(folder / "s"))
    meta = posed.single(folder / "n", 3, camera_model="OPENCV", applied_transform=np.eye(4)[:3].tolist())  # fmt: skip
    for i, frame in enumerate(meta["frames"]):
        (folder / "n/masks").mkdir(exist_ok=True)
        Image.new("L", (8, 6), 255).save(folder / f"n/masks/{i}.png")
        np.save(folder / f"n/d{i}.npy", np.ones((6, 8), np.float32))
        frame |= {"mask_path": f"masks/{i}.png", "depth_file_path": f"d{i}.npy", "time": i / 2, "camera_id": i}  # fmt: skip
    posed.put(folder / "n", meta)
    return [*seeds, collected(folder / "n")]


def _colmap(kind: str) -> Callable[[Path], list[Seed]]:
    def seeds(folder: Path) -> list[Seed]:
        colmap = borrowed("scenes/test_colmap")
        colmap.fixture(folder / "c", kind)
        more = {5: (2, (60.0, 33.0, 23.0, 0.01))}
        colmap.fixture(folder / "d", kind, cameras=more)
        return [collected(folder / "c"), collected(folder / "d")]

    return seeds


def _panoptic(folder: Path) -> list[Seed]:
    _posed().panoptic(folder / "p", 2)
    np.savez(folder / "p/init_pt_cld.npz", data=np.array([[1.0, -2, 3, 0.1, 0.2, 0.3, 1]]))
    return [collected(folder / "p")]


def _nerfies(kind: str) -> Callable[[Path], list[Seed]]:
    def seeds(folder: Path) -> list[Seed]:
        nerfies = borrowed("scenes/test_nerfies")
        if kind == "dycheck":
            nerfies.dycheck(folder / "d")
        else:
            nerfies.write(folder / "d", nerfies.VRIG, val=tuple(nerfies.VRIG[1::2]))
        return [collected(folder / "d")]

    return seeds


def _llff(folder: Path) -> list[Seed]:
    rigs, posed = borrowed("scenes/test_rigs"), _posed()
    for name in ("f", "p"):
        (folder / name).mkdir()
        np.save(folder / name / "poses_bounds.npy", rigs.rows(3))
    for i in range(3):
        rigs.film(folder / f"f/cam{i:02d}.mp4", 40 * i + 20, frames=2)
        posed.save(folder / f"p/images/{i}.png", size=(rigs.W, rigs.H))
    return [collected(folder / "f"), collected(folder / "p")]


def _multiview(folder: Path) -> list[Seed]:
    rigs = borrowed("scenes/test_rigs")
    for name in ("a", "b"):
        (folder / name).mkdir()
        rigs.listed(folder / name, cx=30.0, cy=25.0)
    rigs.folders(folder / "a", 2)
    for i, name in enumerate(("left", "middle", "right")):
        rigs.film(folder / f"b/{name}.mp4", 30 * i, frames=2)
    return [collected(folder / "a"), collected(folder / "b")]


def _spec(folder: Path) -> list[Seed]:
    from clay4d.physics_baseline.planner import plan

    prompts = ("a red ball rolls down a ramp and hits two blue cubes",
               "a heavy steel ball swings into a stack of three wooden boxes", "a flag waves in the wind")  # fmt: skip
    found = []
    for prompt in prompts:
        try:
            found.append({"spec.json": plan(prompt, seed=0).to_json().encode()})
        except ValueError:  # words that the grammar has no rule for
            continue
    return found


def _read_spec(folder: Path) -> None:
    from clay4d.physics_baseline.spec import SceneSpec

    SceneSpec.load(folder / "spec.json") if hasattr(SceneSpec, "load") else SceneSpec.from_json(
        (folder / "spec.json").read_text(encoding="utf-8", errors="replace")
    )


def _configs(folder: Path) -> list[Seed]:
    from clay4d.config import preset_folder

    return [{"c.yaml": p.read_bytes()} for p in sorted(preset_folder().glob("*.yaml")) if "." not in p.stem]  # fmt: skip


def _read_config(folder: Path) -> None:
    from clay4d.config import load_config
    from clay4d.training.config import TrainConfig

    load_config(TrainConfig, folder / "c.yaml")


def _paths(folder: Path) -> list[Seed]:
    view = np.eye(4)
    view[2, 3] = 3
    keys = [
        {"at": t, "time": t, "viewmat": view.tolist(), "fov": 50.0, "hold": False}
        for t in (0.0, 1.0)
    ]
    cameras = [{"time": 0.1 * i, "viewmat": view.tolist(), "K": [[9, 0, 4], [0, 9, 3], [0, 0, 1]]} for i in range(3)]  # fmt: skip
    head = {"width": 8, "height": 6, "fps": 30}
    return [{"p.json": json.dumps(head | more).encode()} for more in ({"cameras": cameras}, {"keyframes": keys})]  # fmt: skip


def _read_path(folder: Path) -> None:
    from clay4d.renderers.paths import read_path

    read_path(folder / "p.json")


SPLAT_FORMATS = (
    Format("ply", _splats(".ply", "minimal_fixtures/test-splat.3-points-from-train.ply"), _shown),
    Format("ply-ascii", _ascii_ply, _shown),
    Format("ply-compressed", _splats(".compressed.ply"), _shown),
    Format("ply-sequence", _sequence, _shown),
    Format("splat", _splats(".splat", "minimal_fixtures/minimal.splat", "minimal_fixtures/OneSplat.splat"), _shown),
    Format("ksplat", _splats(".ksplat", "minimal_fixtures/minimal.ksplat"), _shown),
    Format("spz-2", _splats(".v2.spz", "minimal_fixtures/minimal-v2.spz", "minimal_fixtures/minimal-raw.spz"), _shown),
    Format("spz-3", _splats(".spz", "minimal_fixtures/minimal-v3.spz"), _shown),
    Format("spz-4", _splats(".v4.spz", "minimal_fixtures/minimal-v4.spz"), _shown),
    Format("sog", _sog, _shown),
    Format("clay4d", _scenes(".clay4d"), _shown),
    Format("scene", _scenes(".safetensors"), _shown),
)  # fmt: skip
LOADER_FORMATS = (
    Format("transforms", _transforms, _looked, (".json", ".npy")),
    Format("colmap-text", _colmap("txt"), _looked, (".txt",)),
    Format("colmap-binary", _colmap("bin"), _looked, (".bin",)),
    Format("panoptic", _panoptic, _looked, (".json", ".npz")),
    Format("hypernerf", _nerfies("hypernerf"), _looked, (".json",)),
    Format("dycheck", _nerfies("dycheck"), _looked, (".json", ".npy")),
    Format("llff", _llff, _looked, (".npy", ".mp4")),
    Format("multi-view", _multiview, _looked, (".json", ".mp4")),
)
TEXT_FORMATS = (
    Format("scene-spec", _spec, _read_spec),
    Format("config", _configs, _read_config),
    Format("camera-path", _paths, _read_path),
)
FORMATS = {f.name: f for f in (*SPLAT_FORMATS, *LOADER_FORMATS, *TEXT_FORMATS)}
