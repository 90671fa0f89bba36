"""A way round a scene that has no cameras of its own, such as a file of Gaussians."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.paths import look_at
from clay4d.scenes import Cameras, Gaussians, Scene
from clay4d.scenes.fields import AnyField, AnyScene

Up = Literal["x", "y", "z", "-x", "-y", "-z"]
"""Which of a file's axes points up: z in clay4d's scenes, -y in most that were trained elsewhere."""
FIELD = math.radians(45)
"""Angle of view, from side to side."""
ELEVATION = math.radians(15)
SEEN = 0.1
"""Opacity from which Gaussians count for where the scene is."""
OUTLIERS = 0.02
"""Share of the centres at each end of an axis that does not count."""


@dataclass(frozen=True)
class OneMoment:
    """A scene that stands still as another is at one moment, seconds after its start.

    >>> from clay4d.scenes import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.rand(5, 3), torch.rand(5, 3))
    >>> len(OneMoment(SplatScene(raw_from_gaussians(g), Static()), 0.5).at(9.0))
    5
    """

    scene: Scene
    time: float
    duration = 0.0
    background = (0.0, 0.0, 0.0)

    def at(self, time: float) -> Gaussians:
        """The Gaussians of that moment, whatever is asked."""
        return self.scene.at(self.time)


def around_scene(scene: AnyScene, *, frames: int = 120, up: Up = "z", size: int = 800) -> Cameras:
    """Cameras on a circle about the middle of what a scene shows at its start, far enough to see all.

    Args:
        frames: how many; their times run from 0 to the scene's duration.
        up: the axis that points up.
        size: pixels of a side.

    Raises:
        ValueError: an axis that is none, fewer than one frame.

    >>> from clay4d.scenes import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.rand(50, 3), torch.rand(50, 3))
    >>> around_scene(SplatScene(raw_from_gaussians(g), Static()), frames=3).viewmats.shape
    torch.Size([3, 4, 4])
    """
    if up not in get_args(Up):
        raise ValueError(f"up got {up!r}; expected one of {', '.join(get_args(Up))}.")
    if frames < 1:
        raise ValueError(f"frames got {frames}; expected at least 1.")
    upright = upright_turn(up)
    points = _places(scene).double() @ upright.T
    low, high = (_quantile(points, share) for share in (OUTLIERS, 1 - OUTLIERS))
    centre, radius = (low + high) / 2, max(float((high - low).norm()) / 2, 1e-3)
    distance = 1.1 * radius / math.sin(FIELD / 2)
    angles = torch.arange(frames, dtype=torch.float64) * (2 * math.pi / frames)
    flat = distance * math.cos(ELEVATION)
    eyes = centre + torch.stack(
        [flat * angles.sin(), -flat * angles.cos(), angles * 0 + distance * math.sin(ELEVATION)], 1
    )
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = upright
    focal = size / 2 / math.tan(FIELD / 2)
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    views = (look_at(eyes, centre).double() @ turn).float()
    times = torch.linspace(0, scene.duration, frames)
    return Cameras(views, K.expand(frames, 3, 3), size, size, times)


def upright_turn(up: Up) -> Float[Tensor, "3 3"]:
    """The rotation that brings an axis to z.

    >>> (upright_turn("-y") @ torch.tensor([0.0, -1, 0], dtype=torch.float64)).tolist()
    [0.0, 0.0, 1.0]
    """
    axis = "xyz".index(up[-1])
    sign = -1.0 if up[0] == "-" else 1.0
    eye = torch.eye(3, dtype=torch.float64)
    z = sign * eye[axis]
    x = eye[(axis + 1) % 3]
    return torch.stack([x, torch.linalg.cross(z, x), z])


@torch.no_grad()
def _places(scene: AnyScene) -> Float[Tensor, "N 3"]:
    """Where something can be seen at the scene's start."""
    if isinstance(scene, AnyField):
        return scene.occupied_points(0.0)
    gaussians = scene.at(0.0)
    means = gaussians.means[gaussians.opacities >= SEEN]
    return means if len(means) else gaussians.means


def _quantile(points: Float[Tensor, "N 3"], share: float) -> Float[Tensor, " 3"]:
    """Without `torch.quantile`, which takes 16 million numbers at the most."""
    place = round(share * (len(points) - 1))
    return points.sort(0).values[place]
