"""A gated recurrent memory: the thought is its state, which takes in all that is read and thought.

Source: Cho et al. 2014 (GRU); the matrices are in blocks along the diagonal (Kuchaiev & Ginsburg 2017,
group LSTM), since full ones would have a sixth of the parameters of everything else. What the blocks
do not mix, the transformer does.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Guide, Mind, Step, Thinker
from clay4d.world_model.reasoners.transformer import Size

GROUPS = 8


class GatedCell(nn.Module):
    """A GRU whose matrices are block-diagonal.

    >>> GatedCell(16, 4)(torch.zeros(2, 16), torch.zeros(2, 16)).shape
    torch.Size([2, 16])
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.groups, part = groups, width // groups
        self.given = nn.Parameter(torch.randn(groups, part, 3 * part) * part**-0.5)
        self.own = nn.Parameter(torch.randn(groups, part, 3 * part) * part**-0.5)
        self.bias = nn.Parameter(torch.zeros(2, groups, 1, 3 * part))

    def gates(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "G M E"]:
        """What inputs add to the gates; M counts all of them."""
        split = x.reshape(-1, self.groups, x.shape[-1] // self.groups).transpose(0, 1)
        return torch.baddbmm(self.bias[0], split, self.given)

    def turn(self, gates: Float[Tensor, "G N E"], state: Float[Tensor, "G N d"]) -> Tensor:
        """The next state [G, N, d]."""
        own = torch.baddbmm(self.bias[1], state, self.own)
        (reset, keep, new), (r, k, n) = gates.chunk(3, -1), own.chunk(3, -1)
        keep = torch.sigmoid(keep + k)
        new = torch.tanh(new + torch.sigmoid(reset + r) * n)
        return keep * state + (1 - keep) * new

    def split(self, state: Float[Tensor, "N D"]) -> Float[Tensor, "G N d"]:
        """A state in its blocks."""
        return state.reshape(len(state), self.groups, -1).transpose(0, 1)

    def join(self, state: Float[Tensor, "G N d"]) -> Float[Tensor, "N D"]:
        """A state from its blocks."""
        return state.transpose(0, 1).reshape(state.shape[1], -1)

    def forward(self, x: Float[Tensor, "N D"], state: Float[Tensor, "N D"]) -> Tensor:
        """The next state [N, D] after one input."""
        return self.join(self.turn(self.gates(x), self.split(state)))


class Gated(Thinker):
    """Every thought is the state of a GRU, and nothing else passes from thought to thought."""

    kind = "gru"
    keeps = False

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.cell = GatedCell(size.width, _groups(size.width))

    def remember(
        self, hidden: Float[Tensor, "N L D"], real: Bool[Tensor, "N L"], state: Tensor | None
    ) -> Tensor:
        """The state after taking in tokens one by one; padding leaves it as it is."""
        n, count, width = hidden.shape
        before = hidden.new_zeros(n, width) if state is None else state
        gates = self.cell.gates(hidden).unflatten(1, (n, count))
        inside, there = self.cell.split(before), real[None, ..., None]
        for k in range(count):
            inside = torch.where(there[:, :, k], self.cell.turn(gates[:, :, k], inside), inside)
        return self.cell.join(inside)

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """The state after one more turn."""
        assert mind.ready is not None
        state = self.cell(mind.ready, mind.state)
        return Step(state, state=state)

    def hold(self, state: Tensor | None, vector: Float[Tensor, "N D"]) -> Tensor:
        """The thought is the state: where the one is disturbed, so is the other."""
        return vector


def _groups(width: int) -> int:
    """The most groups, up to eight, that divide a width.

    >>> _groups(128), _groups(12)
    (8, 6)
    """
    return max(g for g in range(1, GROUPS + 1) if width % g == 0)
