"""The CPU rasteriser against a dense float64 reference: pictures, gradients, borders, bits."""

from __future__ import annotations

import numba
import pytest
import torch
from torch import Tensor

from clay4d.renderers import rasterization
from clay4d.renderers.torch_reference import rasterization_reference

NAMES = ("means", "quats", "scales", "opacities", "colors", "viewmats")


def make(n: int = 60, cameras: int = 2, sh_degree: int | None = 3, seed: int = 0, **change: float):
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(n, 3, generator=g) * 0.6
    quats = torch.randn(n, 4, generator=g)
    scales = torch.rand(n, 3, generator=g) * 0.2 + 0.02
    opacities = torch.rand(n, generator=g) * 0.9 + 0.05
    shape = (n, 3) if sh_degree is None else (n, (sh_degree + 1) ** 2, 3)
    colors = torch.randn(shape, generator=g) * 0.4
    viewmats = torch.eye(4).repeat(cameras, 1, 1)
    viewmats[:, 2, 3] = 3
    for c in range(cameras):
        angle = torch.tensor(0.4 * c)
        viewmats[c, 0, 0] = viewmats[c, 2, 2] = angle.cos()
        viewmats[c, 0, 2], viewmats[c, 2, 0] = angle.sin(), -angle.sin()
    f, cx, cy = change.get("f", 30.0), change.get("cx", 18.0), change.get("cy", 15.0)
    Ks = torch.tensor([[f, 0, cx], [0, f, cy], [0, 0, 1.0]]).repeat(cameras, 1, 1)
    return [means, quats, scales, opacities, colors, viewmats, Ks]


def both(scene: list[Tensor], width: int = 37, height: int = 29, **options):
    """(image, alpha, gradients) of ours and of the reference, under the same random loss."""
    out = []
    for draw, dtype in ((rasterization, torch.float32), (rasterization_reference, torch.float64)):
        leaves = [x.detach().to(dtype).requires_grad_(i < 6) for i, x in enumerate(scene)]
        given = {k: v.to(dtype) if isinstance(v, Tensor) else v for k, v in options.items()}
        image, alpha, _ = draw(*leaves, width, height, **given)
        g = torch.Generator().manual_seed(7)
        weight = torch.randn(image.shape, generator=g)
        ((image * weight).sum() + (alpha * weight[..., :1]).sum()).backward()
        out.append((image.detach().double(), alpha.detach().double(), [x.grad for x in leaves[:6]]))
    return out


def agree(ours, reference, tolerance: float = 5e-5, relative: float = 1e-3) -> None:
    assert (ours[0] - reference[0]).abs().max() < tolerance
    assert (ours[1] - reference[1]).abs().max() < tolerance
    for name, a, b in zip(NAMES, ours[2], reference[2]):
        if b is None or b.norm() == 0:
            assert a is None or a.abs().max() < 1e-6, name
            continue
        if name == "viewmats":
            a, b = a[..., :3, :], b[..., :3, :]
        error = (a.double() - b).norm() / b.norm()
        assert error < relative, f"{name}: relative error {error:.2e}"


@pytest.mark.parametrize("mode", ["RGB", "D", "RGB+D"])
@pytest.mark.parametrize("packed", [True, False])
def test_modes_agree_with_the_reference(mode: str, packed: bool) -> None:
    agree(*both(make(), render_mode=mode, sh_degree=3, packed=packed), tolerance=1e-4)


@pytest.mark.parametrize("mode", ["ED", "RGB+ED"])
def test_expected_depth_agrees(mode: str) -> None:
    agree(*both(make(), render_mode=mode, sh_degree=1), tolerance=1e-3, relative=2e-3)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spherical_harmonics_agree(degree: int) -> None:
    agree(*both(make(sh_degree=3), sh_degree=degree))


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 32, 40])
def test_channels_agree(channels: int) -> None:
    scene = make(30, sh_degree=None)
    scene[4] = torch.rand(30, channels)
    background = torch.rand(2, channels)
    agree(*both(scene, backgrounds=background))


def test_antialiased_agrees() -> None:
    scene = make()
    scene[2] = scene[2] * 0.05
    agree(*both(scene, sh_degree=3, rasterize_mode="antialiased"))


def test_needles_and_huge_gaussians_agree() -> None:
    scene = make(40)
    scene[2][:20, 0], scene[2][:20, 1:] = 1.5, 1e-4
    scene[2][30:] = 8.0
    agree(*both(scene, sh_degree=3), tolerance=1e-4, relative=2e-3)


def test_invisible_near_and_behind_agree() -> None:
    scene = make(40, cameras=1)
    scene[0][:10, 2] = -10
    scene[0][10:15, 2] = -2.95
    scene[3][15:20] = 1e-3
    agree(*both(scene, sh_degree=3, near_plane=0.2), tolerance=1e-4, relative=2e-3)


def test_equal_depths_go_by_index() -> None:
    scene = make(40, cameras=1)
    scene[0][:, 2] = 0
    agree(*both(scene, sh_degree=3))


def test_opaque_stacks_stop_for_good() -> None:
    scene = make(80, cameras=1)
    scene[3][:] = 0.98
    scene[2] = scene[2] + 0.2
    agree(*both(scene, sh_degree=3), tolerance=1e-4)


@pytest.mark.parametrize("f, cx, cy", [(30, -10, 40), (4, 18, 15), (300, 18, 15)])
def test_off_centre_wide_and_long_cameras_agree(f: float, cx: float, cy: float) -> None:
    agree(*both(make(f=f, cx=cx, cy=cy), sh_degree=2), tolerance=1e-4, relative=2e-3)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 3), (3, 50)])
def test_odd_sizes_agree(size: tuple[int, int]) -> None:
    agree(*both(make(cx=1.0, cy=1.0), *size, sh_degree=1))


def test_leading_batches_agree() -> None:
    scenes = [make(20, seed=s) for s in range(3)]
    scene = [torch.stack(x) for x in zip(*scenes)]
    for packed in (False, True):
        agree(*both(scene, sh_degree=3, packed=packed))


def test_nothing_visible_and_no_gaussians_give_the_background() -> None:
    background = torch.tensor([[0.1, 0.2, 0.3]])
    scene = make(5, cameras=1, sh_degree=None)
    scene[0][:, 2] = -50
    for chosen in (scene, [x[:0] for x in scene[:5]] + scene[5:]):
        for packed in (True, False):
            image, alpha, _ = rasterization(*chosen, 9, 7, backgrounds=background, packed=packed)
            assert torch.equal(image, background.expand(1, 7, 9, 3))
            assert alpha.abs().max() == 0


def test_max_alpha_is_a_setting() -> None:
    scene = make(1, cameras=1, sh_degree=None)
    scene[3][:], scene[2][:], scene[0][:] = 1.0, 50.0, 0.0
    for limit in (0.999, 0.99):
        _, alpha, _ = rasterization(*scene, 5, 5, max_alpha=limit)
        assert alpha.max() == pytest.approx(limit, abs=1e-6)


def test_means2d_keeps_its_gradient_and_gets_absgrad() -> None:
    for packed in (True, False):
        leaves = [x.requires_grad_() for x in make(cameras=1)[:5]]
        image, _, meta = rasterization(
            *leaves, *make(cameras=1)[5:], 37, 29, sh_degree=3, packed=packed, absgrad=True
        )
        meta["means2d"].retain_grad()
        image.square().sum().backward()
        grad, absolute = meta["means2d"].grad, meta["means2d"].absgrad
        assert absolute.shape == grad.shape == meta["means2d"].shape
        assert (absolute >= grad.abs() - 1e-4).all()
        assert (absolute > grad.abs() * 1.5).any()


def test_bits_do_not_depend_on_threads() -> None:
    results = []
    for threads in (1, 2):
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        leaves = [x.requires_grad_() for x in make(200)[:6]]
        image, alpha, _ = rasterization(*leaves, make()[6], 64, 48, sh_degree=3)
        (image.square().sum() + alpha.sum()).backward()
        results.append([image, alpha, *(x.grad for x in leaves)])
    for a, b in zip(*results):
        assert torch.equal(a, b)


def test_order_of_gaussians_does_not_matter() -> None:
    scene = make(60)
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    other = [x[shuffled] for x in scene[:5]] + scene[5:]
    a, b = (rasterization(*s, 37, 29, sh_degree=3)[0] for s in (scene, other))
    assert (a - b).abs().max() < 1e-6


def test_unsupported_features_are_refused_by_name() -> None:
    for option in ({"camera_model": "fisheye"}, {"with_ut": True}, {"sparse_grad": True},
                   {"viewmats_rs": torch.eye(4)}, {"covars": torch.eye(3)}):  # fmt: skip
        with pytest.raises(NotImplementedError, match=next(iter(option))):
            rasterization(*make(3), 8, 8, sh_degree=3, **option)


def test_bad_input_is_refused_with_what_was_expected() -> None:
    scene = make(4, sh_degree=None)
    for place, bad, match in (
        (0, torch.zeros(4, 2), "means got shape"),
        (1, torch.zeros(3, 4), "quats got shape"),
        (3, torch.full((4,), float("nan")), "opacities got NaN"),
        (5, torch.eye(4), "viewmats got shape"),
    ):
        wrong = list(scene)
        wrong[place] = bad
        with pytest.raises(ValueError, match=match):
            rasterization(*wrong, 8, 8)
    with pytest.raises(ValueError, match="render_mode got 'rgb'"):
        rasterization(*scene, 8, 8, render_mode="rgb")
    with pytest.raises(ValueError, match="backgrounds got shape"):
        rasterization(*scene, 8, 8, backgrounds=torch.zeros(3))
