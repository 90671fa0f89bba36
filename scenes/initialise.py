"""Where training starts: known points, or random ones in the scene's box."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def neighbour_distances(points: Float[Tensor, "N 3"], k: int = 3) -> Float[Tensor, " N"]:
    """Mean distance from each point to its `k` nearest others, metres; at least 1e-6.

    >>> neighbour_distances(torch.tensor([[0.0, 0, 0], [1, 0, 0]])).tolist()
    [1.0, 1.0]
    """
    n = len(points)
    if n < 2:
        return torch.full((n,), 1e-2)
    from scipy.spatial import cKDTree  # a third of a second that drawing can do without

    tree = cKDTree(points.detach().double().numpy())
    distances, _ = tree.query(points.detach().double().numpy(), k=min(k + 1, n), workers=1)
    return torch.from_numpy(distances[:, 1:].mean(1)).float().clamp(min=1e-6)


def random_points(
    bounds: Float[Tensor, "2 3"], count: int, *, seed: int = 0
) -> Float[Tensor, "N 6"]:
    """`count` points with random grey-centred colours, uniform in a box.

    >>> random_points(torch.tensor([[0.0, 0, 0], [1, 1, 1]]), 5).shape
    torch.Size([5, 6])
    """
    g = torch.Generator().manual_seed(seed)
    xyz = bounds[0] + torch.rand(count, 3, generator=g) * (bounds[1] - bounds[0])
    return torch.cat([xyz, torch.rand(count, 3, generator=g)], 1)
