"""Rays through pixels of pinhole cameras, in OpenCV axes; differentiable."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def camera_centres(viewmats: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 3"]:
    """Where cameras are, metres.

    >>> camera_centres(torch.eye(4)).abs().tolist()
    [0.0, 0.0, 0.0]
    """
    R, t = viewmats[..., :3, :3], viewmats[..., :3, 3]
    return -(R.transpose(-1, -2) @ t[..., None])[..., 0]


def pixel_rays(
    pixels: Float[Tensor, "*batch P 2"],
    viewmats: Float[Tensor, "*batch 4 4"],
    Ks: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch P 3"]:
    """World directions of unit length through pixels.

    >>> K = torch.tensor([[2.0, 0, 1], [0, 2, 1], [0, 0, 1]])
    >>> pixel_rays(torch.tensor([[1.0, 1.0]]), torch.eye(4), K).tolist()
    [[0.0, 0.0, 1.0]]
    """
    focal = torch.stack([Ks[..., 0, 0], Ks[..., 1, 1]], -1)[..., None, :]
    flat = (pixels - Ks[..., None, :2, 2]) / focal
    local = torch.cat([flat, torch.ones_like(flat[..., :1])], -1)
    world = local @ viewmats[..., :3, :3]
    directions: Tensor = world / world.norm(dim=-1, keepdim=True)
    return directions
