"""What is said of a world: its prompt and paraphrases, in the planner's English.

A prompt tells what is in the world and what it starts to do; nothing in it depends on how the world goes
on or on what is hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clay4d.world_model.worlds.layout import Kind, Placed

VERBS: dict[tuple[Kind, bool], tuple[str, ...]] = {
    ("roll", True): ("rolls into", "rolls towards", "is rolling towards"),
    ("roll", False): ("rolls {way}", "is rolling {way}"),
    ("slide", True): ("slides into", "slides towards", "is sliding towards"),
    ("slide", False): ("slides {way}", "is sliding {way}"),
    ("throw", True): ("is thrown at", "flies towards", "is tossed at"),
    ("throw", False): ("is thrown {way}", "flies {way}", "is tossed {way}"),
    ("fall", True): ("falls onto", "drops onto", "is dropped onto"),
    ("fall", False): ("falls onto the floor", "drops to the floor", "is dropped onto the floor"),
    ("descend", True): ("rolls down", "is rolling down"),
    ("rest", True): ("rests on", "stands on", "lies on"),
    ("rest", False): ("rests on the floor", "stands on the floor", "lies on the floor"),
}  # fmt: skip
"""Of each act, at something or not: the prompt takes the first, paraphrases any."""
WAYS: dict[str, tuple[str, ...]] = {
    "right": ("to the right", "rightwards"), "left": ("to the left", "leftwards"),
}  # fmt: skip


def write_prompt(placed: Sequence[Placed]) -> str:
    """The prompt: one sentence for each thing, those that move first, each named in full at first."""
    order = sorted(range(len(placed)), key=lambda k: (placed[k].act.kind == "rest", k))
    return _join(_clauses(placed, order, None), None)


def write_paraphrases(placed: Sequence[Placed], count: int, rng: np.random.Generator) -> tuple[str, ...]:  # fmt: skip
    """Other words for the same, all different from the prompt and from each other."""
    made = [write_prompt(placed)]
    for _ in range(20 * count):
        if len(made) > count:
            break
        order = [int(k) for k in rng.permutation(len(placed))]
        text = _join(_clauses(placed, order, rng), rng)
        if text not in made:
            made.append(text)
    return tuple(made[1:])


def _clauses(placed: Sequence[Placed], order: Sequence[int], rng: np.random.Generator | None) -> list[str]:  # fmt: skip
    """A clause for each thing that another's clause does not already introduce and leave at rest."""
    said: set[int] = set()
    clauses = []
    met = {p.act.aim for p in placed if p.act.kind != "rest"}
    for k in order:
        p = placed[k]
        if p.thing.role != "mover":
            if k not in {q.act.aim for q in placed}:
                clauses.append(f"there is {_call(placed, k, said)}")
            continue
        if p.act.kind == "rest" and p.act.aim is None and k in met:
            continue
        subject = _call(placed, k, said)
        options = VERBS[p.act.kind, p.act.aim is not None]
        verb = options[0] if rng is None else options[int(rng.integers(len(options)))]
        ways = WAYS[p.act.direction] if p.act.direction else ("",)
        way = ways[0] if rng is None else ways[int(rng.integers(len(ways)))]
        words = [subject, verb.format(way=way)]
        if p.act.aim is not None:
            words.append(_call(placed, p.act.aim, said))
        if p.act.pace:
            words.append(p.act.pace)
        clauses.append(" ".join(words))
    return clauses


def _call(placed: Sequence[Placed], k: int, said: set[int]) -> str:
    thing = placed[k].thing
    if k in said:
        return f"the {thing.short}"
    said.add(k)
    return f"{'an' if thing.full[0] in 'aeiou' else 'a'} {thing.full}"


def _join(clauses: Sequence[str], rng: np.random.Generator | None) -> str:
    style = 0 if rng is None else int(rng.integers(3))
    if style == 0:
        return " ".join(f"{c[0].upper()}{c[1:]}." for c in clauses)
    if style == 1 or len(clauses) == 1:
        return ", and ".join(clauses)
    return ", ".join(clauses[:-1]) + " and " + clauses[-1]
