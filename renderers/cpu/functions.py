"""The kernels as differentiable torch functions: project, shade, blend."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.renderers.cpu import blend as blend_kernels
from clay4d.renderers.cpu import packing, projection, spherical_harmonics, tiles
from clay4d.renderers.settings import Blending

F32 = np.float32


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().contiguous().numpy()


class Project(torch.autograd.Function):
    """Means, quats and scales to means2d, depths, conics and compensations (see `projection`)."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Float[Tensor, "B N 3"],
        quats: Float[Tensor, "B N 4"],
        scales: Float[Tensor, "B N 3"],
        viewmats: Float[Tensor, "B C 4 4"],
        opacities: Float[Tensor, "B N"],
        Ks: Float[Tensor, "B C 3 3"],
        size: tuple[int, int],
        limits: tuple[float, float, float, float],
        antialiased: bool,
    ) -> tuple[Tensor, ...]:
        near, far, radius_clip, eps2d = limits
        arrays = [_array(x) for x in (means, quats, scales, opacities, viewmats, Ks)]
        out = projection.project(
            *arrays, *map(F32, size), F32(near), F32(far), F32(radius_clip), F32(eps2d), antialiased
        )
        means2d, depths, conics, compensations, radii, covars2d = map(torch.from_numpy, out)
        ctx.save_for_backward(means, quats, scales, viewmats, Ks, radii, conics, compensations)
        ctx.size, ctx.eps2d = size, eps2d
        ctx.mark_non_differentiable(radii, covars2d)
        return means2d, depths, conics, compensations, radii, covars2d

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        means, quats, scales, viewmats, Ks, radii, conics, compensations = ctx.saved_tensors
        g_means, g_quats, g_scales, g_views = projection.project_backward(
            *(_array(x) for x in (means, quats, scales, viewmats, Ks)),
            *map(F32, ctx.size),
            F32(ctx.eps2d),
            *(_array(x) for x in (radii, conics, compensations)),
            *(_array(g) for g in (grads[0], grads[1], grads[2], grads[3])),
        )
        g_viewmats = None
        if ctx.needs_input_grad[3]:
            g_viewmats = torch.zeros_like(viewmats)
            g_viewmats[..., :3, :] = torch.from_numpy(g_views.sum(1, dtype=np.float64).astype(F32))
        found = (torch.from_numpy(g) for g in (g_means, g_quats, g_scales))
        return (*found, g_viewmats, None, None, None, None, None)


class Shade(torch.autograd.Function):
    """Spherical harmonics to colours, seen from the cameras' centres."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Float[Tensor, "B N 3"],
        centres: Float[Tensor, "B C 3"],
        sh: Float[Tensor, "B N K 3"],
        radii: Int[Tensor, "B C N 2"],
        degree: int,
    ) -> Tensor:
        arrays = [_array(x) for x in (means, centres, sh, radii)]
        colors = torch.from_numpy(spherical_harmonics.colours(degree, *arrays))
        ctx.save_for_backward(means, centres, sh, radii, colors)
        ctx.degree = degree
        return colors

    @staticmethod
    def backward(ctx: Any, g_colors: Tensor) -> tuple[Tensor | None, ...]:
        arrays = [_array(x) for x in ctx.saved_tensors]
        g_sh, g_means, g_centres = spherical_harmonics.colours_backward(
            ctx.degree, *arrays, _array(g_colors)
        )
        summed = torch.from_numpy(g_centres.sum(1, dtype=np.float64).astype(F32))
        return torch.from_numpy(g_means), summed, torch.from_numpy(g_sh), None, None


class TileLists:
    """The pairs (tile, entry) of one call, front to back within each tile."""

    def __init__(
        self,
        offsets: np.ndarray[Any, Any],
        means2d: Float[Tensor, "M 2"],
        depths: Float[Tensor, " M"],
        covars2d: Float[Tensor, "M 3"],
        opacities: Float[Tensor, " M"],
        radii: Int[Tensor, "M 2"],
        size: tuple[int, int],
    ) -> None:
        width, height = size
        self.offsets = offsets
        m, d, c, o, r = (_array(x) for x in (means2d, depths, covars2d, opacities, radii))
        self.covars2d = c
        self.reaches, tops, rows = tiles.measure(m, c, o, r, width, height)
        span_starts = _starts(rows)
        spans, self.per_entry = tiles.spread(m, c, self.reaches, tops, span_starts, width)
        self.entry_starts = _starts(self.per_entry)
        order, visible = tiles.sort(offsets, d, rows)
        self.tile_starts, self.ids, self.slots = tiles.fill(
            offsets, order, visible, tops, span_starts, spans, width, height, self.entry_starts
        )


def _starts(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    starts = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


class Blend(torch.autograd.Function):
    """Tile lists to images and final transmittance."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Float[Tensor, "M 2"],
        conics: Float[Tensor, "M 3"],
        colors: Float[Tensor, "M D"],
        opacities: Float[Tensor, " M"],
        backgrounds: Float[Tensor, "I D"],
        lists: TileLists,
        size: tuple[int, int],
        blending: Blending,
        track: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        width, height = size
        constants = (F32(blending.max_alpha), F32(blending.alpha_min), F32(blending.t_min))
        m, q, c, o, bg = (_array(x) for x in (means2d, conics, colors, opacities, backgrounds))
        packed = packing.pack(m, q, lists.covars2d, lists.reaches, c, o)
        image, transmittance, touched, ends = blend_kernels.forward(
            lists.tile_starts, lists.ids, packed, bg,
            lists.offsets.size - 1, width, height, *constants, numba.get_num_threads(),
        )  # fmt: skip
        images, final = torch.from_numpy(image), torch.from_numpy(transmittance)
        ctx.save_for_backward(images, final)
        ctx.lists, ctx.packed, ctx.touched, ctx.ends = lists, packed, touched, ends
        ctx.constants = constants
        ctx.track = track
        return images, final

    @staticmethod
    def backward(ctx: Any, g_image: Tensor, g_final: Tensor) -> tuple[Tensor | None, ...]:
        images, final = ctx.saved_tensors
        lists = ctx.lists
        rows = blend_kernels.backward(
            lists.tile_starts, lists.ids, ctx.touched, ctx.ends, ctx.packed,
            *(_array(x) for x in (images, final, g_image)),
            # alpha = 1 - T
            _array(-g_final), *ctx.constants, ctx.track is not None, numba.get_num_threads(),
        )  # fmt: skip
        g_opacities, g_conics, g_means2d, absolute, g_colors = map(
            torch.from_numpy, blend_kernels.gather(lists.entry_starts, lists.slots, rows)
        )
        if ctx.track is not None:
            ctx.track.absgrad = absolute.reshape(ctx.track.shape)
        g_backgrounds = None
        if ctx.needs_input_grad[4]:
            g_backgrounds = (g_image * final[..., None]).sum((1, 2))
        return g_means2d, g_conics, g_colors, g_opacities, g_backgrounds, None, None, None, None
