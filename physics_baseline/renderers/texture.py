"""Patterns on surfaces, smoothed over the width of a pixel so that they do not flicker."""

from __future__ import annotations

import math

import numpy as np

from clay4d.jit import device, fused
from clay4d.physics_baseline.renderers.world import CHECKER, DOTS, SPHERE, STRIPES


@fused
def _ramp(x):  # type: ignore[no-untyped-def]
    """Integral of the square wave of period 2 that is 1 first and −1 then."""
    return 1 - abs(x - 2 * math.floor(x / 2) - 1)


@fused
def square_wave(x, width):  # type: ignore[no-untyped-def]
    """Mean of the square wave of period 2 over `width` about x."""
    w = max(width, 1e-6)
    return (_ramp(x + 0.5 * w) - _ramp(x - 0.5 * w)) / w


@fused
def _hash(i, j, k):  # type: ignore[no-untyped-def]
    """A number from 0 to 1 of a point of the grid."""
    h = (i * 374761393 + j * 668265263 + k * 2147483647 + 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0xFFFF) / 65535.0


@device
def value_noise(x, y, z):  # type: ignore[no-untyped-def]
    """Smooth noise of the grid's random values, 0 to 1 (Perlin's fade)."""
    i, j, k = int(math.floor(x)), int(math.floor(y)), int(math.floor(z))
    fx, fy, fz = x - i, y - j, z - k
    fx = fx * fx * fx * (fx * (6 * fx - 15) + 10)
    fy = fy * fy * fy * (fy * (6 * fy - 15) + 10)
    fz = fz * fz * fz * (fz * (6 * fz - 15) + 10)
    total = 0.0
    for c in range(8):
        a, b, d = c & 1, (c >> 1) & 1, c >> 2
        weight = (fx if a else 1 - fx) * (fy if b else 1 - fy) * (fz if d else 1 - fz)
        total += weight * _hash(i + a, j + b, k + d)
    return total


@fused
def pattern(texture, kind, cell, size, x, y, z, nx, ny, nz, width):  # type: ignore[no-untyped-def]
    """Share of the first colour at a point of the surface, all in the body's axes, metres.

    A ball's checker goes by longitude and latitude, so that its spin shows.
    """
    w = width / cell
    if texture == CHECKER:
        if kind == SPHERE:
            r = max(size[0], 1e-9)
            around = max(1e-3, math.sqrt(x * x + y * y) / r)
            u = math.atan2(y, x) * (4 / math.pi)
            v = math.asin(max(-1.0, min(1.0, z / r))) * (4 / math.pi)
            per = width / r * (4 / math.pi)
            return 0.5 + 0.5 * square_wave(u, per / around) * square_wave(v, per)
        inset = 0.02 * cell  # A face on the border of two cells would be neither's.
        a = square_wave((x - inset * nx) / cell, w)
        b = square_wave((y - inset * ny) / cell, w)
        c = square_wave((z - inset * nz) / cell, w)
        return 0.5 + 0.5 * a * b * c
    if texture == STRIPES:
        return 0.5 + 0.5 * square_wave(z / cell + 0.5, w)
    if texture == DOTS:
        a, b, c = x / cell, y / cell, z / cell
        a, b, c = a - math.floor(a + 0.5), b - math.floor(b + 0.5), c - math.floor(c + 0.5)
        # On a flat face the dots lie in its plane.
        if abs(nx) > 0.99:
            a = 0.0
        if abs(ny) > 0.99:
            b = 0.0
        if abs(nz) > 0.99:
            c = 0.0
        away = math.sqrt(a * a + b * b + c * c) - 0.3
        return 1 - min(1.0, max(0.0, 0.5 - away / max(w, 0.02)))
    n = 0.6 * value_noise(2 * x / cell, 2 * y / cell, 2 * z / cell)
    n += 0.4 * value_noise(5 * x / cell + 7, 5 * y / cell, 5 * z / cell)
    return min(1.0, max(0.0, 2 * n - 0.5))


@device
def shares(texture, kind, cell, size, points, normals, width):  # type: ignore[no-untyped-def]
    """`pattern` at points [N, 3] with normals [N, 3]: shares [N]."""
    found = np.zeros(len(points))
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        found[i] = pattern(texture, kind, cell, size, x, y, z, nx, ny, nz, width)
    return found
