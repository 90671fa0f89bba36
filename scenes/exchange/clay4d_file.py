"""`.clay4d`: a whole moving scene, quantised; docs/clay4d_format.md is the specification.

Each tensor is rounded to multiples of a step that is chosen by what it does to the picture: places by
the Gaussians' own size, sizes as ratios, colours in parts of the range that a screen shows. The figures
in `STEPS` were measured, one tensor at a time, on a D-NeRF scene (see the specification). Gaussians lie
along a Morton curve, so that neighbours in the file are neighbours in space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.scenes.exchange.codings import (
    coded_as_floats,
    coded_as_rotations,
    coded_by_steps,
    coded_size,
    decoded,
)
from clay4d.scenes.exchange.parts import check_times
from clay4d.scenes.splat_scene import SplatScene

FORMAT = "clay4d-1"
STEPS = {
    "scales": 1 / 16, "opacities": 1 / 8, "sh": 1 / 24, "quats": 1 / 512, "spin": 1 / 512,
    "lean": 1 / 1024, "moment": 1 / 4096, "span": 1 / 64, "coefficients": 1 / 64,
}  # fmt: skip
"""Steps of per-Gaussian parameters: of logarithms, logits, harmonics, components of quaternions."""
ROTATION = 1 / 128
"""Step of a unit quaternion's three smallest components."""
PLACE = 1 / 8
"""Step of means and paths, in standard deviations of the usual Gaussian."""
CODE = 1 / 16
"""Step of learned coordinates, in radii of the usual node."""
OPACITY_LOGITS = 8.0
"""Beyond ±8 a logit changes an opacity by less than 0.0004: under a tenth of a screen's level."""
ONLY_TURNS = ("static", "control-nodes", "rigid-paths", "motion-bases", "space-time")
"""Motions that multiply quaternions and never add to them: their lengths do not matter."""
NETWORKS = ("control-nodes", "deformation", "hexplane")
"""Motions whose shared tensors are networks and grids, which float16 holds well enough."""
INFLATED = 256
"""Times its own size that a file may hold; zeros compress further, but no scene is all zeros."""


def write_clay4d(
    scene: SplatScene, path: str | Path, *, times: Sequence[float] | None = None
) -> None:
    """Write a scene to a `.clay4d` file, whole or not at all; equal scenes give equal bytes.

    Args:
        scene: Gaussians with a motion model.
        times: checked, not used: all moments are in the file.

    Raises:
        ValueError: a scene without a motion model to keep.

    >>> import tempfile
    >>> from clay4d.scenes.gaussians import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import raw_from_gaussians
    >>> g = Gaussians.from_points(torch.rand(9, 3), torch.rand(9, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_clay4d(SplatScene(raw_from_gaussians(g), Static()), Path(folder) / "a.clay4d")
    ...     len(read_clay4d(Path(folder) / "a.clay4d"))
    9
    """
    from clay4d.scenes.store import scene_header, write_tensors

    check_times(scene, times)  # refuses radiance fields
    if not isinstance(scene, SplatScene):
        raise ValueError(f"scene got {type(scene).__name__}; expected a trained or loaded scene.")
    coded, codings = encoded(scene)
    header = {"format": FORMAT, **scene_header(scene), "tensors": codings}
    write_tensors(path, coded, header)


def read_clay4d(path: str | Path) -> SplatScene:
    """Read a scene that `write_clay4d` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, is cut short, or claims what cannot be.
    """
    from clay4d.scenes.store import read_tensors, scene_from

    data, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} got format {header.get('format')!r}; expected {FORMAT!r}.")
    codings = header.get("tensors")
    if not isinstance(codings, dict) or codings.keys() != data.keys():
        raise ValueError(
            f"{path} got other tensors than its header says; expected the same. Make the file again."
        )
    if not all(isinstance(c, dict) for c in codings.values()):
        raise ValueError(f"{path} got codings; expected an object for each. Make the file again.")
    claimed = sum(coded_size(coding) for coding in codings.values())
    if claimed > INFLATED * Path(path).stat().st_size:
        raise ValueError(
            f"{path} got a claim of {claimed} bytes; expected at most {INFLATED} times its size. "
            "Make the file again."
        )
    return scene_from({k: decoded(_bytes(v), codings[k]) for k, v in data.items()}, header)


def encoded(scene: SplatScene) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A scene's tensors as bytes, with their codings by name."""
    from clay4d.scenes.store import scene_tensors

    order = morton_order(scene.raw["means"].detach())
    coded: dict[str, Tensor] = {}
    codings: dict[str, Any] = {}
    for name, value in sorted(scene_tensors(scene).items()):
        group, _, key = name.partition(".")
        if group == "raw":
            data, coding = _coded_row(scene, key, value.detach()[order])
        else:
            data, coding = _coded_shared(scene.motion.kind, value.detach())
        coded[name] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        codings[name] = coding
    return coded, codings


def morton_order(means: Float[Tensor, "N 3"]) -> Int[Tensor, " N"]:
    """Indices along the Z-order curve (Morton 1966) of a grid of 2²¹ cells a side over the middle 98 %.

    >>> morton_order(torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]])).tolist()
    [1, 2, 0]
    """
    if not len(means):
        return torch.zeros(0, dtype=torch.int64)
    points = means.double().numpy()
    low, high = np.quantile(points, 0.01, axis=0), np.quantile(points, 0.99, axis=0)
    cells = ((points - low) / np.maximum(high - low, 1e-12)).clip(0, 1) * (2**21 - 1)
    code = np.zeros(len(points), np.uint64)
    for axis in range(3):
        x = cells[:, axis].astype(np.uint64)
        for bit in range(21):
            code |= ((x >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return torch.from_numpy(np.argsort(code, kind="stable"))


def _coded_row(scene: SplatScene, key: str, value: Tensor) -> tuple[bytes, dict[str, Any]]:
    """One parameter of all Gaussians; what no step is known for keeps its 32 bits."""
    if not value.is_floating_point():
        return coded_by_steps(value, 1.0)
    if key == "quats" and scene.motion.kind in ONLY_TURNS:
        return coded_as_rotations(value, ROTATION)
    if key in ("means", "path"):
        return coded_by_steps(value, _fine(PLACE * _usual_size(scene)))
    if key == "codes":
        radius = float(scene.motion.tensors()["log_radii"].detach().median().exp())
        return coded_by_steps(value, _fine(CODE * radius))
    if key == "opacities":
        value = value.clamp(-OPACITY_LOGITS, OPACITY_LOGITS)
    if key in STEPS:
        return coded_by_steps(value, STEPS[key])
    return coded_as_floats(value, "float32")


def _coded_shared(kind: str, value: Tensor) -> tuple[bytes, dict[str, Any]]:
    """A tensor of the motion model."""
    if not value.is_floating_point():
        return coded_by_steps(value, 1.0)
    small = kind in NETWORKS and bool(value.half().isfinite().all())
    return coded_as_floats(value, "float16" if small else "float32")


def _usual_size(scene: SplatScene) -> float:
    """Median over Gaussians of the middle standard deviation, metres."""
    if not len(scene):
        return 1.0
    return float(scene.raw["scales"].detach().median(1).values.median().exp())


def _fine(step: float) -> float:
    """The power of two at or below a step: exact in any float."""
    return 2.0 ** math.floor(math.log2(max(step, 1e-9)))


def _bytes(data: Tensor) -> bytes:
    if data.dtype != torch.uint8 or data.ndim != 1:
        raise ValueError(f"data got {data.dtype} {list(data.shape)}; expected bytes.")
    return data.numpy().tobytes()
