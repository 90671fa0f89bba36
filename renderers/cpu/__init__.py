"""The CPU backend: projection, spherical harmonics, tile lists and blending as Numba kernels."""
