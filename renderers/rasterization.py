"""One call that draws Gaussians, whatever draws them: gsplat 1.5.3's `rasterization`, CPU first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from clay4d.renderers.checks import Inputs, check_inputs, refuse_unsupported
from clay4d.renderers.cpu.functions import Blend, Project, Shade, TileLists
from clay4d.renderers.cpu.tiles import TILE
from clay4d.renderers.settings import Blending

DEPTH_MODES = ("D", "ED", "RGB+D", "RGB+ED")


def rasterization(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor,  # [..., (C,) N, D] or [..., (C,) N, K, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = True,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,  # [..., C, D]
    render_mode: str = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    rasterize_mode: str = "classic",
    channel_chunk: int = 32,
    *,
    blending: Blending | None = None,
    max_alpha: float | None = None,
    backend: str = "auto",
    **unsupported: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Draw Gaussians with the arguments, returns and semantics of gsplat 1.5.3.

    Args:
        means: centres, metres. quats: wxyz, need not be unit. scales: linear, metres.
        opacities: 0 to 1. colors: D channels, or SH coefficients where `sh_degree` is given.
        viewmats: world to camera, OpenCV axes. Ks: pixels, first pixel's centre at (0.5, 0.5).
        render_mode: RGB, D, ED, RGB+D or RGB+ED; depth is camera z, E means divided by alpha.
        packed: whether `meta` holds only the visible pairs of camera and Gaussian.
        tile_size: accepted for compatibility; it does not change the picture.
        blending: constants of blending; `max_alpha` alone is a short cut.
        backend: "cpu", "gsplat" (CUDA), "reference" (torch, slow) or "auto": by the tensors' device.

    Returns:
        Colours [..., C, H, W, X], alphas [..., C, H, W, 1] and gsplat's `meta`, whose "means2d"
        keeps its gradient after `retain_grad()` and gets `.absgrad` where asked.

    Raises:
        ValueError: a wrong shape, a value that is not finite, an unknown mode.
        NotImplementedError: a feature of gsplat that is not here, by its name.

    Source: Kerbl et al. 2023 (3D Gaussian splatting); Ye et al. 2025 (gsplat, JMLR).

    Example:
        >>> one = torch.tensor([[0.0, 0.0, 2.0]])
        >>> colors, alphas, meta = rasterization(
        ...     one, torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.1), torch.ones(1),
        ...     torch.ones(1, 3), torch.eye(4)[None], torch.tensor([[[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]]),
        ...     8, 8)
        >>> colors.shape, round(alphas.max().item(), 2)
        (torch.Size([1, 8, 8, 3]), 0.58)
    """
    refuse_unsupported(sparse_grad=sparse_grad, **unsupported)
    settings = blending or (Blending() if max_alpha is None else Blending(max_alpha=max_alpha))
    drawing: dict[str, Any] = {
        "near_plane": near_plane,
        "far_plane": far_plane,
        "radius_clip": radius_clip,
        "eps2d": eps2d,
        "sh_degree": sh_degree,
        "packed": packed,
        "backgrounds": backgrounds,
        "render_mode": render_mode,
        "absgrad": absgrad,
        "rasterize_mode": rasterize_mode,
        "channel_chunk": channel_chunk,
    }
    draw = _backend(backend, means)
    return draw(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height,
        blending=settings, **drawing,
    )  # fmt: skip


def _backend(name: str, means: Tensor) -> Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]:
    if name == "auto":
        name = "gsplat" if means.is_cuda else "cpu"
    if name == "cpu":
        return rasterization_cpu
    if name == "gsplat":
        from clay4d.renderers.gsplat_backend import rasterization_gsplat

        return rasterization_gsplat
    if name == "reference":
        from clay4d.renderers.torch_reference import rasterization_reference

        return rasterization_reference
    raise ValueError(f"backend got {name!r}; expected auto, cpu, gsplat or reference.")


def rasterization_cpu(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    near_plane: float,
    far_plane: float,
    radius_clip: float,
    eps2d: float,
    sh_degree: int | None,
    packed: bool,
    backgrounds: Tensor | None,
    render_mode: str,
    absgrad: bool,
    rasterize_mode: str,
    channel_chunk: int,
    blending: Blending,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The Numba backend of `rasterization`: same arguments, all given."""
    x = check_inputs(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height,
        sh_degree=sh_degree, backgrounds=backgrounds, render_mode=render_mode,
        rasterize_mode=rasterize_mode,
    )  # fmt: skip
    size = (width, height)
    antialiased = rasterize_mode == "antialiased"
    means2d, depths, conics, compensations, radii, covars2d = Project.apply(
        x.means, x.quats, x.scales, x.viewmats, x.opacities, x.Ks, size,
        (near_plane, far_plane, radius_clip, eps2d), antialiased,
    )  # fmt: skip
    per_camera = x.opacities[:, None].expand(depths.shape)
    if antialiased:
        per_camera = per_camera * compensations
    channels = _channels(x, depths, radii, sh_degree, render_mode)
    entries = {
        "radii": radii, "means2d": means2d, "depths": depths, "conics": conics,
        "opacities": per_camera,
    }  # fmt: skip
    meta, offsets, select = _meta(x, entries, size, packed=packed)
    lists = TileLists(
        offsets, meta["means2d"].reshape(-1, 2), meta["depths"].reshape(-1), select(covars2d),
        meta["opacities"].reshape(-1), meta["radii"].reshape(-1, 2), size,
    )  # fmt: skip
    _add_tile_meta(meta, lists, x, packed)
    background = _backgrounds(x, channels.shape[-1], render_mode)
    image, final = _blended(
        select(channels).split(channel_chunk, -1), background.split(channel_chunk, -1), meta, lists,
        size, blending, absgrad=absgrad,
    )  # fmt: skip
    alphas = (1 - final)[..., None]
    if render_mode in ("ED", "RGB+ED"):
        expected = image[..., -1:] / alphas.clamp(min=1e-10)
        image = torch.cat([image[..., :-1], expected], -1)
    lead = (*x.batch, x.viewmats.shape[1], height, width)
    return image.reshape(*lead, -1), alphas.reshape(*lead, 1), meta


def _blended(
    parts: Sequence[Tensor], behind: Sequence[Tensor], meta: dict[str, Any], lists: TileLists,
    size: tuple[int, int], blending: Blending, *, absgrad: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The picture, some channels at a time, and what passes through to the background."""
    tracked = meta["means2d"]
    pieces = []
    final = tracked.new_ones(())
    for part, background in zip(parts, behind):
        image, final = Blend.apply(
            tracked.reshape(-1, 2), meta["conics"].reshape(-1, 3), part,
            meta["opacities"].reshape(-1), background, lists, size, blending,
            tracked if absgrad else None,
        )  # fmt: skip
        pieces.append(image)
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, -1), final


def _channels(
    x: Inputs, depths: Tensor, radii: Tensor, sh_degree: int | None, render_mode: str
) -> Tensor:
    """What is blended, [B, C, N, D]: colours, shaded if they are SH, and depth."""
    if render_mode in ("D", "ED"):
        return depths[..., None]
    if sh_degree is None:
        colors = x.colors
    else:
        rotation, translation = x.viewmats[..., :3, :3], x.viewmats[..., :3, 3]
        centres = -(rotation.transpose(-1, -2) @ translation[..., None])[..., 0]
        # A viewmat is rigid, so its transpose inverts the rotation.
        colors = _shade(x, centres, radii, sh_degree)
    if render_mode in DEPTH_MODES:
        colors = torch.cat([colors.expand(*depths.shape, -1), depths[..., None]], -1)
    return colors.expand(*depths.shape, colors.shape[-1])


def _shade(x: Inputs, centres: Tensor, radii: Tensor, degree: int) -> Tensor:
    if not x.colors_per_camera:
        # squeeze, since the gradient of an index is a copy into zeros
        shaded: Tensor = Shade.apply(x.means, centres, x.colors.squeeze(1), radii, degree)
        return shaded
    cameras = range(centres.shape[1])
    return torch.cat(
        [
            Shade.apply(x.means, centres[:, c : c + 1], x.colors[:, c], radii[:, c : c + 1], degree)
            for c in cameras
        ],
        1,
    )


def _backgrounds(x: Inputs, channels: int, render_mode: str) -> Tensor:
    images = x.viewmats.shape[0] * x.viewmats.shape[1]
    if x.backgrounds is None or render_mode in ("D", "ED"):
        return torch.zeros(images, channels)
    given = x.backgrounds.reshape(images, -1)
    if render_mode in DEPTH_MODES:
        given = torch.cat([given, given.new_zeros(images, 1)], -1)
    return given


def _meta(
    x: Inputs, entries: dict[str, Tensor], size: tuple[int, int], *, packed: bool
) -> tuple[dict[str, Any], Any, Callable[[Tensor], Tensor]]:
    """gsplat's `meta`, where each image's entries start, and the way to bring values to entries."""
    B, C, N = entries["depths"].shape
    if packed:
        chosen = (entries["radii"] > 0).all(-1).reshape(-1).nonzero()[:, 0]
        counts = (entries["radii"] > 0).all(-1).reshape(B * C, N).sum(1)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).numpy()

        def select(value: Tensor) -> Tensor:
            return value.reshape(B * C * N, *value.shape[3:]).index_select(0, chosen)

        meta: dict[str, Any] = {k: select(v) for k, v in entries.items()}
        image = chosen // N
        ids: dict[str, Tensor | None] = {
            "batch_ids": image // C,
            "camera_ids": image % C,
            "gaussian_ids": chosen % N,
        }
    else:
        offsets = torch.arange(0, B * C * N + 1, N or 1)[: B * C + 1].numpy()
        if N == 0:
            offsets = torch.zeros(B * C + 1, dtype=torch.int64).numpy()

        def select(value: Tensor) -> Tensor:
            return value.reshape(B * C * N, *value.shape[3:])

        meta = {k: v.reshape(*x.batch, *v.shape[1:]) for k, v in entries.items()}
        ids = dict.fromkeys(("batch_ids", "camera_ids", "gaussian_ids"))
    width, height = size
    fixed = {"width": width, "height": height, "tile_size": TILE, "n_batches": B, "n_cameras": C}
    return {**ids, **meta, **fixed}, offsets, select


def _add_tile_meta(meta: dict[str, Any], lists: TileLists, x: Inputs, packed: bool) -> None:
    """The tile lists under gsplat's names; `isect_ids` holds tile numbers, as depth is sorted already."""
    columns = (meta["width"] + TILE - 1) // TILE
    rows = (meta["height"] + TILE - 1) // TILE
    C = x.viewmats.shape[1]
    starts = torch.from_numpy(lists.tile_starts)
    meta["tile_width"], meta["tile_height"] = columns, rows
    meta["tiles_per_gauss"] = torch.from_numpy(lists.per_entry).reshape(meta["depths"].shape)
    meta["flatten_ids"] = torch.from_numpy(lists.ids)
    meta["isect_offsets"] = starts[:-1].reshape(*x.batch, C, rows, columns).to(torch.int32)
    meta["isect_ids"] = torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())
