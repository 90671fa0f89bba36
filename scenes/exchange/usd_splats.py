"""Gaussian scenes as USD: UsdVol's ParticleField3DGaussianSplat (OpenUSD 26.03 and newer).

Rigid parts are Xforms with time samples over Gaussians that stay as they are; of other scenes the
positions, orientations, scales and opacities are time samples. Scales are linear, colours as they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.scenes.exchange.parts import Part, check_times, rigid_parts
from clay4d.scenes.exchange.usd_file import pxr, set_pose, usd_name, write_stage
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.scene import Scene

BYTES = 44
"""Of a Gaussian at a moment: place, rotation, opacity, size."""
HELD = 32 << 20
"""Bytes of moments in memory, after which they go to the disk."""


def write_usd_splats(
    scene: Scene, path: str | Path, *, times: Sequence[float] | None = None
) -> None:
    """Write a scene of Gaussians to .usda, .usdc or .usdz, with time samples at `times`, seconds.

    Raises:
        ValueError: times that do not rise, another suffix.
        ImportError: the extra `export` is missing, or its usd-core is older than 26.3.
    """
    moments = check_times(scene, times)
    p = pxr()
    if not hasattr(p.UsdVol, "ParticleField3DGaussianSplat"):
        raise ImportError(
            "USD export got a usd-core without ParticleField3DGaussianSplat; expected 26.3 or newer. "
            "Run: pip install -U 'clay4d[export]'"
        )
    gaps = np.diff(moments)
    rate = float(1 / gaps.mean()) if len(gaps) else 24.0
    codes = [(t - moments[0]) * rate for t in moments]

    def fill(stage: Any) -> None:
        parts = rigid_parts(scene, moments)
        if parts is not None:
            _add_parts(stage, parts, codes)
            return
        field = p.UsdVol.ParticleField3DGaussianSplat.Define(stage, "/World/splats")
        held = 0
        for t, code in zip(moments, codes):
            at = p.Usd.TimeCode(code) if len(moments) > 1 else p.Usd.TimeCode.Default()
            gaussians = scene.at(t).detach()
            set_splats(field, gaussians, at, whole=t == moments[0])
            held += BYTES * len(gaussians)
            if held > HELD:
                stage.Save()
                held = 0

    write_stage(path, rate, len(moments), fill)


def _add_parts(stage: Any, parts: list[Part], codes: Sequence[float]) -> None:
    p, taken = pxr(), set[str]()
    for part in parts:
        name = usd_name(part.name, taken)
        form = p.UsdGeom.Xform.Define(stage, f"/World/{name}")
        set_pose(form.GetPrim(), part.positions, part.quats, codes)
        field = p.UsdVol.ParticleField3DGaussianSplat.Define(stage, f"/World/{name}/splats")
        set_splats(field, part.gaussians, p.Usd.TimeCode.Default(), whole=True)


def set_splats(field: Any, gaussians: Gaussians, at: Any, *, whole: bool) -> None:
    """Fill a ParticleField3DGaussianSplat at a time code; `whole`: with what does not change, too."""
    p = pxr()
    v = {k: t.cpu().float().numpy() for k, t in gaussians.tensors().items()}
    quats = v["quats"] / np.maximum(np.linalg.norm(v["quats"], axis=1, keepdims=True), 1e-12)
    field.CreatePositionsAttr().Set(p.Vt.Vec3fArray.FromNumpy(v["means"]), at)
    # FromNumpy takes the imaginary part first.
    swapped = np.ascontiguousarray(quats[:, [1, 2, 3, 0]])
    field.CreateOrientationsAttr().Set(p.Vt.QuatfArray.FromNumpy(swapped), at)
    field.CreateOpacitiesAttr().Set(p.Vt.FloatArray.FromNumpy(v["opacities"].clip(0, 1)), at)
    reach = 3 * v["scales"].max(1, keepdims=True)
    box = np.stack([(v["means"] - reach).min(0), (v["means"] + reach).max(0)]).astype(np.float32)
    p.UsdGeom.Boundable(field.GetPrim()).CreateExtentAttr().Set(p.Vt.Vec3fArray.FromNumpy(box), at)
    field.CreateScalesAttr().Set(p.Vt.Vec3fArray.FromNumpy(v["scales"]), at)
    if whole:
        field.CreateRadianceSphericalHarmonicsDegreeAttr().Set(gaussians.sh_degree)
        flat = np.ascontiguousarray(v["sh"].reshape(-1, 3))
        field.CreateRadianceSphericalHarmonicsCoefficientsAttr().Set(
            p.Vt.Vec3fArray.FromNumpy(flat)
        )
        field.CreateSortingModeHintAttr().Set("cameraDistance")
