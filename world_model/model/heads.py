"""What comes next, in several ways at once: a mixture whose modes hold for all objects together.

A mean over futures that differ is a future that never happens (the lesson of the Large Concept Model's
MSE arm, Barrault et al. 2024). Here each mode is a whole future with its own doubt, its chance is
learned (Bishop 1994, mixture density networks), and a draw picks one mode for all objects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clay4d.scenes.quaternions import from_rotation_vector, multiply, normalise


@dataclass(frozen=True)
class Futures:
    """M ways in which the next k frames of N worlds can go."""

    chances: Float[Tensor, "N M"]
    """Logarithms of their probabilities."""
    positions: Float[Tensor, "N M k B 3"]
    quats: Float[Tensor, "N M k B 4"]
    log_doubt: Float[Tensor, "N M k B"]
    """Logarithm of the standard deviation of each coordinate, metres."""

    def choose(self, mode: Int[Tensor, " N"]) -> tuple[Tensor, Tensor]:
        """Positions and quats of one mode in each world: [N, k, B, 3] and [N, k, B, 4]."""
        rows = torch.arange(len(mode))
        return self.positions[rows, mode], self.quats[rows, mode]


def log_likelihoods(
    futures: Futures,
    positions: Float[Tensor, "N k B 3"],
    weight: Float[Tensor, "N k B"],
) -> Float[Tensor, "N M"]:
    """Logarithm of the density of what happened under each mode, over objects and frames alike."""
    off = (positions[:, None] - futures.positions) / futures.log_doubt.exp()[..., None]
    each = -0.5 * off.square().sum(-1) - 3 * futures.log_doubt - 1.5 * math.log(2 * math.pi)
    return (each * weight[:, None]).sum((-1, -2))


class FutureHead(nn.Module):
    """The next frames of each object: how they leave a straight line, and how objects turn."""

    def __init__(self, width: int, *, segment: int, modes: int) -> None:
        super().__init__()
        self.segment, self.modes = segment, modes
        self.mode = nn.Parameter(torch.empty(modes, width).normal_(std=0.5))
        self.up = nn.Linear(width, width)
        self.out = nn.Linear(width, segment * 7)
        self.chance = nn.Linear(width, modes)
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        hidden: Float[Tensor, "N B D"],
        present: Bool[Tensor, "N B"],
        line: Float[Tensor, "N k B 3"],
        quats: Float[Tensor, "N B 4"],
    ) -> Futures:
        """Futures around `line`, where objects would go undisturbed, and from rotations `quats`."""
        state = F.gelu(self.up(hidden)[:, None] + self.mode[:, None])
        told = self.out(state).unflatten(-1, (self.segment, 7)).transpose(2, 3)
        # What falls leaves a straight line with the square of time: 1.2 m in half a second.
        ahead = torch.arange(1, self.segment + 1, dtype=torch.float32)[:, None]
        reach = 0.03 * (ahead + ahead**2)
        places = line[:, None] + told[..., :3] * reach[..., None]
        turned = multiply(from_rotation_vector(told[..., 3:6]), quats[:, None, None])
        doubt = (told[..., 6] * 2 + torch.log(reach)).clamp(-5, 1)
        there = present[..., None].float()
        pooled = (hidden * there).sum(1) / there.sum(1).clamp_min(1)
        return Futures(F.log_softmax(self.chance(pooled), -1), places, normalise(turned), doubt)
