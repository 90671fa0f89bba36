"""Camera paths for videos: round the scene, in a small spiral, through given views, or from a file.

The world's z is up. Each path gives cameras whose times run evenly from 0 to the scene's duration. A
path file is JSON with poses as world to camera in OpenCV axes and intrinsics in pixels:

    {"width": 400, "height": 400, "fps": 30,
     "cameras": [{"time": 0.0, "viewmat": [[…] × 4], "K": [[…] × 3]}, …]}

In the place of `cameras` it may hold `keyframes`: see `clay4d.renderers.keyframes`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.files import written_whole
from clay4d.renderers.keyframes import interpolate, parse_keyframes
from clay4d.scenes import Cameras, Dataset

PATHS = ("orbit", "spiral", "test", "train")
STEEPEST = math.radians(85)
"""Highest elevation of an orbit: straight above, no direction is up."""


def camera_path(
    path: str, dataset: Dataset, *, frames: int = 120, duration: float | None = None
) -> Cameras:
    """The cameras of a named path through a data set: orbit, spiral, test or train.

    Args:
        path: "orbit" and "spiral" follow the training cameras, "test" and "train" go through the views
            of that split.
        duration: seconds that the path's times span; the data set's by default.

    Raises:
        ValueError: an unknown path, no test views, fewer than one frame.
    """
    seconds = dataset.duration if duration is None else duration
    if path in ("test", "train"):
        return through(dataset.split(path).cameras, frames=frames)
    around = {"orbit": orbit, "spiral": spiral}
    if path not in around:
        raise ValueError(f"path got {path!r}; expected {', '.join(PATHS)} or a path file.")
    centre = dataset.bounds.double().mean(0)
    return around[path](dataset.train.cameras, frames=frames, duration=seconds, fallback=centre)


def focus_point(
    cameras: Cameras, *, fallback: Float[Tensor, " 3"] | None = None
) -> Float[Tensor, " 3"]:
    """The point nearest to all the cameras' axes, metres; where they look.

    Axes that are parallel, or meet behind the cameras, do not meet anywhere that matters: then it
    is `fallback`, or else a metre in front of the cameras' mean.

    >>> from clay4d.renderers.paths import look_at
    >>> eyes = torch.tensor([[2.0, 0, 1], [0, 2, 1]])
    >>> views = look_at(eyes, torch.zeros(3))
    >>> focus = focus_point(Cameras(views, torch.eye(3).expand(2, 3, 3), 8, 8, torch.zeros(2)))
    >>> bool(focus.abs().max() < 1e-5)
    True
    """
    centres, axes = cameras.centres.double(), cameras.viewmats[:, 2, :3].double()
    # The distance to an axis is what is left after projection onto its normal plane.
    away = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]
    total = away.mean(0)
    if torch.linalg.eigvalsh(total)[0] > 1e-4:
        focus: Tensor = torch.linalg.solve(total, (away @ centres[..., None]).mean(0))[:, 0]
        ahead = ((focus - centres) * axes).sum(1) > 0
        if ahead.double().mean() > 0.5:
            return focus.float()
    if fallback is not None:
        return fallback.float()
    return (centres.mean(0) + axes.mean(0)).float()


def look_at(eyes: Float[Tensor, "F 3"], target: Float[Tensor, "*F 3"]) -> Float[Tensor, "F 4 4"]:
    """World-to-camera matrices at `eyes` that look at `target` with z up.

    >>> look_at(torch.tensor([[0.0, -2, 0]]), torch.zeros(3))[0, 2].tolist()
    [0.0, 1.0, 0.0, 2.0]
    """
    eyes = eyes.double()
    forward = torch.nn.functional.normalize(target.double() - eyes, dim=1)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=1)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    return _viewmats(R, eyes)


def orbit(
    cameras: Cameras,
    *,
    frames: int = 120,
    duration: float = 0.0,
    turns: float = 1.0,
    fallback: Float[Tensor, " 3"] | None = None,
) -> Cameras:
    """Round the point at which the cameras look, at their median distance and elevation.

    It begins at the first camera's side. Where pictures were taken from one side only, the far
    side shows what nobody has seen; "spiral" stays near the cameras.

    Raises:
        ValueError: fewer than one frame.
    """
    focus = focus_point(cameras, fallback=fallback).double()
    offsets = cameras.centres.double() - focus
    radii = offsets.norm(dim=1).clamp(min=1e-6)
    elevations = torch.asin((offsets[:, 2] / radii).clamp(-1, 1))
    radius, elevation = radii.median(), elevations.median().clamp(-STEEPEST, STEEPEST)
    start = torch.atan2(offsets[0, 1], offsets[0, 0])
    angles = start + 2 * math.pi * turns * _steps(frames)
    flat = radius * elevation.cos()
    eyes = focus + torch.stack(
        [flat * angles.cos(), flat * angles.sin(), (radius * elevation.sin()).expand(frames)], 1
    )
    return _cameras(look_at(eyes, focus), cameras, duration)


def spiral(
    cameras: Cameras,
    *,
    frames: int = 120,
    duration: float = 0.0,
    turns: float = 2.0,
    fallback: Float[Tensor, " 3"] | None = None,
) -> Cameras:
    """A small spiral about the camera in the middle of all, looking where they look.

    The spiral is as wide as the cameras' median offset from the middle one, between a twentieth
    and a quarter of its distance to what it looks at, and breathes back and forth by a third of that.

    Raises:
        ValueError: fewer than one frame.
    """
    focus = focus_point(cameras, fallback=fallback).double()
    centres = cameras.centres.double()
    middle = int(torch.cdist(centres, centres).sum(1).argmin())
    R = cameras.viewmats[middle, :3, :3].double()
    distance = float((focus - centres[middle]).norm())
    offsets = ((centres - centres[middle]) @ R.T)[:, :2].norm(dim=1)
    width = min(max(float(offsets.median()), distance / 20), distance / 4)
    angles = 2 * math.pi * turns * _steps(frames)
    local = torch.stack([angles.cos(), -angles.sin(), 0.33 * (angles / 2).sin()], 1) * width
    return _cameras(look_at(centres[middle] + local @ R, focus), cameras, duration)


def through(cameras: Cameras, *, frames: int = 120) -> Cameras:
    """A smooth way through given cameras in the order of their times, passing each at its time.

    Cameras at one time are passed in their order. Centres follow a Catmull-Rom curve, rotations
    turn evenly from view to view; the frames are even in time where the times differ.

    Raises:
        ValueError: fewer than one frame, or no cameras.
    """
    if not len(cameras):
        raise ValueError("cameras got none; expected at least one.")
    cameras = cameras[torch.argsort(cameras.times, stable=True)]
    place, times = _places(cameras.times.double(), frames)
    last = len(cameras) - 1
    below = place.floor().long().clamp(0, max(last - 1, 0))
    share = (place - below)[:, None]
    near = [(below + k).clamp(0, last) for k in (-1, 0, 1, 2)]
    a, b, c, d = (cameras.centres.double()[k] for k in near)
    cubic = 3 * (b - c) + d - a
    eyes = b + 0.5 * share * (c - a + share * (2 * a - 5 * b + 4 * c - d + share * cubic))
    rotations = cameras.viewmats[:, :3, :3].double()
    R = _turn(rotations[near[1]], rotations[near[2]], share)
    Ks = cameras.Ks.double()
    Ks = Ks[near[1]] * (1 - share[..., None]) + Ks[near[2]] * share[..., None]
    return Cameras(_viewmats(R, eyes), Ks.float(), cameras.width, cameras.height, times.float())


def read_path(path: str | Path) -> tuple[Cameras, float]:
    """The cameras of a path file, and its frames a second.

    Raises:
        FileNotFoundError: no such file.
        ValueError: contents that are not such a path.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"path got {str(path)!r}; expected {', '.join(PATHS)} or a path file that is there."
        ) from None
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path.name} is not JSON ({error}); expected a path file.") from None
    try:
        return _parse(raw)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else f"{error}".rstrip(".")
        reason = " ".join(reason.split())[:300]
        raise ValueError(
            f"{path.name} got {reason}; expected a path file: width, height, fps and cameras, each "
            "with time, viewmat [4][4] and K [3][3], or keyframes, each with at, time, viewmat and fov."
        ) from None


def write_path(path: str | Path, cameras: Cameras, *, fps: float = 30.0) -> None:
    """Write cameras to a path file, whole or not at all.

    >>> import tempfile
    >>> one = Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 6, torch.zeros(1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_path(Path(folder, "path.json"), one, fps=24)
    ...     read_path(Path(folder, "path.json"))[1]
    24.0
    """
    path = Path(path)
    rows = [
        {"time": time, "viewmat": viewmat, "K": K}
        for time, viewmat, K in zip(
            cameras.times.tolist(), cameras.viewmats.tolist(), cameras.Ks.tolist()
        )
    ]
    head = {"width": cameras.width, "height": cameras.height, "fps": fps}
    text = json.dumps({**head, "cameras": rows}, indent=1, allow_nan=False) + "\n"
    with written_whole(path) as place:
        place.write_text(text, encoding="utf-8")


def _parse(raw: Any) -> tuple[Cameras, float]:
    keyed = isinstance(raw, Mapping) and "keyframes" in raw
    if not keyed and not (isinstance(raw, Mapping) and raw["cameras"]):
        raise ValueError("no list of cameras")
    size = (raw["width"], raw["height"])
    if not all(type(side) is int for side in size):
        raise ValueError(f"size {size[0]!r} × {size[1]!r}")
    fps = float(raw.get("fps", 30.0))
    if not 0 < fps <= 1000:
        raise ValueError(f"fps {fps}")
    if keyed:
        keys = parse_keyframes(raw["keyframes"])
        return interpolate(keys, width=size[0], height=size[1], fps=fps), fps
    if not isinstance(raw["cameras"], list):
        raise ValueError("no list of cameras")
    viewmats, Ks, times = (
        torch.tensor([camera[key] for camera in raw["cameras"]], dtype=torch.float64).float()
        for key in ("viewmat", "K", "time")
    )
    return Cameras(viewmats, Ks, *size, times), fps


def _steps(frames: int) -> Float[Tensor, " F"]:
    """0 to just before 1: a round path ends one step before where it began."""
    if frames < 1:
        raise ValueError(f"frames got {frames}; expected at least 1.")
    return torch.arange(frames, dtype=torch.float64) / frames


def _cameras(viewmats: Tensor, like: Cameras, duration: float) -> Cameras:
    """Path cameras with the median lens of others and times from 0 to the duration."""
    frames = len(viewmats)
    # A copy: the median of an expanded tensor is not written by torch 2.13.
    Ks = like.Ks.contiguous().median(0).values.expand(frames, 3, 3)
    times = torch.linspace(0, duration, frames)
    return Cameras(viewmats, Ks, like.width, like.height, times)


def _viewmats(R: Float[Tensor, "F 3 3"], eyes: Float[Tensor, "F 3"]) -> Float[Tensor, "F 4 4"]:
    views = torch.eye(4, dtype=torch.float64).repeat(len(R), 1, 1)
    views[:, :3, :3] = R
    views[:, :3, 3] = -(R @ eyes[..., None])[..., 0]
    return views.float()


def _places(times: Float[Tensor, " C"], frames: int) -> tuple[Tensor, Tensor]:
    """Where along the list of cameras each frame is, and its time."""
    _steps(frames)
    last = len(times) - 1
    if times[-1] <= times[0]:
        place = torch.linspace(0, last, frames, dtype=torch.float64)
        return place, times[:1].expand(frames)
    wanted = torch.linspace(float(times[0]), float(times[-1]), frames, dtype=torch.float64)
    above = torch.searchsorted(times, wanted).clamp(1, last)
    span = (times[above] - times[above - 1]).clamp(min=1e-12)
    return above - 1 + ((wanted - times[above - 1]) / span).clamp(0, 1), wanted


def _turn(a: Float[Tensor, "F 3 3"], b: Float[Tensor, "F 3 3"], share: Tensor) -> Tensor:
    """The rotation that is `share` of the way from a to b, at constant speed."""
    delta = b @ a.transpose(1, 2)
    cosine = ((delta.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)
    skew = (delta - delta.transpose(1, 2)) / 2
    axis = torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], 1)
    sine = axis.norm(dim=1)
    angle = torch.atan2(sine, cosine)
    # Half a turn leaves the axis to the symmetric part; no path turns that far between two views.
    axis = axis / sine.clamp(min=1e-12)[:, None] * (angle[:, None] * share)
    x, y, z = axis.unbind(1)
    zero = torch.zeros_like(x)
    generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    turned: Tensor = torch.linalg.matrix_exp(generator) @ a
    return turned
