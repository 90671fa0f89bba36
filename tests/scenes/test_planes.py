"""Look-ups in the planes of a HexPlane against torch's grid_sample in float64."""

from __future__ import annotations

from itertools import combinations

import numba
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clay4d.scenes.motion.planes import Levels, LookUp

N = 400
LEVELS = Levels((3, 6), 4, 5)


def given() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    points = 0.8 * torch.randn(N, 3, generator=g)  # some are outside
    points[0], points[1] = -1.0, 1.0
    return points, torch.rand(LEVELS.size, generator=g)


def plainly(points: Tensor, planes: Tensor, time: float) -> Tensor:
    where = torch.cat([points, points.new_full((N, 1), 2 * time - 1)], 1)
    found = []
    for space, moments in LEVELS.split(planes):
        product, kinds = points.new_ones(()), {True: list(moments), False: list(space)}
        for a, b in combinations(range(4), 2):
            plane = kinds[b == 3].pop(0).permute(2, 0, 1)[None]
            grid = where[:, (a, b)][None, None]
            seen = F.grid_sample(plane, grid, align_corners=True, padding_mode="border")
            product = product * seen[0, :, 0].T
        found.append(product)
    return torch.cat(found, 1)


@pytest.mark.parametrize("time", [-0.2, 0.0, 0.41, 1.0, 3.0])
def test_features_and_gradients_agree_with_float64(time: float) -> None:
    points, planes = given()
    weights = torch.randn(N, 10, generator=torch.Generator().manual_seed(1))
    found = []
    for precise in (False, True):
        own = (planes.double() if precise else planes).clone().requires_grad_()
        out = (
            plainly(points.double(), own, time)
            if precise
            else LookUp.apply(points, own, LEVELS, time)
        )
        (out * weights).sum().backward()
        found.append((out.detach().double(), own.grad.double()))
    for a, b in zip(*found):
        assert (a - b).abs().max() < 1e-5 * (1 + b.abs().max())


def test_bits_do_not_depend_on_threads() -> None:
    found = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        points, planes = given()
        planes.requires_grad_()
        out = LookUp.apply(points, planes, LEVELS, 0.3)
        out.square().sum().backward()
        found.append((out, planes.grad))
    for a, b in zip(*found):
        assert torch.equal(a, b)
