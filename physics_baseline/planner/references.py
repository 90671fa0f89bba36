"""What "the ball", "it", "them" and "the other one" mean: things that were named before."""

from __future__ import annotations

from clay4d.physics_baseline.planner.syntax import Phrase
from clay4d.physics_baseline.planner.things import Thing
from clay4d.physics_baseline.planner.words import PlanError

GENERAL = ("ball", "box", "block", "cube", "cylinder")
"""Nouns that other things of their shape are called by when they are named again."""


class References:
    """Things in the order of their last mention."""

    def __init__(self) -> None:
        self.recent: list[Thing] = []
        self.topics: list[Thing] = []
        """What the sentence before was about: "it" means that rather than what it was put on."""
        self.sloped = False
        """Whether something with a foot and a top is looked for."""

    def mention(self, thing: Thing) -> None:
        self.recent = [t for t in self.recent if t is not thing] + [thing]

    def known(self, phrase: Phrase) -> Thing | None:
        """The thing that "the ball" means, if there is one that fits."""
        if not phrase.definite or phrase.another:
            return None
        fitting = [t for t in self.recent if self._fits(phrase, t)]
        exact = [t for t in fitting if t.noun is phrase.noun] or fitting
        if len(exact) > 1 and not phrase.group:
            raise PlanError(
                f"no rule for {phrase.text!r} where it could be {exact[0].phrase.text!r} or "
                f"{exact[1].phrase.text!r}. Say which, by its colour or what it is."
            )
        return exact[-1] if exact else None

    def _fits(self, phrase: Phrase, thing: Thing) -> bool:
        noun = phrase.noun
        same = thing.noun is noun or (noun is None and bool(phrase.group))
        # "A crate … the box": the plain word for its shape, if nothing else was called that.
        same |= (
            noun is not None
            and noun.name in GENERAL
            and thing.shape == noun.shape
            and not thing.fixed
        )
        grouped = not phrase.group or thing.arrangement == phrase.group
        counted = phrase.count is None or phrase.count == thing.count or phrase.first
        measured = all(m in thing.phrase.measures for m in phrase.measures)
        qualities = set(phrase.adjectives) <= set(thing.phrase.adjectives)
        return same and grouped and counted and measured and qualities

    def meant(self, phrase: Phrase, besides: list[Thing]) -> list[Thing]:
        others = [t for t in self.recent if all(t is not b for b in besides)]
        if phrase.pronoun == "it" or phrase.pronoun == "itself":
            others = [t for t in others if t.count == 1 or t.arrangement != "row"] or others
            topics = [t for t in others if any(t is x for x in self.topics)]
            topics = [t for t in others if t.shape == "ramp"] if self.sloped else topics
            others = topics[-1:] or others[-1:]
        elif phrase.pronoun == "them" or phrase.pronoun == "they":
            many = [t for t in others if t.count > 1]
            others = many[-1:] or others[-2:]
        else:
            return []
        if not others:
            raise PlanError(
                f"no rule for {phrase.text!r} here: nothing was named before that it could mean."
            )
        return others
