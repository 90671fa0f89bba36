"""Gaussians and where they start."""

from __future__ import annotations

import pytest
import torch

from clay4d.scenes.gaussians import C0, Gaussians
from clay4d.scenes.initialise import neighbour_distances, random_points


def test_points_become_round_gaussians_of_their_colour() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    colors = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    g = Gaussians.from_points(points, colors)
    assert len(g) == 4 and g.sh_degree == 0
    torch.testing.assert_close(0.5 + C0 * g.sh[:, 0], colors)
    torch.testing.assert_close(g.scales[0], torch.full((3,), 2.0))  # (1 + 2 + 3) / 3
    assert (g.quats == torch.tensor([1.0, 0, 0, 0])).all() and (g.opacities == 0.1).all()
    half = Gaussians.from_points(points, colors, opacities=torch.full((4,), 0.5))
    assert (half.opacities == 0.5).all()


def test_no_points_give_no_gaussians() -> None:
    g = Gaussians.from_points(torch.zeros(0, 3), torch.zeros(0, 3))
    assert len(g) == 0 and g.scales.shape == (0, 3)


def test_detach_cuts_gradients_and_keeps_values() -> None:
    g = Gaussians.from_points(torch.zeros(2, 3).requires_grad_(), torch.ones(2, 3))
    assert g.means.requires_grad and not g.detach().means.requires_grad
    assert set(g.tensors()) == {"means", "quats", "scales", "opacities", "sh"}


@pytest.mark.parametrize(("k", "degree"), [(1, 0), (4, 1), (9, 2), (16, 3)])
def test_degree_of_the_harmonics(k: int, degree: int) -> None:
    g = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3), sh=torch.zeros(1, k, 3))
    assert g.sh_degree == degree


@pytest.mark.parametrize(
    ("name", "shape"),
    [("quats", (2, 3)), ("scales", (3, 3)), ("opacities", (2, 1)), ("sh", (2, 5, 3))],
)
def test_shapes_must_agree(name: str, shape: tuple[int, ...]) -> None:
    given = {name: torch.zeros(shape)}
    with pytest.raises(ValueError, match=f"{name} got shape"):
        Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3), **given)


def test_distances_match_brute_force() -> None:
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1))
    nearest = torch.cdist(points, points).sort(dim=1).values[:, 1:4].mean(1)
    torch.testing.assert_close(neighbour_distances(points), nearest)


def test_distances_of_few_points() -> None:
    assert neighbour_distances(torch.zeros(1, 3)).tolist() == pytest.approx([1e-2])
    assert neighbour_distances(torch.zeros(2, 3)).tolist() == pytest.approx([1e-6] * 2)


def test_random_points_fill_the_box_and_repeat() -> None:
    box = torch.tensor([[-1.0, 0, 5], [1, 0.1, 9]])
    points = random_points(box, 1000, seed=3)
    assert (points[:, :3] >= box[0]).all() and (points[:, :3] <= box[1]).all()
    assert (points[:, 3:] >= 0).all() and (points[:, 3:] <= 1).all()
    assert torch.equal(points, random_points(box, 1000, seed=3))
    assert not torch.equal(points, random_points(box, 1000, seed=4))
