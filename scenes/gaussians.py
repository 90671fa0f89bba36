"""3D Gaussians at one moment, the thing that every scene gives and every renderer takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

C0 = 0.28209479177387814
"""Value of the constant spherical harmonic: colour = 0.5 + C0 · sh[:, 0] for degree 0."""


@dataclass(frozen=True)
class Gaussians:
    """N anisotropic Gaussians (Kerbl et al. 2023): metres, linear scales, opacities in 0–1.

    Raises:
        ValueError: shapes that do not agree.

    >>> Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3)).sh_degree
    0
    """

    means: Float[Tensor, "N 3"]
    """Centres, metres."""
    quats: Float[Tensor, "N 4"]
    """Rotations as wxyz quaternions, normalised where they are used."""
    scales: Float[Tensor, "N 3"]
    """Standard deviations along the rotated axes, metres."""
    opacities: Float[Tensor, " N"]
    """Peak opacities, 0 to 1."""
    sh: Float[Tensor, "N K 3"]
    """Spherical harmonics of the colour, K = (degree + 1)², signs as in gsplat."""

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        for name, tail in (("means", (3,)), ("quats", (4,)), ("scales", (3,)), ("opacities", ())):
            got = tuple(getattr(self, name).shape)
            if got != (n, *tail):
                raise ValueError(f"{name} got shape {list(got)}; expected {[n, *tail]}.")
        if self.sh.ndim != 3 or self.sh.shape[0] != n or self.sh.shape[1] not in (1, 4, 9, 16):
            raise ValueError(
                f"sh got shape {list(self.sh.shape)}; expected [{n}, K, 3], K = 1, 4, 9 or 16."
            )

    def __len__(self) -> int:
        return int(self.means.shape[0])

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return {1: 0, 4: 1, 9: 2, 16: 3}[int(self.sh.shape[1])]

    def detach(self) -> Gaussians:
        """The same values without gradients."""
        return replace(self, **{k: v.detach() for k, v in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name."""
        return {k: getattr(self, k) for k in ("means", "quats", "scales", "opacities", "sh")}

    def within(
        self, low: tuple[float, float, float], high: tuple[float, float, float]
    ) -> Gaussians:
        """Those whose centres lie in a box from corner to corner, metres."""
        inside = (self.means >= self.means.new_tensor(low)) & (
            self.means <= self.means.new_tensor(high)
        )
        return replace(self, **{k: v[inside.all(1)] for k, v in self.tensors().items()})

    @classmethod
    def from_points(
        cls, points: Float[Tensor, "N 3"], colors: Float[Tensor, "N 3"], **given: Any
    ) -> Gaussians:
        """Round Gaussians at points, each as large as the mean distance to its three neighbours."""
        from clay4d.scenes.initialise import neighbour_distances

        n = len(points)
        size = neighbour_distances(points)[:, None].expand(-1, 3) if n else points
        quats = torch.zeros(n, 4)
        quats[:, 0] = 1
        fields = {
            "quats": quats, "scales": size.clone(), "opacities": torch.full((n,), 0.1),
            "sh": ((colors - 0.5) / C0)[:, None, :],
        }  # fmt: skip
        return cls(means=points, **{**fields, **given})
