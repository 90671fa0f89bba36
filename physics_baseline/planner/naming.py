"""Which things the phrases of a prompt name: new ones, or those that were named before."""

from __future__ import annotations

from dataclasses import replace

from clay4d.physics_baseline.planner.motions import MotionRules
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences
from clay4d.physics_baseline.planner.things import Thing, describe, make_thing
from clay4d.physics_baseline.planner.words import PlanError

APART = ("fall", "roll", "slide", "throw", "swing")
"""Motions of which a thing has one at a time."""


class NamingRules(MotionRules):
    """Makes things of phrases; `Teller` tells what they do."""

    def __init__(self, said: Sentences, palette: list[str]) -> None:
        super().__init__()
        self.said, self.palette = said, palette
        self.named: dict[int, list[Thing]] = {}
        """What each phrase that is in `said` was found to mean."""

    def predicate(self, said: Predicate, subjects: list[Thing]) -> None:
        """What things do; `Teller` has the rule."""
        raise NotImplementedError

    def first_only(self, subjects: list[Phrase], said: Predicate) -> Predicate:
        """Refuse what only the first of several would do, but for dominoes that topple or are pushed over."""
        topples = said.motion == "topple" or (said.motion == "hit" and said.passive)
        if any(p.first for p in subjects) and not topples:
            raise PlanError(
                f"no rule for {said.motion!r} of the first of several in {said.text!r}; known: "
                "'the first of ten dominoes topples'. Or name it as a thing of its own."
            )
        struck = said.motion == "hit" and not any(name in ("by", "with") for name, _ in said.tails)
        return replace(said, motion="topple") if struck and any(p.first for p in subjects) else said

    def all(self, phrases: list[Phrase], *, besides: list[Thing] | None = None) -> list[Thing]:
        found: list[Thing] = []
        for phrase in phrases:
            if phrase.noun is not None and phrase.noun.shape == "floor":
                self.floor(phrase)
                continue
            for thing in self.thing(phrase, besides=besides):
                if all(thing is not f for f in found):
                    found.append(thing)
        return found

    def floor(self, phrase: Phrase) -> None:
        """What the prompt says of the floor itself."""
        self.floor_named = True
        if phrase.measures or phrase.places or phrase.carries or phrase.predicates:
            raise PlanError(
                f"no rule for {phrase.text!r} with more said of it; known: what it is made of."
            )
        self.said.floor_quality += [
            a for a in phrase.adjectives if a not in self.said.floor_quality
        ]

    def thing(self, phrase: Phrase, *, besides: list[Thing] | None = None) -> list[Thing]:
        if phrase.pronoun:
            return self.meant(phrase, besides or [])
        known = self.named.get(id(phrase.same), []) or self.known(phrase, besides or [])
        found = known or [self.new(phrase)]
        self.named[id(phrase)] = found
        made = found[0]
        for thing in found:
            self.mention(thing)
        if phrase.first and made.count < 2:
            raise PlanError(f"no rule for the first of one thing in {phrase.text!r}.")
        self.around(phrase, found, new=not known)
        for predicate in phrase.predicates:
            if known:
                self.same_motion(phrase, predicate, made)
            self.predicate(self.first_only([phrase], predicate), found)
            self.mention(made)
        return found

    def around(self, phrase: Phrase, found: list[Thing], *, new: bool) -> None:
        """Where things are by their own phrase, and what stands on or next to them."""
        made = found[0]
        for relation, others in phrase.places if new else []:
            self.sloped = relation in ("foot_of", "top_of")
            near = self.all(others, besides=[made])
            self.sloped = False
            if near:
                self.story.relations.append((relation, made, near))
                self.mention(made)
        for relation, others in phrase.carries:
            for other in self.all(others, besides=found):
                self.story.relations.append((relation, other, found))
            self.mention(made)

    def same_motion(self, phrase: Phrase, said: Predicate, thing: Thing) -> None:
        """Refuse "the balls that roll" for balls that fall: they may be others."""
        kind = self.story.path(thing).kind
        if kind in APART and said.motion in APART and kind != said.motion:
            raise PlanError(
                f"no rule for {phrase.text!r} here: of {thing.phrase.text!r} something else was said. Call "
                "other things by another name."
            )

    def new(self, phrase: Phrase) -> Thing:
        """A thing that was not named before."""
        made = make_thing(phrase, self.palette)
        self.story.things.append(made)
        self.story.lines.append((phrase.text, describe(made)))
        if phrase.member is not None:
            self.members[phrase.member] = made
        return made
