"""How a scene begins, from what a prompt says: which things there are, and a draw of where and whither.

Where things start can be anything that the words allow, and what they do depends on where the others
are: a mean, or a handful of means, is none of it. So the first frames of all things are drawn together by
a rectified flow (Liu et al. 2023; Lipman et al. 2023): from noise along a learned velocity field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.scenes.quaternions import normalise

PLACE = (0.5, 0.5, 0.3)
"""What a start of one unit is, metres along x, y, z, about (0, 0, 0.3)."""
WAY = 0.12
"""What a unit of the way since the start is for each frame that has passed, metres."""
TURN = 0.5
STEPS = 16
"""Of the flow, when a beginning is drawn."""
SHARES = (3.0, 1.0, 0.3)
"""How much start, way and turn count in the loss."""


@dataclass(frozen=True)
class Announced:
    """What a prompt alone says for sure."""

    present: Float[Tensor, "N B"]
    """Logits of there being such an object."""
    looks: Float[Tensor, "N B A"]
    """Normalised looks."""
    looks_doubt: Float[Tensor, "N B"]
    """Logarithm of their standard deviation."""


class BirthHead(nn.Module):
    """Reads the answers to birth queries, and writes the state of a flow into the queries.

    >>> head = BirthHead(16, segment=6, looks=8)
    >>> head(torch.zeros(1, 2, 16)).looks.shape, head.size
    (torch.Size([1, 2, 8]), 42)
    """

    def __init__(self, width: int, *, segment: int, looks: int) -> None:
        super().__init__()
        self.segment, self.looks = segment, looks
        self.size = 3 * segment + 4 * segment
        self.out = nn.Linear(width, looks + 1)
        self.there = nn.Linear(width, 1)
        self.take = nn.Sequential(
            nn.Linear(self.size + 8, width), nn.GELU(), nn.Linear(width, width)
        )
        self.give = nn.Linear(width, self.size)

    def forward(self, hidden: Float[Tensor, "N B D"]) -> Announced:
        """What is sure, from the answers to birth queries without a state."""
        told = self.out(hidden)
        doubt = told[..., -1].clamp(-3, 2)
        return Announced(self.there(hidden)[..., 0], told[..., :-1], doubt)

    def query(self, state: Float[Tensor, "N B S"], time: Float[Tensor, " N"]) -> Float[Tensor, "N B D"]:  # fmt: skip
        """What is added to the birth queries at a moment of the flow, 0 noise, 1 a beginning."""
        rate = torch.tensor([1.0, 2.0, 4.0, 8.0]) * torch.pi
        waves = time[:, None] * rate
        told = torch.cat([waves.sin(), waves.cos()], -1)[:, None].expand(-1, state.shape[1], -1)
        added: Tensor = self.take(torch.cat([state, told], -1))
        return added

    def pack(
        self, positions: Float[Tensor, "N k B 3"], quats: Float[Tensor, "N k B 4"]
    ) -> Float[Tensor, "N B S"]:
        """First frames as a state of the flow, about as large as noise."""
        start = (positions[:, :1] - _middle()) / torch.tensor(PLACE)
        way = (positions[:, 1:] - positions[:, :1]) / (WAY * _ahead(self.segment))
        turns = [quats[:, 0] * torch.where(quats[:, 0, :, :1] < 0, -1.0, 1.0)]
        for k in range(1, self.segment):
            same = (quats[:, k] * turns[-1]).sum(-1, keepdim=True) >= 0
            turns.append(torch.where(same, quats[:, k], -quats[:, k]))
        parts = (start, way, torch.stack(turns, 1) / TURN)
        return torch.cat([p.transpose(1, 2).flatten(2) for p in parts], -1)

    def unpack(self, state: Float[Tensor, "N B S"]) -> tuple[Tensor, Tensor]:
        """Positions [N, k, B, 3] and quats [N, k, B, 4] of a state."""
        k = self.segment
        start, way, turn = state.split((3, 3 * (k - 1), 4 * k), -1)
        first = start.unflatten(-1, (1, 3)).transpose(1, 2) * torch.tensor(PLACE) + _middle()
        later = first + way.unflatten(-1, (k - 1, 3)).transpose(1, 2) * (WAY * _ahead(k))
        # Far from every rotation a draw may come near zero, which is none.
        turns = turn.unflatten(-1, (k, 4)).transpose(1, 2) + torch.tensor([1e-3, 0, 0, 0])
        return torch.cat([first, later], 1), normalise(turns)

    def weights(self, known: Float[Tensor, "N k B"]) -> Float[Tensor, "N B S"]:
        """How much each number of a state counts: not at all where its frame was not seen."""
        seen = known.transpose(1, 2)
        parts = (seen[..., :1], seen[..., 1:], seen)
        wide = (3, 3, 4)
        return torch.cat(
            [s * p.repeat_interleave(w, -1) for s, p, w in zip(SHARES, parts, wide)], -1
        )


Velocity = Callable[[Tensor, Tensor], Tensor]
"""Of a state [N, B, S] at times [N]."""


def flow_loss(
    velocity: Velocity,
    state: Float[Tensor, "N B S"],
    weight: Float[Tensor, "N B S"],
    draws: torch.Generator,
) -> Tensor:
    """How far velocities are from the straight way between noise and what was, squared, mean."""
    noise = torch.randn(state.shape, generator=draws)
    time = torch.sigmoid(torch.randn(len(state), generator=draws))
    share = time[:, None, None]
    off = velocity((1 - share) * noise + share * state, time) - (state - noise)
    return (off.square() * weight).sum() / weight.sum().clamp_min(1)


def draw_state(
    velocity: Velocity, shape: tuple[int, int, int], draws: torch.Generator, *, temperature: float
) -> Float[Tensor, "N B S"]:
    """Follow the field from noise, of `temperature` times its usual strength, to a beginning.

    >>> to_one = lambda state, time: (1 - state) / (1 - time[:, None, None])
    >>> draw_state(to_one, (1, 1, 2), torch.Generator().manual_seed(0), temperature=1.0).tolist()
    [[[1.0, 1.0]]]
    """
    state = temperature * torch.randn(shape, generator=draws)
    for step in range(STEPS):
        time = torch.full((shape[0],), step / STEPS)
        state = state + velocity(state, time) / STEPS
    return state


def announced_loss(
    said: Announced, looks: Float[Tensor, "N B A"], present: Bool[Tensor, "N B"]
) -> Tensor:
    """Negative log-likelihood of what there is and of how it looks, for each thing."""
    there = F.binary_cross_entropy_with_logits(said.present, present.float())
    off = (looks - said.looks) / said.looks_doubt.exp()[..., None]
    each = 0.5 * off.square().mean(-1) + said.looks_doubt
    count = present.sum().clamp_min(1)
    return there + (each * present).sum() / count


def _middle() -> Float[Tensor, 3]:
    return torch.tensor([0.0, 0.0, 0.3])


def _ahead(segment: int) -> Float[Tensor, "k 1 1"]:
    return torch.arange(1, segment, dtype=torch.float32)[:, None, None]
