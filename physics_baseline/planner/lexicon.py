"""The vocabulary as one table: every phrase with its readings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner import vocabulary as n
from clay4d.physics_baseline.planner import wordings as w

CLOSED: dict[str, str] = {
    "DET": "a an the another each every all other its some this that these those",
    "PRON": "it them they itself", "HAVING": "having",
    "IS": "is are was were be being been gets get", "THAT": "that which who", "ALLOF": "both",
    "AND": "and & plus", "THEN": "then", "WHILE": "while as when before until till",
    "CAM": "camera cameras view views shot", "NO": "no",
    "SEEN": "seen viewed filmed shot recorded shown watched",
}  # fmt: skip
"""Words of the grammar itself, by kind."""
Reading = tuple[str, str, Any]
"""A phrase, the kind of word it is, and what it means."""


def plural(word: str) -> str:
    """The plural of a noun, in English spelling.

    >>> plural("box"), plural("billiard ball"), plural("domino"), plural("shelf")
    ('boxes', 'billiard balls', 'dominoes', 'shelves')
    """
    irregular = {"die": "dice", "shelf": "shelves", "penny": "pennies"}
    if word in irregular:
        return irregular[word]
    if word.endswith(("s", "x", "ch", "sh", "domino")):
        return word + "es"
    return word + "s"


def verb_forms(base: str) -> dict[str, set[str]]:
    """Forms of a verb by name: base, present (third person), ing, past; its particle stays last.

    >>> forms = verb_forms("drop")
    >>> sorted(forms["ing"] | forms["past"] | forms["present"])
    ['dropped', 'dropping', 'drops']
    """
    first, _, rest = base.partition(" ")
    tail = f" {rest}" if rest else ""
    stem = first[:-1] if first.endswith("e") and not first.endswith("ee") else first
    short = re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", first)
    if short or first in v.DOUBLED:
        stem = first + first[-1]
    ing = first[:-2] + "ying" if first in ("lie", "tie") else stem + "ing"
    third = first + ("es" if first.endswith(("s", "x", "ch", "sh")) or first == "go" else "s")
    short_y = re.search(r"[^aeiou]y$", first)
    third = first[:-1] + "ies" if short_y else third
    past = set(v.IRREGULAR.get(first, (first[:-1] + "ied" if short_y else stem + "ed",)))
    return {
        "base": {base}, "present": {third + tail}, "ing": {ing + tail},
        "past": {p + tail for p in past},
    }  # fmt: skip


@cache
def lexicon() -> dict[tuple[str, ...], dict[str, Any]]:
    """Every phrase of the vocabulary with its readings; of two meanings of one kind the first counts."""
    table: dict[tuple[str, ...], dict[str, Any]] = {}
    for phrase, kind, value in _things():
        table.setdefault(tuple(phrase.split()), {}).setdefault(kind, value)
    for name, motion in v.MOTIONS.items():
        for base in motion.verbs:
            for form, spelt in verb_forms(base).items():
                for word in spelt:
                    entry = table.setdefault(tuple(word.split()), {})
                    entry.setdefault("VERB", (name, base, set()))[2].add(form)
    for phrase, kind, value in (*_happenings(), *_grammar()):
        table.setdefault(tuple(phrase.split()), {}).setdefault(kind, value)
    return table


def _things() -> Iterator[Reading]:
    """Nouns, what they are like, how many and how they stand."""
    for noun in n.NOUNS:
        for word in noun.words:
            yield word, "NOUN", (noun, False)
            yield plural(word), "NOUN", (noun, True)
    yield "dominos", "NOUN", (next(x for x in n.NOUNS if x.name == "domino"), True)
    for words, kind in (
        (n.COLOUR_WORDS, "colour"), (n.SUBSTANCE_WORDS, "material"), (n.QUALITY_WORDS, "quality"),
    ):  # fmt: skip
        for word, value in words.items():
            yield word, "ADJ", (kind, value)
    for word, group in n.GROUPS.items():
        yield word, "GROUP", group
        yield plural(word), "GROUP", group
    for word, number in n.NUMBERS.items():
        yield word, "NUM", number


def _happenings() -> Iterator[Reading]:
    """Participles, places, ways, worlds, winds and cameras; the verbs are put in by their forms."""
    for spelt, motion in v.PARTICIPLES.items():
        yield spelt, "VERB", (motion, spelt, {"past"})
    for move, meaning in v.CAMERA_MOVES.items():
        for forms in verb_forms(move).values():
            for word in forms:
                yield word, "MOVE", meaning
    tables: dict[str, dict[str, Any]] = {
        "PREP": {**v.PREPOSITIONS}, "ADV": {**v.ADVERBS}, "DIR": {**v.DIRECTIONS},
        "WORLD": {**v.WORLDS}, "SHOT": {**v.SHOTS}, "VIEW": {**v.VIEW_WORDS},
        "STRENGTH": {**v.WIND_STRENGTHS}, "DIM": {**v.DIMENSIONS},
    }  # fmt: skip
    for kind, phrases in tables.items():
        for word, value in phrases.items():
            yield word, kind, value
    for word in v.WIND_WORDS:
        yield word, "WIND", word
        yield word + "s", "WIND", word


def _grammar() -> Iterator[Reading]:
    """What changes nothing, and what holds sentences together."""
    for word in v.FILLERS:
        yield word, "FILLER", word
    for kind, words in CLOSED.items():
        for word in words.split():
            yield word, kind, word
    for phrase in ("each other", "one another"):
        yield phrase, "PRON", "each other"
    for word in ("one", "ones"):
        yield word, "ONE", word == "ones"
    for phrase in ("on top", "on top of it", "on top of them"):
        yield phrase, "ONTOP", phrase
    for phrase in w.FIRST_OF:
        yield phrase, "FIRST", phrase
    for phrase, place in w.ORDINALS.items():
        yield f"the {phrase}", "ORDINAL", place
        yield f"the {phrase} one", "ORDINAL", place
    for which in ("which", "that"):
        yield f"{which} are", "ALLOF", f"{which} are"
        yield f"{which} is", "THATIS", f"{which} is"
    for phrase, dimension in w.DIMENSION_NOUNS.items():
        for article in ("a ", "an ", "the ", ""):
            yield f"{article}{phrase} of", "OF", dimension
    for phrase in ("the edge of", "edge of"):
        yield phrase, "FILLER", phrase
