"""Quaternions wxyz in torch: products, turns, and the way from one rotation to another."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def normalise(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """The unit quaternion of the same rotation; the identity for zeros."""
    length = q.norm(dim=-1, keepdim=True)
    identity = torch.zeros_like(q)
    identity[..., 0] = 1
    return torch.where(length > 1e-12, q / length.clamp_min(1e-12), identity)


def multiply(
    a: Float[Tensor, "*batch 4"], b: Float[Tensor, "*batch 4"]
) -> Float[Tensor, "*batch 4"]:
    """The rotation b followed by a.

    >>> i, j = torch.tensor([0.0, 1, 0, 0]), torch.tensor([0.0, 0, 1, 0])
    >>> multiply(i, j).tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def conjugate(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """The opposite rotation of a unit quaternion."""
    return torch.cat([q[..., :1], -q[..., 1:]], -1)


def rotate(q: Float[Tensor, "*batch 4"], v: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Vectors turned by unit quaternions.

    >>> rotate(torch.tensor([0.5**0.5, 0, 0, 0.5**0.5]), torch.tensor([1.0, 0, 0])).round().tolist()
    [0.0, 1.0, 0.0]
    """
    w, axis = q[..., :1], q[..., 1:].expand_as(v)
    across = 2 * torch.linalg.cross(axis, v, dim=-1)
    turned: Tensor = v + w * across + torch.linalg.cross(axis, across, dim=-1)
    return turned


def from_rotation_vector(v: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 4"]:
    """The quaternion of a turn about `v` by its length in radians; smooth at zero."""
    half = 0.5 * v.square().sum(-1, keepdim=True).add(1e-16).sqrt()
    return torch.cat([torch.cos(half), 0.5 * v * torch.sinc(half / torch.pi)], -1)


def to_rotation_vector(q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3"]:
    """The shorter turn of unit quaternions as axis times radians; smooth at zero."""
    q = torch.where(q[..., :1] < 0, -q, q)
    sine = q[..., 1:].square().sum(-1, keepdim=True).add(1e-16).sqrt()
    angle = 2 * torch.atan2(sine, q[..., :1])
    return q[..., 1:] * (angle / sine)


def slerp(
    a: Float[Tensor, "*batch 4"], b: Float[Tensor, "*batch 4"], share: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 4"]:
    """The rotation that is a `share` of the shorter way from a to b.

    Source: Shoemake 1985.
    """
    step = to_rotation_vector(multiply(b, conjugate(a)))
    return multiply(from_rotation_vector(step * share[..., None]), a)
