"""A camera's way through key frames: a smooth curve in space, in rotation, in lens and in time.

A path file (see `clay4d.renderers.paths`) may hold key frames in the place of its cameras:

    {"width": 400, "height": 400, "fps": 30,
     "keyframes": [{"at": 0.0, "time": 0.0, "viewmat": [[…] × 4], "fov": 50.0}, …]}

`at` is the second of the video at which the camera is there, `time` the scene's second that it sees,
`viewmat` world to camera in OpenCV axes, `fov` the vertical angle of view in degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes import Cameras

MOST_FRAMES = 100_000
"""Frames of one path, almost an hour at 30 a second: a wrong number must not fill the memory."""


@dataclass(frozen=True)
class KeyFrame:
    """Where the camera is `at` seconds into the video, and the scene's time that it sees.

    Raises:
        ValueError: a lens that is not between 0 and 180 degrees, numbers that are not finite, another
            shape.

    >>> KeyFrame(0.0, 0.0, torch.eye(4), 50.0).fov
    50.0
    """

    at: float
    """Seconds since the video's start."""
    time: float
    """Seconds since the scene's start."""
    viewmat: Float[Tensor, "4 4"]
    """World to camera, OpenCV axes."""
    fov: float
    """Vertical angle of view, degrees."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(x) for x in (self.at, self.time, self.fov)):
            raise ValueError(f"key frame got {self.at}, {self.time}, {self.fov}; expected numbers.")
        if tuple(self.viewmat.shape) != (4, 4):
            raise ValueError(f"viewmat got shape {list(self.viewmat.shape)}; expected [4, 4].")
        if not 0 < self.fov < 180:
            raise ValueError(f"fov got {self.fov}; expected more than 0 and less than 180 degrees.")

    def to_json(self) -> dict[str, Any]:
        """The key frame as it stands in a path file."""
        view = self.viewmat.tolist()
        return {"at": self.at, "time": self.time, "viewmat": view, "fov": self.fov}


def parse_keyframes(rows: Any) -> list[KeyFrame]:
    """The key frames of a path file's list.

    Raises:
        KeyError, TypeError, ValueError: what is not such a list.
    """
    if not isinstance(rows, list) or not rows:
        raise ValueError("no list of keyframes")
    return [
        KeyFrame(
            float(row["at"]), float(row["time"]),
            torch.tensor(row["viewmat"], dtype=torch.float64).float(), float(row["fov"]),
        )
        for row in rows
    ]  # fmt: skip


def pinhole(fov: float, *, width: int, height: int) -> Float[Tensor, "3 3"]:
    """Intrinsics of a vertical angle of view in degrees, with the axis through the middle.

    >>> pinhole(90.0, width=8, height=6)[0].tolist()
    [3.0, 0.0, 4.0]
    """
    focal = height / 2 / math.tan(math.radians(fov) / 2)
    return torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]).round(
        decimals=4
    )


def interpolate(keys: list[KeyFrame], *, width: int, height: int, fps: float) -> Cameras:
    """Cameras at every frame from the first key to the last, passing each key at its `at`.

    Centres follow a natural cubic spline, rotations SciPy's `RotationSpline`: both have continuous
    velocity and acceleration, and two keys are joined at constant speed. Times and lenses follow a
    monotone cubic (Fritsch and Carlson 1980), so time runs back only where the keys say so.

    Raises:
        ValueError: no keys, keys whose `at` does not grow, poses that are not rigid, more than
            100,000 frames.

    >>> ends = [KeyFrame(0.0, 0.0, torch.eye(4), 60.0), KeyFrame(1.0, 0.5, torch.eye(4), 60.0)]
    >>> interpolate(ends, width=8, height=6, fps=4).times.tolist()
    [0.0, 0.125, 0.25, 0.375, 0.5]
    """
    if not keys:
        raise ValueError("keyframes got none; expected at least one. Add one.")
    at = np.array([key.at for key in keys])
    if (np.diff(at) <= 0).any():
        raise ValueError(f"at got {at.tolist()}; expected seconds that grow. Put them in order.")
    if (at[-1] - at[0]) * fps > MOST_FRAMES:
        raise ValueError(
            f"path got {(at[-1] - at[0]) * fps:.0f} frames; expected {MOST_FRAMES} at most. "
            "Shorten it."
        )
    given = torch.stack([key.viewmat for key in keys])
    Ks = torch.stack([pinhole(key.fov, width=width, height=height) for key in keys])
    fixed = Cameras(given, Ks, width, height, torch.tensor([key.time for key in keys]))
    if len(keys) == 1:
        return fixed
    wanted = at[0] + np.arange(math.floor((at[-1] - at[0]) * fps + 1e-6) + 1) / fps
    R, eyes, times, fovs = _curves(keys, fixed, at, np.minimum(wanted, at[-1]))
    views = torch.eye(4, dtype=torch.float64).repeat(len(wanted), 1, 1)
    views[:, :3, :3] = torch.from_numpy(R)
    views[:, :3, 3] = torch.from_numpy(-np.einsum("fij,fj->fi", R, eyes))
    Ks = torch.stack([pinhole(float(fov), width=width, height=height) for fov in fovs])
    return Cameras(views.float(), Ks, width, height, torch.from_numpy(times).float())


def _curves(
    keys: list[KeyFrame], fixed: Cameras, at: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], ...]:
    """World-to-camera rotations, centres, times and lenses at the wanted seconds."""
    from scipy.interpolate import CubicSpline, PchipInterpolator
    from scipy.spatial.transform import Rotation, RotationSpline

    turned = Rotation.from_matrix(fixed.viewmats[:, :3, :3].double().numpy())
    return (
        RotationSpline(at, turned)(wanted).as_matrix(),
        CubicSpline(at, fixed.centres.double().numpy(), bc_type="natural")(wanted),
        PchipInterpolator(at, [key.time for key in keys])(wanted),
        PchipInterpolator(at, [key.fov for key in keys])(wanted),
    )
