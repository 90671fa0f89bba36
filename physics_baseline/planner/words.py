"""From text to words with their meanings: the longest phrase of the vocabulary wins.

A word may have several readings ("fast" describes a ball or a motion); the parser takes the one that
fits. A word without any is refused by name, with the words that could stand there.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner import vocabulary as n
from clay4d.physics_baseline.planner import wordings as w
from clay4d.physics_baseline.planner.lexicon import lexicon


class PlanError(ValueError):
    """The prompt holds something that the planner has no rule for; the message names it."""


@dataclass(frozen=True)
class Word:
    """A phrase of the prompt with its readings by kind, such as {"ADJ": ("colour", "red")}."""

    text: str
    readings: dict[str, Any]

    def __contains__(self, kind: str) -> bool:
        return kind in self.readings

    def __getitem__(self, kind: str) -> Any:
        return self.readings[kind]


@dataclass(frozen=True)
class Measure:
    """A number with its unit: kind is "length", "mass", "time", "speed", … in SI units."""

    kind: str
    value: float
    text: str


_TOKEN = re.compile(r"\d+(?:\.\d+)?|m/s|km/h|rad/s|[a-z][a-z'\-]*|[.,;:!?&]")


def read_words(prompt: str) -> tuple[list[Word], list[str]]:
    """The prompt's words with their readings, and what was passed over.

    Raises:
        PlanError: words that are not in the vocabulary, each with those that could stand there.

    >>> words, passed = read_words("Please show two red balls")
    >>> [w.text for w in words], passed
    (['two', 'red', 'balls'], ['please', 'show'])
    """
    text = respell(prompt)
    parts = _TOKEN.findall(text)
    strange = re.sub(r"\s+", "", _TOKEN.sub("", text))
    if strange:
        raise PlanError(
            f"prompt got the characters {strange[:20]!r}; expected English words, numbers and ordinary punctuation."
        )
    table = lexicon()
    parts = [p for part in parts for p in ([part] if _known(part) else part.split("-"))]
    longest = max(len(key) for key in table)
    words: list[Word] = []
    passed: list[str] = []
    unknown: list[int] = []
    k = 0
    while k < len(parts):
        word, used = _number(parts, k)
        if word is None:
            for size in range(min(longest, len(parts) - k), 0, -1):
                readings = table.get(tuple(parts[k : k + size]))
                if readings:
                    word, used = Word(" ".join(parts[k : k + size]), readings), size
                    break
        if word is None and parts[k] in ",.;:!?":
            word, used = Word(parts[k], {"COMMA" if parts[k] == "," else "STOP": parts[k]}), 1
        if word is None:
            unknown.append(len(words))
            word, used = Word(parts[k], {}), 1
        if set(word.readings) == {"FILLER"}:
            passed.append(word.text)
        else:
            words.append(word)
        k += used
    bad = [j for j, word in enumerate(words) if not word.readings]
    if bad:
        raise PlanError("\n".join(dict.fromkeys(_refusal(words, j) for j in bad)))
    return _sized(words), passed


def respell(prompt: str) -> str:
    """The prompt in lower case, with other ways to say a few things put in plain words.

    >>> respell("A 30-cm-wide cube whose colour is red rolls downhill")
    'a 30 cm wide cube of red rolls down a hill'
    """
    text = prompt.lower().replace("’", "'").replace("×", "x")
    text = re.sub(r"(\d)-(?=[a-z])", r"\1 ", text)
    text = re.sub(r"(?<=\d)( [a-z]+)-(wide|tall|high|long|thick)\b", r"\1 \2", text)
    for pattern, plain in w.RESPELLINGS:
        text = re.sub(pattern if pattern[:1] in " ," else rf"\b{pattern}", plain, text)
    return text


@cache
def _known(part: str) -> bool:
    """Whether a word with a hyphen is one of the vocabulary's, and not two words."""
    return "-" not in part or any(part in key for key in lexicon()) or part.split("-")[0] == ""


def _sized(words: list[Word]) -> list[Word]:
    """ "a width of" and the measure behind it as one word.

    Raises:
        PlanError: a measure of another kind, such as a width of 2 kg, or none.
    """
    made: list[Word] = []
    for word in words:
        before = made[-1] if made else None
        if before is None or set(before.readings) != {"OF"}:
            made.append(word)
            continue
        kind = {"mass": "mass", "speed": "speed"}.get(before["OF"], "length")
        if "MEASURE" not in word or word["MEASURE"].kind != kind:
            raise PlanError(
                f"prompt got {word.text!r} after {before.text!r}; expected a {kind} such as "
                f"{ {'mass': '2 kg', 'speed': '3 m/s'}.get(kind, '30 cm')!r}."
            )
        readings = {**word.readings, "OF": before["OF"]}
        made[-1] = Word(f"{before.text} {word.text}", readings)
    return made


def _number(parts: list[str], k: int) -> tuple[Word | None, int]:
    """A count such as "3" or "two", or with a unit behind it a measure such as "30 cm"."""
    spelt = n.NUMBERS.get(parts[k])
    used = 1
    if parts[k] == "half":
        a = parts[k + 1 : k + 2] in (["a"], ["an"])
        value, used = 0.5, 2 if a else 1
    elif parts[k] in ("a", "an"):
        value = 1.0
    elif spelt is not None and parts[k] not in ("some", "few", "many", "several", "both"):
        value = float(spelt)
    elif re.fullmatch(r"\d+(\.\d+)?", parts[k]):
        value = float(parts[k])
    else:
        return None, 0
    for size in (3, 2, 1):
        unit = " ".join(parts[k + used : k + used + size])
        for spelling in (unit, unit.rstrip("s") if len(unit) > 2 else unit):
            if spelling in v.UNITS and not (parts[k] in ("a", "an") and len(spelling) < 3):
                kind, factor = v.UNITS[spelling]
                said = " ".join(parts[k : k + used + size])
                return Word(said, {"MEASURE": Measure(kind, value * factor, said)}), used + size
    if parts[k] in ("a", "an"):
        return None, 0
    if parts[k] == "half":
        if parts[k + 1 : k + 3] == ["a", "dozen"]:
            return Word("half a dozen", {"NUM": 6}), 3
        return None, 0
    if spelt is None and value != int(value):
        return Word(parts[k], {}), 1
    return (None, 0) if spelt is not None else (Word(parts[k], {"NUM": int(value)}), 1)


def _refusal(words: list[Word], at: int) -> str:
    """Why a word is refused: what it would be where it stands, and the words known for that."""
    word = words[at].text
    before = words[at - 1] if at else Word("", {"STOP": ""})
    after = words[at + 1] if at + 1 < len(words) else Word("", {"STOP": ""})
    described = "DET" in before or "NUM" in before or "ADJ" in before
    thing_before = not before.readings or any(k in before for k in ("NOUN", "PRON", "AND", "IS"))
    if described and any(k in after for k in ("NOUN", "ADJ", "GROUP")):
        plain = [c for c in n.COLOURS if " " not in c]
        kind, known = "qualities", [*plain, *n.SUBSTANCES, *n.QUALITIES]
    elif described:
        kind, known = "things", [noun.name for noun in n.NOUNS]
    elif word.endswith(("s", "ed", "ing")) and (thing_before or "STOP" in before):
        kind, known = "motions", list(v.MOTIONS)
    else:
        kind, known = "words", []
    spelt = sorted({" ".join(key) for key in lexicon()})
    near = difflib.get_close_matches(word, spelt, 1, 0.8)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if not known:
        return f"no rule for {word!r}; see docs/prompts.md for the vocabulary.{hint}"
    return f"no rule for {word!r}; known {kind}: {', '.join(known)}.{hint}"
