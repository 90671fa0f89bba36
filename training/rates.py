"""One Adam for each parameter, and how its rate falls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from clay4d.scenes.splat_scene import SplatScene
from clay4d.training.adam import FusedAdam
from clay4d.training.config import (
    ControlNodes,
    Deformation,
    HexPlane,
    Motion,
    MotionBases,
    OwnMotion,
    Polynomial,
    Rates,
    SpaceTime,
    Static,
)
from clay4d.training.exposure import Exposure
from clay4d.training.poses import PoseRefinement


@dataclass(frozen=True)
class Rate:
    """A learning rate that falls exponentially to `final` of itself, from `fall` of the steps on.

    >>> rate = Rate(1.0, 0.01, fall=0.8)
    >>> [round(rate.at(p), 3) for p in (0.0, 0.8, 0.9, 1.0)]
    [1.0, 1.0, 0.1, 0.01]
    """

    start: float
    final: float
    fall: float = 0.0

    def at(self, progress: float) -> float:
        """The rate when `progress` (0 to 1) of the steps is done."""
        falling = (progress - self.fall) / max(1 - self.fall, 1e-9)
        return float(self.start * self.final ** min(max(falling, 0.0), 1.0))


def row_rates(rates: Rates, motion: Motion, extent: float) -> dict[str, Rate]:
    """Rates of the per-Gaussian parameters by name; what a model of one's own adds has one rate."""
    found: dict[str, Rate] = {}
    if isinstance(motion, OwnMotion):
        found = defaultdict(lambda: Rate(motion.lr, rates.final, rates.fall))
    found |= {
        "means": Rate(rates.means * extent, rates.final_means),
        "scales": Rate(rates.scales, rates.final, rates.fall),
        "quats": Rate(rates.quats, rates.final, rates.fall),
        "opacities": Rate(rates.opacities, rates.final, rates.fall),
        "sh": Rate(rates.sh, rates.final, rates.fall),
        "codes": Rate(rates.codes, rates.final_means),
    }
    if isinstance(motion, Polynomial):
        found["path"] = Rate(motion.path_lr * extent, rates.final_means)
        found["span"] = Rate(motion.time_lr, rates.final, rates.fall)
        found["moment"] = Rate(motion.time_lr / 10, rates.final, rates.fall)
        found["spin"] = Rate(motion.time_lr / 10, rates.final, rates.fall)
    if isinstance(motion, SpaceTime):
        found["lean"] = Rate(motion.lean_lr, rates.final, rates.fall)
        found["span"] = Rate(motion.time_lr, rates.final, rates.fall)
        found["moment"] = Rate(motion.time_lr / 10, rates.final, rates.fall)
    if isinstance(motion, MotionBases):
        found["coefficients"] = Rate(motion.coefficients_lr, rates.final, rates.fall)
    return found


def motion_rates(rates: Rates, motion: Motion) -> dict[str, Rate]:
    """Rates of the motion model's shared parameters, by the beginning of their names."""
    match motion:
        case ControlNodes():
            slow = Rate(motion.nodes_lr, rates.final_means)
            return {
                "centres": slow, "log_radii": Rate(10 * motion.nodes_lr, rates.final_means),
                "node_codes": slow, "": Rate(motion.lr, rates.final_means),
            }  # fmt: skip
        case HexPlane():
            return {
                "planes": Rate(motion.lr, rates.final_means),
                "": Rate(motion.lr / 10, rates.final_means),
            }
        case MotionBases() | Deformation() | OwnMotion():
            return {"": Rate(motion.lr, rates.final_means)}
        case Polynomial() | SpaceTime() | Static():
            return {}


class Optimisers:
    """All optimisers of a run, by the name of what they move."""

    def __init__(
        self, scene: SplatScene, rates: Rates, motion: Motion, extent: float,
        exposure: Exposure | None, poses: PoseRefinement | None = None,
    ) -> None:  # fmt: skip
        self.rows: dict[str, torch.optim.Optimizer] = {}
        self.shared: dict[str, torch.optim.Optimizer] = {}
        self._rates: dict[str, Rate] = {}
        rows = row_rates(rates, motion, extent)
        for name, value in scene.raw.items():
            if not value.requires_grad:
                continue
            pace = None
            if name == "sh":
                pace = torch.full((value.shape[1], 3), rates.higher_sh)
                pace[0] = 1
            self.rows[name] = FusedAdam([value], lr=1.0, eps=1e-15, pace=pace)
            self._rates[f"raw.{name}"] = rows[name]
        shared = motion_rates(rates, motion)
        for name, value in scene.motion.tensors().items():
            if not value.requires_grad:
                continue
            prefix = next(p for p in shared if name.startswith(p))
            self._add(f"motion.{name}", value, shared[prefix])
        if exposure is not None:
            for name, value in exposure.named_parameters():
                self._add(f"exposure.{name}", value, Rate(2e-3, rates.final, rates.fall))
        if poses is not None:
            for name, value in poses.named_parameters():
                self._add(f"poses.{name}", value, Rate(rates.poses, rates.final, rates.fall))

    def _add(self, name: str, value: Tensor, rate: Rate) -> None:
        self.shared[name] = FusedAdam([value], lr=1.0, eps=1e-15)
        self._rates[name] = rate

    def all(self) -> dict[str, torch.optim.Optimizer]:
        """Every optimiser by its full name: `raw.NAME`, `motion.NAME`, `exposure.NAME`, `poses.NAME`."""
        return {f"raw.{k}": v for k, v in self.rows.items()} | self.shared

    def parameters(self) -> list[Tensor]:
        """What is moved, in the order of `all`."""
        return [o.param_groups[0]["params"][0] for o in self.all().values()]

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimiser in self.all().values():
            optimiser.zero_grad(set_to_none=True)

    def lr(self, name: str, progress: float) -> float:
        """The rate of a parameter when this share of the steps is done."""
        return self._rates[name].at(progress)

    def step(self, progress: float) -> None:
        """Set the rates for this share of the steps, move what has a gradient, and drop the gradients."""
        for name, optimiser in self.all().items():
            optimiser.param_groups[0]["lr"] = self._rates[name].at(progress)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
