"""The script and the questions of a contact log that is written by hand."""

from __future__ import annotations

import dataclasses

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Contact, Trajectory
from clay4d.world_model.worlds.format import Hidden, WorldObject
from clay4d.world_model.worlds.script import ask_questions, write_script

NAMES = ("red-ball", "blue-cube", "wall")
OBJECTS = (
    WorldObject("red-ball", "the red ball", "mover", "ball", "red", "steel", (0.2,) * 3, 3.0),
    WorldObject("blue-cube", "the blue cube", "mover", "cube", "blue", "wood", (0.2,) * 3, 1.0),
    WorldObject("wall", "the wall", "wall", "wall", "brick red", "brick", (0.1, 0.9, 0.3), 0.0),
)


def touch(time: float, a: str, b: str, *, speed: float = 1.0, end: float | None = None, up: float = 0.0) -> Contact:  # fmt: skip
    return Contact(
        time, time if end is None else end, (a, b), (0, 0, 0), (1 - up, 0.0, up), speed, 1.0
    )


def path_of(*contacts: Contact) -> Trajectory:
    """The cube slides until 0.5 s, the ball rolls on from then; nothing else moves."""
    times = np.arange(24) / 12
    velocities = np.zeros((24, 3, 3))
    velocities[times < 0.5, 1, 0] = 1.0
    velocities[times >= 0.5, 0, 0] = 1.0
    positions = np.cumsum(velocities, 0) / 12
    quats = np.zeros((24, 3, 4))
    quats[..., 0] = 1
    zeros = np.zeros((24, 3))
    return Trajectory(
        "none", 1 / 480, NAMES, times, positions, quats, velocities, np.zeros((24, 3, 3)), contacts,
        zeros, zeros, np.zeros(24), zeros, zeros,
    )  # fmt: skip


def lines(*contacts: Contact) -> list[str]:
    return [event.line for event in write_script(path_of(*contacts), OBJECTS)]


def test_the_faster_one_hits_and_what_stands_still_stops() -> None:
    assert lines(touch(0.5, "red-ball", "blue-cube")) == [
        "0.50 s: the blue cube hits the red ball", "0.50 s: the blue cube stops",
    ]  # fmt: skip


def test_things_hit_walls_and_never_the_other_way_round() -> None:
    assert "1.20 s: the red ball hits the wall" in lines(touch(1.2, "red-ball", "wall"))


def test_floors_are_landed_on_and_then_bounced_on() -> None:
    told = lines(
        touch(0.3, "floor", "red-ball"), touch(0.7, "floor", "red-ball"),
        touch(0.8, "floor", "red-ball"), touch(1.2, "floor", "red-ball", speed=0.2),
    )  # fmt: skip
    assert [t for t in told if "stops" not in t] == [
        "0.30 s: the red ball lands on the floor", "0.70 s: the red ball bounces on the floor",
    ]  # fmt: skip


def test_what_rests_or_barely_touches_is_not_told() -> None:
    told = lines(
        touch(0.0, "floor", "blue-cube", end=2.0), touch(0.4, "red-ball", "blue-cube", speed=0.05)
    )
    assert told == ["0.50 s: the blue cube stops"]


def test_touches_from_above_are_landings() -> None:
    assert "0.25 s: the blue cube lands on the red ball" in lines(
        touch(0.25, "red-ball", "blue-cube", up=1.0)
    )


def test_answers_are_true() -> None:
    path = path_of(touch(0.5, "red-ball", "blue-cube"))
    seen = set()
    for seed in range(40):
        asked = ask_questions(path, OBJECTS, Hidden("wind", {}), np.random.default_rng(seed))
        heavier, meets, force = asked
        assert heavier.answer == "the red ball" and force.answer == "wind"
        both = "red ball" in meets.text and "blue cube" in meets.text
        assert meets.answer == ("yes" if both else "no")
        seen.add((meets.answer, heavier.choices))
    assert len(seen) == 4
    equal = (OBJECTS[0], dataclasses.replace(OBJECTS[1], mass=2.9), OBJECTS[2])
    kinds = [
        q.kind for q in ask_questions(path, equal, Hidden("none", {}), np.random.default_rng(0))
    ]
    assert kinds == ["touch", "force"]
