"""Events between words and numbers: what reasoners write is what people read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from clay4d.physics_baseline.planner.vocabulary import PALETTE
from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.worlds import WorldEvent
from clay4d.world_model.worlds.things import FIXTURES, SHAPES

NOTHING = (0, 0, 0, 0)
"""The event that says that nothing more happens."""


@dataclass(frozen=True)
class EventCodec:
    """Sentences with gaps for things; an event is a sentence, a moment and up to two things.

    >>> codec = EventCodec(("{0} hits {1}",))
    >>> words = ["the red ball", "the wall"]
    >>> code = codec.encode(WorldEvent(0.21, "the red ball hits the wall"), words, start=0, end=0.5)
    >>> code, codec.decode(code, words, start=0, end=0.5).line
    ((1, 5, 1, 2), '0.23 s: the red ball hits the wall')
    """

    templates: tuple[str, ...]
    """Code 0 is not among them: nothing more happens."""
    moments: int = 12
    """Stretches of a segment's time."""

    @classmethod
    def learn(
        cls, scripts: Iterable[tuple[Sequence[WorldEvent], Sequence[str]]], *, most: int = 23
    ) -> EventCodec:
        """The commonest sentences of some scripts, each given with the words of its world's things."""
        count: Counter[str] = Counter()
        for events, words in scripts:
            count.update(_gaps(e.words, words)[0] for e in events)
        common = sorted(count, key=lambda t: (-count[t], t))[:most]
        return cls(tuple(common))

    def sizes(self, things: int) -> EventSizes:
        """Choices of each field, for worlds of at most `things` things."""
        return EventSizes(len(self.templates) + 1, self.moments, things + 1)

    def encode(
        self, event: WorldEvent, words: Sequence[str], *, start: float, end: float
    ) -> tuple[int, int, int, int]:
        """The four numbers of an event; `NOTHING` for a sentence that was never learned."""
        template, things = _gaps(event.words, words)
        if template not in self.templates or len(things) > 2:
            return NOTHING
        share = (event.time - start) / (end - start)
        moment = min(max(int(share * self.moments), 0), self.moments - 1)
        first, second = (*(k + 1 for k in things), 0, 0)[:2]
        return self.templates.index(template) + 1, moment, first, second

    def segment(
        self,
        events: Sequence[WorldEvent],
        words: Sequence[str],
        *,
        start: float,
        end: float,
        count: int,
    ) -> Int64[np.ndarray, "K 4"]:
        """The first `count` events from `start` on and before `end`, then nothing more."""
        inside = [e for e in events if start <= e.time < end]
        codes = [self.encode(e, words, start=start, end=end) for e in inside]
        codes = [c for c in codes if c != NOTHING][:count]
        return np.array(codes + [NOTHING] * (count - len(codes)), np.int64).reshape(count, 4)

    def decode(
        self, code: Sequence[int], words: Sequence[str], *, start: float, end: float
    ) -> WorldEvent | None:
        """The event of four numbers, None for nothing; things that are not there are `something`."""
        template, moment, *things = (int(x) for x in code)
        if not 0 < template <= len(self.templates):
            return None
        named = [words[k - 1] if 0 < k <= len(words) else "something" for k in things]
        time = start + (moment + 0.5) / self.moments * (end - start)
        return WorldEvent(round(time, 2), self.templates[template - 1].format(*named))


def things_of(prompt: str, count: int) -> list[str]:
    """What a prompt calls its first `count` things, in the order in which it names them.

    >>> things_of("A small red ball falls onto a wall. The red ball is tiny.", 3)
    ['the red ball', 'the wall', 'thing 3']
    """
    colours = "|".join(re.escape(c) for c in PALETTE)
    shapes = "|".join((*SHAPES, *FIXTURES))
    named: dict[str, None] = {}
    for colour, shape in re.findall(rf"\b(?:({colours})(?: \w+)? )?({shapes})\b", prompt.lower()):
        named[f"the {colour} {shape}" if colour else f"the {shape}"] = None
    said = list(named)[:count]
    return said + [f"thing {k + 1}" for k in range(len(said), count)]


def mention_order(prompt: str, objects: Sequence[tuple[str, str]]) -> list[int]:
    """Objects in the order in which a prompt mentions them first; those it does not come last.

    Args:
        objects: colour and shape of each.

    >>> mention_order("A wall. A red steel ball hits a blue cube.",
    ...     [("blue", "cube"), ("red", "ball"), ("brown", "wall")])
    [2, 1, 0]
    """
    text = prompt.lower()
    taken: set[int] = set()
    places = {}
    for k, (colour, shape) in enumerate(objects):
        exact = rf"\b{re.escape(colour)}\b(?: \w+){{0,2}} {re.escape(shape)}"
        for pattern in (exact, rf"\b{re.escape(shape)}"):
            found = [m.start() for m in re.finditer(pattern, text) if m.start() not in taken]
            if found:
                taken.add(found[0])
                places[k] = found[0]
                break
    return sorted(range(len(objects)), key=lambda k: (places.get(k, len(text)), k))


def _gaps(text: str, words: Sequence[str]) -> tuple[str, list[int]]:
    """A sentence with gaps for the things it names, and which they are, in order of appearance."""
    if not words:
        return text, []
    longest = sorted(range(len(words)), key=lambda k: -len(words[k]))
    pattern = "|".join(rf"{re.escape(words[k])}\b" for k in longest)
    things: list[int] = []

    def gap(match: re.Match[str]) -> str:
        things.append(list(words).index(match.group(0)))
        return f"{{{len(things) - 1}}}"

    return re.sub(pattern, gap, text), things
