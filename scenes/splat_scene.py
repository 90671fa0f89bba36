"""A scene of moving Gaussians: canonical parameters, one row a Gaussian, and a motion model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.motion.base import Motion


@dataclass
class SplatScene:
    """Gaussians that move; what training makes and `load` brings back.

    >>> from clay4d.scenes.motion import Static
    >>> raw = raw_from_gaussians(Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3)))
    >>> len(SplatScene(raw, Static()).at(0.0))
    1
    """

    raw: dict[str, Tensor]
    """Per-Gaussian parameters as `motion.base` describes them: log scales, logit opacities."""
    motion: Motion
    duration: float = 0.0
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sh_degree: int | None = None
    """Degree up to which the harmonics are used; None for all."""
    near: float = 0.01
    """Cameras see no Gaussian whose centre is nearer than this along their axis, metres."""
    antialiased: bool = False
    """Whether Gaussians smaller than a pixel grow fainter instead of larger (Yu et al. 2024, Mip-Splatting)."""
    eps2d: float = 0.3
    """Variance that each Gaussian's picture is widened by, pixels²; a pixel itself has 1/12."""

    def at(self, time: float) -> Gaussians:
        """The Gaussians `time` seconds after the start; differentiable."""
        moved = self.motion.move(self.raw, time / self.duration if self.duration > 0 else 0.0)
        opacities = torch.sigmoid(self.raw["opacities"])
        if moved.presence is not None:
            opacities = opacities * moved.presence
        sh = self.raw["sh"]
        if self.sh_degree is not None:
            sh = sh[:, : (self.sh_degree + 1) ** 2]
        scales = torch.exp(self.raw["scales"]) if moved.scales is None else moved.scales
        return Gaussians(moved.means, moved.quats, scales, opacities, sh)

    def __len__(self) -> int:
        return len(self.raw["means"])


def raw_from_gaussians(gaussians: Gaussians, *, sh_degree: int | None = None) -> dict[str, Tensor]:
    """Raw parameters of Gaussians, their harmonics padded with zeros to `sh_degree`."""
    sh = gaussians.sh
    if sh_degree is not None and sh_degree > gaussians.sh_degree:
        missing = (sh_degree + 1) ** 2 - sh.shape[1]
        sh = torch.cat([sh, sh.new_zeros(len(sh), missing, 3)], 1)
    return {
        "means": gaussians.means.clone(),
        "quats": gaussians.quats.clone(),
        "scales": gaussians.scales.log(),
        "opacities": torch.logit(gaussians.opacities.clamp(1e-6, 1 - 1e-6)),
        "sh": sh.clone(),
    }
