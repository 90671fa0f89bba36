"""Points where none were found: a guess for every part of a picture that would stay empty.

Only a few cameras see the rim of what a rig films, too few to agree on depth. An empty place there is
filled in training by huge Gaussians in mid-air, which hide the scene from new places. A point on the
ray at the depth of the nearest part of the picture that is known is a far better start.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from clay4d.scenes.hull import splat_depths
from clay4d.scenes.triangulation import pixel_to_world

Array = NDArray[np.float64]

EVERY = 3
"""Pixels from one guess to the next."""
WIDE = 1 / 40
"""A known point covers this share of the points' extent about it."""


def fill_empty(
    xyz: Float[np.ndarray, "N 3"], P: Float[np.ndarray, "C 3 4"], height: int, width: int
) -> Float[np.ndarray, "M 3"]:
    """Points in metres on rays through the pixels of C pictures that no known point covers.

    Pictures are filled one after another, and what was guessed for one covers the next. A picture
    without any known point has no depth to go by and stays empty.

    >>> fill_empty(np.array([[1.0, 1.0, 2.0]]), np.eye(3, 4)[None], 2, 2).shape
    (0, 3)
    """
    if len(xyz) < 2:
        return np.zeros((0, 3))
    low, high = np.quantile(xyz, [0.05, 0.95], axis=0)
    size = WIDE * float(np.linalg.norm(high - low))
    from scipy import ndimage  # a third of a second that opening a scene does without

    back = pixel_to_world(P)
    y, x = (
        k + EVERY // 2
        for k in np.mgrid[: height - EVERY // 2 : EVERY, : width - EVERY // 2 : EVERY]
    )
    found: list[Array] = []
    known = xyz
    for c in range(len(P)):
        depth = splat_depths(known, P[c : c + 1], height, width, size=size)[0]
        empty = np.isinf(depth)
        if empty.all() or not empty.any():
            continue
        nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
        guess = depth[tuple(nearest)]
        chosen = empty[y, x]
        j, i = y[chosen], x[chosen]
        rays = np.column_stack([i + 0.5, j + 0.5, np.ones(len(i))]) @ back[c, :, :3].T
        found.append(rays * guess[j, i][:, None].astype(np.float64) + back[c, :, 3])
        known = np.concatenate([known, found[-1]])
    return np.concatenate(found) if found else np.zeros((0, 3))
