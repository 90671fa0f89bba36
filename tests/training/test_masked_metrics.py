"""DyCheck's masked metrics against their definitions, written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from clay4d.training.metrics import masked_psnr, masked_ssim, psnr, ssim

RNG = np.random.default_rng(0)
A, B = RNG.random((20, 24, 3)), RNG.random((20, 24, 3))
MASK = (RNG.random((20, 24)) > 0.4).astype(float)
MASK[:13, :13] = 0  # windows without a pixel that counts


def test_a_full_mask_changes_nothing() -> None:
    full = np.ones(A.shape[:2])
    assert masked_psnr(A, B, full) == pytest.approx(psnr(A, B), abs=1e-9)
    assert masked_ssim(A, B, full) == pytest.approx(ssim(A, B), abs=1e-9)


def test_pixels_that_do_not_count_do_not_count() -> None:
    C = np.where(MASK[..., None] > 0, B, 1 - B)
    assert masked_psnr(A, B, MASK) == masked_psnr(A, C, MASK) != psnr(A, B)
    assert masked_ssim(A, B, MASK) == pytest.approx(masked_ssim(A, C, MASK), abs=1e-12)


def blur(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Partial convolution along rows, then along columns, by loops."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()
    for _ in range(2):  # along the second axis; transposed, along the first
        h, w = image.shape
        out, seen = np.zeros((h, w - 10)), np.zeros((h, w - 10))
        for i in range(h):
            for j in range(w - 10):
                count = mask[i, j : j + 11].sum()
                if count > 0:
                    inner = (image[i, j : j + 11] * mask[i, j : j + 11] * taps).sum()
                    out[i, j], seen[i, j] = inner * 11 / count, 1
        image, mask = out.T, seen.T
    return image


def test_ssim_is_that_of_the_definition() -> None:
    values = []
    for c in range(3):
        x, y = A[..., c], B[..., c]
        mx, my = blur(x, MASK), blur(y, MASK)
        xx = np.maximum(blur(x * x, MASK) - mx * mx, 0)
        yy = np.maximum(blur(y * y, MASK) - my * my, 0)
        xy = blur(x * y, MASK) - mx * my
        xy = np.sign(xy) * np.minimum(np.sqrt(xx * yy), np.abs(xy))
        top = (2 * mx * my + 1e-4) * (2 * xy + 9e-4)
        values.append(top / ((mx**2 + my**2 + 1e-4) * (xx + yy + 9e-4)))
    assert masked_ssim(A, B, MASK) == pytest.approx(np.mean(values), abs=1e-9)


def test_refused() -> None:
    with pytest.raises(ValueError, match="mask got shape"):
        masked_psnr(A, B, MASK[1:])
    with pytest.raises(ValueError, match="mask got no pixel above 0"):
        masked_ssim(A, B, np.zeros_like(MASK))
