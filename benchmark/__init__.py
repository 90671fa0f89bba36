"""Measures and comparisons."""

from clay4d.benchmark import physics_iq
from clay4d.benchmark.metrics import masked_psnr, masked_ssim, psnr, ssim

__all__ = ["masked_psnr", "masked_ssim", "physics_iq", "psnr", "ssim"]
