"""Fields of rigid things against closed forms, and against what `.at(time)` says of their density."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clay4d.renderers import render
from clay4d.renderers.around import around_scene
from clay4d.renderers.viewer.look import Look, draw
from clay4d.scenes import Cameras, Gaussians
from clay4d.scenes.fields import FieldSize, ObjectField, ObjectFields, RadianceField
from clay4d.scenes.fields.objects import BOUND
from clay4d.scenes.motion import RigidPaths

RADIUS, DEEP, DENSITY, SIZE = 0.2, 3.0, 1.5, 25
REACH = BOUND * RADIUS
"""Metres from a thing's middle to where it ends."""
COLOUR = torch.tensor([0.9, 0.4, 0.1])


class Even(ObjectField):
    """The same density, for each metre, all over the sphere; one colour."""

    def forward(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        density = torch.full(points.shape[:-1], DENSITY * RADIUS)
        return density, COLOUR.expand(points.shape)


def nothing() -> Gaussians:
    return Gaussians(*(torch.zeros(0, *tail) for tail in ((3,), (4,), (3,), (), (1, 3))))


def scene(
    field: ObjectField, *places: tuple[float, float, float], stage: Gaussians | None = None
) -> ObjectFields:
    looks = torch.zeros(len(places), 6)
    looks[:, 0] = math.log(RADIUS)
    paths = RigidPaths(objects=len(places), knots=2)
    paths.positions = torch.tensor(places)[:, None].repeat(1, 2, 1)
    return ObjectFields(field, looks, paths, stage or nothing(), 1.0, (0.0, 0.0, 1.0))


def even(samples: int = 16) -> ObjectField:
    return Even(FieldSize(hidden=4, samples=samples), looks=6)


def grown(samples: int) -> ObjectField:
    """A random network that differs from a ball."""
    torch.manual_seed(1)
    field = ObjectField(FieldSize(hidden=8, samples=samples), looks=6)
    torch.nn.init.normal_(field.out.weight, std=0.5)
    return field


def camera(time: float = 0.0) -> Cameras:
    K = torch.tensor([[100.0, 0, SIZE / 2], [0, 100, SIZE / 2], [0, 0, 1]])
    return Cameras(torch.eye(4)[None], K[None], SIZE, SIZE, torch.tensor([time]))


def chord(pixel: int, middle: float) -> float:
    """Way inside the sphere of the ray through pixel (pixel, SIZE // 2), of a thing straight ahead."""
    tangent = (pixel + 0.5 - SIZE / 2) / 100
    off = middle * tangent / math.hypot(1, tangent)
    return 2 * math.sqrt(max(REACH**2 - off**2, 0.0))


@pytest.mark.parametrize("pixel", [12, 16, 22])
def test_a_ball_lets_pass_what_beer_and_lambert_say_along_a_chord(pixel: int) -> None:
    seen = render(scene(even(), (0, 0, DEEP)), camera())
    passes = math.exp(-DENSITY * chord(pixel, DEEP))
    assert float(seen.alphas[0, 12, pixel]) == pytest.approx(1 - passes, rel=1e-4)
    wanted = COLOUR * (1 - passes) + torch.tensor([0.0, 0.0, 1.0]) * passes
    assert torch.allclose(seen.images[0, 12, pixel], wanted, atol=1e-4)


def test_depth_is_the_mean_of_a_truncated_exponential() -> None:
    seen = render(scene(even(samples=128), (0, 0, DEEP)), camera())
    way = 2 * REACH
    passes = math.exp(-DENSITY * way)
    mean = 1 / DENSITY - way * passes / (1 - passes) + DEEP - REACH
    assert seen.depths is not None
    assert float(seen.depths[0, 12, 12]) == pytest.approx(mean, rel=1e-4)


def test_things_one_behind_the_other_and_two_in_one_place() -> None:
    far = render(scene(even(), (0, 0, DEEP), (0, 0, DEEP + 2)), camera())
    once = math.exp(-DENSITY * 2 * REACH)
    assert float(far.alphas[0, 12, 12]) == pytest.approx(1 - once**2, rel=1e-4)
    both = scene(even(), (0, 0, DEEP), (0, 0, DEEP))
    assert float(render(both, camera()).alphas[0, 12, 12]) == pytest.approx(1 - once**2, rel=1e-4)
    point = torch.tensor([[0, 0, DEEP], [0, 0, DEEP + 1]])
    assert both.at(0.0).density(point).tolist() == pytest.approx([2 * DENSITY, 0])


def test_a_camera_inside_sees_the_rest_of_the_way() -> None:
    seen = render(scene(even(), (0, 0, 0.1)), camera())
    passes = math.exp(-DENSITY * (REACH + 0.1 - 0.01))  # nothing is nearer than a centimetre
    assert float(seen.alphas[0, 12, 12]) == pytest.approx(1 - passes, rel=1e-3)
    behind = render(scene(even(), (0, 0, -DEEP)), camera())
    assert float(behind.alphas.max()) == 0


def test_pictures_are_what_the_field_at_that_moment_says() -> None:
    """A plain sum along rays of `.at(time)`, of two turned things that overlap and move."""
    made = scene(grown(256), (0.15, 0.1, DEEP + 0.2), (0.0, 0, DEEP))
    made.looks[:, 1:4] = torch.tensor([[3.0, -3, -3], [-3, 3, -3]])
    made.paths.positions[1, 1] += torch.tensor([0.1, 0.0, 0.1])
    made.paths.quats = torch.nn.functional.normalize(
        torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    seen, field = render(made, camera(0.7)), made.at(0.7)
    assert isinstance(field, RadianceField)
    steps = (torch.arange(2000) + 0.5) * (2.0 / 2000) + 2
    for row, column in ((12, 12), (10, 15), (18, 9)):
        ray = torch.tensor([(column + 0.5 - 12.5) / 100, (row + 0.5 - 12.5) / 100, 1.0])
        points = steps[:, None] * ray
        with torch.no_grad():
            depth = field.density(points) * (2.0 / 2000) * ray.norm()
            colour = field.colours(points, ray.expand(2000, 3) / ray.norm())
        weight = torch.exp(-(depth.cumsum(0) - depth)) * (1 - torch.exp(-depth))
        left = torch.tensor([0.0, 0.0, 1.0]) * (1 - weight.sum())
        assert torch.allclose(seen.images[0, row, column], weight @ colour + left, atol=4e-3)
        assert 0.2 < float(weight.sum())


def test_a_thing_is_drawn_where_its_path_has_taken_it() -> None:
    moving = scene(grown(16), (0.0, 0, DEEP))
    moving.paths.positions[0, 1, 0] = 0.2
    there = render(scene(grown(16), (0.2, 0, DEEP)), camera()).images
    assert torch.allclose(render(moving, camera(1.0)).images, there, atol=1e-5)
    assert torch.equal(render(moving, camera(9.0)).images, render(moving, camera(1.0)).images)
    assert not torch.allclose(render(moving, camera(0.0)).images, there, atol=1e-2)


def test_the_stage_lies_behind_and_counts() -> None:
    wall = Gaussians.from_points(
        torch.tensor([[0.0, 0, 6]]), torch.tensor([[1.0, 1, 0]]), scales=torch.full((1, 3), 2.0),
        opacities=torch.tensor([0.6]),
    )  # fmt: skip
    with_wall = scene(even(), (0, 0, DEEP), stage=wall)
    alone, both = render(wall, camera()), render(with_wall, camera())
    thing = render(scene(even(), (0, 0, DEEP)), camera())
    assert torch.allclose(1 - both.alphas, (1 - alone.alphas) * (1 - thing.alphas), atol=1e-6)
    assert both.depths is not None and alone.depths is not None and thing.depths is not None
    far = thing.alphas * thing.depths + (1 - thing.alphas) * alone.alphas * alone.depths
    assert torch.allclose(both.depths * both.alphas, far, atol=1e-5)
    plain = render(with_wall, camera(), depth=False, background=(1.0, 1.0, 1.0))
    assert plain.depths is None and not torch.equal(plain.images, both.images)


def test_a_crop_leaves_nothing_outside() -> None:
    floor = Gaussians.from_points(torch.tensor([[0.0, 0, 6], [3, 0, 6]]), torch.ones(2, 3))
    made = scene(even(samples=64), (0, 0, DEEP), stage=floor)
    half = made.within((-9.0, -9, DEEP), (1.0, 9, 9))
    assert len(half.stage) == 1 and half.bounds == ((-9.0, -9, DEEP), (1.0, 9, 9))
    seen = render(replace(half, stage=nothing()), camera())
    passes = math.exp(-DENSITY * REACH)
    assert float(seen.alphas[0, 12, 12]) == pytest.approx(1 - passes, rel=2e-2)
    assert half.at(0.0).density(torch.tensor([[0, 0, DEEP - 0.1]])).tolist() == [0]
    look = Look("alpha", crop=((-9.0, -9, -9), (-1.0, 9, 9)))
    assert draw(made, camera(), look).max() == 0


def test_cameras_find_the_things() -> None:
    made = scene(even(), (0.0, 0, 0), (2.0, 0, 0))
    round_about = around_scene(made, frames=2, size=32)
    seen = render(made, round_about)
    assert float(seen.alphas.amax((1, 2, 3)).min()) > 0.1
    gone = ObjectFields(even(), torch.zeros(0, 6), RigidPaths(objects=0, knots=1), nothing())
    assert len(gone.occupied_points(0.0)) == 1 and float(render(gone, camera()).alphas.max()) == 0
    with pytest.raises(ValueError, match=r"looks got \[1, 6\]; expected \[2, 6\]"):
        replace(made, looks=torch.zeros(1, 6))
