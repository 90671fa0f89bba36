"""A selective state space: a memory that decides from each input what it keeps and what it lets go.

Source: Gu & Dao 2023 (Mamba): diagonal A < 0; step Δ, input map B and output map C depend on the
input; h ← exp(ΔA) h + Δ B x, y = C h + D x, gated. Without its short convolution, since what comes in
has been through a transformer. With Δ = 0 the memory stays as it is, which is how padding passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Guide, Mind, Step, Thinker
from clay4d.world_model.reasoners.transformer import Size

NUMBERS = 16
"""Of each channel's state, as in Mamba."""
RANK = 2
"""Numbers that the steps of all channels are made from."""


@dataclass(frozen=True)
class Selected:
    """What inputs ask of the memory: h ← decay · h + add, y = Σ read · h."""

    decay: Float[Tensor, "*batch E S"]
    add: Float[Tensor, "*batch E S"]
    read: Float[Tensor, "*batch 1 S"]


class SelectiveSpace(nn.Module):
    """Mamba's recurrence, step by step or over a whole sequence at once.

    >>> space = SelectiveSpace(8, channels=4)
    >>> y, memory = space.step(torch.zeros(2, 8), space.empty(2))
    >>> y.shape, memory.shape
    (torch.Size([2, 8]), torch.Size([2, 4, 16]))
    """

    def __init__(self, width: int, *, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.enter = nn.Linear(width, 2 * channels, bias=False)
        self.select = nn.Linear(channels, RANK + 2 * NUMBERS, bias=False)
        self.pace = nn.Linear(RANK, channels)
        self.log_a = nn.Parameter(torch.arange(1.0, NUMBERS + 1).log().repeat(channels, 1))
        self.skip = nn.Parameter(torch.ones(channels))
        self.leave = nn.Linear(channels, width, bias=False)
        # Steps from 0.001 to 0.1 at first, so that some channels forget soon and others late.
        steps = torch.logspace(-3, -1, channels)
        with torch.no_grad():
            self.pace.bias.copy_(steps + torch.log(-torch.expm1(-steps)))

    def empty(self, count: int) -> Float[Tensor, "N E S"]:
        """The memory of those who have seen nothing."""
        return torch.zeros(count, self.channels, NUMBERS)

    def step(
        self, x: Float[Tensor, "N D"], memory: Float[Tensor, "N E S"]
    ) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N E S"]]:
        """The output after one input, and the memory."""
        inner, gate = self.enter(x).chunk(2, -1)
        inner = F.silu(inner)
        asked = self._selected(inner, None)
        memory = asked.decay * memory + asked.add
        return self._output(inner, gate, asked, memory), memory

    def scan(
        self,
        x: Float[Tensor, "N L D"],
        memory: Float[Tensor, "N E S"],
        real: Bool[Tensor, "N L"] | None = None,
    ) -> tuple[Float[Tensor, "N L D"], Float[Tensor, "N L E S"]]:
        """Outputs and memories after every input, in log₂ L rounds; inputs that are not real pass by.

        Source: Hillis & Steele 1986: pairs (decay, add) of ever longer stretches are put together.
        """
        inner, gate = self.enter(x).chunk(2, -1)
        inner = F.silu(inner)
        asked = self._selected(inner, real)
        memories = linear_scan(asked.decay, asked.add, memory)
        return self._output(inner, gate, asked, memories), memories

    def _selected(self, inner: Float[Tensor, "*batch E"], real: Tensor | None) -> Selected:
        pace, write, read = self.select(inner).split((RANK, NUMBERS, NUMBERS), -1)
        delta = F.softplus(self.pace(pace))[..., None]
        if real is not None:
            delta = delta * real[..., None, None]
        decay = torch.exp(-delta * self.log_a.exp())
        return Selected(decay, delta * write[..., None, :] * inner[..., None], read[..., None, :])

    def _output(self, inner: Tensor, gate: Tensor, asked: Selected, memory: Tensor) -> Tensor:
        y = (asked.read * memory).sum(-1) + self.skip * inner
        out: Tensor = self.leave(y * F.silu(gate))
        return out


def linear_scan(
    decay: Float[Tensor, "N L *rest"],
    add: Float[Tensor, "N L *rest"],
    first: Tensor,
) -> Float[Tensor, "N L *rest"]:
    """All h of h ← decay · h + add, from h = first [N, *rest].

    >>> linear_scan(torch.full((1, 3), 0.5), torch.ones(1, 3), torch.zeros(1)).tolist()
    [[1.0, 1.5, 1.75]]
    """
    count = decay.shape[1]
    for k in range(math.ceil(math.log2(max(count, 1)))):
        back = 1 << k
        add = torch.cat([add[:, :back], decay[:, back:] * add[:, :-back] + add[:, back:]], 1)
        decay = torch.cat([decay[:, :back], decay[:, back:] * decay[:, :-back]], 1)
    return decay * first[:, None] + add


class Selective(Thinker):
    """Every thought is what a selective state space gives out, and its memory is what passes on."""

    kind = "ssm"
    keeps = False

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.space = SelectiveSpace(size.width, channels=max(size.width // 4, 1))
        self.gain = nn.Parameter(torch.tensor(1.0))

    def remember(
        self, hidden: Float[Tensor, "N L D"], real: Bool[Tensor, "N L"], state: Tensor | None
    ) -> Tensor:
        """The memory after taking in tokens in their order."""
        before = self.space.empty(len(hidden)) if state is None else state
        return self.space.scan(hidden, before, real)[1][:, -1]

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """What the memory gives after one more input, brought to a learned length."""
        assert mind.ready is not None and mind.state is not None
        out, memory = self.space.step(mind.ready, mind.state)
        return Step(self.gain * F.rms_norm(out, out.shape[-1:], eps=1e-6), state=memory)
