"""The measures of pictures; they live in `clay4d.training.metrics`, since training reports them too."""

from __future__ import annotations

from clay4d.training.metrics import masked_psnr, masked_ssim, psnr, ssim

__all__ = ["masked_psnr", "masked_ssim", "psnr", "ssim"]
