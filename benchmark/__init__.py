"""Measures and comparisons."""

from clay4d.benchmark import motion, physics_iq
from clay4d.benchmark.lpips import lpips
from clay4d.benchmark.metrics import masked_psnr, masked_ssim, psnr, ssim

__all__ = ["lpips", "masked_psnr", "masked_ssim", "motion", "physics_iq", "psnr", "ssim"]
