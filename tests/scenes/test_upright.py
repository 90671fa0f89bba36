"""Worlds are turned so that the cameras' mean up is z, by a rotation and by no more than it takes."""

from __future__ import annotations

import numpy as np
import pytest

from clay4d.scenes.loaders.upright import turned, upright


def with_up(*ups: tuple[float, float, float]) -> np.ndarray:
    """World-to-camera poses whose up is given; the second row is the camera's down."""
    views = []
    for up in ups:
        down = -np.array(up) / np.linalg.norm(up)
        right = np.cross(down, [0.3, 0.5, 0.8])
        right /= np.linalg.norm(right)
        view = np.eye(4)
        view[:3, :3] = np.stack([right, down, np.cross(right, down)])
        views.append(view)
    return np.stack(views)


@pytest.mark.parametrize("up", [(0.2, -1, 0.4), (1, 0, 0), (0, 0.1, -1), (0, 0, -1), (0, 0, 1)])
def test_up_becomes_z(up: tuple[float, float, float]) -> None:
    turn = upright(with_up(up))
    R, unit = turn[:3, :3], np.array(up) / np.linalg.norm(up)
    np.testing.assert_allclose(R @ unit, [0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1)
    # The least rotation: its angle is that between up and z.
    assert (np.trace(R) - 1) / 2 == pytest.approx(unit[2], abs=1e-9)


def test_without_an_up_in_common_nothing_turns() -> None:
    assert (upright(with_up((1, 0, 0), (-1, 0, 0))) == np.eye(4)).all()


def test_colours_are_not_turned() -> None:
    turn = upright(with_up((0, -1, 0)))
    moved = turned(np.array([[1.0, -2, 3, 0.1, 0.2, 0.3]]), turn)
    np.testing.assert_allclose(moved, [[1, 3, 2, 0.1, 0.2, 0.3]], atol=1e-6)
