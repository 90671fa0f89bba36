"""Lenses of transforms.json and COLMAP, and the pinhole picture made of a distorted one by OpenCV.

Models and their coefficients: COLMAP's and nerfstudio's names; the formulas are in `lens_models`.
Principal points here have the first pixel's centre at (0.5, 0.5), OpenCV at (0, 0): half a pixel is
taken off on the way in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from clay4d.scenes.loaders.fields import number, positive
from clay4d.scenes.loaders.lens_models import COLMAP_MODELS, LENSES, Array, determinant

COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")
MODELS: Mapping[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV": ("k1", "k2", "k3", "p1", "p2"),
    "SIMPLE_RADIAL_FISHEYE": ("k1",),
    "RADIAL_FISHEYE": ("k1", "k2"),
    "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
}
"""Which coefficients each camera model has; k4 of a perspective lens means different things."""
cv2.setNumThreads(1)


@dataclass(frozen=True)
class Lens:
    """One camera's intrinsics in pixels, as its file states them."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    """The first pixel's centre is at 0.5."""
    cy: float
    kind: str = "perspective"
    """One of `LENSES`."""
    distortion: tuple[float, ...] = (0.0,) * 8
    """Its coefficients in that model's order."""

    @property
    def distorted(self) -> bool:
        """Whether its pictures are other than a pinhole's."""
        # EUCM's second coefficient does nothing where the first is 0.
        told = self.distortion[:1] if self.kind == "eucm" else self.distortion
        return LENSES[self.kind].wide or any(told)

    def scaled(self, width: int, height: int) -> Lens:
        """The lens of the same picture at another size."""
        x, y = width / self.width, height / self.height
        return replace(
            self, width=width, height=height,
            fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y,
        )  # fmt: skip


def read_lens(meta: Mapping[str, Any], width: int, height: int, where: str) -> Lens:
    """The lens that the fields `meta` describe, for pictures of the given size in pixels.

    Source: nerfstudio's data conventions, instant-ngp's colmap2nerf.py, NeRF's Blender files.

    Raises:
        ValueError: unknown model, focal length or size that cannot be, a coefficient that the
            model does not have.

    >>> lens = read_lens({"camera_angle_x": math.pi / 2}, 100, 50, "transforms.json")
    >>> round(lens.fx, 6), lens.cx, lens.cy
    (50.0, 50.0, 25.0)
    """
    default = "OPENCV_FISHEYE" if meta.get("is_fisheye") is True else "OPENCV"
    model = meta.get("camera_model", default)
    if not isinstance(model, str) or model not in MODELS:
        raise ValueError(
            f"{where} got camera_model {str(model)[:60]!r}; expected one of {', '.join(MODELS)}. "
            "Undistort the pictures to PINHOLE first."
        )
    k = {key: number(meta, key, where, default=0.0) for key in COEFFICIENTS}
    for key, value in k.items():
        if value != 0 and key not in MODELS[model]:
            raise ValueError(
                f"{where} got {key} = {value:g}; expected 0, since camera_model {model} has no "
                f"{key}. Correct camera_model or the coefficient."
            )
    kind = "fisheye" if model.endswith("FISHEYE") else "perspective"
    fx, fy = _focal(meta, width, height, where)
    cx = number(meta, "cx", where, default=width / 2)
    cy = number(meta, "cy", where, default=height / 2)
    coefficients = tuple(k.get(name, 0.0) for name in LENSES[kind].names)
    return Lens(width, height, fx, fy, cx, cy, kind, coefficients)


def colmap_lens(model: str, params: Sequence[float], width: int, height: int, where: str) -> Lens:
    """The lens of a COLMAP camera, its parameters in COLMAP's order.

    Raises:
        ValueError: an unknown model, another number of parameters, values that cannot be.

    >>> colmap_lens("SIMPLE_RADIAL", (100, 50, 40, 0.1), 100, 80, "cameras.txt").distortion[:2]
    (0.1, 0.0)
    """
    if model not in COLMAP_MODELS:
        raise ValueError(
            f"{where} got camera model {model[:60]!r}; expected one of {', '.join(COLMAP_MODELS)}. "
            "Undistort the pictures with `colmap image_undistorter` first."
        )
    _, kind, names = COLMAP_MODELS[model]
    if len(params) != len(names.split()):
        raise ValueError(
            f"{where} got {len(params)} parameters of {model}; expected {len(names.split())} "
            f"({names}). Export the model again."
        )
    values = dict(zip(names.split(), map(float, params)))
    fx = positive(values, "f" if "f" in values else "fx", where)
    fy = positive(values, "fy", where, default=fx)
    cx, cy = number(values, "cx", where), number(values, "cy", where)
    k = tuple(number(values, name, where, default=0.0) for name in LENSES[kind].names)
    return Lens(width, height, fx, fy, cx, cy, kind, k)


def _focal(meta: Mapping[str, Any], width: int, height: int, where: str) -> tuple[float, float]:
    """Focal lengths in pixels, from fl_x and fl_y or from the angles of view in radians."""
    if "fl_x" in meta:
        fx = positive(meta, "fl_x", where)
        return fx, positive(meta, "fl_y", where, default=fx)
    if "camera_angle_x" not in meta:
        raise ValueError(
            f"{where} got neither fl_x nor camera_angle_x; expected one of them. "
            "Add the focal length in pixels as fl_x."
        )
    focal = []
    for key, size in (("camera_angle_x", width), ("camera_angle_y", height)):
        if key in meta:
            angle = positive(meta, key, where)
            if angle >= math.pi:
                raise ValueError(
                    f"{where} got {key} = {angle:g}; expected radians between 0 and π. "
                    "Convert degrees to radians."
                )
            focal.append(0.5 * size / math.tan(0.5 * angle))
    return focal[0], focal[-1]


@lru_cache(maxsize=1024)
def pinhole(lens: Lens) -> Lens:
    """The pinhole lens of the undistorted pictures: the largest inscribed view at the same size.

    Every pixel of the new picture comes from inside the old one, as with OpenCV's alpha = 0.

    Raises:
        ValueError: coefficients that are not one-to-one over the picture.

    >>> pinhole(Lens(8, 6, 9.0, 9.0, 4.0, 3.0)).fx
    9.0
    """
    if not lens.distorted:
        return lens
    left, right, top, bottom = (_ideal(lens, side) for side in _sides(lens))
    low = np.array([left[:, 0].max(), top[:, 1].max()])
    high = np.array([right[:, 0].min(), bottom[:, 1].min()])
    size = np.array([lens.width - 1, lens.height - 1])
    for _ in range(100):
        if not (high > low).all():
            break
        f = size / (high - low)
        c = 0.5 - low * f
        fx, fy, cx, cy = (float(v) for v in (*f, *c))
        new = Lens(lens.width, lens.height, fx, fy, cx, cy)
        border = (np.concatenate(_sides(new)) - (c - 0.5)) / f
        source = _distort(lens, border)
        if (source > -1e-3).all() and (source < size + 1e-3).all():
            return new
        # The bulge of a side can lie between two of its samples: draw the view in a little.
        low, high = low + 5e-4 * (high - low), high - 5e-4 * (high - low)
    raise _folded(lens)


def undistort(
    lens: Lens, pixels: UInt8[np.ndarray, "H W D"], *, alpha: bool = False
) -> UInt8[np.ndarray, "H W D"]:
    """The picture as `pinhole(lens)` sees it, by bicubic interpolation.

    `alpha` says that the fourth channel is opacity: colours are then weighted by it, so that the
    colour of transparent pixels does not bleed in. Any other fourth channel is a mask of its own.
    """
    if not lens.distorted:
        return pixels
    x, y = _maps(lens)
    if alpha and pixels.shape[2] == 4:
        weighted = pixels.astype(np.float32)
        weighted[..., :3] *= weighted[..., 3:] / 255
        moved = np.clip(_remap(weighted, x, y, cv2.INTER_CUBIC), 0, 255)
        moved[..., :3] *= 255 / np.maximum(moved[..., 3:], 1)
        rounded: NDArray[np.uint8] = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
        return rounded
    color: NDArray[np.uint8] = _remap(np.ascontiguousarray(pixels[..., :3]), x, y, cv2.INTER_CUBIC)
    if pixels.shape[2] == 3:
        return color
    mask: NDArray[np.uint8] = _remap(np.ascontiguousarray(pixels[..., 3]), x, y, cv2.INTER_LINEAR)
    return np.concatenate([color, mask[..., None]], axis=2)


def undistort_nearest(lens: Lens, values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Numbers that must not be mixed (depth, labels) as `pinhole(lens)` sees them."""
    if not lens.distorted:
        return values
    x, y = _maps(lens)
    moved: Float[np.ndarray, "H W"] = _remap(np.ascontiguousarray(values), x, y, cv2.INTER_NEAREST)
    return moved


def undistort_points(lens: Lens, xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
    """Pixels of the distorted picture, the first centre at (0.5, 0.5), as `pinhole(lens)` sees them.

    NaN where the lens folds and no place in space answers to the pixel.

    >>> undistort_points(Lens(8, 6, 9.0, 9.0, 4.0, 3.0), np.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """
    if not lens.distorted:
        return xy
    new, ideal = pinhole(lens), LENSES[lens.kind].unbend(_on_plane(lens, xy - 0.5), lens.distortion)
    sure = np.abs(_distort(lens, ideal) - (xy - 0.5)).max(1) < 0.05
    moved = ideal * (new.fx, new.fy) + (new.cx, new.cy)
    return np.asarray(np.where(sure[:, None], moved, np.nan))


def _remap(pixels: Any, x: Any, y: Any, how: int) -> Any:
    return cv2.remap(pixels, x, y, how, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=2)
def _maps(lens: Lens) -> tuple[Any, Any]:
    """Where each new pixel comes from; two kept, since videos have one lens and stereo two."""
    D, new, size = np.array(lens.distortion), pinhole(lens), (lens.width, lens.height)
    if lens.kind == "perspective":
        x, y = cv2.initUndistortRectifyMap(_K(lens), D, np.eye(3), _K(new), size, cv2.CV_32FC1)
    elif lens.kind == "fisheye":
        x, y = cv2.fisheye.initUndistortRectifyMap(
            _K(lens), D, np.eye(3), _K(new), size, cv2.CV_32FC1
        )
    else:
        v, u = np.mgrid[: lens.height, : lens.width].reshape(2, -1).astype(np.float64)
        source = _distort(lens, _on_plane(new, np.stack([u, v], 1)))
        x, y = source.T.astype(np.float32).reshape(2, lens.height, lens.width)
    return x, y


def _K(lens: Lens) -> Float[np.ndarray, "3 3"]:
    """Intrinsics as OpenCV has them, the first pixel's centre at (0, 0)."""
    return np.array([[lens.fx, 0, lens.cx - 0.5], [0, lens.fy, lens.cy - 0.5], [0, 0, 1.0]])


def _sides(lens: Lens) -> tuple[Array, Array, Array, Array]:
    """Points along the outermost pixel centres: left, right, top, bottom, in OpenCV's pixels."""
    w, h = lens.width - 1.0, lens.height - 1.0
    x, y = np.linspace(0, w, max(2 * lens.width, 64)), np.linspace(0, h, max(2 * lens.height, 64))
    return (
        np.stack([0 * y, y], 1), np.stack([0 * y + w, y], 1),
        np.stack([x, 0 * x], 1), np.stack([x, 0 * x + h], 1),
    )  # fmt: skip


def _on_plane(lens: Lens, pixels: Array) -> Array:
    """Pixels in OpenCV's count to the plane z = 1, as if there were no distortion."""
    K = _K(lens)
    return np.asarray((pixels - K[:2, 2]) / K[[0, 1], [0, 1]])


def _distort(lens: Lens, ideal: Array) -> Array:
    """Points of the plane z = 1 to pixels of the distorted picture."""
    K = _K(lens)
    bent = LENSES[lens.kind].bend(ideal, lens.distortion)
    return np.asarray(bent * K[[0, 1], [0, 1]] + K[:2, 2])


def _ideal(lens: Lens, pixels: Array) -> Array:
    """Pixels of the distorted picture to points of the plane z = 1."""
    model = LENSES[lens.kind]
    ideal = model.unbend(_on_plane(lens, pixels), lens.distortion)
    if lens.kind != "perspective":
        return ideal  # each of the others stops at its own fold or at the widest angle
    rays = (np.linspace(0, 1, 65)[:, None, None] * ideal[::8]).reshape(-1, 2)
    unfolded = (determinant(model.bend, rays, lens.distortion) > 0).all()
    # Past a fold two places in space share a pixel, and the iteration gives one or neither.
    if not unfolded or not (np.abs(_distort(lens, ideal) - pixels) < 0.05).all():
        raise _folded(lens)
    return ideal


def _folded(lens: Lens) -> ValueError:
    values = ", ".join(f"{v:g}" for v in lens.distortion)
    return ValueError(
        f"distortion got {values} at {lens.width}×{lens.height} with focal length {lens.fx:g}; "
        "expected coefficients that are one-to-one over the picture. Calibrate again with fewer."
    )
