"""Prompts at the door: words that training never saw, and things that cannot be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clay4d.physics_baseline.planner.vocabulary import COLOUR_WORDS, NOUNS, SUBSTANCE_WORDS
from clay4d.world_model.model.text import words_of

OPPOSITES: dict[str, tuple[frozenset[str], ...]] = {
    "size": (frozenset({"small", "tiny", "little"}), frozenset({"large", "big", "huge"})),
    "weight": (frozenset({"heavy"}), frozenset({"light"})),
    "pace": (frozenset({"slowly", "slow"}), frozenset({"quickly", "fast", "quick"})),
}
"""Words of which one thing can have one side only."""
BREAKS = frozenset({"and", "or", "with", "the", "a", "an"})


def check_prompt(
    prompt: str, vocabulary: Sequence[str], *, allow_unknown: bool = False, empty: bool = False
) -> str:
    """The prompt as the model reads it, if it can be read.

    Args:
        vocabulary: words the model knows. allow_unknown: leave other words out.
        empty: whether nothing may be said, since there is a context.

    Raises:
        ValueError: empty, unknown or contradictory words, each named.

    >>> check_prompt("A red cat falls.", ["a", "red", "ball", "falls"])
    Traceback (most recent call last):
    ValueError: prompt got unknown words 'cat'; expected words that training saw. ...
    >>> check_prompt("A red blue ball.", ["a", "red", "blue", "ball"])
    Traceback (most recent call last):
    ValueError: prompt got a contradiction, 'red' and 'blue' of one ball; expected one colour. ...
    """
    if not prompt.strip():
        if empty:
            return ""
        raise ValueError('prompt got nothing; expected English such as "a red ball falls".')
    known = set(vocabulary)
    strange = [w for w in dict.fromkeys(words_of(prompt)) if w not in known]
    if strange:
        named = ", ".join(repr(w) for w in strange)
        if not allow_unknown:
            raise ValueError(
                f"prompt got unknown words {named}; expected words that training saw. Rephrase it, or "
                "leave them out with --allow-unknown."
            )
        prompt = without(prompt, strange)
        if not words_of(prompt):
            raise ValueError(f"prompt got only unknown words {named}; expected some known ones.")
    _check_contradictions(prompt)
    return prompt


def without(prompt: str, words: Sequence[str]) -> str:
    """The prompt without some words.

    >>> without("A red shiny ball.", ["shiny"])
    'A red ball.'
    """
    pattern = "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))
    left = re.sub(rf"(?i)(?<![\w'’-])(?:{pattern})(?![\w'’-])", "", prompt)
    return re.sub(r"\s+([.,;])", r"\1", re.sub(r"\s{2,}", " ", left)).strip()


def _check_contradictions(prompt: str) -> None:
    nouns = {word: noun.name for noun in NOUNS for word in noun.words}
    for clause in re.split(r"[.,;]", prompt.lower()):
        colours: list[str] = []
        materials: list[str] = []
        seen: dict[str, tuple[int, str]] = {}
        words = words_of(clause)
        for place, word in enumerate(words):
            if word in BREAKS:
                colours, materials, seen = [], [], {}
            elif word in COLOUR_WORDS:
                pair = f"{words[place - 1]} {word}" if place else ""
                colours = (
                    [*colours[:-1], pair] if pair in COLOUR_WORDS and colours else [*colours, word]
                )
            elif word in SUBSTANCE_WORDS:
                materials.append(word)
            for what, sides in OPPOSITES.items():
                side = next((k for k, names in enumerate(sides) if word in names), None)
                if side is not None:
                    before = seen.setdefault(what, (side, word))
                    if before[0] != side:
                        _contradiction(before[1], word, "one thing", what)
            if word in nouns:
                for what, said in (("colour", colours), ("material", materials)):
                    if len(set(said)) > 1:
                        _contradiction(said[0], said[1], f"one {word}", what)
                colours, materials, seen = [], [], {k: v for k, v in seen.items() if k == "pace"}


def _contradiction(first: str, second: str, thing: str, what: str) -> None:
    raise ValueError(
        f"prompt got a contradiction, {first!r} and {second!r} of {thing}; expected one {what}. "
        "Say which it is."
    )
