"""From a scene and cameras to pictures: each camera sees the scene at its own time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.renderers.objects import draw_objects
from clay4d.renderers.rasterization import rasterization
from clay4d.renderers.volume import draw_field
from clay4d.scenes import Cameras, Gaussians, Scene
from clay4d.scenes.fields import AnyScene, FieldScene, ObjectFields

NEAR = 0.01
"""Depth from which Gaussians are drawn where a scene does not say, metres."""
PIXELS = 1 << 23
"""Pixels drawn by one call: bounds the memory of many cameras at one time."""


@dataclass(frozen=True)
class Rendering:
    """What C cameras see, as the renderer blends it: colours may leave 0–1 by a little."""

    images: Float[Tensor, "C H W 3"]
    """sRGB over the background."""
    alphas: Float[Tensor, "C H W 1"]
    """How much of each pixel the scene covers, 0 to 1."""
    depths: Float[Tensor, "C H W 1"] | None
    """Expected camera z, metres; 0 where nothing is. None if it was not asked for."""


def raster_options(scene: object) -> dict[str, Any]:
    """What a scene asks of `rasterization`: the nearest depth, and how small Gaussians are drawn.

    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene
    >>> raster_options(SplatScene({}, Static(), antialiased=True))["rasterize_mode"]
    'antialiased'
    """
    return {
        "near_plane": getattr(scene, "near", NEAR),
        "eps2d": getattr(scene, "eps2d", 0.3),
        "rasterize_mode": "antialiased" if getattr(scene, "antialiased", False) else "classic",
    }


@torch.no_grad()
def render(
    scene: AnyScene | Gaussians,
    cameras: Cameras,
    *,
    depth: bool = True,
    backend: str = "auto",
    background: tuple[float, float, float] | None = None,
    like: object = None,
) -> Rendering:
    """Draw a scene from each camera at that camera's time, without gradients.

    Args:
        scene: anything with `.at(time)`, Gaussians, which stand still, or a radiance field.
        cameras: C cameras; those at equal times are drawn together.
        depth: whether to draw expected depth too.
        backend: as in `rasterization`; fields are always drawn on the CPU, their stage by this.
        background: colour behind everything; the scene's own by default, black for Gaussians.
        like: the scene whose `raster_options` hold, where what is drawn are Gaussians out of one.

    Raises:
        ValueError: a background that is not three finite numbers, a scene with values that are
            not finite.
        TypeError: something that is neither a scene nor Gaussians.

    >>> one = Gaussians.from_points(torch.tensor([[0.0, 0.0, 2.0]]), torch.ones(1, 3))
    >>> K = torch.tensor([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]])
    >>> seen = render(one, Cameras(torch.eye(4)[None], K[None], 8, 6, torch.zeros(1)))
    >>> seen.images.shape, round(seen.depths.max().item(), 3)
    (torch.Size([1, 6, 8, 3]), 2.0)
    """
    shade = _background(scene, background)
    if isinstance(scene, FieldScene):
        pictures, alpha, z = draw_field(scene, cameras, background=shade, near=NEAR)
        return Rendering(pictures, alpha, z if depth else None)
    if isinstance(scene, ObjectFields):
        pictures, alpha, z = _draw_objects(scene, cameras, shade, backend)
        return Rendering(pictures, alpha, z if depth else None)
    options = raster_options(scene if like is None else like)
    count, size = len(cameras), (cameras.height, cameras.width)
    images = torch.empty(count, *size, 3)
    alphas = torch.empty(count, *size, 1)
    depths = torch.empty(count, *size, 1) if depth else None
    for time, chosen in _groups(cameras):
        gaussians = scene if isinstance(scene, Gaussians) else scene.at(time)
        colors, alpha = _draw(
            gaussians, cameras[chosen], shade, depth=depth, backend=backend, options=options
        )
        images[chosen], alphas[chosen] = colors[..., :3].cpu(), alpha.cpu()
        if depths is not None:
            depths[chosen] = colors[..., 3:].cpu()
    return Rendering(images, alphas, depths)


def _background(
    scene: AnyScene | Gaussians, given: tuple[float, float, float] | None
) -> Float[Tensor, " 3"]:
    if not isinstance(scene, Gaussians | Scene):
        raise TypeError(
            f"scene got {type(scene).__name__}; expected Gaussians or a scene with .at(time)."
        )
    if given is None:
        given = (0.0, 0.0, 0.0) if isinstance(scene, Gaussians) else scene.background
    value = torch.tensor(given, dtype=torch.float32)
    if value.shape != (3,) or not torch.isfinite(value).all():
        raise ValueError(f"background got {given}; expected three finite numbers.")
    return value


def _draw_objects(
    scene: ObjectFields, cameras: Cameras, shade: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Images, alphas and depths of fields before their stage, which is drawn first."""
    red, green, blue = shade.tolist()
    stage = render(scene.stage, cameras, backend=backend, background=(red, green, blue))
    assert stage.depths is not None
    return draw_objects(scene, cameras, (stage.images, stage.alphas, stage.depths), near=NEAR)


def _groups(cameras: Cameras) -> list[tuple[float, Int[Tensor, " c"]]]:
    """Times, and the cameras to draw at each in one call."""
    at_once = max(1, PIXELS // (cameras.width * cameras.height))
    times, which = torch.unique(cameras.times, return_inverse=True)
    return [
        (float(time), part)
        for k, time in enumerate(times)
        for part in torch.split((which == k).nonzero()[:, 0], at_once)
    ]


def _draw(
    gaussians: Gaussians,
    cameras: Cameras,
    shade: Tensor,
    *,
    depth: bool,
    backend: str,
    options: dict[str, Any],
) -> tuple[Tensor, Tensor]:
    """Colours (and expected depth) [c, H, W, 3 or 4] and alphas [c, H, W, 1]."""
    device = gaussians.means.device
    colors, alphas, _ = rasterization(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
        cameras.viewmats.to(device), cameras.Ks.to(device), cameras.width, cameras.height,
        sh_degree=gaussians.sh_degree,
        backgrounds=shade.to(device).expand(len(cameras), 3),
        render_mode="RGB+ED" if depth else "RGB",
        backend=backend,
        # Of one picture most is seen, and leaving out the rest takes longer than drawing with it.
        packed=len(cameras) > 1,
        **options,
    )  # fmt: skip
    return colors, alphas
