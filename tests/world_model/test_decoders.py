"""From slots to pictures: many at once are what the scene's own renderer draws, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from clay4d.renderers.render import render
from clay4d.scenes import Cameras, Scene
from clay4d.scenes.quaternions import normalise
from clay4d.world_model.decoders import DecoderSize, GaussianDecoder, draw
from clay4d.world_model.decoders.scene import scene_from_slots
from clay4d.world_model.slots import Slots

N, T, B, C = 2, 3, 4, 2


@pytest.fixture
def decoder() -> GaussianDecoder:
    torch.manual_seed(0)
    made = GaussianDecoder(DecoderSize(gaussians=12, stage=25, hidden=16), looks=8, stage=4)
    for net in (made.shape, made.floor):
        torch.nn.init.normal_(net[-1].weight, std=0.3)  # type: ignore[arg-type]
    return made


@pytest.fixture
def slots() -> Slots:
    draws = torch.Generator().manual_seed(1)
    looks = torch.randn(N, B, 8, generator=draws) * 0.5
    looks[..., 0] = -1.6
    places = torch.randn(N, T, B, 3, generator=draws) * 0.5 + torch.tensor([0, 0, 0.5])
    return Slots(
        looks, torch.randn(N, 4, generator=draws), places,
        normalise(torch.randn(N, T, B, 4, generator=draws)), torch.ones(N, T, B, dtype=torch.bool),
        torch.tensor([[True, True, False, True], [True, False, False, False]]),
        (torch.arange(T) / 12).expand(N, T),
    )  # fmt: skip


def views() -> tuple[torch.Tensor, torch.Tensor]:
    from clay4d.renderers.paths import look_at

    eyes = torch.tensor([[0.0, -3.0, 1.2], [2.5, 1.0, 1.4]], dtype=torch.float64)
    viewmats = look_at(eyes, torch.tensor([0.0, 0, 0.4], dtype=torch.float64)).float()
    K = torch.tensor([[40.0, 0, 16], [0, 40.0, 16], [0, 0, 1]])
    return viewmats.expand(N, T, C, 4, 4), K.expand(N, T, C, 3, 3)


def test_many_at_once_are_what_the_scene_shows(decoder: GaussianDecoder, slots: Slots) -> None:
    viewmats, Ks = views()
    drawn = draw(decoder, slots, viewmats, Ks, width=32, height=32)
    assert drawn.images.shape == (N, T, C, 32, 32, 3)
    for n in range(N):
        scene = scene_from_slots(decoder, slots, world=n)
        assert isinstance(scene, Scene)
        for t in range(T):
            cameras = Cameras(viewmats[n, t], Ks[n, t], 32, 32, slots.times[n, t].expand(C))
            seen = render(scene, cameras, depth=False).images
            torch.testing.assert_close(drawn.images[n, t], seen, atol=2e-4, rtol=1e-3)


def test_labels_say_which_object_is_where(decoder: GaussianDecoder, slots: Slots) -> None:
    viewmats, Ks = views()
    alone = replace(slots, present=torch.tensor([[False, False, False, True]] * N))
    labels = draw(decoder, alone, viewmats, Ks, width=32, height=32).labels
    assert labels[..., 2].max() > 0.1  # slot 3 is number 4, binary 100
    assert labels[..., [0, 1, 3]].abs().max() == 0


def test_absent_objects_are_not_drawn(decoder: GaussianDecoder, slots: Slots) -> None:
    viewmats, Ks = views()
    moved = slots.positions.clone()
    moved[0, :, 2] += 1
    moved[1, :, 1:] -= 1
    a = draw(decoder, slots, viewmats, Ks, width=32, height=32)
    b = draw(decoder, replace(slots, positions=moved), viewmats, Ks, width=32, height=32)
    assert torch.equal(a.images, b.images)


def test_pictures_pull_at_poses_and_looks(decoder: GaussianDecoder, slots: Slots) -> None:
    viewmats, Ks = views()
    free = replace(
        slots, positions=slots.positions.clone().requires_grad_(),
        looks=slots.looks.clone().requires_grad_(), quats=slots.quats.clone().requires_grad_(),
    )  # fmt: skip
    draw(decoder, free, viewmats, Ks, width=32, height=32).images.square().sum().backward()
    for value in (free.positions, free.looks, free.quats):
        assert value.grad is not None and torch.isfinite(value.grad).all()
        assert value.grad[0].abs().sum() > 0
    assert free.positions.grad is not None and free.positions.grad[0, :, 2].abs().max() == 0


def test_scenes_without_objects_are_scenes(decoder: GaussianDecoder, slots: Slots) -> None:
    empty = replace(slots, present=torch.zeros(N, B, dtype=torch.bool))
    scene = scene_from_slots(decoder, empty)
    assert len(scene) == 25
    assert torch.equal(scene.at(0.0).means, scene.at(0.1).means)
