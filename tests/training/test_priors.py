"""Depth and cover as losses: what is free, what is not, gradients, and that they shape a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.renderers import rasterization
from clay4d.renderers.render import render
from clay4d.renderers.torch_reference import rasterization_reference as reference
from clay4d.scenes import Dataset, Views
from clay4d.scenes.loaders.transforms import FLIP
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training.config import Losses, McmcDensity, Schedule, Start, TrainConfig
from clay4d.training.frames import Frames
from clay4d.training.priors import (
    check_priors,
    cover_loss,
    cover_weight,
    depth_loss,
    smaller_depth,
)
from clay4d.training.run import train
from clay4d.training.trainer import Trainer
from tests.conftest import Swinging, ring_of_cameras

CONFIG = TrainConfig(
    start=Start(count=300),
    density=McmcDensity(cap=300, noise=0, opacity_weight=0, scale_weight=0),
    schedule=Schedule(coarse=((0.0, 0.5), (0.3, 1.0)), sh_degree=0),
    steps=60,
)
ONES = torch.ones(9, 7)


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.rand(9, 7, generator=g) + 1, torch.rand(9, 7, generator=g) + 1


@pytest.mark.parametrize("inverse", [False, True])
def test_scale_and_shift_of_both_depths_are_free(inverse: bool) -> None:
    drawn, other = maps()
    same = 1 / drawn if inverse else drawn
    assert depth_loss(drawn, ONES, 0.2 * same + 5, inverse=inverse) < 1e-4
    assert depth_loss(drawn, ONES, 10 - same, inverse=inverse) > 1.99
    off = depth_loss(drawn, ONES, other, inverse=inverse)
    assert 0.3 < off < 1.7
    assert torch.allclose(off, depth_loss(drawn, ONES, 7 * other + 1, inverse=inverse), atol=1e-4)


def test_unknown_and_uncovered_pixels_do_not_count() -> None:
    drawn, _ = maps()
    prior, alpha = 2 * drawn + 1, ONES.clone()
    prior[0], drawn[1], alpha[1] = 0, 99.0, 0.2
    assert depth_loss(drawn, alpha, prior) < 1e-4
    drawn.requires_grad_()
    nothing = depth_loss(drawn, alpha, torch.zeros(9, 7))
    nothing.backward()
    assert nothing == 0 and drawn.grad is not None and not drawn.grad.any()


def test_a_flat_depth_gives_numbers() -> None:
    drawn = torch.full((9, 7), 2.0, requires_grad=True)
    loss = depth_loss(drawn, ONES, maps()[0])
    loss.backward()
    assert loss == 1 and drawn.grad is not None and torch.isfinite(drawn.grad).all()


@pytest.mark.parametrize("inverse", [False, True])
def test_the_gradient_is_that_of_the_value(inverse: bool) -> None:
    drawn, prior = (m.double() for m in maps())
    alpha = torch.rand(9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    drawn.requires_grad_()
    assert torch.autograd.gradcheck(lambda d: depth_loss(d, alpha, prior, inverse=inverse), drawn)
    cover = alpha.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: cover_loss(a, (prior > 1.5).double()), cover)


def test_gradients_through_the_rasteriser_are_those_of_the_torch_reference() -> None:
    camera, g = ring_of_cameras(1, size=24), Swinging().at(0.1)
    prior = torch.rand(24, 24, generator=torch.Generator().manual_seed(1)) + 1
    scales = torch.tensor([[0.1, 0.2, 0.3], [0.25, 0.1, 0.15]])
    quats = torch.tensor([[0.9, 0.1, -0.3, 0.2], [0.5, 0.4, 0.6, -0.1]])
    found = []
    for draw in (rasterization, reference):
        leaves = [t.clone().requires_grad_() for t in (g.means, quats, scales, g.opacities)]
        image, alpha, _ = draw(
            *leaves, g.sh, camera.viewmats, camera.Ks, 24, 24, sh_degree=0, packed=False,
            render_mode="RGB+ED",
        )  # fmt: skip
        depth, cover = image[0, ..., -1], alpha[0, ..., 0]
        loss = depth_loss(depth, cover, prior) + cover_loss(cover, (prior > 1.5).float())
        loss.backward()
        found.append([leaf.grad for leaf in leaves])
    for ours, theirs in zip(*found, strict=True):
        assert ours is not None and theirs is not None and theirs.abs().max() > 0
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


def test_smaller_depth_leaves_out_what_is_unknown() -> None:
    depth = torch.tensor([[2.0, 0, 0, 0], [4, 0, 5, 0]])
    assert smaller_depth(depth, 1, 2).tolist() == [[3.0, 0.0]]
    assert torch.equal(smaller_depth(depth, 2, 4), depth)


@pytest.fixture
def known(swinging: Dataset) -> Dataset:
    """The swinging scene as it stands at its beginning, with masks, and depth in a unit of its own."""
    views, still = swinging.train, Swinging().at(0.0)
    seen = render(still, views.cameras, background=(1.0, 1.0, 1.0))
    assert seen.depths is not None
    pixels = torch.cat([seen.images, seen.alphas], -1).clamp(0, 1).mul(255).byte().numpy()
    depth = torch.where(seen.alphas > 0.5, 0.2 * seen.depths + 1, 0)[..., 0].numpy()
    train_views = Views(
        views.cameras, views.names, lambda i: pixels[i], background=(1.0, 1.0, 1.0),
        depth=lambda i: depth[i],
    )  # fmt: skip
    return dataclasses.replace(swinging, splits={"train": train_views})


def off(trainer: Trainer, dataset: Dataset) -> tuple[float, float]:
    """Mean loss of depth and of cover over all training pictures."""
    frames, cameras = Frames(dataset.train, seed=0), dataset.train.cameras
    seen = render(SplatScene(trainer.scene.raw, trainer.scene.motion, sh_degree=0), cameras)
    assert seen.depths is not None
    pairs = [
        (
            float(depth_loss(seen.depths[i, ..., 0], seen.alphas[i, ..., 0], frames.depth(i, 1.0))),
            float(cover_loss(seen.alphas[i, ..., 0], frames.mask(i, 1.0))),
        )
        for i in range(len(cameras))
    ]
    return tuple(np.mean(pairs, axis=0))


def test_a_run_follows_depth_and_masks(known: Dataset) -> None:
    found = {}
    for name, losses in {"none": {}, "depth": {"depth": 0.3}, "cover": {"cover": 1.0}}.items():
        losses = {"cover": 0.0} | losses
        trainer = Trainer(dataclasses.replace(CONFIG, losses=Losses(**losses)), known)
        for _ in range(CONFIG.steps):
            trainer.step()
        found[name] = off(trainer, known)
    assert found["depth"][0] < 0.8 * found["none"][0]
    assert found["cover"][1] < 0.8 * found["none"][1]


def test_frames_keep_resized_depth(known: Dataset) -> None:
    frames = Frames(known.train, seed=0)
    whole, half = frames.depth(2, 1.0), frames.depth(2, 0.5)
    assert whole.shape == (48, 48) and half.shape == (24, 24)
    assert frames.depth(2, 0.5) is half
    assert 0 < float(half[half > 0].mean() - whole[whole > 0].mean() + 0.1) < 0.2


@pytest.mark.parametrize("losses", [{"depth": 1.0}, {"cover": 1.0}])
def test_weights_without_data_are_refused(losses: dict[str, float], swinging: Dataset) -> None:
    with pytest.raises(ValueError, match=f"losses.{next(iter(losses))} got 1 for swinging"):
        check_priors(Losses(**losses), swinging)


def test_transparent_pictures_are_compared_with_cover_unless_told_otherwise(
    swinging: Dataset,
) -> None:
    def seen_through(background: tuple[float, float, float] | None) -> Dataset:
        pixels = swinging.train.pixels(0)
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], 2)
        views = Views(swinging.train.cameras[0], ["0"], lambda i: pixels, background=background)
        return dataclasses.replace(swinging, splits={"train": views}, background=background)

    white = seen_through((1.0, 1.0, 1.0))
    assert cover_weight(Losses(), white) > 0
    assert cover_weight(Losses(cover=0.0), white) == 0
    assert cover_weight(Losses(cover=2.0), white) == 2
    assert cover_weight(Losses(), seen_through(None)) == 0, (
        "a segmentation, and the picture is whole"
    )
    assert cover_weight(Losses(), swinging) == 0
    check_priors(Losses(), swinging)


def test_from_files_to_a_scene(known: Dataset, tmp_path: Path) -> None:
    """Depth of 16 bits in transforms.json reaches the loss, by `train`."""
    frames, cameras = [], known.train.cameras
    for i, name in enumerate(known.train.names):
        Image.fromarray(known.train.pixels(i)).save(tmp_path / f"{name}.png")
        depth = known.train[i].depth
        assert depth is not None
        Image.fromarray((depth.numpy() * 1000).astype(np.uint16)).save(tmp_path / f"{name}_d.png")
        pose = torch.linalg.inv(cameras.viewmats[i].double()).numpy() @ FLIP
        frames.append(
            {"file_path": f"{name}.png", "depth_file_path": f"{name}_d.png",
             "transform_matrix": pose.tolist()}
        )  # fmt: skip
    fx = float(cameras.Ks[0, 0, 0])
    meta = {"fl_x": fx, "fl_y": fx, "cx": 24, "cy": 24, "w": 48, "h": 48, "frames": frames}
    (tmp_path / "transforms.json").write_text(json.dumps(meta))
    means = []
    for weight in (0.0, 0.5):
        config = dataclasses.replace(CONFIG, losses=Losses(depth=weight))
        means.append(train(config, tmp_path, tmp_path / f"run{weight}", steps=12).raw["means"])
    plain, guided = means
    assert not torch.equal(plain, guided) and torch.isfinite(guided).all()
