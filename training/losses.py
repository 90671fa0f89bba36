"""How far a picture is from the truth: L1 and D-SSIM in one fused step (Kerbl et al. 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.training import kernels

F32 = np.float32


def photometric_loss(
    image: Float[Tensor, "*batch height width channels"],
    target: Float[Tensor, "*batch height width channels"],
    *,
    ssim_weight: float = 0.2,
    weight: Float[Tensor, "*batch height width"] | None = None,
) -> Float[Tensor, ""]:
    """The loss (1 − w)·L1 + w·(1 − SSIM), averaged over pixels, channels and pictures.

    SSIM takes an 11-tap Gaussian window (sigma 1.5) and zeros outside the picture, as 3D Gaussian
    splatting's trainers do, so it differs at the borders from `clay4d.benchmark.ssim`, which crops.
    Only `image` gets a gradient; NaN is not looked for (see `adam.any_nonfinite`). The result has the same bits at any number of threads.

    Args:
        image: sRGB 0 to 1, any channels. target: the same shape.
        ssim_weight: w, 0 to 1.
        weight: per pixel, 0 or more; both maps are multiplied by it, and its sum replaces the count.

    Raises:
        ValueError: shapes or dtypes that do not fit, or `ssim_weight` outside 0 to 1.

    Source: Wang et al. 2004 (SSIM); Kerbl et al. 2023, equation 7.

    Example:
        >>> picture = torch.full((16, 16, 3), 0.5, requires_grad=True)
        >>> loss = photometric_loss(picture, torch.full((16, 16, 3), 0.6))
        >>> loss.backward()
        >>> round(loss.item(), 3), picture.grad.shape
        (0.086, torch.Size([16, 16, 3]))
    """
    _check(image, target, ssim_weight, weight)
    # Asked for here: inside a Function's forward torch reports grad mode as off.
    needs = image.requires_grad and torch.is_grad_enabled()
    loss: Tensor = _Photometric.apply(image, target.detach(), weight, float(ssim_weight), needs)
    return loss


def _check(image: Tensor, target: Tensor, ssim_weight: float, weight: Tensor | None) -> None:
    if image.ndim < 3 or image.numel() == 0:
        raise ValueError(
            f"image got shape {tuple(image.shape)}; expected [H, W, C] or [B, H, W, C], not empty."
        )
    if target.shape != image.shape:
        raise ValueError(
            f"target got shape {tuple(target.shape)}; expected {tuple(image.shape)}, the image's. "
            "Resize one of them."
        )
    for name, value in (("image", image), ("target", target), ("weight", weight)):
        if value is not None and (value.dtype != torch.float32 or value.device.type != "cpu"):
            raise ValueError(
                f"{name} got {value.dtype} on {value.device}; expected torch.float32 on cpu. "
                f"Call {name}.float().cpu()."
            )
    if not 0 <= ssim_weight <= 1:
        raise ValueError(f"ssim_weight got {ssim_weight}; expected 0 to 1.")
    if weight is not None and weight.shape not in (image.shape[:-1], image.shape[-3:-1]):
        raise ValueError(
            f"weight got shape {tuple(weight.shape)}; expected {tuple(image.shape[:-1])}, "
            "one value a pixel."
        )


def _flat(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().contiguous().numpy().reshape(-1)


class _Photometric(torch.autograd.Function):
    """The value and, if the image needs it, the gradient in the same call."""

    @staticmethod
    def forward(
        ctx: Any,
        image: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ssim_weight: float,
        needs: bool,
    ) -> Tensor:
        height, width, channels = image.shape[-3:]
        images, row = image.numel() // (height * width * channels), width * channels
        a, b, w, total = _flat(image), _flat(target), None, float(image.numel())
        if weight is not None:
            full = weight.detach().expand(image.shape[:-1])[..., None].expand(image.shape)
            w, total = _flat(full), float(full.sum(dtype=torch.float64))
            # A mask that hides everything: the sums are zero too, and so is the loss.
            total = total or 1.0
        sums, *slopes = kernels.photometric_forward(a, b, w, images, height, row, channels, needs)
        l1, lost = sums.sum(0, dtype=np.float64) / total
        if needs:
            scales = F32((1 - ssim_weight) / total), F32(ssim_weight / total)
            gradient = kernels.photometric_backward(
                a, b, w, *slopes, images, height, row, channels, *scales
            )
            ctx.save_for_backward(torch.from_numpy(gradient).reshape(image.shape))
        return torch.tensor((1 - ssim_weight) * l1 + ssim_weight * lost, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, g_loss: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * g_loss, None, None, None, None
