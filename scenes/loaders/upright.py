"""Turns worlds whose up is anywhere so that z is up."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def upright(viewmats: Float[np.ndarray, "C 4 4"]) -> Float[np.ndarray, "4 4"]:
    """The rotation about the origin that makes the cameras' mean up the world's z.

    Pose estimation leaves the world turned anyhow, and people hold cameras upright: nerfstudio's
    `orientation_method="up"`. Of all such rotations it is the least one; the identity where the
    cameras have no up in common.

    >>> turned = upright(np.eye(4)[None])  # y down becomes z down
    >>> (turned @ [0, -1, 0, 1]).round(6).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    up = -viewmats[:, 1, :3].mean(0)
    length = float(np.linalg.norm(up))
    turn = np.eye(4)
    if length < 0.1:
        return turn
    a, z = up / length, np.array([0.0, 0.0, 1.0])
    v, c = np.cross(a, z), float(a @ z)
    if c < -1 + 1e-9:  # upside down: half a turn about x
        turn[:3, :3] = np.diag([1.0, -1.0, -1.0])
        return turn
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    turn[:3, :3] = np.eye(3) + skew + skew @ skew / (1 + c)
    return turn


def turned(
    points: Float[np.ndarray, "P D"], turn: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "P D"]:
    """Points with colours or anything else behind xyz, moved by a rotation."""
    return np.concatenate([points[:, :3] @ turn[:3, :3].T, points[:, 3:]], 1).astype(np.float32)
