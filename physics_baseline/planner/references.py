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
        self.members: dict[tuple[str, int], Thing] = {}
        """Things by the number they are called by: "the second ball"."""
        self.landmarks: list[Thing] = []
        """Where the sentence before began: "to the left of a pillar stands …"."""
        self.parallel = False
        """Whether the sentence at hand begins with a place, too, which "its" in it then means."""
        self.placing = False
        """Whether a place is looked for: "behind it", where it is rather something that does not move."""
        self.floor_named = False
        self.sloped = False
        """Whether something with a foot and a top is looked for."""

    def mention(self, thing: Thing) -> None:
        self.recent = [t for t in self.recent if t is not thing] + [thing]

    def known(self, phrase: Phrase, besides: list[Thing]) -> list[Thing]:
        """What "the ball", "the second ball", "the other ball" or "the balls" means, if anything fits.

        Raises:
            PlanError: it could be one thing or another.
        """
        if phrase.member is not None:
            return [self.members[phrase.member]] if phrase.member in self.members else []
        if not phrase.definite:
            return []
        fitting = [t for t in self.recent if self._fits(phrase, t)]
        exact = [t for t in fitting if t.noun is phrase.noun] or fitting
        if phrase.another:
            return self._other(phrase, exact, besides)
        if phrase.group or phrase.first:
            return exact[-1:]
        found = (
            self._plural(phrase, exact) if phrase.many or phrase.count else self._one(phrase, exact)
        )
        if phrase.every and not found:
            raise PlanError(
                f"no rule for {phrase.text!r} here: nothing was named before that it could mean."
            )
        return found

    def _one(self, phrase: Phrase, fitting: list[Thing]) -> list[Thing]:
        if len(fitting) > 1:
            raise self._unclear(phrase, fitting)
        if fitting and fitting[0].count > 1:
            raise PlanError(
                f"no rule for {phrase.text!r} where there are {fitting[0].phrase.text!r}. Say 'the "
                "first', or 'they' if it is all of them."
            )
        return fitting

    def _plural(self, phrase: Phrase, fitting: list[Thing]) -> list[Thing]:
        if phrase.count is not None:
            whole = [t for t in fitting if t.count == phrase.count]
            if len(whole) == 1:
                return whole
            together = sum(t.count for t in fitting) == phrase.count
            if len(whole) > 1:
                raise self._unclear(phrase, whole)
            return fitting if together else []
        several = [t for t in fitting if t.count > 1]
        if len(fitting) > 1 and several:
            raise self._unclear(phrase, fitting)
        if len(fitting) == 1 and not several:
            raise PlanError(
                f"no rule for {phrase.text!r} where there is one: {fitting[0].phrase.text!r}."
            )
        return fitting

    def _other(self, phrase: Phrase, fitting: list[Thing], besides: list[Thing]) -> list[Thing]:
        """The one of two that was not just spoken of."""
        spoken = besides if any(t is b for t in fitting for b in besides) else self.topics
        left = [t for t in fitting if all(t is not s for s in spoken)]
        if len(fitting) != 2 or len(left) != 1 or left[0].count > 1:
            raise PlanError(
                f"no rule for {phrase.text!r} here: expected two such things, one of which was just spoken of."
            )
        return left

    @staticmethod
    def _unclear(phrase: Phrase, fitting: list[Thing]) -> PlanError:
        return PlanError(
            f"no rule for {phrase.text!r} where it could be {fitting[0].phrase.text!r} or "
            f"{fitting[1].phrase.text!r}. Say which, by its colour or what it is."
        )

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
        counted = phrase.count is None or phrase.count >= thing.count or phrase.first
        measured = all(m in thing.phrase.measures for m in phrase.measures)
        qualities = set(phrase.adjectives) <= set(thing.phrase.adjectives)
        return same and grouped and counted and measured and qualities

    def meant(self, phrase: Phrase, besides: list[Thing]) -> list[Thing]:
        """What a pronoun means.

        Raises:
            PlanError: nothing that was named fits.
        """
        others = [t for t in self.recent if all(t is not b for b in besides)]
        if phrase.pronoun in ("it", "itself"):
            if not others and self.floor_named:
                return []
            found = self._single(others, done_to=bool(besides))
        elif phrase.pronoun in ("them", "they", "both"):
            found = self._several(phrase.pronoun, others)
        elif phrase.pronoun == "the other":
            about = besides or self.topics
            found = [t for t in self.recent if about and t.noun is about[0].noun]
            return self._other(phrase, found, besides)
        else:
            return []
        if not found:
            raise PlanError(
                f"no rule for {phrase.text!r} here: nothing was named before that it could mean."
            )
        return found

    def _single(self, others: list[Thing], *, done_to: bool) -> list[Thing]:
        """What "it" means: what the sentence before was about, or what was named last.

        Raises:
            PlanError: something is done to it, and it could be what that was about or what that met.
        """
        single = [t for t in others if t.count == 1 or t.phrase.group]
        topics = [t for t in single if any(t is x for x in self.topics)]
        if self.sloped:
            topics = [t for t in single if t.shape == "ramp"]
        elif done_to and topics:
            later = next(k for k, t in enumerate(single) if t is topics[-1]) + 1
            moving = self.placing and self.moves(topics[-1])
            rivals = [t for t in single[later:] if moving or not t.fixed]
            if rivals and self.parallel and len(self.landmarks) == 1:
                return self.landmarks
            if rivals:
                raise PlanError(
                    f"no rule for 'it' where it could be {topics[-1].phrase.text!r} or "
                    f"{rivals[0].phrase.text!r}. Say which."
                )
        return topics[-1:] or single[-1:]

    def moves(self, thing: Thing) -> bool:
        """Whether it was said to move; `Teller` knows."""
        raise NotImplementedError

    def _several(self, pronoun: str, others: list[Thing]) -> list[Thing]:
        topics = [t for t in others if any(t is x for x in self.topics)]
        many = [t for t in others if t.count > 1][-1:]
        if len(topics) > 1 or (pronoun == "they" and sum(t.count for t in topics) > 1):
            found = topics
        else:
            found = many or (others[-2:] if len(others) > 1 else [])
        if pronoun == "both" and sum(t.count for t in found) != 2:
            found = others[-2:]
            return found if [t.count for t in found] == [1, 1] else []
        return found
