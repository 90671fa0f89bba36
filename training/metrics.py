"""PSNR and SSIM of pictures, in float64, as papers report them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

Image = (
    Float[np.ndarray[Any, Any], "height width channels"] | Float[Tensor, "height width channels"]
)

Mask = Float[np.ndarray[Any, Any], "height width"] | Float[Tensor, "height width"]

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
    _check_window(x)
    mean_x, mean_y = _blur(x), _blur(y)
    xx = _blur(x * x) - mean_x * mean_x
    yy = _blur(y * y) - mean_y * mean_y
    xy = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return float(np.mean(luminance * (2 * xy + C2) / (xx + yy + C2)))


def masked_psnr(a: Image, b: Image, mask: Mask) -> float:
    """DyCheck's mPSNR: PSNR over the pixels that a mask counts, decibels; infinite if equal there.

    Args:
        a: [H, W, C], 0 to 1. b: the same shape. mask: [H, W], 0 to 1, the weight of each pixel.

    Raises:
        ValueError: shapes that differ, integers, or a mask that counts nothing.

    Source: Gao, Li, Tulsiani, Russell & Kanazawa 2022, "Monocular dynamic view synthesis: a
    reality check".

    Example:
        >>> half = np.zeros((4, 4)); half[:2] = 1
        >>> a = np.zeros((4, 4, 3)); b = a.copy(); b[:2] = 0.1; b[2:] = 1
        >>> round(masked_psnr(a, b, half), 6)
        20.0
    """
    x, y = _pair(a, b)
    weight = _weights(mask, x)
    error = float(np.sum((x - y) ** 2 * weight[..., None]) / (np.sum(weight) * x.shape[2]))
    return math.inf if error == 0 else -10 * math.log10(error)


def masked_ssim(a: Image, b: Image, mask: Mask) -> float:
    """DyCheck's mSSIM: the window sees only pixels that the mask counts, by partial convolution.

    Each pass of the separable window (11 pixels, sigma 1.5) is divided by the share of its pixels
    that count; a window without any gives 1, and the mean is over all windows inside the picture,
    both as in DyCheck, so that figures compare.

    Args:
        a: [H, W, C], 0 to 1, at least 11 pixels a side. b: the same shape. mask: [H, W], 0 to 1.

    Raises:
        ValueError: shapes that differ or are too small, integers, or a mask that counts nothing.

    Source: Gao et al. 2022; Liu et al. 2018, "Image inpainting for irregular holes using partial
    convolutions", section 3.1.

    Example:
        >>> picture = np.random.default_rng(0).random((16, 16, 3))
        >>> round(masked_ssim(picture, picture, np.ones((16, 16))), 6)
        1.0
    """
    x, y = _pair(a, b)
    _check_window(x)
    weight = _weights(mask, x)[..., None]
    mean_x, mean_y = _partial(x, weight), _partial(y, weight)
    xx = np.maximum(_partial(x * x, weight) - mean_x * mean_x, 0)
    yy = np.maximum(_partial(y * y, weight) - mean_y * mean_y, 0)
    xy = _partial(x * y, weight) - mean_x * mean_y
    xy = np.sign(xy) * np.minimum(np.sqrt(xx * yy), np.abs(xy))
    luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return float(np.mean(luminance * (2 * xy + C2) / (xx + yy + C2)))


def _weights(mask: Mask, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    value = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if value.shape != like.shape[:2]:
        raise ValueError(
            f"mask got shape {value.shape}; expected {like.shape[:2]}, the picture's. Resize it."
        )
    weight: np.ndarray[Any, Any] = value.astype(np.float64)
    if not np.isfinite(weight).all() or weight.min() < 0 or weight.max() == 0:
        raise ValueError("mask got no pixel above 0; expected some that count. Leave it out.")
    return weight


def _partial(image: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The Gaussian blur of [H, W, C] over pixels that count, where the window fits."""
    for axis, inside in ((1, np.s_[:, RADIUS:-RADIUS]), (0, np.s_[RADIUS:-RADIUS])):
        seen = _correlated(weight, np.ones(2 * RADIUS + 1), axis=axis)[inside]
        image = _correlated(image * weight, _taps(), axis=axis)[inside]
        share = seen / (2 * RADIUS + 1)
        # Running sums leave rounding where nothing counts.
        weight = (share > 1e-9).astype(np.float64)
        image = np.where(weight > 0, image / np.maximum(share, 1e-9), 0)
    return image


def _check_window(image: np.ndarray[Any, Any]) -> None:
    if min(image.shape[:2]) < 2 * RADIUS + 1:
        raise ValueError(
            f"a got {image.shape[0]} x {image.shape[1]} pixels; expected at least 11 x 11, the "
            "window. Enlarge the pictures."
        )


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
    taps, inside = _taps(), slice(RADIUS, -RADIUS)
    rows = _correlated(image, taps, axis=0)[inside]
    return _correlated(rows, taps, axis=1)[:, inside]


def _taps() -> np.ndarray[Any, Any]:
    taps: np.ndarray[Any, Any] = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    return taps


def _correlated(
    image: np.ndarray[Any, Any], taps: np.ndarray[Any, Any], *, axis: int
) -> np.ndarray[Any, Any]:
    from scipy.ndimage import correlate1d  # a third of a second that training can do without

    found: np.ndarray[Any, Any] = correlate1d(image, taps, axis=axis)
    return found
