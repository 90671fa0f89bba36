"""PSNR and SSIM against scikit-image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from clay4d.benchmark import psnr, ssim


@pytest.mark.parametrize("shape", [(11, 11, 3), (40, 57, 3), (30, 12, 1)])
@pytest.mark.parametrize("noise", [1e-4, 0.1, 1.0])
def test_equal_to_scikit_image(shape: tuple[int, ...], noise: float) -> None:
    rng = np.random.default_rng(0)
    a = rng.random(shape)
    b = np.clip(a + noise * rng.normal(size=shape), 0, 1)
    expected = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1,
        channel_axis=-1,
    )  # fmt: skip
    assert ssim(a, b) == pytest.approx(expected, abs=1e-6)
    assert ssim(b, a) == pytest.approx(expected, abs=1e-6)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-6)


def test_equal_pictures() -> None:
    image = np.random.default_rng(0).random((20, 20, 3))
    assert psnr(image, image) == math.inf and ssim(image, image) == 1


def test_tensors_and_arrays_give_the_same() -> None:
    a, b = torch.rand(2, 20, 20, 3, requires_grad=True)
    for measure in (psnr, ssim):
        found = measure(a, b)
        assert isinstance(found, float)
        assert found == measure(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize(
    "a, b",
    [
        (np.zeros((12, 12, 3)), np.zeros((12, 13, 3))),
        (np.zeros((12, 12)), np.zeros((12, 12))),
        (np.zeros((12, 12, 3), np.uint8), np.zeros((12, 12, 3))),
        (np.zeros((0, 12, 3)), np.zeros((0, 12, 3))),
    ],
)
def test_errors_say_what_was_expected(
    measure: Callable[..., float], a: np.ndarray, b: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="got .*; expected"):
        measure(a, b)


def test_pictures_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="10 x 30 pixels; expected at least 11 x 11"):
        ssim(np.zeros((10, 30, 3)), np.zeros((10, 30, 3)))
