"""The planner's check of its own reading: what a prompt says must show in the scene, or the prompt is refused.

A grammar can read a word and then do nothing with it: a rule that was made for one verb meets another, or a
phrase is attached to the wrong thing. So each number, colour, material, speed and direction of the prompt is changed
in turn and the scene is made again: if it stays the same to the last byte, the word was not read. What `holds.py`
checks beside that is whether things are where they are said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from clay4d.physics_baseline.planner import vocabulary as n
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences, Statement
from clay4d.physics_baseline.planner.words import Measure, PlanError

OTHER = 1.37
"""What a number is multiplied by to see whether it counts."""
UNMOVED = ("rest", "hold", "hang", "stop", "drape", "release")
"""Motions that are as gentle as they are said to be."""
Change = tuple[str, Callable[[], None], Callable[[], None]]
"""What the prompt says, how to change that in place, and how to change it back."""


def check_all_read(said: Sentences, build: Callable[[], str]) -> None:
    """Refuse a prompt with a word that makes no difference.

    Args:
        said: what was read; it is changed and restored.
        build: the scene's text from `said` as it is.

    Raises:
        PlanError: a number, quality, speed or direction that does not show in the scene.
    """
    duration, fps = said.duration, said.fps
    before = build()
    for text, change, restore in list(changes(said)):
        said.duration, said.fps = duration, fps
        change()
        try:
            same = build() == before
        except PlanError:  # It counts: with another value the scene is impossible.
            same = False
        finally:
            restore()
            said.duration, said.fps = duration, fps
        if same:
            raise PlanError(
                f"no rule for {text} there: the scene would be the same without it. Leave it out, or say "
                "it of something else."
            )


def changes(said: Sentences) -> Iterator[Change]:
    """Every value of the prompt with another in its place."""
    for statement in said.statements:
        yield from _of_statement(statement)


def _of_statement(statement: Statement) -> Iterator[Change]:
    for sooner in statement.after:
        yield from _of_statement(sooner)
    for phrase in statement.subjects:
        yield from _of_phrase(phrase)
    for predicate in statement.predicates:
        yield from _of_predicate(predicate)


def _set(holder: object, name: str, value: object) -> tuple[Callable[[], None], Callable[[], None]]:
    old = getattr(holder, name)
    return lambda: setattr(holder, name, value), lambda: setattr(holder, name, old)


def _item(
    holder: list[Any], k: int, value: object
) -> tuple[Callable[[], None], Callable[[], None]]:
    old = holder[k]
    return lambda: holder.__setitem__(k, value), lambda: holder.__setitem__(k, old)


def _other(measure: Measure) -> Measure:
    return Measure(measure.kind, OTHER * measure.value, measure.text)


def _of_phrase(phrase: Phrase) -> Iterator[Change]:
    if phrase.count is not None:
        yield (
            f"the number {phrase.count} of {phrase.text!r}",
            *_set(phrase, "count", phrase.count + 1),
        )
    for k, (dimension, measure) in enumerate(phrase.measures):
        yield (
            f"{measure.text!r} of {phrase.text!r}",
            *_item(phrase.measures, k, (dimension, _other(measure))),
        )
    yield from _of_look(phrase)
    for _, others_ in (*phrase.places, *phrase.carries):
        for other in others_:
            yield from _of_phrase(other)
    for predicate in phrase.predicates:
        yield from _of_predicate(predicate)


def _of_look(phrase: Phrase) -> Iterator[Change]:
    """Its adjectives, and colours of single ones."""
    for k, (kind, name) in enumerate(phrase.adjectives):
        if kind == "quality":
            if _counts(phrase, n.QUALITIES[name]):
                rest = [a for j, a in enumerate(phrase.adjectives) if j != k]
                yield (f"{name!r} of {phrase.text!r}", *_set(phrase, "adjectives", rest))
            continue
        others = ("red", "blue") if kind == "colour" else ("cork", "steel")
        value = (kind, others[0] if name != others[0] else others[1])
        yield (f"{name!r} of {phrase.text!r}", *_item(phrase.adjectives, k, value))
    for k, (number, (kind, name)) in enumerate(phrase.colours):
        other = (number, (kind, "red" if name != "red" else "blue"))
        yield (f"{name!r} of one of {phrase.text!r}", *_item(phrase.colours, k, other))


def _counts(phrase: Phrase, quality: n.Quality) -> bool:
    """Whether a quality changes anything of such a thing by its meaning."""
    noun, flag = phrase.noun, quality.flag
    if flag in ("upright", "lying") or (flag == "colourful" and phrase.count == 1):
        return False
    if noun is not None and ((flag == "fixed" and noun.fixed) or (flag == "soft" and noun.soft)):
        return False
    if noun is None or flag:
        return quality != n.Quality(quality.doc)
    made = n.SUBSTANCES[noun.material]
    if quality.scale != (1, 1, 1) or quality.density != 1 or quality.speed != 1:
        return True
    return not (
        quality.texture in (None, noun.texture) and quality.opacity in (None, made.opacity)
        and quality.friction in (None, made.friction) and quality.roughness in (None, made.roughness)
        and quality.restitution in (None, made.restitution, noun.restitution)
    )  # fmt: skip


def _of_predicate(made: Predicate) -> Iterator[Change]:
    if made.speed != 1 and not (made.motion in UNMOVED and made.speed < 1):
        yield (f"how fast it is in {made.text!r}", *_set(made, "speed", OTHER * made.speed))
    if made.heading:
        yield (f"the direction in {made.text!r}", *_set(made, "heading", -made.heading))
    for k, (preposition, measure) in enumerate(made.measures):
        yield (
            f"{measure.text!r} in {made.text!r}",
            *_item(made.measures, k, (preposition, _other(measure))),
        )
    if made.quality is not None:
        yield from _of_phrase(made.quality)
    for phrase in (*made.objects, *(p for _, phrases in made.tails for p in phrases)):
        yield from _of_phrase(phrase)
