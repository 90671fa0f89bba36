"""Segments as concepts: what all objects do in k frames, as one vector that can be turned back into them.

An autoencoder, trained before any reasoner and then frozen, in the place that SONAR's sentence
embeddings have in the Large Concept Model (Barrault et al. 2024). Its numbers are brought to median 0
and scale 1 one by one, by quartiles over the training worlds, as there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.scenes.quaternions import normalise

WAY = 0.7
"""What a metre counts as."""


class SegmentCoder(nn.Module):
    """From the poses of a segment's objects to a concept and back.

    >>> coder = SegmentCoder(objects=3, segment=6, numbers=8)
    >>> concept = coder.encode(torch.zeros(2, 6, 3, 3), torch.ones(2, 6, 3, 4), torch.ones(2, 3).bool())
    >>> concept.shape, coder.decode(concept)[0].shape
    (torch.Size([2, 8]), torch.Size([2, 6, 3, 3]))
    """

    middle: Tensor
    spread: Tensor

    def __init__(self, *, objects: int, segment: int, numbers: int, hidden: int = 256) -> None:
        super().__init__()
        self.objects, self.segment = objects, segment
        given, asked = objects * (segment * 10 + 1), objects * segment * 7
        # Each way a matrix and, beside it, a network that bends it: most of a segment is linear.
        self.straight = nn.Linear(given, numbers)
        self.bent = nn.Sequential(nn.Linear(given, hidden), nn.GELU(), nn.Linear(hidden, numbers))
        self.straight_back = nn.Linear(numbers, asked)
        self.bent_back = nn.Sequential(
            nn.Linear(numbers, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(),
            nn.Linear(hidden, asked),
        )  # fmt: skip
        self.register_buffer("middle", torch.zeros(numbers))
        self.register_buffer("spread", torch.ones(numbers))

    def raw(
        self,
        positions: Float[Tensor, "N k B 3"],
        quats: Float[Tensor, "N k B 4"],
        present: Bool[Tensor, "N B"],
    ) -> Float[Tensor, "N C"]:
        """Concepts before they are scaled."""
        turns = quats * torch.where(quats[..., :1] < 0, -1.0, 1.0)
        steps = F.pad(positions[:, 1:] - positions[:, :-1], (0, 0, 0, 0, 1, 0)) * 5
        told = torch.cat([positions * WAY, steps, turns], -1).transpose(1, 2).flatten(2)
        there = present.to(told)[..., None]
        told = torch.cat([told * there, there], -1)
        told = F.pad(told, (0, 0, 0, self.objects - told.shape[1])).flatten(1)
        concept: Tensor = self.straight(told) + self.bent(told)
        return concept

    def encode(
        self,
        positions: Float[Tensor, "N k B 3"],
        quats: Float[Tensor, "N k B 4"],
        present: Bool[Tensor, "N B"],
    ) -> Float[Tensor, "N C"]:
        """Concepts of segments, about as large as normal noise."""
        return (self.raw(positions, quats, present) - self.middle) / self.spread

    def decode(
        self, concept: Float[Tensor, "N C"]
    ) -> tuple[Float[Tensor, "N k B 3"], Float[Tensor, "N k B 4"]]:
        """Positions and rotations that a concept stands for, of all objects, there or not."""
        raw = concept * self.spread + self.middle
        told = self.straight_back(raw) + self.bent_back(raw)
        told = told.unflatten(-1, (self.objects, self.segment, 7)).transpose(1, 2)
        # The first number of a rotation that is nothing yet is 1.
        turns = told[..., 3:] + torch.tensor([1.0, 0.0, 0.0, 0.0])
        return told[..., :3] / WAY, normalise(turns)

    def set_scales(self, raw: Float[Tensor, "N C"]) -> None:
        """Take median and spread over unscaled concepts, by quartiles."""
        low, middle, high = torch.quantile(raw, torch.tensor([0.25, 0.5, 0.75]), dim=0)
        self.middle.copy_(middle)
        self.spread.copy_(((high - low) / 1.35).clamp_min(1e-3))
