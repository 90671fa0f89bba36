"""What a reasoner is: it reads a state, has K thoughts one after the other, and answers queries.

Every thought is one vector of the model's width, whatever made it: a fixed embedding, the hidden state
recycled, a code, a written event, the state of a recurrence. So thoughts can be counted, read,
disturbed and rendered alike. `think` may be called with any K from 0 to 16, also one that training
never saw, and thinking in two calls (3 and 2) is thinking in one (5).

The memory is the reasoner's own: a key-value cache for a transformer, a state for a recurrence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MOST_THOUGHTS = 16
"""Thoughts before an answer, at the most."""

Memory = TypeVar("Memory")


@dataclass(frozen=True)
class Disturbance:
    """A change made to thoughts as they are had, so that what follows builds on the changed ones.

    Raises:
        ValueError: an unknown kind.

    >>> Disturbance("noise", steps=(0,), seed=3).touches(1)
    False
    """

    kind: Literal["zero", "swap", "noise"]
    """Zero: nothing is left. Swap: the thought of the next in the batch, or `donor`'s.
    Noise: normal noise as strong as the thought itself, times `scale`."""
    steps: tuple[int, ...] | None = None
    """Which thoughts, counted from 0; all of them by default."""
    scale: float = 1.0
    seed: int = 0
    donor: Float[Tensor, "K D"] | None = None
    """Thoughts of another world, for a swap in a batch of one."""

    def __post_init__(self) -> None:
        if self.kind not in ("zero", "swap", "noise"):
            raise ValueError(f"kind got {self.kind!r}; expected zero, swap or noise.")

    def touches(self, step: int) -> bool:
        """Whether thought `step` is changed."""
        return self.steps is None or step in self.steps

    def apply(self, thought: Float[Tensor, "N D"], step: int) -> Float[Tensor, "N D"]:
        """The thought as it is after the change.

        Raises:
            ValueError: a swap that has nobody to swap with.
        """
        if not self.touches(step):
            return thought
        if self.kind == "zero":
            return torch.zeros_like(thought)
        if self.kind == "swap":
            if self.donor is not None:
                return self.donor[min(step, len(self.donor) - 1)].expand_as(thought)
            if len(thought) < 2:
                raise ValueError("swap got a batch of one; expected two worlds, or a donor.")
            return thought.roll(1, 0)
        draws = torch.Generator().manual_seed(1_000_003 * self.seed + step)
        noise = torch.randn(thought.shape, generator=draws).to(thought)
        strength = thought.square().mean(-1, keepdim=True).sqrt()
        return thought + self.scale * strength * noise


@dataclass(frozen=True)
class Thoughts:
    """K thoughts of N worlds, in the order they were had."""

    vectors: Float[Tensor, "N K D"]
    """What was fed back, after any disturbance."""
    hidden: Float[Tensor, "N K D"]
    """The state that each thought was made from; what probes read."""
    codes: Int[Tensor, "N K F"] | None = None
    """Where thoughts are discrete: their codes, or the events that they write."""
    logits: tuple[Float[Tensor, "N W V"], ...] | None = None
    """Of the last W thoughts, those that write events: one tensor for each field of an event."""
    begins: int = 0
    """Thoughts had before these."""
    loss: Float[Tensor, ""] | None = None
    """What the reasoner itself asks of training, such as a code near the state; a mean over thoughts."""
    steps: Int[Tensor, " N"] | None = None
    """Where thinking may end early: how many of these thoughts each world had before it held still."""
    concepts: Float[Tensor, "N W C"] | None = None
    """Where thoughts are concepts: those that they are, before any disturbance."""

    def __len__(self) -> int:
        return int(self.vectors.shape[1])


class Reasoner(Protocol, Generic[Memory]):
    """A way to think between reading and answering; variants are one file each.

    Tokens have the model's width D; `real` is False where a token is padding.
    """

    kind: str

    def read(
        self,
        tokens: Float[Tensor, "N L D"],
        real: Bool[Tensor, "N L"],
        memory: Memory | None = None,
    ) -> Memory:
        """Take in tokens that see each other and all that was read or thought before."""
        ...

    def think(
        self,
        memory: Memory,
        count: int,
        *,
        disturbance: Disturbance | None = None,
        written: Int[Tensor, "N K F"] | None = None,
        latent: int | None = None,
        seed: int = 0,
        following: Float[Tensor, "N C"] | None = None,
    ) -> tuple[Thoughts, Memory]:
        """Have `count` thoughts.

        Args:
            disturbance: what is done to them on the way.
            written: events that are written in the place of the reasoner's own choice (teacher).
            latent: how many of the thoughts are of the reasoner's own kind; the others are written
                events, as in the stages of COCONUT's curriculum. All by default.
            seed: of what a reasoner draws; most draw nothing.
            following: the concept of the segment that follows, for those that predict it (teacher).
        """
        ...

    def answer(
        self, memory: Memory, queries: Float[Tensor, "N Q D"], real: Bool[Tensor, "N Q"]
    ) -> Float[Tensor, "N Q D"]:
        """What each query finds; the memory stays as it is."""
        ...


def check_count(count: int) -> int:
    """The number of thoughts, if it is one.

    Raises:
        ValueError: below 0 or above 16.

    >>> check_count(17)
    Traceback (most recent call last):
    ValueError: thoughts got 17; expected 0 to 16.
    """
    if not 0 <= count <= MOST_THOUGHTS:
        raise ValueError(f"thoughts got {count}; expected 0 to {MOST_THOUGHTS}.")
    return count
