"""One picture from its samples: floor, shadow, mean of each pixel, and the mask by majority."""

from __future__ import annotations

import math

import numpy as np

from clay4d.jit import device

SHADE = 0.62
"""Brightness of what the sun does not reach."""
SUN, REACH, MAP = 40.0, 2.0, 192
"""Distance of the sun, half the width of its depth map, metres, and the map's pixels."""
BIAS, OWN = 0.03, 0.25
"""Metres of depth that do not count as shadow, on the floor and on bodies, whose own side turned away
from the sun is dark already."""


@device
def shade_picture(  # type: ignore[no-untyped-def]
    rgb, metres, ids, rays, eye, floor, floor_depth, fade, background, sun, shadow, more, picture,
    mask,
):  # fmt: skip
    """Fill `picture` [H,W,3] and `mask` [H,W] from samples `more` times as many each way.

    Samples: colours, depths in metres and object ids (0: none) as drawn; rays (depth 1), floor's
    colour, depth and how far it has faded into the background. `sun` is the view [3,4] of `shadow`,
    a depth map in metres.
    """
    samples = more * more
    met = np.zeros(samples, np.int64)
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            r, g, b, solid = 0.0, 0.0, 0.0, 0
            for a in range(more):
                for c in range(more):
                    y, x = i * more + a, j * more + c
                    k = ids[y, x]
                    met[a * more + c] = k
                    z = metres[y, x] if k > 0 else floor_depth[y, x]
                    light = brightness(eye, rays[y, x], min(z, 50.0), sun, shadow, k > 0)
                    if k > 0:
                        solid += 1
                        r += light * rgb[y, x, 0] / 255
                        g += light * rgb[y, x, 1] / 255
                        b += light * rgb[y, x, 2] / 255
                    else:
                        f = fade[y, x]
                        r += light * floor[y, x, 0] * (1 - f) + background[0] * f
                        g += light * floor[y, x, 1] * (1 - f) + background[1] * f
                        b += light * floor[y, x, 2] * (1 - f) + background[2] * f
            picture[i, j, 0] = min(255, int(255 * r / samples + 0.5))
            picture[i, j, 1] = min(255, int(255 * g / samples + 0.5))
            picture[i, j, 2] = min(255, int(255 * b / samples + 0.5))
            mask[i, j] = most_frequent(met) if 2 * solid >= samples else 0


@device
def brightness(eye, ray, z, sun, shadow, solid):  # type: ignore[no-untyped-def]
    """1 in the sun, `SHADE` where something stands before it."""
    px, py, pz = eye[0] + z * ray[0], eye[1] + z * ray[1], eye[2] + z * ray[2]
    u = sun[0, 0] * px + sun[0, 1] * py + sun[0, 2] * pz + sun[0, 3]
    v = sun[1, 0] * px + sun[1, 1] * py + sun[1, 2] * pz + sun[1, 3]
    w = sun[2, 0] * px + sun[2, 1] * py + sun[2, 2] * pz + sun[2, 3]
    scale = SUN / REACH / w
    column = math.floor((u * scale + 1) * MAP / 2)
    row = math.floor((v * scale + 1) * MAP / 2)
    if column < 0 or column >= MAP or row < 0 or row >= MAP:
        return 1.0
    return 1.0 if w < shadow[row, column] + (OWN if solid else BIAS) else SHADE


@device
def most_frequent(values):  # type: ignore[no-untyped-def]
    """The value above 0 that occurs most often, the lowest of equals; 0 if there is none.

    >>> most_frequent(np.array([3, 0, 2, 3, 2, 0, 0]))
    2
    """
    best, votes = 0, 0
    for i in range(len(values)):
        value, count = values[i], 0
        if value <= 0:
            continue
        for j in range(len(values)):
            count += values[j] == value
        if count > votes or (count == votes and value < best):
            best, votes = value, count
    return best
