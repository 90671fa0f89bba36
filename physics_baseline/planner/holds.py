"""The planner's check of its layout: every relation and every meeting of a prompt must be true of where things are."""

from __future__ import annotations

from collections.abc import Iterator

from clay4d.physics_baseline.planner.story import Path, Story
from clay4d.physics_baseline.planner.things import Thing
from clay4d.physics_baseline.planner.words import PlanError

NEAR = 1.5
"""Metres within which things that stand beside each other are."""
GOING = ("roll", "slide", "throw", "swing")
"""Motions that leave where they began at once."""


def check_places(story: Story) -> None:
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
        for fault in (*_own_faults(thing, path), *_meeting_faults(story, thing, path)):
            raise PlanError(f"no rule {fault}")


def _own_faults(thing: Thing, path: Path) -> Iterator[str]:
    """What a thing cannot do by itself."""
    text = repr(thing.phrase.text)
    if thing.fixed and (path.kind or path.blow is not None):
        yield f"for {text} that moves: it stands fast."
    if thing.noun.name == "pendulum" and path.kind not in ("", "swing", "hang"):
        yield f"for a pendulum in {path.texts[-1]!r}; known: it swings, hangs or hits."
    if path.down and path.kind in ("roll", "slide") and path.ramp is None and not path.off:
        yield f"for {text} that goes down where there is no slope."
    if path.off and path.surface is None and path.ramp is None:
        yield f"for {text} that goes off: it stands on nothing."


def _meeting_faults(story: Story, thing: Thing, path: Path) -> Iterator[str]:
    """What it is said to meet and will not."""
    text = repr(thing.phrase.text)
    walls = [t for how, t in path.stations[:-1] if how == "into" and t.fixed]
    if walls and path.kind in GOING:
        yield (
            f"lets {text} go on behind {walls[0].phrase.text!r}, which stands fast. Leave out what comes after."
        )
    for how, target in path.stations:
        other, flat = repr(target.phrase.text), 0.2 * thing.solid_size[2]
        if how == "into" and path.kind in ("throw", "swing"):
            if target.solid_size[2] < max(0.08, flat):
                yield f"for {text} in {path.kind!r} that hits {other}: it is too flat."
        if how == "on" and path.kind == "fall" and story.has_path(target):
            if story.path(target).kind in GOING:
                yield f"lets {text} fall onto {other}, which does not wait for it."
        if how in ("into", "on") and not _reaches(thing, path, target):
            yield (
                f"lets {text} reach {other} where they stand. Say that it stands on the floor, or on the same thing."
            )


def _reaches(thing: Thing, path: Path, target: Thing) -> bool:
    """Whether what falls has the target below it, and what rolls or slides has it in its way."""
    if path.kind == "fall":
        return target.shape == "ramp" or _meets(thing, target, (0, 1))
    return path.kind not in ("roll", "slide") or _in_the_way(thing, path, target)


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
