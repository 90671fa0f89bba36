"""K-Planes against torch's grid_sample in float64, their files, and what cannot be exported."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clay4d.scenes.exchange import writer_for
from clay4d.scenes.fields import FieldScene, KPlanes, all_occupied
from clay4d.scenes.fields.kplanes import LookUp, direction_harmonics
from clay4d.scenes.motion.planes import Levels
from clay4d.scenes.store import load_scene, read_tensors, save_scene, write_tensors

N = 300
LEVELS = Levels((3, 6), 4, 16)
BOX = torch.tensor([[-1.0, -1, -1], [1, 2, 1]])


def small_field(**options: int) -> KPlanes:
    torch.manual_seed(0)
    return KPlanes(**({"resolution": 8, "time_resolution": 3, "levels": 2, "width": 16} | options))


def small_scene() -> FieldScene:
    occupied = all_occupied(2, 4)
    occupied[1, 0] = 0
    return FieldScene(small_field(), BOX, occupied, 2.0, (1.0, 0.5, 0.0), 32)


def plainly(points: Tensor, planes: Tensor) -> Tensor:
    found = []
    for space, moments in LEVELS.split(planes):
        product, kinds = points.new_ones(()), {True: list(moments), False: list(space)}
        for a, b in combinations(range(4), 2):
            plane = kinds[b == 3].pop(0).permute(2, 0, 1)[None]
            grid = points[:, (a, b)][None, None]
            seen = F.grid_sample(plane, grid, align_corners=True, padding_mode="border")
            product = product * seen[0, :, 0].T
        found.append(product)
    return torch.cat(found, 1)


@pytest.mark.parametrize(("width", "count"), [(64, 300), (20, 5), (3, 1), (16, 0)])
def test_density_in_one_pass_is_that_of_the_network(width: int, count: int) -> None:
    torch.manual_seed(0)
    field = KPlanes(resolution=8, time_resolution=4, levels=2, width=width)
    torch.nn.init.normal_(field.body.bias)
    points = 2.4 * torch.rand(count, 4) - 1.2
    rows, density = field.find_density(points.numpy())
    features = field.features(points)
    assert np.allclose(rows, features.detach().numpy(), rtol=1e-6)
    wanted = field.double().density(features.double())[0].detach().numpy()
    assert rows.shape == (count, 32)
    assert np.allclose(density, wanted, rtol=1e-5)


def test_features_and_gradients_agree_with_float64() -> None:
    g = torch.Generator().manual_seed(0)
    points = 0.8 * torch.randn(N, 4, generator=g)  # some are outside
    points[0], points[1] = -1.0, 1.0
    planes = torch.rand(LEVELS.size, generator=g)
    weights = torch.randn(N, 32, generator=g)
    found = []
    for precise in (False, True):
        own = (planes.double() if precise else planes).clone().requires_grad_()
        out = plainly(points.double(), own) if precise else LookUp.apply(points, own, LEVELS)
        (out * weights).sum().backward()
        assert own.grad is not None
        found.append((out.detach().double(), own.grad.double()))
    for a, b in zip(*found):
        assert (a - b).abs().max() < 1e-5 * (1 + b.abs().max())


def test_direction_harmonics_are_orthonormal() -> None:
    g = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(200_000, 3, generator=g), dim=1)
    Y = direction_harmonics(directions)
    assert torch.allclose(4 * np.pi * Y.T @ Y / len(Y), torch.eye(9), atol=0.02)


def test_density_is_per_metre_and_nothing_outside_the_box() -> None:
    scene = small_scene()
    field = scene.at(0.5)
    inside, outside = torch.tensor([[0.0, 0.5, 0.0]]), torch.tensor([[0.0, 3.0, 0.0]])
    place = torch.tensor([[0.0, 0.0, 0.0, -0.5]])
    wanted = scene.field.density(scene.field.features(place))[0] / 1.5  # half the longest side
    assert torch.allclose(field.density(inside), wanted)
    assert float(field.density(outside).detach()) == 0
    colours = field.colours(inside, torch.tensor([[0.0, 0.0, 1.0]]))
    assert colours.shape == (1, 3)
    assert ((colours > 0) & (colours < 1)).all()


def test_moments_outside_the_clip_are_its_first_and_last() -> None:
    scene = small_scene()
    point = torch.tensor([[0.1, 0.2, 0.3]])
    assert torch.equal(scene.at(-1.0).density(point), scene.at(0.0).density(point))
    assert torch.equal(scene.at(5.0).density(point), scene.at(2.0).density(point))
    assert len(scene.occupied_points(0.0)) == 64
    assert len(scene.occupied_points(2.0)) == 48


def test_a_file_gives_the_field_back(tmp_path: Path) -> None:
    scene = small_scene()
    save_scene(tmp_path / "a.safetensors", scene)
    back = load_scene(tmp_path / "a.safetensors")
    assert isinstance(back, FieldScene)
    assert np.array_equal(back.occupied, scene.occupied)
    assert (back.duration, back.background, back.steps) == (2.0, (1.0, 0.5, 0.0), 32)
    for name, value in scene.field.tensors().items():
        assert torch.equal(back.field.tensors()[name], value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"features": 8}}, "features got 8"),
        ({"options": {"resolution": 1 << 20}}, "planes got"),
        ({"steps": 0}, "steps"),
        ({"field": "voxels"}, "field got 'voxels'"),
        ({"occupied": [2, 4, 4, 5]}, "occupied got"),
        ({"background": [1.0]}, "background"),
    ],
)
def test_a_file_that_claims_something_else_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    save_scene(tmp_path / "a.safetensors", small_scene())
    tensors, header = read_tensors(tmp_path / "a.safetensors")
    write_tensors(tmp_path / "b.safetensors", tensors, header | change)
    with pytest.raises(ValueError, match=said):
        load_scene(tmp_path / "b.safetensors")


@pytest.mark.parametrize("name", ["a.ply", "a.splat", "a.spz", "a.clay4d", "a.glb", "a.usdc"])
def test_formats_of_gaussians_refuse_a_field_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"radiance field; expected Gaussians.*\.mp4"):
        writer_for(name)(small_scene(), tmp_path / name, times=[0.0])
    assert not list(tmp_path.iterdir())
