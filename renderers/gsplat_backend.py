"""gsplat's CUDA kernels behind `rasterization`: the same call, for tensors on an NVIDIA GPU."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.settings import Blending


def rasterization_gsplat(
    means: Float[Tensor, "*batch N 3"],
    quats: Float[Tensor, "*batch N 4"],
    scales: Float[Tensor, "*batch N 3"],
    opacities: Float[Tensor, "*batch N"],
    colors: Tensor,
    viewmats: Float[Tensor, "*batch C 4 4"],
    Ks: Float[Tensor, "*batch C 3 3"],
    width: int,
    height: int,
    *,
    near_plane: float,
    far_plane: float,
    radius_clip: float,
    eps2d: float,
    sh_degree: int | None,
    packed: bool,
    backgrounds: Float[Tensor, "*batch C D"] | None,
    render_mode: str,
    absgrad: bool,
    rasterize_mode: str,
    channel_chunk: int,
    blending: Blending,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The CUDA backend of `rasterization`: same arguments, units and returns, all given.

    gsplat compiles its kernels on the first call where its wheel brings none, and its sums are not
    repeatable to the bit, unlike the CPU backend's.

    Raises:
        NotImplementedError: constants of blending other than gsplat's, which are compiled in.
        ValueError: no CUDA device, or tensors that are not on one.

    Source: Ye et al. 2025 (gsplat, JMLR), release 1.5.3.

    Example:
        >>> from clay4d.renderers import rasterization
        >>> one, view, K = torch.ones(1, 3), torch.eye(4)[None], torch.eye(3)[None]
        >>> rasterization(one, torch.ones(1, 4), one, torch.ones(1), one, view, K, 8, 8,
        ...     max_alpha=0.99, backend="gsplat")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        NotImplementedError: blending=Blending(max_alpha=0.99, ...) is not supported by backend ...
    """
    _check(
        blending,
        means=means, quats=quats, scales=scales, opacities=opacities, colors=colors,
        viewmats=viewmats, Ks=Ks, backgrounds=backgrounds,
    )  # fmt: skip
    import gsplat

    drawn: tuple[Tensor, Tensor, dict[str, Any]] = gsplat.rasterization(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height,
        near_plane=near_plane, far_plane=far_plane, radius_clip=radius_clip, eps2d=eps2d,
        sh_degree=sh_degree, packed=packed, backgrounds=backgrounds, render_mode=render_mode,
        absgrad=absgrad, rasterize_mode=rasterize_mode, channel_chunk=channel_chunk,
    )  # fmt: skip
    return drawn


def _check(blending: Blending, **tensors: Tensor | None) -> None:
    if blending != Blending():
        raise NotImplementedError(
            f"blending={blending} is not supported by backend 'gsplat'; expected {Blending()}, "
            "which is compiled in. Use backend='cpu'."
        )
    if not torch.cuda.is_available():
        raise ValueError(
            "backend got 'gsplat' without a CUDA device; expected an NVIDIA GPU and a CUDA build "
            "of torch. Use backend='cpu'."
        )
    for name, value in tensors.items():
        if value is not None and not value.is_cuda:
            raise ValueError(
                f"{name} got a tensor on {value.device}; expected a CUDA device, for backend "
                f"'gsplat'. Call {name}.cuda() or use backend='cpu'."
            )
