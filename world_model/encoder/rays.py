"""Coordinates of rays, and the point that several of them meet in."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def plucker(
    rays: Float[Tensor, "*batch P 3"], centres: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch P 6"]:
    """Plücker coordinates of rays: direction and moment about the origin (Plücker 1865)."""
    start = centres[..., None, :].expand_as(rays)
    return torch.cat([rays, torch.linalg.cross(start, rays, dim=-1)], -1)


def meeting_point(
    origins: Float[Tensor, "*batch C 3"],
    rays: Float[Tensor, "*batch C 3"],
    *,
    across: Float[Tensor, "*batch C"],
    along: Float[Tensor, "*batch C"],
    depths: Float[Tensor, "*batch C"],
    rest: Float[Tensor, "*batch 3"],
    rest_weight: float = 1e-4,
) -> Float[Tensor, "*batch 3"]:
    """The point with the least sum of weighted squared distances, in closed form.

    Args:
        across: weight of the distance from each ray. along: weight of the distance from the point at
            `depths` on each ray, measured along it. rest: where the point is drawn to, weakly.

    Zero weights leave a ray out, so one camera, several or none are all the same call.

    Source: least-squares triangulation (Hartley & Sturm 1997, section 5.1, linear method).

    >>> o = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    >>> d = torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    >>> w = torch.tensor([1.0, 0.0])
    >>> meeting_point(o, d, across=w, along=w, depths=torch.tensor([2.0, 9.0]),
    ...     rest=torch.zeros(3), rest_weight=0.0).tolist()
    [0.0, 0.0, 2.0]
    """
    eye = torch.eye(3)
    outer = rays[..., :, None] * rays[..., None, :]
    pull = across[..., None, None] * (eye - outer)
    hold = along[..., None, None] * outer
    matrix = (pull + hold).sum(-3) + rest_weight * eye
    target = origins + rays * depths[..., None]
    right = (pull @ origins[..., None] + hold @ target[..., None]).sum(-3)[..., 0]
    solved: Tensor = torch.linalg.solve(matrix, right + rest_weight * rest)
    return solved
