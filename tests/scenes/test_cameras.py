"""Cameras: what they refuse, how they are chosen from and resized."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clay4d.scenes import Cameras


def make(n: int = 4) -> Cameras:
    viewmats = torch.eye(4).repeat(n, 1, 1)
    viewmats[:, 0, 3] = torch.arange(n)
    Ks = torch.tensor([[50.0, 0, 20], [0, 60, 10], [0, 0, 1]]).repeat(n, 1, 1)
    return Cameras(viewmats, Ks, 40, 20, torch.arange(n) / 10)


def test_centres_map_to_the_camera_origin() -> None:
    angle = torch.tensor(0.7)
    c, s = angle.cos(), angle.sin()
    viewmat = torch.eye(4)
    viewmat[:2, :2] = torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
    viewmat[:3, 3] = torch.tensor([1.0, -2, 3])
    cameras = Cameras(viewmat[None], torch.eye(3)[None], 8, 8, torch.zeros(1))
    at_centre = viewmat @ torch.cat([cameras.centres[0], torch.ones(1)])
    torch.testing.assert_close(at_centre, torch.tensor([0.0, 0, 0, 1]))


@pytest.mark.parametrize(
    "index", [2, -2, np.int64(2), [2], (2,), slice(2, 3), torch.tensor([2])], ids=repr
)
def test_one_of_four_keeps_the_leading_dimension(index: object) -> None:
    chosen = make()[index]  # type: ignore[index]
    assert len(chosen) == 1 and chosen.viewmats[0, 0, 3] == 2
    assert chosen.Ks.shape == (1, 3, 3) and (chosen.width, chosen.height) == (40, 20)


def test_a_tuple_chooses_cameras_like_a_list() -> None:
    assert make()[(0, 3)].times.tolist() == make()[[0, 3]].times.tolist()


def test_resizing_keeps_every_ray() -> None:
    small = make().resized(0.26)
    assert (small.width, small.height) == (10, 5)
    # The picture's right edge and middle stay where they are, in shares of the picture.
    torch.testing.assert_close(small.Ks[0, 0, 2] / small.width, torch.tensor(0.5))
    torch.testing.assert_close(small.Ks[0, 0, 0] / small.width, torch.tensor(50 / 40))
    torch.testing.assert_close(small.Ks[0, 1, 1] / small.height, torch.tensor(60 / 20))
    assert small.Ks[0, 2].tolist() == [0, 0, 1]


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_a_factor_must_be_positive(factor: float) -> None:
    with pytest.raises(ValueError, match="factor got"):
        make().resized(factor)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"times got shape \[2\]; expected \[1\]"):
        Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8, torch.zeros(2))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="viewmats got NaN"):
        Cameras(torch.eye(4)[None] * float("nan"), torch.eye(3)[None], 8, 8, torch.zeros(1))


@pytest.mark.parametrize("diagonal", [[2.0, 2, 2, 1], [1.0, 1, -1, 1]], ids=["scale", "mirror"])
def test_poses_must_be_rigid(diagonal: list[float]) -> None:
    with pytest.raises(ValueError, match=r"viewmats\[0\] is not rigid"):
        Cameras(torch.diag(torch.tensor(diagonal))[None], torch.eye(3)[None], 8, 8, torch.zeros(1))


def test_a_picture_has_pixels() -> None:
    with pytest.raises(ValueError, match="size got 0×8"):
        Cameras(torch.eye(4)[None], torch.eye(3)[None], 0, 8, torch.zeros(1))
