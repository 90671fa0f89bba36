"""The planner's check of its own reading: what a prompt says must show in the scene, or the prompt is refused.

A grammar can read a word and then do nothing with it: a rule that was made for one verb meets another, or a
phrase is attached to the wrong thing. Two checks find that whatever the rule was. Each number, colour, material,
speed and direction of the prompt is changed in turn and the scene is made again: if it stays the same to the last
byte, the word was not read. And every relation ("on", "left of", "behind") and every meeting must be true of where
things were put.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from clay4d.physics_baseline.planner import vocabulary as n
from clay4d.physics_baseline.planner.layout import Layout
from clay4d.physics_baseline.planner.story import Path, Story
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences
from clay4d.physics_baseline.planner.things import Thing
from clay4d.physics_baseline.planner.words import Measure, PlanError

OTHER = 1.37
"""What a number is multiplied by to see whether it counts."""
NEAR = 1.5
"""Metres within which things that stand beside each other are."""
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
        value = (number, (kind, "red" if name != "red" else "blue"))
        yield (f"{name!r} of one of {phrase.text!r}", *_item(phrase.colours, k, value))
    for _, others_ in (*phrase.places, *phrase.carries):
        for other in others_:
            yield from _of_phrase(other)
    for predicate in phrase.predicates:
        yield from _of_predicate(predicate)


def _counts(phrase: Phrase, quality: n.Quality) -> bool:
    """Whether a quality changes anything of such a thing by its meaning."""
    noun = phrase.noun
    if noun is not None and (
        (quality.flag == "fixed" and noun.fixed) or (quality.flag == "soft" and noun.soft)
    ):
        return False
    plain = n.Quality(quality.doc, flag=quality.flag)
    if quality.flag in ("upright", "lying"):
        return False
    if quality.flag == "colourful" and phrase.count == 1:
        return False
    if quality == plain and not quality.flag:
        return False
    if noun is None:
        return True
    made = n.SUBSTANCES[noun.material]
    already = (
        quality.scale == (1, 1, 1) and quality.density == 1 and quality.speed == 1 and not quality.flag
        and quality.texture in (None, noun.texture) and quality.opacity in (None, made.opacity)
        and quality.friction in (None, made.friction) and quality.roughness in (None, made.roughness)
        and quality.restitution in (None, made.restitution, noun.restitution)
    )  # fmt: skip
    return not already


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


# ── where things are ────────────────────────────────────────────────────────────────────────────────
def check_places(story: Story, layout: Layout) -> None:
    """Refuse a scene in which a relation or a meeting of the prompt does not hold.

    Raises:
        PlanError: a thing that is not where the prompt has it, or not in the way of what is to meet it.
    """
    for relation, subject, others in story.relations:
        if not _holds(relation, subject, others):
            raise PlanError(
                f"no rule puts {subject.phrase.text!r} {relation.replace('_', ' ')} {others[0].phrase.text!r} "
                "as well as all else that the prompt says of them. Say less, or in two sentences."
            )
    for thing, path in story.paths:
        if thing.fixed and (path.kind or path.blow is not None):
            raise PlanError(f"no rule for {thing.phrase.text!r} that moves: it stands fast.")
        if thing.noun.name == "pendulum" and path.kind not in ("", "swing", "hang"):
            raise PlanError(
                f"no rule for a pendulum in {path.texts[-1]!r}; known: it swings, hangs or hits."
            )
        if path.down and path.kind in ("roll", "slide") and path.ramp is None and not path.off:
            raise PlanError(
                f"no rule for {thing.phrase.text!r} that goes down where there is no slope."
            )
        if path.off and path.surface is None and path.ramp is None:
            raise PlanError(
                f"no rule for {thing.phrase.text!r} that goes off: it stands on nothing."
            )
        for how, target in path.stations if path.kind in ("throw", "swing") else []:
            if how == "into" and target.solid_size[2] < max(0.08, 0.2 * thing.solid_size[2]):
                raise PlanError(
                    f"no rule for {thing.phrase.text!r} in {path.kind!r} that hits {target.phrase.text!r}: it is too flat."
                )
        walls = [t for how, t in path.stations[:-1] if how == "into" and t.fixed]
        if walls and path.kind in ("roll", "slide", "throw", "swing"):
            raise PlanError(
                f"no rule lets {thing.phrase.text!r} go on behind {walls[0].phrase.text!r}, which stands fast. "
                "Leave out what comes after."
            )
        if path.kind in ("roll", "slide", "fall"):
            for how, target in path.stations:
                met = _below if path.kind == "fall" else _in_the_way
                if how in ("into", "on") and not met(thing, path, target):
                    raise PlanError(
                        f"no rule lets {thing.phrase.text!r} reach {target.phrase.text!r} where they stand. "
                        "Say that it stands on the floor, or on the same thing."
                    )


def _overlap(a: Thing, b: Thing) -> bool:
    (a0, a1), (b0, b1) = a.bounds(), b.bounds()
    return all(a0[k] < b1[k] + 1e-6 and b0[k] < a1[k] + 1e-6 for k in (0, 1))


def _holds(relation: str, subject: Thing, others: list[Thing]) -> bool:
    other = others[0]
    if subject.fixed and other.shape == "cloth":
        return True
    (a0, a1), (b0, b1) = subject.bounds(), other.bounds()
    if relation in ("on", "top_of", "above", "over"):
        if other.shape == "ramp":
            return _overlap(subject, other)
        rests = abs(a0[2] - b1[2]) < 5e-3 if relation == "on" else a0[2] > b1[2] - 5e-3
        return rests and _overlap(subject, other)
    if relation == "under":
        return a1[2] < b0[2] + 5e-3 and _overlap(subject, other)
    if relation == "between":
        ends = others if len(others) > 1 else None
        if ends is None:
            return b0[0] < a0[0] and a1[0] < b1[0]
        xs = sorted(t.middle[0] for t in ends)
        return xs[0] < subject.middle[0] < xs[-1]
    side = {
        "left_of": b0[0] - a1[0], "right_of": a0[0] - b1[0], "front_of": b0[1] - a1[1],
        "behind": a0[1] - b1[1],
    }.get(relation)  # fmt: skip
    if side is not None:
        return side > -5e-3
    gaps = [max(a0[k] - b1[k], b0[k] - a1[k]) for k in (0, 1)]
    return max(gaps) < NEAR


def _meets(thing: Thing, target: Thing, axes: tuple[int, ...]) -> bool:
    """Whether one of the bodies of either side overlaps one of the other along the axes."""
    room = [(thing.solid_size[k] + target.solid_size[k]) / 2 for k in range(3)]
    if thing.shape == "sphere" and target.solid_size[2] < thing.size[2] / 2:
        room = [
            target.solid_size[k] / 2 for k in range(3)
        ]  # It touches what is flat by its lowest point.
    return any(
        all(abs(a.position[k] - b.position[k]) < room[k] for k in axes)
        for a in thing.copies
        for b in target.copies
    )


def _below(thing: Thing, path: Path, target: Thing) -> bool:
    """Whether what falls has the target under it."""
    return target.shape == "ramp" or _meets(thing, target, (0, 1))


def _in_the_way(thing: Thing, path: Path, target: Thing) -> bool:
    """Whether a thing that rolls or slides along x has the target before it, at its height."""
    (a0, a1), (b0, b1) = thing.bounds(), target.bounds()
    ahead = (b1[0] - a0[0]) * path.heading > 0 if path.heading > 0 else a1[0] - b0[0] > 0
    beside = _meets(thing, target, (1,))
    base = 0.0
    if path.surface is not None and not path.off:
        base = path.surface.bounds()[1][2]
    elif path.ramp is not None:
        base = path.ramp.bounds()[0][2]
    tall = a1[2] - a0[2]
    level = b0[2] < base + tall and base < b1[2]
    return ahead and beside and level
