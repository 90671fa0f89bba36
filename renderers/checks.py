"""What `rasterization` accepts: shapes, values and modes, checked at the door.

The kernels are compiled with fast maths, which does not see NaN, so nothing that is not finite gets past here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

RENDER_MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
RASTERIZE_MODES = ("classic", "antialiased")
# gsplat's further arguments and the values that ask for nothing.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "sparse_grad": (False,),
    "distributed": (False,),
    "camera_model": ("pinhole",),
    "segmented": (False, True),
    "covars": (None,),
    "with_ut": (False,),
    "with_eval3d": (False,),
    "radial_coeffs": (None,),
    "tangential_coeffs": (None,),
    "thin_prism_coeffs": (None,),
    "ftheta_coeffs": (None,),
    "rolling_shutter": (None, 4),
    "viewmats_rs": (None,),
}


@dataclass(frozen=True)
class Inputs:
    """The tensors with one batch dimension B; colours are [B, C or 1, N, D] or [B, C or 1, N, K, 3]."""

    batch: tuple[int, ...]
    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    colors_per_camera: bool
    viewmats: Tensor
    Ks: Tensor
    backgrounds: Tensor | None


def refuse_unsupported(**options: Any) -> None:
    """Refuse features of gsplat that clay4d does not have, by name.

    Raises:
        NotImplementedError: an option of gsplat's that asks for something.
        TypeError: an option that gsplat does not have either.

    >>> refuse_unsupported(camera_model="fisheye")
    Traceback (most recent call last):
    NotImplementedError: camera_model='fisheye' is not supported; expected 'pinhole'.
    """
    for name, value in options.items():
        if name not in NEUTRAL:
            raise TypeError(f"rasterization() got an unexpected keyword argument {name!r}")
        neutral = NEUTRAL[name]
        plain = isinstance(value, str | bool | int | type(None))
        if name == "rolling_shutter" and getattr(value, "name", None) == "GLOBAL":
            continue
        if not plain or value not in neutral:
            shown = repr(value) if plain else type(value).__name__
            raise NotImplementedError(f"{name}={shown} is not supported; expected {neutral[0]!r}.")


def _shape(name: str, value: Tensor, expected: tuple[int | str, ...]) -> None:
    wanted = tuple(
        value.shape[i] if isinstance(e, str) else e for i, e in enumerate(expected[-value.ndim :])
    )
    if value.ndim != len(expected) or tuple(value.shape) != wanted:
        raise ValueError(f"{name} got shape {list(value.shape)}; expected {list(expected)}.")


def _finite(name: str, value: Tensor) -> None:
    # The sum is cheaper than the test of each value, and NaN and infinity survive it.
    if not torch.isfinite(value.detach().sum()) and not torch.isfinite(value.detach()).all():
        raise ValueError(
            f"{name} got NaN or infinity; expected finite values. Check what made them."
        )


def _check_values(name: str, value: Tensor) -> None:
    if value.device.type != "cpu":
        raise ValueError(
            f"{name} got a tensor on {value.device}; expected the CPU. Use backend='gsplat'."
        )
    _finite(name, value)


def _check_modes(render_mode: str, rasterize_mode: str, width: int, height: int) -> None:
    if render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode got {render_mode!r}; expected one of {RENDER_MODES}.")
    if rasterize_mode not in RASTERIZE_MODES:
        raise ValueError(
            f"rasterize_mode got {rasterize_mode!r}; expected one of {RASTERIZE_MODES}."
        )
    if width < 1 or height < 1:
        raise ValueError(f"width, height got {width}, {height}; expected at least 1, 1.")


def check_inputs(
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
    sh_degree: int | None,
    backgrounds: Tensor | None,
    render_mode: str,
    rasterize_mode: str,
) -> Inputs:
    """Check everything and fold the leading batch dimensions into one.

    Raises:
        ValueError: what is wrong, what was expected.
    """
    _check_modes(render_mode, rasterize_mode, width, height)
    if means.ndim < 2:
        raise ValueError(f"means got shape {list(means.shape)}; expected [..., N, 3].")
    batch, n = tuple(means.shape[:-2]), means.shape[-2]
    if viewmats.ndim != len(batch) + 3:
        raise ValueError(
            f"viewmats got shape {list(viewmats.shape)}; expected {[*batch, 'C', 4, 4]}."
        )
    c = viewmats.shape[-3]
    _shape("means", means, (*batch, n, 3))
    _shape("quats", quats, (*batch, n, 4))
    _shape("scales", scales, (*batch, n, 3))
    _shape("opacities", opacities, (*batch, n))
    _shape("viewmats", viewmats, (*batch, c, 4, 4))
    _shape("Ks", Ks, (*batch, c, 3, 3))
    colors, per_camera = _check_colors(colors, batch, c, n, sh_degree)
    tensors = {
        "means": means, "quats": quats, "scales": scales, "opacities": opacities,
        "colors": colors, "viewmats": viewmats, "Ks": Ks,
    }  # fmt: skip
    if backgrounds is not None:
        depth_only = render_mode in ("D", "ED")
        channels = 3 if sh_degree is not None else colors.shape[-1]
        if not depth_only:
            _shape("backgrounds", backgrounds, (*batch, c, channels))
        tensors["backgrounds"] = backgrounds
    for name, value in tensors.items():
        _check_values(name, value)
    b = math.prod(batch)

    def fold(value: Tensor) -> Tensor:
        return value.float().reshape(b, *value.shape[len(batch) :])

    return Inputs(
        batch, fold(means), fold(quats), fold(scales), fold(opacities),
        colors.float().reshape(b, *colors.shape[len(batch) :]), per_camera,
        fold(viewmats), fold(Ks), None if backgrounds is None else fold(backgrounds),
    )  # fmt: skip


def _check_colors(
    colors: Tensor, batch: tuple[int, ...], c: int, n: int, sh_degree: int | None
) -> tuple[Tensor, bool]:
    """Colours with a camera axis, and whether each camera has its own."""
    tail = 1 if sh_degree is None else 2
    per_camera = colors.ndim == len(batch) + 2 + tail
    cameras: tuple[int, ...] = (c,) if per_camera else ()
    if sh_degree is None:
        _shape("colors", colors, (*batch, *cameras, n, "D"))
    else:
        if not 0 <= sh_degree <= 3:
            raise ValueError(f"sh_degree got {sh_degree}; expected 0 to 3.")
        _shape("colors", colors, (*batch, *cameras, n, "K", 3))
        if colors.shape[-2] < (sh_degree + 1) ** 2:
            raise ValueError(
                f"colors got {colors.shape[-2]} SH coefficients; expected at least "
                f"{(sh_degree + 1) ** 2} for sh_degree {sh_degree}."
            )
    return (colors if per_camera else colors.unsqueeze(len(batch))), per_camera
