"""From pictures to slots: measurements are those of the worlds, rays meet, unseen things are filled in."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from clay4d.scenes.rays import camera_centres, pixel_rays
from clay4d.world_model.encoder import Encoder, EncoderSize
from clay4d.world_model.encoder.measure import measure
from clay4d.world_model.encoder.rays import meeting_point
from clay4d.world_model.slots import PosedFrames, fill_unseen
from clay4d.world_model.training.losses import reprojection
from clay4d.world_model.worlds import WorldBatch, open_worlds, stack_worlds


@pytest.fixture
def batch(small_worlds: Path) -> WorldBatch:
    worlds = open_worlds(small_worlds)
    return stack_worlds([worlds[i] for i in range(6)], objects=4)


@pytest.fixture
def frames(batch: WorldBatch) -> PosedFrames:
    return PosedFrames.from_worlds(batch)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderSize(features=16, looks=12, stage=4, objects=4))


def test_measurements_are_those_of_the_worlds(batch: WorldBatch, frames: PosedFrames) -> None:
    measured = measure(frames, objects=4)
    for n, world in enumerate(batch.worlds):
        b = len(world.objects)
        assert np.array_equal(measured.visible[n, :, :, :b].numpy(), world.visible)
        assert not measured.visible[n, :, :, b:].any()
        expected = world.centroids()
        seen = world.visible
        np.testing.assert_allclose(
            measured.centroids[n, :, :, :b].numpy()[seen], expected[seen], atol=1e-3
        )


def test_rays_meet_where_points_are() -> None:
    draws = torch.Generator().manual_seed(0)
    point = torch.randn(20, 3, generator=draws)
    origins = 4 * torch.randn(20, 3, 3, generator=draws)
    rays = torch.nn.functional.normalize(point[:, None] - origins, dim=-1)
    one = torch.ones(20, 3)
    met = meeting_point(
        origins, rays, across=one, along=0 * one, depths=one, rest=torch.zeros(3), rest_weight=0.0
    )
    torch.testing.assert_close(met, point, atol=1e-3, rtol=1e-3)
    alone = one * torch.tensor([1.0, 0, 0])
    depth = (point - origins[:, 0]).norm(dim=-1, keepdim=True).expand(-1, 3)
    met = meeting_point(
        origins,
        rays,
        across=alone,
        along=alone,
        depths=depth,
        rest=torch.zeros(3),
        rest_weight=1e-9,
    )
    torch.testing.assert_close(met, point, atol=1e-3, rtol=1e-3)


def test_pixels_and_rays_agree(batch: WorldBatch, frames: PosedFrames) -> None:
    pixels = reprojection(batch.positions, frames)
    rays = pixel_rays(pixels, frames.viewmats, frames.Ks)
    to = batch.positions[:, :, None] - camera_centres(frames.viewmats)[..., None, :]
    to = torch.nn.functional.normalize(to, dim=-1)
    torch.testing.assert_close(rays, to, atol=1e-4, rtol=1e-4)


def test_an_untrained_encoder_triangulates(
    encoder: Encoder, batch: WorldBatch, frames: PosedFrames
) -> None:
    slots = encoder(frames)
    assert torch.equal(slots.present, batch.present)
    well = measure(frames, objects=4).visible.all(2)
    off = (slots.positions - batch.positions).norm(dim=-1)[well]
    assert off.median() < 0.03
    radius = slots.looks[..., 0].exp()[slots.present]
    assert ((radius > 0.08) & (radius < 0.4)).all()


def test_pictures_that_are_not_given_change_nothing(encoder: Encoder, frames: PosedFrames) -> None:
    given = torch.zeros_like(frames.given)
    given[:, :, :2] = True
    some = frames.only(given)
    images, masks = some.images.clone(), some.masks.clone()
    images[:, :, 2:] = 0.3
    masks[:, :, 2:] = 1
    other = PosedFrames(images, masks, some.viewmats, some.Ks, some.times, some.given)
    a, b = encoder(some), encoder(other)
    for name, value in vars(a).items():
        assert torch.equal(value, getattr(b, name)), name


def test_one_camera_is_enough_to_place_things(encoder: Encoder, frames: PosedFrames) -> None:
    given = torch.zeros_like(frames.given)
    given[:, :, 1] = True
    slots = encoder(frames.only(given))
    measured = measure(frames.only(given), objects=4)
    pixels = reprojection(slots.positions, frames)[:, :, 1]
    seen = measured.visible[:, :, 1]
    off = (pixels - measured.centroids[:, :, 1]).norm(dim=-1)[seen]
    assert off.max() < 1.0  # on its ray, however deep


def test_what_was_not_seen_lies_between() -> None:
    values = torch.tensor([5.0, 1.0, 7.0, 3.0, 9.0])[None, :, None, None]
    seen = torch.tensor([False, True, False, True, False])[None, :, None]
    assert fill_unseen(values, seen).flatten().tolist() == [1.0, 1.0, 2.0, 3.0, 3.0]
    assert fill_unseen(values, ~seen & False).abs().max() == 0


def test_synthetic_masks_fit_their_balls(synthetic: ModuleType) -> None:
    world = synthetic.make_world(3)
    assert world.visible.any(1).all()
