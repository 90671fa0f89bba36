"""The fused photometric loss against a float64 convolution: value, gradient, masks, borders, bits."""

from __future__ import annotations

import numba
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clay4d.training.losses import photometric_loss


def reference(image: Tensor, target: Tensor, w: float, weight: Tensor | None = None) -> Tensor:
    """The loss by definition, in float64."""
    size = image.shape[-3:]
    x, t = (v.double().reshape(-1, *size).permute(0, 3, 1, 2) for v in (image, target))
    taps = torch.exp(-0.5 * ((torch.arange(11, dtype=torch.float64) - 5) / 1.5) ** 2)
    taps /= taps.sum()
    window = (taps[:, None] * taps).expand(size[2], 1, 11, 11)

    def blur(v: Tensor) -> Tensor:
        return F.conv2d(v, window, padding=5, groups=size[2])

    m, n = blur(x), blur(t)
    variances = blur(x * x) - m * m + blur(t * t) - n * n
    covariance = blur(x * t) - m * n
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * m * n + c1) * (2 * covariance + c2) / ((m * m + n * n + c1) * (variances + c2))
    full = torch.ones_like(x)
    if weight is not None:
        full = weight.double().expand(image.shape[:-1]).reshape(-1, 1, *size[:2]).expand_as(x)
    return (((1 - w) * (x - t).abs() + w * (1 - ssim)) * full).sum() / full.sum()


def pair(*shape: int, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(len(shape))
    target = torch.rand(shape, generator=g)
    image = (target + noise * torch.randn(shape, generator=g)).clamp(0, 1)
    return image.requires_grad_(), target


def compare(image: Tensor, target: Tensor, w: float, weight: Tensor | None = None) -> None:
    ours = photometric_loss(image, target, ssim_weight=w, weight=weight)
    truth = reference(image, target, w, weight)
    assert abs(ours.item() - truth.item()) < 1e-6
    (got,), (expected,) = (torch.autograd.grad(v, image) for v in (ours, truth))
    assert (got - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("w", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shape", [(37, 53, 3), (2, 33, 20, 3), (5, 7, 3), (1, 1, 3), (16, 40, 1)])
def test_agrees_with_float64(shape: tuple[int, ...], w: float) -> None:
    compare(*pair(*shape), w)


@pytest.mark.parametrize("noise", [1e-3, 0.02, 1.0])
def test_agrees_however_close_the_pictures_are(noise: float) -> None:
    compare(*pair(40, 40, 3, noise=noise), 0.5)


def test_flat_bright_pictures_keep_their_precision() -> None:
    g = torch.Generator().manual_seed(0)
    target = torch.full((60, 60, 3), 0.95)
    compare((target + 0.002 * torch.randn(60, 60, 3, generator=g)).requires_grad_(), target, 1.0)


@pytest.mark.parametrize("batched", [False, True])
def test_weight_replaces_the_mean(batched: bool) -> None:
    image, target = pair(2, 21, 34, 3)
    weight = torch.rand((2, 21, 34) if batched else (21, 34))
    compare(image, target, 0.2, weight)
    compare(image, target, 0.2, (weight > 0.5).float())


def test_a_weight_of_zero_gives_zero() -> None:
    image, target = pair(12, 12, 3)
    loss = photometric_loss(image, target, weight=torch.zeros(12, 12))
    loss.backward()
    assert loss == 0 and image.grad is not None and not image.grad.any()


def test_gradient_by_finite_differences() -> None:
    image, target = pair(9, 14, 3)
    (gradient,) = torch.autograd.grad(3 * photometric_loss(image, target, ssim_weight=1.0), image)
    direction = torch.randn(image.shape, generator=torch.Generator().manual_seed(3))
    low, high = (
        photometric_loss(image.detach() + s * direction, target, ssim_weight=1.0)
        for s in (-1e-3, 1e-3)
    )
    assert 3 * (high - low).item() / 2e-3 == pytest.approx(
        (gradient * direction).sum().item(), rel=2e-3
    )


def test_equal_pictures_lose_nothing() -> None:
    image, _ = pair(20, 30, 3)
    loss = photometric_loss(image, image.detach().clone())
    loss.backward()
    assert loss == 0 and image.grad is not None and image.grad.abs().max() < 1e-9


def test_batch_is_the_mean_of_its_pictures() -> None:
    image, target = pair(3, 18, 22, 3)
    parts = [photometric_loss(a, b) for a, b in zip(image, target)]
    mean = torch.stack(parts).mean().item()
    assert photometric_loss(image, target).item() == pytest.approx(mean, rel=1e-6)


def test_memory_order_does_not_matter() -> None:
    image, target = pair(18, 22, 3)
    turned = image.transpose(0, 1).contiguous().transpose(0, 1)
    assert torch.equal(photometric_loss(turned, target), photometric_loss(image, target))


def test_same_bits_at_any_thread_count() -> None:
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            image, target = pair(2, 75, 61, 3)
            loss = photometric_loss(image, target)
            loss.backward()
            results.append((loss.detach(), image.grad))
    finally:
        numba.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results))


@pytest.mark.parametrize(
    "change",
    [
        {"image": torch.zeros(8, 8)},
        {"target": torch.zeros(8, 9, 3)},
        {"image": torch.zeros(8, 8, 3, dtype=torch.float64)},
        {"ssim_weight": 1.5},
        {"weight": torch.ones(8, 8, 1)},
        {"image": torch.zeros(0, 8, 3)},
    ],
)
def test_errors_say_what_was_expected(change: dict[str, object]) -> None:
    given = {"image": torch.zeros(8, 8, 3), "target": torch.zeros(8, 8, 3), **change}
    with pytest.raises(ValueError, match="got .*; expected"):
        photometric_loss(given.pop("image"), given.pop("target"), **given)  # type: ignore[arg-type]
