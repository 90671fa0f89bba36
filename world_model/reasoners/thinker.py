"""What the reasoners on a transformer share: all but what a thought is made of."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clay4d.world_model.reasoners.base import Disturbance, Thoughts, check_count
from clay4d.world_model.reasoners.events import EventSizes, EventWriter
from clay4d.world_model.reasoners.transformer import Cache, Size, Transformer, positions


class Mind:
    """A transformer's memory: its cache, the state that the next thought is made from, and a count."""

    def __init__(
        self, cache: Cache, ready: Float[Tensor, "N D"] | None = None, thoughts: int = 0
    ) -> None:
        self.cache, self.ready, self.thoughts = cache, ready, thoughts


class Thinker(nn.Module):
    """A reasoner on a transformer; each thought is a token that a pass of its own takes in.

    Sub-classes say in `express` what a thought is. All can also write events, which the stages of a
    curriculum ask for, so that all of them have the same parts and may be taught alike.
    """

    kind = ""
    silent = False
    """Whether there are no thoughts, whatever is asked for."""

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__()
        self.size = size
        self.body = Transformer(size)
        self.start = nn.Parameter(torch.randn(size.width) * 0.5)
        self.writer = EventWriter(size.width, events)

    def express(
        self, hidden: Float[Tensor, "N D"], step: int
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, "N F"] | None]:
        """Thought `step`, made from a state; and its code if it has one."""
        raise NotImplementedError

    def read(
        self, tokens: Float[Tensor, "N L D"], real: Bool[Tensor, "N L"], memory: Mind | None = None
    ) -> Mind:
        """Take in tokens; thinking begins anew after them."""
        _, cache = self.body(tokens, real, None if memory is None else memory.cache)
        return Mind(cache)

    def think(
        self,
        memory: Mind,
        count: int,
        *,
        disturbance: Disturbance | None = None,
        written: Int[Tensor, "N K F"] | None = None,
        latent: int | None = None,
    ) -> tuple[Thoughts, Mind]:
        """Have `count` thoughts; see `Reasoner.think`."""
        first = memory.thoughts
        count = 0 if self.silent else check_count(first + count) - first
        latent = count if latent is None else latent
        mind = memory if memory.ready is not None else self._begin(memory)
        assert mind.ready is not None
        cache, hidden = mind.cache, mind.ready
        vectors, states, codes, logits = [], [], [], []
        for step in range(count):
            states.append(hidden)
            if step < latent:
                vector, code = self.express(hidden, first + step)
                if self.writes:
                    logits.append(self.writer.logits(hidden))
                    if written is not None:
                        code = written[:, step]
                        vector = self.writer.token(code)
            else:
                logits.append(self.writer.logits(hidden))
                code = self.writer.choose(hidden) if written is None else written[:, step]
                vector = self.writer.token(code)
            vector = disturbance.apply(vector, first + step) if disturbance else vector
            vectors.append(vector)
            codes.append(code)
            hidden, cache = self._pass(vector, cache, first + step + 1)
        empty = hidden[:, None][:, :0]
        return Thoughts(
            torch.stack(vectors, 1) if vectors else empty,
            torch.stack(states, 1) if states else empty,
            _stacked(codes),
            tuple(torch.stack(x, 1) for x in zip(*logits)) if logits else None,
            first,
        ), Mind(cache, hidden, first + count)

    @property
    def writes(self) -> bool:
        """Whether this reasoner's own thoughts are events."""
        return False

    def answer(
        self, memory: Mind, queries: Float[Tensor, "N Q D"], real: Bool[Tensor, "N Q"]
    ) -> Float[Tensor, "N Q D"]:
        """What each query finds in all that was read and thought."""
        mind = memory if memory.ready is not None else self._begin(memory)
        found: Tensor = self.body(queries, real, mind.cache)[0]
        return found

    def _begin(self, memory: Mind) -> Mind:
        """Pass the token that every stretch of thinking starts with."""
        start = self.start.expand(len(memory.cache.real), -1)
        hidden, cache = self._pass(start, memory.cache, 0)
        return Mind(cache, hidden)

    def _pass(
        self, vector: Float[Tensor, "N D"], cache: Cache, place: int
    ) -> tuple[Float[Tensor, "N D"], Cache]:
        token = vector + positions(1, self.size.width, first=place)
        real = torch.ones(len(vector), 1, dtype=torch.bool)
        hidden, cache = self.body(token[:, None], real, cache)
        return hidden[:, 0], cache


def _stacked(codes: list[Tensor | None]) -> Tensor | None:
    """Codes of the thoughts, if all of them have codes of one form."""
    have = [c for c in codes if c is not None]
    if not have or len(have) < len(codes) or len({c.shape for c in have}) > 1:
        return None
    return torch.stack(have, 1)
