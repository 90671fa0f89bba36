"""The box in which a scene starts, from the cameras alone."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.cameras import Cameras

SYNTHETIC = 1.3
"""Half the side of the box of NeRF's and D-NeRF's Blender scenes, as all of their trainers have it."""
SPREAD = 0.05
"""Least eigenvalue of the focus problem: below it the axes are too parallel to meet (some 13°)."""


def synthetic_bounds() -> Float[Tensor, "2 3"]:
    """The box [-1.3, 1.3]³ of Blender's synthetic scenes.

    >>> synthetic_bounds().shape
    torch.Size([2, 3])
    """
    return torch.tensor([[-SYNTHETIC] * 3, [SYNTHETIC] * 3])


def focus(cameras: Cameras) -> Float[Tensor, " 3"] | None:
    """The point nearest to all optical axes, metres; None where they do not meet before the cameras.

    Least squares over the squared distances to the axes.

    >>> focus(Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8, torch.zeros(1))) is None
    True
    """
    centres, axes = cameras.centres.double(), cameras.viewmats[:, 2, :3].double()
    across = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]
    A, b = across.mean(0), (across @ centres[..., None]).mean(0)
    if float(torch.linalg.eigvalsh(A)[0]) < SPREAD:
        return None
    point = torch.linalg.solve(A, b)[:, 0]
    depths = ((point - centres) * axes).sum(1)
    return point.float() if float(depths.median()) > 0 else None


def camera_bounds(cameras: Cameras) -> Float[Tensor, "2 3"]:
    """A cube about the point that the cameras look at.

    Its centre is `focus(cameras)` and half its side the median distance from the cameras to it, so
    that it holds what all cameras see and reaches about as far as they stand. Where the axes do not
    meet (one camera, cameras side by side, a walk forwards) it lies before the cameras instead: its
    centre one reach ahead along the mean axis and half its side one reach, a reach being twice the
    median distance of the cameras from their median, and one metre at the least.

    >>> camera_bounds(Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8, torch.zeros(1)))[1, 2]
    tensor(2.)
    """
    centres = cameras.centres
    point = focus(cameras)
    if point is not None:
        half = (centres - point).norm(dim=1).median()
    else:
        middle = centres.median(0).values
        half = (2 * (centres - middle).norm(dim=1).median()).clamp(min=1.0)
        axis = cameras.viewmats[:, 2, :3].mean(0)
        point = middle + half * axis / axis.norm().clamp(min=1e-6)
    return torch.stack([point - half, point + half])
