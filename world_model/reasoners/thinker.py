"""What the reasoners on a transformer share: all but what a thought is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clay4d.world_model.reasoners.base import Disturbance, Thoughts, check_count
from clay4d.world_model.reasoners.events import EventSizes, EventWriter
from clay4d.world_model.reasoners.transformer import Cache, Size, Transformer, positions


@dataclass(frozen=True)
class Mind:
    """A transformer's memory, and what a reasoner holds beside it."""

    cache: Cache
    ready: Float[Tensor, "N D"] | None = None
    """The state that the next thought is made from; none before thinking has begun."""
    thoughts: int = 0
    """Since the last reading."""
    state: Tensor | None = None
    """A recurrence's own memory, which outlives the readings."""
    loose: int = 0
    """Tokens at the cache's end that the next thought replaces."""


@dataclass(frozen=True)
class Guide:
    """What thinking was asked for, beside a number of thoughts."""

    disturbance: Disturbance | None = None
    seed: int = 0
    following: Float[Tensor, "N C"] | None = None

    def disturbed(self, vector: Float[Tensor, "N D"], step: int) -> Float[Tensor, "N D"]:
        """Thought `step` as it is fed back."""
        return vector if self.disturbance is None else self.disturbance.apply(vector, step)

    def draws(self, step: int) -> torch.Generator:
        """Of thought `step`; they depend on it and on the seed alone."""
        return torch.Generator().manual_seed((1_000_003 * self.seed + step) % (1 << 63))


@dataclass(frozen=True)
class Step:
    """One thought as it is made."""

    vector: Float[Tensor, "N D"]
    code: Int[Tensor, "N F"] | None = None
    state: Tensor | None = None
    """The memory after it."""
    loss: Float[Tensor, ""] | None = None
    concept: Float[Tensor, "N C"] | None = None
    still: Bool[Tensor, " N"] | None = None
    """Worlds whose thinking has come to an end: the thought is the one before it."""


@dataclass
class Had:
    """The thoughts of a stretch so far."""

    begins: int
    vectors: list[Tensor] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)
    codes: list[Tensor | None] = field(default_factory=list)
    logits: list[tuple[Tensor, ...]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    moved: list[Tensor] = field(default_factory=list)
    concepts: list[Tensor] = field(default_factory=list)

    def add(self, vector: Tensor, hidden: Tensor, step: Step) -> None:
        """A thought as it was fed back, the state it was made from, and how it was made."""
        self.vectors.append(vector)
        self.hidden.append(hidden)
        self.codes.append(step.code)
        if step.loss is not None:
            self.losses.append(step.loss)
        if step.concept is not None:
            self.concepts.append(step.concept)
        if step.still is not None:
            self.moved.append((~step.still).long())

    def thoughts(self, like: Float[Tensor, "N D"]) -> Thoughts:
        """All of them; `like` gives the form of none."""
        empty = like[:, None][:, :0]
        return Thoughts(
            torch.stack(self.vectors, 1) if self.vectors else empty,
            torch.stack(self.hidden, 1) if self.hidden else empty,
            _stacked(self.codes),
            tuple(torch.stack(x, 1) for x in zip(*self.logits)) if self.logits else None,
            self.begins,
            torch.stack(self.losses).mean() if self.losses else None,
            torch.stack(self.moved).sum(0) if self.moved else None,
            torch.stack(self.concepts, 1) if self.concepts else None,
        )


class Thinker(nn.Module):
    """A reasoner on a transformer; each thought is a token that a pass of its own takes in.

    Sub-classes say in `express` what a thought is, or in `advance` where it also changes a memory. All
    can also write events, which the stages of a curriculum ask for, so that all of them have the same
    parts and may be taught alike.
    """

    kind = ""
    silent = False
    """Whether there are no thoughts, whatever is asked for."""
    concept = 0
    """Numbers of the concepts that thoughts are, if they are."""
    keeps = True
    """Whether thoughts stay in the cache; else each takes the place of the one before it, and what
    passes from thought to thought is the state alone."""

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__()
        self.size = size
        self.body = Transformer(size)
        self.start = nn.Parameter(torch.empty(size.width).normal_(std=0.5))
        self.writer = EventWriter(size.width, events)

    def express(
        self, hidden: Float[Tensor, "N D"], step: int
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, "N F"] | None]:
        """Thought `step`, made from a state; and its code if it has one."""
        raise NotImplementedError

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """The next thought of the reasoner's own kind."""
        assert mind.ready is not None
        vector, code = self.express(mind.ready, mind.thoughts)
        return Step(vector, code, mind.state)

    def remember(
        self, hidden: Float[Tensor, "N L D"], real: Bool[Tensor, "N L"], state: Tensor | None
    ) -> Tensor | None:
        """The memory after the states of tokens that were read."""
        return state

    def hold(self, state: Tensor | None, vector: Float[Tensor, "N D"]) -> Tensor | None:
        """The memory after a thought as it was fed back, disturbed or not."""
        return state

    def read(
        self, tokens: Float[Tensor, "N L D"], real: Bool[Tensor, "N L"], memory: Mind | None = None
    ) -> Mind:
        """Take in tokens; thinking begins anew after them."""
        hidden, cache = self.body(tokens, real, None if memory is None else memory.cache)
        before = None if memory is None else memory.state
        return Mind(cache, state=self.remember(hidden, real, before))

    def think(
        self,
        memory: Mind,
        count: int,
        *,
        disturbance: Disturbance | None = None,
        written: Int[Tensor, "N K F"] | None = None,
        latent: int | None = None,
        seed: int = 0,
        following: Float[Tensor, "N C"] | None = None,
    ) -> tuple[Thoughts, Mind]:
        """Have `count` thoughts; see `Reasoner.think`."""
        count = 0 if self.silent else check_count(memory.thoughts + count) - memory.thoughts
        own = 0 if self.writes else count if latent is None else min(latent, count)
        mind = memory if memory.ready is not None else self._begin(memory)
        had, guide = Had(memory.thoughts), Guide(disturbance, seed, following)
        mind = self.muse(mind, own, had, guide)
        for step in range(own, count):
            assert mind.ready is not None
            had.logits.append(self.writer.logits(mind.ready))
            code = self.writer.choose(mind.ready) if written is None else written[:, step]
            vector = guide.disturbed(self.writer.token(code), mind.thoughts)
            had.add(vector, mind.ready, Step(vector, code))
            mind = self._take_in(replace(mind, loose=0), vector, mind.thoughts + 1)
        assert mind.ready is not None
        return had.thoughts(mind.ready), mind

    def muse(self, mind: Mind, count: int, had: Had, guide: Guide) -> Mind:
        """Have `count` thoughts of the reasoner's own kind, and add them to those that were had."""
        for _ in range(count):
            assert mind.ready is not None
            step = self.advance(mind, guide)
            vector = guide.disturbed(step.vector, mind.thoughts)
            had.add(vector, mind.ready, step)
            mind = replace(mind, state=self.hold(step.state, vector))
            if step.still is not None and bool(step.still.all()):
                mind = replace(mind, thoughts=mind.thoughts + 1)
                continue
            place = mind.thoughts + 1 if self.keeps else 1
            mind = replace(self._take_in(mind, vector, place), loose=0 if self.keeps else 1)
        return mind

    @property
    def writes(self) -> bool:
        """Whether this reasoner's own thoughts are events."""
        return False

    def answer(
        self, memory: Mind, queries: Float[Tensor, "N Q D"], real: Bool[Tensor, "N Q"]
    ) -> Float[Tensor, "N Q D"]:
        """What each query finds in all that was read and thought."""
        mind = memory if memory.ready is not None else self._begin(memory)
        found: Tensor = self.body(queries, real, mind.cache, stays=False)[0]
        return found

    def _begin(self, memory: Mind) -> Mind:
        """Pass the token that every stretch of thinking starts with."""
        start = self.start.expand(len(memory.cache.real), -1)
        return replace(self._take_in(memory, start, 0), thoughts=0)

    def _take_in(self, mind: Mind, vector: Float[Tensor, "N D"], place: int) -> Mind:
        """Pass one token, in the place of those that are loose."""
        cache = mind.cache.head(len(mind.cache) - mind.loose) if mind.loose else mind.cache
        token = vector + positions(1, self.size.width, first=place)
        real = torch.ones(len(vector), 1, dtype=torch.bool)
        hidden, cache = self.body(token[:, None], real, cache)
        return replace(mind, cache=cache, ready=hidden[:, 0], thoughts=mind.thoughts + 1, loose=0)


def _stacked(codes: list[Tensor | None]) -> Tensor | None:
    """Codes of the thoughts, if all of them have codes of one form."""
    have = [c for c in codes if c is not None]
    if not have or len(have) < len(codes) or len({c.shape for c in have}) > 1:
        return None
    return torch.stack(have, 1)
