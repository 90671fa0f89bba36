"""What a prompt says that things do, read back from its words, and whether paths do it.

Paths are judged by where centres go in the first half second: nothing that is hidden in a world has
moved them far by then. The limits were set on true paths of training worlds (docs/world_model.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from clay4d.world_model.worlds.format import WorldObject
from clay4d.world_model.worlds.layout import Direction, Kind
from clay4d.world_model.worlds.words import VERBS, WAYS

MOVES = 0.3
"""Speed along the floor above which something goes somewhere, metres per second."""
LOW, HIGH = 0.12, 0.12
"""How far above where it would stand something may be that is on the floor; must be that is in the air."""
WIDE = np.cos(np.radians(40))
"""Cosine of the angle by which a way may miss its aim."""


@dataclass(frozen=True)
class Said:
    """One clause: a thing, what it does, and at what or where to."""

    thing: int
    kind: Kind
    aim: int | None = None
    direction: Direction | None = None


def read_acts(prompt: str, objects: Sequence[WorldObject]) -> list[Said]:
    """The clauses of a world's prompt or paraphrase; what is only named, or only met, has none.

    >>> ball = WorldObject("", "the red ball", "mover", "ball", "red", "plastic", (1, 1, 1), 1)
    >>> wall = WorldObject("", "the wall", "wall", "wall", "grey", "brick", (1, 1, 1), 0)
    >>> read_acts("A small red ball rolls into a brick wall.", [ball, wall])
    [Said(thing=0, kind='roll', aim=1, direction=None)]
    >>> read_acts("there is a wall, and a red rubber ball flies rightwards", [wall, ball])
    [Said(thing=1, kind='throw', aim=None, direction='right')]
    """
    text = prompt.lower()
    verbs, places = _verbs(text), _mentions(text, objects)
    said = []
    for start, end, kind, aimed, way in verbs:
        before = [k for place, k in places if place < start]
        after = [k for place, k in places if place >= end]
        if before:
            aim = after[0] if aimed and after else None
            said.append(Said(before[-1], kind, aim, way))
    return said


def acts_right(
    said: Sequence[Said],
    objects: Sequence[WorldObject],
    positions: Float[np.ndarray, "T B 3"],
    *,
    fps: float = 12.0,
) -> list[bool]:
    """Whether each clause holds of paths in metres, in the order of the clauses."""
    return [_holds(one, objects, positions, fps) for one in said]


def _holds(said: Said, objects: Sequence[WorldObject], path: np.ndarray, fps: float) -> bool:
    own, stand = path[:, said.thing], _stand(objects[said.thing])
    speed = (own[2] - own[0]) / 2 * fps
    along, rise = float(np.hypot(*speed[:2])), float(own[0, 2] - stand)
    aim = None if said.aim is None else path[0, said.aim]
    if said.kind == "rest":
        on = aim is None or _above(own[0], aim, objects[said.aim])  # type: ignore[index]
        return on and along < MOVES and (aim is not None or abs(rise) < LOW)
    if said.kind == "fall":
        down = float(own[0, 2] - own[:9, 2].min())
        over = aim is None or _above(own[0], aim, objects[said.aim])  # type: ignore[index]
        return over and down > 0.2 and along < 2 * MOVES and rise > HIGH
    if said.kind == "descend":
        near = aim is not None and float(np.hypot(*(own[0] - aim)[:2])) < 0.6
        down = float(own[0, 2] - own[:13, 2].min())
        return near and rise > HIGH and down > 0.1 and _gone(own[:13]) > 0.15
    goes = along > MOVES and (rise > HIGH if said.kind == "throw" else abs(rise) < LOW)
    if said.direction is not None:
        return goes and speed[0] * (1 if said.direction == "right" else -1) > 0
    if aim is None:
        return goes
    to = (aim - own[0])[:2]
    return goes and float(speed[:2] @ to) > WIDE * along * float(np.hypot(*to))


def _gone(own: np.ndarray) -> float:
    return float(np.hypot(*(own - own[0])[:, :2].T).max())


def _above(own: np.ndarray, under: np.ndarray, thing: WorldObject) -> bool:
    x, y, _ = thing.size
    reach = 0.5 * float(np.hypot(x, y))
    return float(np.hypot(*(own - under)[:2])) < reach and bool(own[2] > under[2])


def _stand(thing: WorldObject) -> float:
    """Height of a thing's centre where it stands on the floor; capsules lie."""
    return (thing.size[0] if thing.shape == "capsule" else thing.size[2]) / 2


def _verbs(text: str) -> list[tuple[int, int, Kind, bool, Direction | None]]:
    """Where each verb of the worlds' English begins and ends, and what it means; longest first."""
    forms: dict[str, tuple[Kind, bool, Direction | None]] = {}
    for (kind, aimed), verbs in VERBS.items():
        for verb in verbs:
            ways = (
                [(w, d) for d, names in WAYS.items() for w in names]
                if "{way}" in verb
                else [("", None)]
            )
            for way, direction in ways:
                forms[verb.format(way=way)] = (kind, aimed, direction)  # type: ignore[assignment]
    pattern = "|".join(re.escape(v) for v in sorted(forms, key=lambda v: -len(v)))
    return [
        (m.start(), m.end(), *forms[m.group(0)]) for m in re.finditer(rf"\b(?:{pattern})\b", text)
    ]


def _mentions(text: str, objects: Sequence[WorldObject]) -> list[tuple[int, int]]:
    """Where each thing's last word stands, and which thing it is, in order."""
    found = []
    for k, thing in enumerate(objects):
        words = rf"{thing.colour}(?: \w+)? {thing.shape}" if thing.role == "mover" else thing.shape
        found += [(m.start(), k) for m in re.finditer(rf"\b{words}\b", text)]
    return sorted(found)
