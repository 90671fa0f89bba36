"""Measures and comparisons."""

from clay4d.benchmark.metrics import psnr, ssim

__all__ = ["psnr", "ssim"]
