"""How lenses bend rays: every camera model of COLMAP 4.2 but the equirectangular one.

A model takes points (x, y) of the plane z = 1 to the bent plane, whose points times the focal
lengths plus the principal point are pixels, and back. Sources: COLMAP's table of camera models and
parameters (colmap.github.io/cameras.html and its list of model numbers); OpenCV's calib3d for the
perspective and the fisheye lens; Devernay & Faugeras 2001 (FOV); Fitzgibbon 2001 (division);
Khomutenko, Garcia & Martinet 2016 (EUCM); Weng, Cohen & Herniou 1992 (thin prism); Project Aria's
Fisheye624 (radial, tangential and thin prism on a fisheye).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Coefficients = tuple[float, ...]
WIDEST = math.radians(70)
"""Half the widest view kept of a wide lens: a pinhole picture has no room for 90°."""


@dataclass(frozen=True)
class LensModel:
    """One way to bend rays; both functions take points [N, 2] and coefficients."""

    names: tuple[str, ...]
    """The coefficients, in the order in which both functions take them."""
    bend: Callable[[Array, Coefficients], Array]
    unbend: Callable[[Array, Coefficients], Array]
    wide: bool = False
    """Whether it is no pinhole even where all coefficients are 0."""


def perspective(xy: Array, k: Coefficients) -> Array:
    """OpenCV's lens: k1, k2, p1, p2, k3 and the divisor's k4, k5, k6."""
    k1, k2, p1, p2, k3, k4, k5, k6 = k
    x, y = xy.T
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        1,
    )


def invert(
    bend: Callable[[Array, Coefficients], Array], bent: Array, k: Coefficients, start: Array
) -> Array:
    """Newton's inverse of a bend; where it finds nothing, what it gives is far off.

    >>> k = (0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    >>> bent = perspective(np.array([[0.3, 0.2]]), k)
    >>> invert(perspective, bent, k, bent).round(6).tolist()
    [[0.3, 0.2]]
    """
    ideal, step = start, 1e-6
    for _ in range(30):
        off = bent - bend(ideal, k)
        if np.abs(off).max(initial=0) < 1e-12:
            break
        (a, c), (b, d) = (column.T for column in _columns(bend, ideal, k, step))
        scale = a * d - b * c
        scale = np.where(np.abs(scale) > 1e-9, scale, 1e-9)
        move = np.stack([d * off[:, 0] - b * off[:, 1], a * off[:, 1] - c * off[:, 0]], 1)
        ideal = ideal + np.clip(move / scale[:, None], -0.5, 0.5)
    return ideal


def determinant(bend: Callable[[Array, Coefficients], Array], xy: Array, k: Coefficients) -> Array:
    """How a bend scales areas, signed [N]: at and past a fold it is not above 0."""
    (a, c), (b, d) = (column.T for column in _columns(bend, xy, k, 1e-6))
    result: Array = a * d - b * c
    return result


def _columns(
    bend: Callable[[Array, Coefficients], Array], xy: Array, k: Coefficients, step: float
) -> list[Array]:
    return [(bend(xy + h, k) - bend(xy - h, k)) / (2 * step) for h in step * np.eye(2)]


def _to_angles(xy: Array) -> Array:
    """Points of the plane to points whose distance from the centre is the angle off the axis."""
    r = np.linalg.norm(xy, axis=1)[:, None]
    return np.asarray(np.where(r > 1e-9, np.arctan(r) / np.maximum(r, 1e-9), 1.0) * xy)


def _from_angles(uv: Array) -> Array:
    """The way back, up to the widest angle."""
    r = np.linalg.norm(uv, axis=1)[:, None]
    angle = np.minimum(r, WIDEST)
    return np.asarray(np.where(r > 1e-9, np.tan(angle) / np.maximum(r, 1e-9), 1.0) * uv)


def _on_angles(distort: Callable[[Array, Coefficients], Array]) -> Callable[..., Array]:
    return lambda xy, k: distort(_to_angles(xy), k)


def _fisheye(uv: Array, k: Coefficients) -> Array:
    t2 = (uv * uv).sum(1, keepdims=True)
    return np.asarray(uv * (1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3])))))


def _thin_prism(uv: Array, k: Coefficients) -> Array:
    k1, k2, p1, p2, k3, k4, sx, sy = k
    u, v = uv.T
    r2 = u * u + v * v
    tangential = [2 * p1 * u * v + p2 * (r2 + 2 * u * u), 2 * p2 * u * v + p1 * (r2 + 2 * v * v)]
    prism = [sx * r2, sy * r2]
    bent: Array = _fisheye(uv, (k1, k2, k3, k4)) + np.stack(tangential, 1) + np.stack(prism, 1)
    return bent


def _fisheye624(uv: Array, k: Coefficients) -> Array:
    p1, p2, s1, s2, s3, s4 = k[6:]
    t2 = (uv * uv).sum(1, keepdims=True)
    x, y = (uv * (1 + sum(k[i] * t2 ** (i + 1) for i in range(6)))).T
    r2 = x * x + y * y
    return np.stack(
        [
            x + p1 * (r2 + 2 * x * x) + 2 * p2 * x * y + s1 * r2 + s2 * r2 * r2,
            y + p2 * (r2 + 2 * y * y) + 2 * p1 * x * y + s3 * r2 + s4 * r2 * r2,
        ],
        1,
    )


def _unbend_radial(xy: Array, k: Coefficients) -> Array:
    """Inverts the angle's polynomial by a table, up to its fold or the widest angle."""
    theta = np.linspace(0, WIDEST, 1 << 14)
    bent = theta * (1 + sum(k[i] * theta ** (2 * i + 2) for i in range(len(k))))
    falls = np.flatnonzero(np.diff(bent) <= 0)
    end = int(falls[0]) + 1 if len(falls) else len(theta)
    radius = np.linalg.norm(xy, axis=1)
    angle = np.interp(radius, bent[:end], theta[:end])
    scale = np.where(radius > 1e-12, np.tan(angle) / np.maximum(radius, 1e-12), 1.0)
    return np.asarray(xy * scale[:, None], np.float64)


def _unbend_angles(
    distort: Callable[[Array, Coefficients], Array],
    radial: Callable[[Coefficients], Coefficients],
) -> Callable[[Array, Coefficients], Array]:
    """Newton on the angles from the radial part's inverse, which stays where Newton fails."""

    def unbend(xy: Array, k: Coefficients) -> Array:
        start = _to_angles(_unbend_radial(xy, radial(k)))
        found = invert(distort, xy, k, start)
        lost = np.abs(distort(found, k) - xy).max(1) > 1e-6
        far = np.linalg.norm(found - start, axis=1) > 0.2
        return _from_angles(np.where((lost | far)[:, None], start, found))

    return unbend


def _fov(xy: Array, k: Coefficients) -> Array:
    r = np.linalg.norm(xy, axis=1)[:, None]
    (w,) = k
    if abs(w) < 1e-9:
        return xy
    slope = 2 * math.tan(w / 2)
    return np.asarray(
        xy * np.where(r > 1e-9, np.arctan(r * slope) / np.maximum(r * w, 1e-12), slope / w)
    )


def _unfov(xy: Array, k: Coefficients) -> Array:
    r = np.linalg.norm(xy, axis=1)[:, None]
    (w,) = k
    if abs(w) < 1e-9:
        return xy
    slope = 2 * math.tan(w / 2)
    ideal = np.tan(np.minimum(r * abs(w), math.radians(89.9))) / abs(slope)
    return _narrowed(xy * np.where(r > 1e-9, ideal / np.maximum(r, 1e-9), w / slope))


def _division(xy: Array, k: Coefficients) -> Array:
    r2 = (xy * xy).sum(1, keepdims=True)
    return np.asarray(xy * 2 / (1 + np.sqrt(np.maximum(1 - 4 * k[0] * r2, 0))))


def _undivision(xy: Array, k: Coefficients) -> Array:
    r2 = (xy * xy).sum(1, keepdims=True)
    return _narrowed(xy / np.maximum(1 + k[0] * r2, 1e-6))


def _eucm(xy: Array, k: Coefficients) -> Array:
    alpha, beta = k
    d = np.sqrt(np.maximum(beta * (xy * xy).sum(1, keepdims=True) + 1, 0))
    return np.asarray(xy / np.maximum(alpha * d + 1 - alpha, 1e-9))


def _uneucm(xy: Array, k: Coefficients) -> Array:
    alpha, beta = k
    r2 = beta * (xy * xy).sum(1, keepdims=True)
    root = np.sqrt(np.maximum(1 - (2 * alpha - 1) * r2, 0))
    z = (1 - alpha**2 * r2) / np.maximum(alpha * root + 1 - alpha, 1e-9)
    return _narrowed(xy / np.maximum(z, 1e-6))


def _narrowed(xy: Array) -> Array:
    r = np.linalg.norm(xy, axis=1)[:, None]
    return np.asarray(xy * np.minimum(1, math.tan(WIDEST) / np.maximum(r, 1e-9)))


LENSES: Mapping[str, LensModel] = {
    "perspective": LensModel(
        ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
        perspective,
        lambda xy, k: invert(perspective, xy, k, xy),
    ),
    "fisheye": LensModel(("k1", "k2", "k3", "k4"), _on_angles(_fisheye), _unbend_radial, True),
    "thin_prism_fisheye": LensModel(
        ("k1", "k2", "p1", "p2", "k3", "k4", "s1", "s2"),
        _on_angles(_thin_prism),
        _unbend_angles(_thin_prism, lambda k: (k[0], k[1], k[4], k[5])),
        True,
    ),
    "fisheye624": LensModel(
        (*(f"k{i}" for i in range(1, 7)), "p1", "p2", "s1", "s2", "s3", "s4"),
        _on_angles(_fisheye624),
        _unbend_angles(_fisheye624, lambda k: k[:6]),
        True,
    ),
    "fov": LensModel(("omega",), _fov, _unfov),
    "division": LensModel(("k1",), _division, _undivision),
    "eucm": LensModel(("alpha", "beta"), _eucm, _uneucm),
}
"""By kind; several names of COLMAP's share one."""

COLMAP_MODELS: Mapping[str, tuple[int, str, str]] = {
    "SIMPLE_PINHOLE": (0, "perspective", "f cx cy"),
    "PINHOLE": (1, "perspective", "fx fy cx cy"),
    "SIMPLE_RADIAL": (2, "perspective", "f cx cy k1"),
    "RADIAL": (3, "perspective", "f cx cy k1 k2"),
    "OPENCV": (4, "perspective", "fx fy cx cy k1 k2 p1 p2"),
    "OPENCV_FISHEYE": (5, "fisheye", "fx fy cx cy k1 k2 k3 k4"),
    "FULL_OPENCV": (6, "perspective", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
    "FOV": (7, "fov", "fx fy cx cy omega"),
    "SIMPLE_RADIAL_FISHEYE": (8, "fisheye", "f cx cy k1"),
    "RADIAL_FISHEYE": (9, "fisheye", "f cx cy k1 k2"),
    "THIN_PRISM_FISHEYE": (10, "thin_prism_fisheye", "fx fy cx cy k1 k2 p1 p2 k3 k4 s1 s2"),
    "RAD_TAN_THIN_PRISM_FISHEYE": (
        11, "fisheye624", "fx fy cx cy k1 k2 k3 k4 k5 k6 p1 p2 s1 s2 s3 s4",
    ),
    "SIMPLE_DIVISION": (12, "division", "f cx cy k1"),
    "DIVISION": (13, "division", "fx fy cx cy k1"),
    "SIMPLE_FISHEYE": (14, "fisheye", "f cx cy"),
    "FISHEYE": (15, "fisheye", "fx fy cx cy"),
    "EUCM": (16, "eucm", "fx fy cx cy alpha beta"),
}  # fmt: skip
"""COLMAP's name to its number, our kind of lens, and the order of its parameters."""
