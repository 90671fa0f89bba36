"""USD stages: opened with clay4d's conventions (metres, z up), written whole. Extra `export`."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.files import written_whole

SUFFIXES = (".usda", ".usdc", ".usdz")


def pxr() -> Any:
    """The package pxr.

    Raises:
        ImportError: the extra `export` is missing.
    """
    try:
        import pxr as found
        from pxr import Gf, Kind, Sdf, Usd, UsdGeom, UsdLux, UsdShade, UsdUtils, UsdVol, Vt  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError(
            "USD export got no package usd-core; expected the extra export. "
            "Run: pip install 'clay4d[export]'"
        ) from error
    return found


def write_stage(
    path: str | Path, rate: float, frames: int, fill: Callable[[Any], None],
    pictures: Mapping[str, bytes] = {},
) -> None:  # fmt: skip
    """Make a stage of metres with z up, let `fill` put things below /World, and write it whole.

    Time codes are frames from 0, `rate` of them a second. What `fill` saves on its way (`stage.Save()`) is on the
    disk and no longer in memory. `pictures` are files that the stage names, by
    their place from its own; `fill` may add to them.

    Raises:
        ValueError: a suffix that is none of .usda, .usdc, .usdz.
        ImportError: the extra `export` is missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"path got {path.name!r}; expected the suffix .usda, .usdc or .usdz.")
    p = pxr()
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "scene.usdc"
        stage = _new_stage(layer, rate, frames)
        fill(stage)
        stage.Save()
        for name, data in pictures.items():
            place = (Path(folder) if suffix == ".usdz" else path.parent) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(place) as unfinished:
                unfinished.write_bytes(data)
        made = layer
        if suffix == ".usda":
            made = layer.with_suffix(suffix)
            stage.GetRootLayer().Export(str(made))
        if suffix == ".usdz":
            made = Path(folder) / "scene.usdz"
            p.UsdUtils.CreateNewUsdzPackage(str(layer), str(made))
        with written_whole(path) as place:
            shutil.copyfile(made, place)


def _new_stage(layer: Path, rate: float, frames: int) -> Any:
    """A stage in a file, with what all of clay4d's have at the top."""
    p = pxr()
    stage = p.Usd.Stage.CreateNew(str(layer))
    p.UsdGeom.SetStageUpAxis(stage, p.UsdGeom.Tokens.z)
    p.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    world = p.UsdGeom.Xform.Define(stage, "/World").GetPrim()
    stage.SetDefaultPrim(world)
    p.Usd.ModelAPI(world).SetKind(p.Kind.Tokens.component)
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(max(frames - 1, 0))
    return stage


def usd_name(name: str, taken: set[str]) -> str:
    """A name that USD takes and nothing else here has.

    >>> usd_name("big-ball", {"big_ball"})
    'big_ball_1'
    """
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
    chosen, k = plain, 0
    while chosen in taken:
        k += 1
        chosen = f"{plain}_{k}"
    taken.add(chosen)
    return chosen


def set_pose(prim: Any, positions: Any, quats: Any, codes: Sequence[float]) -> None:
    """Give a prim its pose (quats wxyz): time samples at time codes, or one value if it stands still."""
    p = pxr()
    form = p.UsdGeom.Xformable(prim)
    move, turn = form.AddTranslateOp(), form.AddOrientOp()
    for k, (place, q) in enumerate(zip(np.asarray(positions, float), np.asarray(quats, float))):
        at = p.Usd.TimeCode(codes[k]) if len(positions) > 1 else p.Usd.TimeCode.Default()
        move.Set(p.Gf.Vec3d(*place.tolist()), at)
        turn.Set(p.Gf.Quatf(*q.tolist()), at)
