"""Measures and comparisons."""

from clay4d.benchmark.metrics import masked_psnr, masked_ssim, psnr, ssim

__all__ = ["masked_psnr", "masked_ssim", "psnr", "ssim"]
