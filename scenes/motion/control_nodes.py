"""Sparse control nodes whose learned rigid motion carries the Gaussians near them.

After SC-GS (Huang et al., CVPR 2024): a small network gives each node a rotation and a translation
at a time; Gaussians follow their nearest nodes by linear blend skinning. The network runs on some
hundred nodes instead of on every Gaussian, which is what makes it cheap on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from clay4d.scenes.motion.base import Moved, Raw
from clay4d.scenes.motion.skinning import Skin

SPACE_OCTAVES = 8
TIME_OCTAVES = 6
CODE_SPREAD = 0.3
"""Standard deviation of the nodes' first codes, as a share of the usual distance between nodes."""


def encode(x: Float[Tensor, "N D"], octaves: int) -> Float[Tensor, "N E"]:
    """x with sines and cosines of its octaves (Mildenhall et al. 2020), E = D·(1 + 2·octaves).

    >>> encode(torch.zeros(2, 3), 4).shape
    torch.Size([2, 27])
    """
    scaled = (x[..., None] * 2.0 ** torch.arange(octaves)).flatten(-2)
    return torch.cat([x, scaled.sin(), scaled.cos()], -1)


def farthest_points(points: Float[Tensor, "N 3"], count: int) -> Int[Tensor, " M"]:
    """Indices of `count` points, each the farthest from those before it; starts at point 0.

    >>> farthest_points(torch.tensor([[0.0, 0, 0], [1, 0, 0], [5, 0, 0]]), 2).tolist()
    [0, 2]
    """
    chosen = [0]
    nearest = (points - points[0]).square().sum(1)
    for _ in range(min(count, len(points)) - 1):
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(1))
    return torch.tensor(chosen)


def rigid_transforms(
    quats: Float[Tensor, "M 4"], shifts: Float[Tensor, "M 3"], centres: Float[Tensor, "M 3"]
) -> Float[Tensor, "M 16"]:
    """Rows (R, c, u) of x ↦ R(x − centre) + centre + shift = R·x + c, with u the unit quaternion."""
    u = F.normalize(quats, dim=-1)
    w, x, y, z = u.unbind(-1)
    R = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    )  # fmt: skip
    turned = (R.reshape(-1, 3, 3) * centres[:, None, :]).sum(-1)
    return torch.cat([R, centres + shifts - turned, u], -1)


class ControlNodes(nn.Module):
    """Motion by control nodes.

    Args of `__init__`: `nodes`, how many; `neighbours`, how many carry a Gaussian; `width` and
    `depth` of the network; `codes`, learned coordinates that part what touches; `extent`, the size
    of the scene in metres, by which positions are scaled for the network.
    """

    kind = "control-nodes"

    def __init__(
        self, *, nodes: int = 512, neighbours: int = 3, width: int = 192, depth: int = 4,
        codes: int = 2, extent: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self._options = {
            "nodes": nodes, "neighbours": neighbours, "width": width, "depth": depth,
            "codes": codes, "extent": extent,
        }  # fmt: skip
        self.neighbours, self.extent = neighbours, extent
        self.centres = nn.Parameter(torch.zeros(nodes, 3))
        self.log_radii = nn.Parameter(torch.zeros(nodes))
        self.node_codes = nn.Parameter(torch.zeros(nodes, codes))
        inputs = 3 * (1 + 2 * SPACE_OCTAVES) + 1 + 2 * TIME_OCTAVES
        sizes = [inputs] + [width] * depth
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.out = nn.Linear(width, 7)
        nn.init.normal_(self.out.weight, std=1e-4)
        nn.init.zeros_(self.out.bias)

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """Each Gaussian's learned coordinates, and the nodes that carry it."""
        return {
            "codes": means.new_zeros(len(means), self.node_codes.shape[1]),
            "nodes": torch.zeros(len(means), self.neighbours, dtype=torch.int32),
        }

    def tensors(self) -> dict[str, Tensor]:
        """Nodes and network."""
        return dict(self.state_dict(keep_vars=True))

    @torch.no_grad()
    def place(self, means: Float[Tensor, "N 3"]) -> None:
        """Spread the nodes over the Gaussians; radii are the distances between neighbours.

        Raises:
            ValueError: fewer Gaussians than nodes.
        """
        from scipy.spatial import cKDTree  # a third of a second that drawing can do without

        count = len(self.centres)
        if len(means) < count:
            raise ValueError(f"nodes got {count}; expected at most {len(means)}, one a Gaussian.")
        self.centres.copy_(means[farthest_points(means, count)])
        points = self.centres.double().numpy()
        distances, _ = cKDTree(points).query(points, k=min(4, count))
        self.log_radii.copy_(torch.from_numpy(distances[:, 1:].mean(1)).clamp(min=1e-6).log())
        # Codes that are all alike have no gradient and would stay so.
        draws = torch.Generator().manual_seed(0)
        apart = torch.randn(self.node_codes.shape, generator=draws)
        self.node_codes.copy_(CODE_SPREAD * self.log_radii.exp().median() * apart)

    @torch.no_grad()
    def refresh(self, raw: Raw) -> None:
        """Find each Gaussian's nearest nodes again."""
        from scipy.spatial import cKDTree

        nodes = torch.cat([self.centres, self.node_codes], 1).double().numpy()
        points = torch.cat([raw["means"], raw["codes"]], 1).detach().double().numpy()
        _, index = cKDTree(nodes).query(points, k=self.neighbours, workers=1)
        raw["nodes"].copy_(torch.from_numpy(index.reshape(len(points), self.neighbours)))

    def transforms(self, time: float) -> Float[Tensor, "M 16"]:
        """Each node's rigid motion at a time, as rows (R, c, u)."""
        scaled = self.centres.detach() / self.extent
        when = torch.full((1, 1), time)
        features = torch.cat(
            [
                encode(scaled, SPACE_OCTAVES),
                encode(when, TIME_OCTAVES).expand(len(scaled), -1),
            ],
            1,
        )
        for layer in self.hidden:
            features = F.relu(layer(features))
        shifts, quats = self.out(features).split([3, 4], 1)
        identity = torch.tensor([1.0, 0, 0, 0])
        return rigid_transforms(quats + identity, shifts * self.extent, self.centres)

    def move(self, raw: Raw, time: float) -> Moved:
        """Carry the Gaussians by their nodes."""
        rates = 0.5 * torch.exp(-2 * self.log_radii)
        means, quats = Skin.apply(
            raw["means"], raw["quats"], raw["codes"], self.transforms(time), self.centres,
            self.node_codes, rates, raw["nodes"],
        )  # fmt: skip
        return Moved(means, quats)
