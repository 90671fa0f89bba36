"""Thoughts made visible: what the model would say if it had to answer after each of them.

Before each half second the model thinks K times. Here it is asked after 0, 1, … K of those thoughts what
comes next, with the same draws each time, so that what differs between two answers is the thought's doing.
The words are a linear lens (nostalgebraist 2020, the logit lens): the weights with which the model
writes events, applied to the state after each thought.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clay4d.world_model.model.world_model import FPS, Believe, Believed, WorldModel
from clay4d.world_model.patcher import load_byte_model
from clay4d.world_model.reasoners.thinker import Mind
from clay4d.world_model.slots import Slots

SMALL = 0.005
"""Metres below which a thing is said to stay where it was believed."""


@dataclass(frozen=True)
class Patch:
    """Bytes of the prompt that the model reads as one token."""

    text: str
    bits: float
    """Entropy of its first byte before it was read; what starts a patch."""


@dataclass(frozen=True)
class Belief:
    """What the model would answer after so many thoughts."""

    thoughts: int
    slots: Slots
    """The half second that it foretells."""
    chance: float | None
    """Of that future among the model's own, 0 to 1; None for a beginning, which is drawn otherwise."""
    event: str | None
    """What the lens reads; None where it reads that nothing happens, or there is no lens."""
    sure: float
    """Probability that the lens gives to that kind of event, 0 to 1."""
    changes: tuple[str, ...]
    """What is otherwise than one thought before, the largest first."""


@dataclass(frozen=True)
class Stretch:
    """The beliefs on the way to one half second, after 0, 1, … K thoughts."""

    start: float
    beliefs: tuple[Belief, ...]


def prompt_patches(model: WorldModel, prompt: str) -> tuple[Patch, ...]:
    """The patches of a prompt with their entropies."""
    text = prompt.encode()
    if not text:
        return ()
    starts = list(model.dynamics.text.patcher(text))
    bits = load_byte_model().entropies(text)
    ends = [*starts[1:], len(text)]
    return tuple(
        Patch(text[a:b].decode("utf-8", "replace"), float(bits[a])) for a, b in zip(starts, ends)
    )


class Watcher:
    """Asks the model after each thought; give it to `WorldModel.imagine` as `watch`.

    Args of `__init__`: `names` of the things, in the order of their slots; `count` of thoughts.
    """

    def __init__(self, model: WorldModel, names: list[str], *, count: int) -> None:
        self.model, self.names, self.count = model, names, count
        self.stretches: list[Stretch] = []

    def __call__(self, mind: Mind, start: float, believe: Believe, seed: int) -> None:
        """Have the thoughts, one more each time, and note what the model believes then."""
        beliefs: list[Belief] = []
        for k in range(self.count + 1):
            _, after = self.model.dynamics.reasoner.think(mind, k, seed=seed)
            before = beliefs[-1].slots if beliefs else None
            beliefs.append(self._belief(k, after, believe(after), start, before))
        self.stretches.append(Stretch(start, tuple(beliefs)))

    def _belief(
        self, k: int, mind: Mind, believed: Believed, start: float, before: Slots | None
    ) -> Belief:
        slots, chance = believed
        event, sure = self._read(mind, start)
        changes = () if before is None else changed(before, slots, self._named)
        share = None if chance is None else math.exp(float(chance[0]))
        return Belief(k, slots, share, event, sure, changes)

    def _named(self, k: int) -> str:
        return self.names[k] if k < len(self.names) else f"thing {k + 1}"

    def _read(self, mind: Mind, start: float) -> tuple[str | None, float]:
        """The likeliest event by the lens."""
        writer = getattr(self.model.dynamics.reasoner, "writer", None)
        state: Tensor | None = getattr(mind, "ready", None)
        if writer is None or state is None:
            return None, 0.0
        scores = writer.logits(state)
        code = [int(s[0].argmax()) for s in scores]
        names = [self._named(k) for k in range(self.model.config.encoder.objects)]
        end = start + self.model.dynamics.size.segment / FPS
        event = self.model.codec.decode(code, names, start=start, end=end)
        sure = float(torch.softmax(scores[0][0], -1).max())
        return None if event is None else event.line, sure


def changed(before: Slots, now: Slots, named: Callable[[int], str]) -> tuple[str, ...]:
    """What is otherwise in the second belief: things that come, go, or end elsewhere; largest first.

    Args:
        named: gives a thing's name for its slot.
    """
    said: list[tuple[float, str]] = []
    for k in range(now.present.shape[1]):
        was, is_ = bool(before.present[0, k]), bool(now.present[0, k])
        if was and is_:
            far = float((now.positions[0, -1, k] - before.positions[0, -1, k]).norm())
            if far >= SMALL:
                said.append((far, f"{named(k)} ends {100 * far:.0f} cm elsewhere"))
        elif was != is_:
            said.append((math.inf, f"{named(k)} {'appears' if is_ else 'is gone'}"))
    return tuple(text for _, text in sorted(said, key=lambda s: (-s[0], s[1])))
