"""What the viewer shows of a scene: which colours, which part, on which background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.renderers.render import render
from clay4d.renderers.video import colour_depth, depth_range
from clay4d.scenes import Cameras, Gaussians, Scene
from clay4d.scenes.fields import AnyField, AnyScene
from clay4d.scenes.gaussians import C0

Show = Literal["color", "depth", "alpha", "motion"]
"""Colours; expected depth, near light; coverage; velocity, where grey stands still."""
SHOWS: tuple[Show, ...] = ("color", "depth", "alpha", "motion")
STEP = 1 / 60
"""Seconds before and after a moment between which velocities are measured."""


@dataclass(frozen=True)
class Look:
    """How a scene is shown.

    >>> Look().show
    'color'
    """

    show: Show = "color"
    background: tuple[float, float, float] | None = None
    """Colour behind everything, 0 to 1; the scene's own by default."""
    crop: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """Lowest and highest corner of the box outside which nothing is shown, metres."""


def seen(scene: Scene, time: float, look: Look) -> Gaussians:
    """The Gaussians to draw at a time: inside the crop box, coloured by motion if that is asked for.

    >>> from clay4d.renderers.viewer.look import Look
    >>> class Still:
    ...     duration, background = 0.0, (0.0, 0.0, 0.0)
    ...     def at(self, time):
    ...         return Gaussians.from_points(torch.tensor([[0.0, 0, 0], [3, 0, 0]]), torch.ones(2, 3))
    >>> len(seen(Still(), 0.0, Look(crop=((-1, -1, -1), (1, 1, 1)))))
    1
    """
    gaussians = scene.at(time).detach()
    if look.show == "motion":
        gaussians = replace(gaussians, sh=((_motion(scene, time) - 0.5) / C0)[:, None])
    return gaussians if look.crop is None else gaussians.within(*look.crop)


def _motion(scene: Scene, time: float) -> Float[Tensor, "N 3"]:
    """Velocities as colours: 0.5 stands still, red, green and blue go with x, y and z."""
    before, after = max(time - STEP, 0.0), min(time + STEP, scene.duration)
    here = scene.at(before).means.detach()
    if after <= before:
        return torch.full_like(here, 0.5)
    velocity = (scene.at(after).means.detach() - here) / (after - before)
    fast = torch.quantile(velocity.norm(dim=1)[:100_000], 0.99) if len(here) else 1.0
    return (0.5 + 0.5 * velocity / max(float(fast), 1e-6)).clamp(0, 1)


def cropped(scene: AnyField, look: Look) -> AnyField:
    """A field with nothing outside the crop box.

    >>> from clay4d.scenes.fields import FieldScene, KPlanes, all_occupied
    >>> field = KPlanes(resolution=8, time_resolution=2, levels=1)
    >>> scene = FieldScene(field, torch.tensor([[-1.0] * 3, [1.0] * 3]), all_occupied(1, 4))
    >>> int(cropped(scene, Look(crop=((0.0, -1, -1), (1, 1, 1)))).occupied.sum())
    32
    """
    return scene if look.crop is None else scene.within(*look.crop)


def draw(
    scene: AnyScene, camera: Cameras, look: Look, *, backend: str = "auto"
) -> UInt8[np.ndarray, "H W 3"]:
    """One picture of a scene by the rasteriser, from one camera at its time.

    Raises:
        ValueError: as `render` does.
    """
    background = scene.background if look.background is None else look.background
    shown = (
        cropped(scene, look)
        if isinstance(scene, AnyField)
        else seen(scene, float(camera.times[0]), look)
    )
    drawn = render(
        shown,
        camera,
        depth=look.show == "depth",
        backend=backend,
        background=background,
        like=scene,
    )
    image = drawn.images[0]
    if look.show == "alpha":
        image = drawn.alphas[0].expand(-1, -1, 3)
    elif drawn.depths is not None:
        near, far = depth_range(drawn.depths, drawn.alphas)
        image = colour_depth(drawn.depths, drawn.alphas, near=near, far=far)[0]
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = (
        (image.clamp(0, 1) * 255 + 0.5).byte().numpy()
    )
    return pixels


def covariances(gaussians: Gaussians) -> Float[Tensor, "N 3 3"]:
    """Second moments R diag(s²) Rᵀ of Gaussians, square metres.

    >>> one = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3), scales=torch.tensor([[1.0, 2, 3]]))
    >>> covariances(one)[0].diagonal().tolist()
    [1.0, 4.0, 9.0]
    """
    w, x, y, z = torch.nn.functional.normalize(gaussians.quats, dim=1).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    M = torch.stack(rows, 1).reshape(-1, 3, 3) * gaussians.scales[:, None]
    return M @ M.transpose(1, 2)
