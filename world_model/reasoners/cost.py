"""What reasoners cost, so that only like is compared with like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from clay4d.world_model.reasoners.thinker import Thinker


@dataclass(frozen=True)
class Cost:
    """Size of a reasoner and the work of one answer."""

    kind: str
    parameters: int
    flops: int
    """Of reading, thinking and answering once; multiplications and additions, forward only."""


@torch.no_grad()
def cost(reasoner: Thinker, *, thoughts: int, tokens: int = 40, queries: int = 8) -> Cost:
    """Count a reasoner's parameters, and the floating-point operations of one answer.

    Args:
        thoughts: K. tokens: what is read before. queries: what is asked after.

    >>> from clay4d.world_model.reasoners import EventSizes, Pause, Size
    >>> cost(Pause(Size(16, 1, 2, 32), EventSizes()), thoughts=2).parameters
    3958
    """
    width = reasoner.size.width
    ones = torch.ones(1, max(tokens, queries), dtype=torch.bool)
    with FlopCounterMode(display=False) as counter:
        memory = reasoner.read(torch.zeros(1, tokens, width), ones[:, :tokens])
        _, memory = reasoner.think(memory, thoughts)
        reasoner.answer(memory, torch.zeros(1, queries, width), ones[:, :queries])
    return Cost(reasoner.kind, parameter_count(reasoner), int(counter.get_total_flops()))


def parameter_count(module: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(p.numel() for p in module.parameters())


def cost_table(costs: Sequence[Cost]) -> str:
    """A table of costs, each also as a share of the dearest.

    >>> print(cost_table([Cost("pause", 1000, 2_000_000)]))
    reasoner    parameters          MFLOP
    pause       1,000 (100.0 %)       2.0 (100.0 %)
    """
    most = max(c.parameters for c in costs), max(c.flops for c in costs)
    lines = [f"{'reasoner':<12}{'parameters':<20}MFLOP"]
    for c in costs:
        size = f"{c.parameters:,} ({100 * c.parameters / most[0]:.1f} %)"
        lines.append(
            f"{c.kind:<12}{size:<20}{c.flops / 1e6:>5.1f} ({100 * c.flops / most[1]:.1f} %)"
        )
    return "\n".join(lines)
