"""`.splat`: 32 bytes for each Gaussian, no header, no harmonics above the constant ones.

Source: `convert.py` of antimatter15/splat (MIT). Three floats of place, three of standard deviations,
red, green, blue and opacity as bytes, and the quaternion wxyz as bytes with 128 for 0. The largest and
densest Gaussians stand first, so that a viewer shows something while it loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clay4d.files import written_whole
from clay4d.scenes.exchange.still import (
    SMALLEST,
    Still,
    colours,
    constant,
    frozen,
    logit,
    opened,
    sigmoid,
    still_scene,
    to_byte,
)
from clay4d.scenes.scene import Scene
from clay4d.scenes.splat_scene import SplatScene

ROW = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])


def write_splat(scene: Scene, path: str | Path, *, times: Sequence[float] | None = None) -> None:
    """Write the Gaussians of one time to a .splat file, whole or not at all.

    Args:
        times: the one time, seconds; the scene's start by default.

    Raises:
        ValueError: several times, or numbers that are not finite.

    >>> import tempfile, torch
    >>> from clay4d.scenes.gaussians import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import raw_from_gaussians
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_splat(SplatScene(raw_from_gaussians(g), Static()), Path(folder) / "a.splat")
    ...     len(read_splat(Path(folder) / "a.splat"))
    2
    """
    path = Path(path)
    still = frozen(scene, path, times)
    weight = still.log_scales.sum(1) + np.log(sigmoid(still.logits))
    still = still.taken(np.argsort(-weight, kind="stable"))
    rows = np.zeros(len(still), ROW)
    rows["means"], rows["scales"] = still.means, np.exp(still.log_scales)
    rows["rgba"][:, :3] = to_byte(255 * colours(still.sh))
    rows["rgba"][:, 3] = to_byte(255 * sigmoid(still.logits))
    rows["quats"] = to_byte(128 * still.quats + 128)
    with written_whole(path) as place:
        place.write_bytes(rows.tobytes())


def read_splat(path: str | Path) -> SplatScene:
    """Read a .splat file as a scene that stands still.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a length that is no multiple of 32 bytes, NaN, sizes below zero.
    """
    path = opened(path, ".splat")
    data = path.read_bytes()
    if len(data) % ROW.itemsize:
        raise ValueError(
            f"{path.name} got {len(data)} bytes; expected 32 for each Gaussian. Get it again."
        )
    rows = np.frombuffer(data, ROW)
    return still_scene(
        Still(
            rows["means"], rows["quats"] / 128.0 - 1, log_of(rows["scales"], path.name),
            logit(rows["rgba"][:, 3] / 255), constant(rows["rgba"][:, :3] / 255),
        ),
        path.name,
    )  # fmt: skip


def log_of(scales: np.ndarray, name: str) -> np.ndarray:
    """Logarithms of standard deviations.

    Raises:
        ValueError: one below zero.
    """
    if (scales < 0).any():
        raise ValueError(f"{name} got sizes below zero; expected none. Get the file again.")
    logs: np.ndarray = np.log(np.maximum(scales.astype(np.float64), SMALLEST))
    return logs
