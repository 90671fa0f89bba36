"""Single ones of several things: "three cubes; the second is yellow", "two balls roll, the first hits a cone".

Where only colours are told, the things stay one thing with several colours. Else they are split into as many
things, each of which can do something of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences, Statement
from clay4d.physics_baseline.planner.words import PlanError

Spoken = tuple[list[Phrase], Phrase]
"""A phrase and the list that it stands in."""


@dataclass
class Family:
    """Several things of one phrase, and how single ones of them are told of."""

    spoken: Spoken
    told: list[tuple[int, Phrase]] = field(default_factory=list)


def single_out(said: Sentences) -> Sentences:
    """The sentences with every "the second" resolved; they are changed in place.

    Raises:
        PlanError: an ordinal number of things that were not named, or that cannot be taken apart.
    """
    spoken = list(_spoken(said.statements))
    families: dict[int, Family] = {}
    for at, (_, phrase) in enumerate(spoken):
        if phrase.ordinal:
            _resolve(phrase, spoken[:at], families)
    for number, family in enumerate(families.values()):
        if not _coloured(said, family):
            _split(family, f"{number}")
    return said


def _spoken(statements: list[Statement]) -> Iterator[Spoken]:
    """All phrases in the order in which they are said."""
    for statement in statements:
        yield from _of(statement.subjects)
        yield from _spoken(statement.after)
        for predicate in statement.predicates:
            yield from _of_predicate(predicate)


def _of_predicate(predicate: Predicate) -> Iterator[Spoken]:
    for phrases in (predicate.objects, *(phrases for _, phrases in predicate.tails)):
        yield from _of(phrases)


def _of(phrases: list[Phrase]) -> Iterator[Spoken]:
    for phrase in phrases:
        yield phrases, phrase
        for _, others in (*phrase.places, *phrase.carries):
            yield from _of(others)
        for predicate in phrase.predicates:
            yield from _of_predicate(predicate)


def _resolve(phrase: Phrase, before: list[Spoken], families: dict[int, Family]) -> None:
    """Find what an ordinal number counts."""
    several = [s for s in before if _several(s[1]) and phrase.noun in (None, s[1].noun)]
    listed = [h for h, _ in before if len(h) > 1 and phrase.noun is None and not _counted(h)]
    if listed and not several:
        _of_list(phrase, listed[-1])
        return
    if listed:
        raise PlanError(
            f"no rule for {phrase.text!r} where it could be of {several[-1][1].text!r} or of "
            f"{', '.join(p.text for p in listed[-1])!r}."
        )
    if several:
        if phrase.noun is None:
            several = [s for s in several if s[1].noun is several[-1][1].noun]
        _of_several(phrase, several, families)
        return
    if phrase.noun is None:
        raise PlanError(
            f"no rule for {phrase.text!r} here: no things were named that it could count."
        )
    named = [
        p for _, p in before if p.noun is phrase.noun and not p.definite or p.member is not None
    ]
    named = [p for p in named if p.noun is phrase.noun]
    number = len(named) if phrase.ordinal < 0 else phrase.ordinal
    if not 1 <= number <= len(named) + 1:
        raise PlanError(
            f"no rule for {phrase.text!r} here: {len(named)} such things were named before."
        )
    phrase.member = (phrase.noun.name, number)
    if number <= len(named):
        named[number - 1].member = phrase.member


def _counted(listed: list[Phrase]) -> bool:
    """Whether a list is of things by their numbers: "the first and the third"."""
    return any(p.ordinal or p.pronoun for p in listed)


def _of_list(phrase: Phrase, listed: list[Phrase]) -> None:
    """ "a ball and a cube roll; the first …"."""
    number = len(listed) if phrase.ordinal < 0 else phrase.ordinal
    if not 1 <= number <= len(listed):
        raise PlanError(f"no rule for {phrase.text!r} of {len(listed)} things.")
    meant = listed[number - 1]
    meant.member = meant.member or (f"{meant.text}", number)
    phrase.noun, phrase.member = meant.noun, meant.member


def _several(phrase: Phrase) -> bool:
    told = (phrase.count or 0) > 1 or (phrase.many and not phrase.every)
    return told and not phrase.pronoun and not phrase.another


def _of_several(phrase: Phrase, several: list[Spoken], families: dict[int, Family]) -> None:
    new = [s for s in several if not s[1].definite] or several[:1]
    if len(new) > 1:
        raise PlanError(
            f"no rule for {phrase.text!r} where it could be of {new[0][1].text!r} or {new[1][1].text!r}."
        )
    found = new[0][1]
    if found.noun is None:
        raise PlanError(
            f"no rule for {phrase.text!r} of {found.text!r}: what it is made of is not told."
        )
    if found.noun.name == "domino" and phrase.ordinal == 1:
        phrase.noun, phrase.first = found.noun, True
        return
    if phrase.adjectives or phrase.count:
        raise PlanError(f"no rule for {phrase.text!r} with more said of it than its number.")
    number = (found.count or 0) if phrase.ordinal < 0 else phrase.ordinal
    if not 1 <= number <= (found.count or 0):
        raise PlanError(
            f"no rule for {phrase.text!r} of {found.text!r}; expected one of a number that is told."
        )
    phrase.noun = found.noun
    families.setdefault(id(found), Family(new[0])).told.append((number, phrase))


def _coloured(said: Sentences, family: Family) -> bool:
    """Whether all that is told of single ones is their colour, which is then noted with the things."""
    found = []
    for number, phrase in family.told:
        for statement in said.statements:
            if statement.subjects == [phrase] and statement.subjects[0] is phrase:
                found.append((number, statement))
    if len(found) != len(family.told) or not all(_colour_only(s) for _, s in found):
        return False
    for number, statement in found:
        quality = statement.predicates[0].quality
        assert quality is not None
        family.spoken[1].colours.append((number, quality.adjectives[0]))
        said.statements.remove(statement)
    return True


def _colour_only(statement: Statement) -> bool:
    if len(statement.predicates) != 1 or statement.after:
        return False
    made = statement.predicates[0]
    quality = made.quality
    if made.motion != "be" or quality is None or made.tails or made.measures or made.adverbs:
        return False
    return [kind for kind, _ in quality.adjectives] == ["colour"] and not quality.measures


def _split(family: Family, name: str) -> None:
    holder, phrase = family.spoken
    if phrase.group not in ("", "row") or (phrase.noun and phrase.noun.name == "domino"):
        raise PlanError(
            f"no rule for {family.told[0][1].text!r} of {phrase.text!r}; known: of things side by side."
        )
    at = next(k for k, other in enumerate(holder) if other is phrase)
    holder[at : at + 1] = [
        replace(
            phrase, count=1, many=False, group="", member=(name, k + 1),
            adjectives=list(phrase.adjectives), measures=list(phrase.measures),
        )
        for k in range(phrase.count or 0)
    ]  # fmt: skip
    for number, told in family.told:
        told.member = (name, number)
