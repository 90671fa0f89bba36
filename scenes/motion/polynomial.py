"""Per-Gaussian polynomial and Fourier motion with temporal opacity.

After SpacetimeGaussians (Li et al., CVPR 2024), with sines and cosines added for what swings: each
Gaussian has its own path and, where asked, a moment and a span of life, so that new things can
appear. Good with many cameras, where every moment is seen from several sides.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.motion.base import Moved, Raw


class Polynomial:
    """Motion by per-Gaussian coefficients.

    Rows added: `path` [N, B, 3], coefficients of the centre over the basis of `basis`, metres;
    `spin` [N, 4], change of the quaternion over the scene's time; and where `temporal_opacity`,
    `moment` [N], the time of most presence, and `span` [N], the logarithm of its width.
    """

    kind = "polynomial"

    def __init__(
        self, *, degree: int = 3, harmonics: int = 2, temporal_opacity: bool = True
    ) -> None:
        self._options = {
            "degree": degree, "harmonics": harmonics, "temporal_opacity": temporal_opacity,
        }  # fmt: skip
        self.degree, self.harmonics, self.temporal_opacity = degree, harmonics, temporal_opacity

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """No motion, present throughout; the moments are spread evenly by the golden ratio."""
        n = len(means)
        rows = {
            "path": means.new_zeros(n, self.degree + 2 * self.harmonics, 3),
            "spin": means.new_zeros(n, 4),
        }
        if self.temporal_opacity:
            rows["moment"] = (torch.arange(n) * 0.6180339887) % 1.0
            # Wide enough that presence stays above 0.96 from one end to the other.
            rows["span"] = means.new_full((n,), math.log(4.0))
        return rows

    def tensors(self) -> dict[str, Tensor]:
        """Nothing shared."""
        return {}

    def refresh(self, raw: Raw) -> None:
        """Nothing is derived."""

    def basis(self, time: float) -> Float[Tensor, " B"]:
        """Powers of the time from the middle, and sines and cosines less their value there."""
        t = time - 0.5
        powers = [t ** (k + 1) for k in range(self.degree)]
        waves = []
        for k in range(1, self.harmonics + 1):
            angle = 2 * math.pi * k * t
            waves += [math.sin(angle), math.cos(angle) - 1]
        return torch.tensor(powers + waves)

    def move(self, raw: Raw, time: float) -> Moved:
        """Each Gaussian on its own path."""
        means = raw["means"] + torch.einsum("nbd,b->nd", raw["path"], self.basis(time))
        quats = raw["quats"] + raw["spin"] * (time - 0.5)
        presence = None
        if self.temporal_opacity:
            away = (time - raw["moment"]) * torch.exp(-raw["span"])
            presence = torch.exp(-0.5 * away.square())
        return Moved(means, quats, presence)
