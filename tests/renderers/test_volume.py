"""Volume rendering against closed forms and a plain sum in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clay4d.renderers import render
from clay4d.renderers.volume import Blend, draw_field, find_places, rays_through
from clay4d.scenes import Cameras
from clay4d.scenes.fields import FieldScene, KPlanes, all_occupied

BOX = torch.tensor([[-1.0, -1, 2], [1, 1, 4]])


def slab(density: float, *, steps: int = 256, occupied: np.ndarray | None = None) -> FieldScene:
    """A box of one density, per half side, and one colour."""
    torch.manual_seed(0)
    field = KPlanes(resolution=4, time_resolution=2, levels=1, width=16)
    with torch.no_grad():
        for value in (field.body_out.weight, field.shade_out.weight, field.shade_out.bias):
            value.zero_()
        field.body_out.bias.zero_()
        field.body_out.bias[0] = math.log(density) + 1
        field.shade_out.bias.copy_(torch.tensor([2.0, 0.0, -1.0]))
    full = all_occupied(1, 8) if occupied is None else occupied
    return FieldScene(field, BOX, full, 1.0, (0.0, 0.0, 1.0), steps)


def camera(size: int = 9) -> Cameras:
    K = torch.tensor([[2.0 * size, 0, size / 2], [0, 2.0 * size, size / 2], [0, 0, 1]])
    return Cameras(torch.eye(4)[None], K[None], size, size, torch.zeros(1))


def test_a_slab_of_constant_density_lets_pass_what_beer_and_lambert_say() -> None:
    seen = render(slab(1.5), camera())
    passes = math.exp(-1.5 * 2)  # two metres deep along the middle ray
    assert float(seen.alphas[0, 4, 4]) == pytest.approx(1 - passes, rel=2e-3)
    colour = torch.sigmoid(torch.tensor([2.0, 0.0, -1.0]))
    wanted = colour * (1 - passes) + torch.tensor([0.0, 0.0, 1.0]) * passes
    assert torch.allclose(seen.images[0, 4, 4], wanted, atol=2e-3)
    assert seen.depths is not None
    mean = (1 / 1.5 - 2 * passes / (1 - passes)) + 2  # of a truncated exponential, plus the front's
    assert float(seen.depths[0, 4, 4]) == pytest.approx(mean, rel=5e-3)


def test_a_ray_that_leans_passes_more_and_depth_is_along_the_axis() -> None:
    seen = render(slab(1.0, steps=1024), camera())
    slant = math.sqrt(1 + (4 / 18) ** 2)
    assert float(seen.alphas[0, 4, 8]) == pytest.approx(1 - math.exp(-2 * slant), rel=2e-3)
    assert seen.depths is not None
    assert torch.allclose(seen.depths[0, 4, 4], seen.depths[0, 2, 2], rtol=2e-2)


def test_empty_cells_are_jumped_over_and_hold_nothing() -> None:
    half = all_occupied(1, 8)
    half[..., :4] = 0  # the nearer metre
    scene = slab(1.5, occupied=half)
    seen = render(scene, camera())
    assert float(seen.alphas[0, 4, 4]) == pytest.approx(1 - math.exp(-1.5), rel=5e-3)
    rays = rays_through(scene, camera(), torch.zeros(1).long(), torch.full((1, 2), 4.5))
    depths = find_places(scene, rays).depths
    assert depths.min() >= 3
    assert len(depths) == 128
    empty = render(slab(1.5, occupied=np.zeros((1, 8, 8, 8), np.uint8)), camera())
    assert torch.equal(empty.alphas, torch.zeros_like(empty.alphas))
    assert torch.equal(empty.images[0, 0, 0], torch.tensor([0.0, 0.0, 1.0]))


def test_no_occupied_cell_is_jumped_over() -> None:
    """Against all places of the lattice, asked one by one; the grid is no multiple of a block."""
    rng = np.random.default_rng(0)
    cells = (rng.random((2, 13, 13, 13)) < 0.03).astype(np.uint8)
    cells[:, :8, :8, :4] = 0
    scene = slab(0.05, steps=200, occupied=cells)
    rng_xy = torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) * 9
    rays = rays_through(scene, camera(), torch.zeros(400).long(), rng_xy)
    places = find_places(scene, rays, jitter=rng.random(400))
    points = places.points[:, :3]
    found = np.clip(((points + 1) / 2 * 13).astype(int), 0, 12)
    assert cells[0][tuple(found.T)].all()
    wanted, step = 0, np.float32(scene.step)
    for n in range(400):
        depths = places.depths[places.rays == n]
        gaps = np.diff(depths) / step
        assert np.abs(gaps - np.rint(gaps)).max(initial=0) < 0.02  # of one lattice, in order
        assert (gaps > 0.5).all()
        if len(depths):
            t = depths[0] + step * np.arange(-200, 400, dtype=np.float32)
            p = rays.origins[n] + t[:, None] * rays.directions[n]
            p = p[(np.abs(p) < 1).all(1)]
            wanted += int(cells[0][tuple((((p + 1) / 2 * 13).astype(int)).T)].sum())
    assert len(points) > 1000
    assert abs(len(points) - wanted) <= 0.002 * wanted


def test_rays_end_where_nothing_behind_can_be_seen() -> None:
    scene = slab(200.0)
    rays = rays_through(scene, camera(), torch.zeros(1).long(), torch.full((1, 2), 4.5))
    places = find_places(scene, rays)
    assert len(places.depths) <= 8
    assert float(render(scene, camera()).alphas[0, 4, 4]) > 0.999


def plain_blend(
    depth: Tensor, values: Tensor, rays: np.ndarray, count: int
) -> tuple[Tensor, Tensor]:
    out, left = [], []
    for n in range(count):
        mine = torch.from_numpy(rays == n)
        d, v = depth[mine], values[mine]
        before = torch.exp(-(torch.cumsum(d, 0) - d))
        out.append(((before * (1 - torch.exp(-d)))[:, None] * v).sum(0))
        left.append(torch.exp(-d.sum()))
    return torch.stack(out), torch.stack(left)


def test_sums_along_rays_and_their_gradients_agree_with_float64() -> None:
    g = torch.Generator().manual_seed(0)
    depth, values = 0.5 * torch.rand(60, generator=g), torch.rand(60, 4, generator=g)
    rays = torch.randint(0, 7, (60,), generator=g).numpy()  # ray 7 has none
    weights, others = torch.randn(8, 4, generator=g), torch.randn(8, generator=g)
    found = []
    for blend, kind in ((Blend.apply, torch.float32), (plain_blend, torch.float64)):
        d, v = (x.detach().to(kind, copy=True).requires_grad_() for x in (depth, values))
        out, left = blend(d, v, rays, 8)
        ((out * weights).sum() + (left * others).sum()).backward()
        found.append([x.detach().double() for x in (out, left, d.grad, v.grad)])
    for a, b in zip(*found):
        assert torch.allclose(a, b, atol=2e-6)


def test_pictures_have_the_cameras_sizes_and_times() -> None:
    torch.manual_seed(0)
    field = KPlanes(resolution=8, time_resolution=4, levels=2)
    with torch.no_grad():
        for _, moments in field.levels.split(field.planes):
            moments.uniform_(0.2, 1.8)
    scene = FieldScene(field, BOX, all_occupied(4, 8), 2.0)
    K = torch.tensor([[20.0, 0, 6], [0, 20, 4], [0, 0, 1]]).expand(3, 3, 3)
    views = torch.eye(4).expand(3, 4, 4)
    cameras = Cameras(views, K, 12, 8, torch.tensor([0.0, 1.0, 0.0]))
    seen = render(scene, cameras, depth=False)
    assert seen.images.shape == (3, 8, 12, 3)
    assert seen.alphas.shape == (3, 8, 12, 1)
    assert seen.depths is None
    assert torch.equal(seen.images[0], seen.images[2])
    assert not torch.allclose(seen.images[0], seen.images[1], atol=1e-3)
    over = draw_field(scene, cameras[0], background=torch.ones(3))[0]
    assert torch.allclose(over - seen.images[:1], (1 - seen.alphas[:1]).expand(-1, -1, -1, 3))
