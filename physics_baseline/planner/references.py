"""What "the ball", "it", "them" and "the other one" mean: things that were named before."""

from __future__ import annotations

from clay4d.physics_baseline.planner.syntax import Phrase
from clay4d.physics_baseline.planner.things import Thing
from clay4d.physics_baseline.planner.words import PlanError


class References:
    """Things in the order of their last mention."""

    def __init__(self) -> None:
        self.recent: list[Thing] = []

    def mention(self, thing: Thing) -> None:
        self.recent = [t for t in self.recent if t is not thing] + [thing]

    def known(self, phrase: Phrase) -> Thing | None:
        """The thing that "the ball" means, if there is one that fits."""
        if not phrase.definite or phrase.another:
            return None
        for thing in reversed(self.recent):
            same = thing.noun is phrase.noun or (phrase.noun is None and bool(phrase.group))
            grouped = not phrase.group or thing.arrangement == phrase.group
            if same and grouped and set(phrase.adjectives) <= set(thing.phrase.adjectives):
                return thing
        return None

    def meant(self, phrase: Phrase, besides: list[Thing]) -> list[Thing]:
        others = [t for t in self.recent if all(t is not b for b in besides)]
        if phrase.pronoun == "it" or phrase.pronoun == "itself":
            others = [t for t in others if t.count == 1 or t.arrangement != "row"] or others
            others = others[-1:]
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
