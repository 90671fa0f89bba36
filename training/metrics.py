"""PSNR and SSIM of pictures, in float64, as papers report them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import correlate1d
from torch import Tensor

Image = (
    Float[np.ndarray[Any, Any], "height width channels"] | Float[Tensor, "height width channels"]
)

RADIUS = 5
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio of two pictures, decibels; infinite if they are equal.

    Args:
        a: [H, W, C], 0 to 1, array or tensor. b: the same shape. Values are taken as they are:
            clip a render before, as papers do.

    Raises:
        ValueError: the shapes differ or are not [H, W, C], or the values are integers.

    Source: 10·log₁₀(1 / mean squared error).

    Example:
        >>> round(psnr(np.zeros((4, 4, 3)), np.full((4, 4, 3), 0.1)), 6)
        20.0
    """
    x, y = _pair(a, b)
    error = float(np.mean((x - y) ** 2))
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(a: Image, b: Image) -> float:
    """Structural similarity of two pictures, 1 if they are equal; the mean over channels.

    An 11-pixel Gaussian window (sigma 1.5) and population covariances, over the pixels whose window
    lies inside the picture: the five at each border are cropped, as in scikit-image's
    `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`, which
    this equals. `clay4d.training.losses` has zeros outside the picture instead.

    Args:
        a: [H, W, C], 0 to 1, at least 11 pixels a side, array or tensor. b: the same shape.

    Raises:
        ValueError: the shapes differ, are not [H, W, C] or too small, or the values are integers.

    Source: Wang, Bovik, Sheikh & Simoncelli 2004.

    Example:
        >>> picture = np.random.default_rng(0).random((16, 16, 3))
        >>> ssim(picture, picture)
        1.0
    """
    x, y = _pair(a, b)
    if min(x.shape[:2]) < 2 * RADIUS + 1:
        raise ValueError(
            f"a got {x.shape[0]} x {x.shape[1]} pixels; expected at least 11 x 11, the window. "
            "Enlarge the pictures."
        )
    mean_x, mean_y = _blur(x), _blur(y)
    xx = _blur(x * x) - mean_x * mean_x
    yy = _blur(y * y) - mean_y * mean_y
    xy = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return float(np.mean(luminance * (2 * xy + C2) / (xx + yy + C2)))


def _pair(a: Image, b: Image) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x, y = _array("a", a), _array("b", b)
    if x.shape != y.shape:
        raise ValueError(f"b got shape {y.shape}; expected {x.shape}, a's. Bring both to one size.")
    return x, y


def _array(name: str, image: Image) -> np.ndarray[Any, Any]:
    value = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if value.ndim != 3 or value.size == 0:
        raise ValueError(f"{name} got shape {value.shape}; expected [H, W, C], not empty.")
    if not np.issubdtype(value.dtype, np.floating):
        raise ValueError(
            f"{name} got {value.dtype}; expected floats from 0 to 1. Divide uint8 by 255."
        )
    return value.astype(np.float64)


def _blur(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The Gaussian blur of [H, W, C] where the window fits: [H − 10, W − 10, C]."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    inside = slice(RADIUS, -RADIUS)
    rows = correlate1d(image, taps, axis=0)[inside]
    blurred: np.ndarray[Any, Any] = correlate1d(rows, taps, axis=1)[:, inside]
    return blurred
