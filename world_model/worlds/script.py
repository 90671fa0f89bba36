"""What happens in a world, in words, and questions about it, from the simulator's contacts."""

from __future__ import annotations

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Contact, Trajectory
from clay4d.world_model.worlds.format import Hidden, Question, WorldEvent, WorldObject

FAINT = 0.15
"""Closing speed below which a touch is not told, metres per second."""
BOUNCE = 0.35
"""The same for a second touch of the same two: what rocks to rest is not told."""
SILENCE = 0.15
"""Seconds after a touch in which further touches of the same two are not told."""
STILL = 0.03
"""Speed below which a thing is at rest, metres per second."""
RATIO = 1.3
"""By how much a mass must exceed another to ask which is heavier."""
FORCES = {
    "none": "no hidden force", "drag": "air drag", "wind": "wind", "magnus": "lift from spin",
    "tether": "a hidden spring", "restitution": "unusual bounce",
}  # fmt: skip
"""Answers to which force is hidden."""


def write_script(path: Trajectory, objects: tuple[WorldObject, ...]) -> tuple[WorldEvent, ...]:
    """First blows, bounces and stops, in order of time; what rests at the start is not told."""
    told: dict[tuple[str, str], float] = {}
    events: list[tuple[float, str]] = []
    for contact in path.contacts:
        pair = contact.bodies
        before, told[pair] = told.get(pair), contact.end
        if contact.time < path.step or contact.speed < FAINT:
            continue
        if before is not None and (contact.speed < BOUNCE or contact.time - before < SILENCE):
            continue
        events.append((contact.time, _tell(contact, path, objects, before is not None)))
    for k, thing in enumerate(objects):
        if thing.role == "mover":
            when = _stop(path, k)
            if when is not None:
                events.append((when, f"{thing.words} stops"))
    events.sort()
    return tuple(WorldEvent(round(time, 2), words) for time, words in events)


def _tell(contact: Contact, path: Trajectory, objects: tuple[WorldObject, ...], again: bool) -> str:
    first, second = contact.bodies
    if first == "floor":
        thing = objects[path.index(second)].words
        return f"{thing} bounces on the floor" if again else f"{thing} lands on the floor"
    # The faster one, a frame before, hits the other.
    frame = max(0, int(np.searchsorted(path.times, contact.time)) - 1)
    speeds = np.linalg.norm(path.velocities[frame], axis=1)
    a, b = sorted((path.index(first), path.index(second)), key=lambda k: (-speeds[k], k))
    if objects[a].role != "mover":
        a, b = b, a
    verb = "lands on" if abs(contact.normal[2]) > 0.8 else "hits"
    return f"{objects[a].words} {verb} {objects[b].words}{' again' if again else ''}"


def _stop(path: Trajectory, k: int) -> float | None:
    """When a thing comes to rest for the rest of the world, if it does after having moved."""
    speeds = np.linalg.norm(path.velocities[:, k], axis=1)
    moving = np.nonzero(speeds >= STILL)[0]
    if not len(moving) or moving[-1] >= len(speeds) - 2:
        return None
    if np.linalg.norm(path.positions[:, k] - path.positions[0, k], axis=1).max() < 0.02:
        return None
    return float(path.times[moving[-1] + 1])


def ask_questions(
    path: Trajectory, objects: tuple[WorldObject, ...], hidden: Hidden, rng: np.random.Generator
) -> tuple[Question, ...]:
    """Which is heavier, will they touch, which force is hidden: each where it can be asked."""
    asked = []
    movers = [k for k, thing in enumerate(objects) if thing.role == "mover"]
    pairs = [
        (a, b)
        for a in movers
        for b in movers
        if a < b and not 1 / RATIO < objects[a].mass / objects[b].mass < RATIO
    ]
    if pairs:
        a, b = pairs[int(rng.integers(len(pairs)))]
        if rng.random() < 0.5:
            a, b = b, a
        heavier = a if objects[a].mass > objects[b].mass else b
        asked.append(
            Question(
                "heavier", f"Which is heavier, {objects[a].words} or {objects[b].words}?",
                objects[heavier].words, (objects[a].words, objects[b].words),
            )
        )  # fmt: skip
    touch = _touch_question(path, objects, movers, rng)
    if touch is not None:
        asked.append(touch)
    choices = tuple(FORCES.values())
    asked.append(Question("force", "Which force is hidden?", FORCES[hidden.kind], choices))
    return tuple(asked)


def _touch_question(
    path: Trajectory, objects: tuple[WorldObject, ...], movers: list[int], rng: np.random.Generator
) -> Question | None:
    """About a pair that does or does not touch, by a coin, of those that are apart at the start."""
    met, resting = set(), set()
    for contact in path.contacts:
        if "floor" not in contact.bodies:
            pair = frozenset(path.index(name) for name in contact.bodies)
            met.add(pair)
            if contact.time < path.step:
                resting.add(pair)
    pairs = [
        (a, b)
        for a in movers
        for b in range(len(objects))
        if (a < b or b not in movers) and a != b and frozenset((a, b)) not in resting
    ]
    wanted = rng.random() < 0.5
    chosen = [p for p in pairs if (frozenset(p) in met) == wanted] or pairs
    if not chosen:
        return None
    a, b = chosen[int(rng.integers(len(chosen)))]
    answer = "yes" if frozenset((a, b)) in met else "no"
    text = f"Will {objects[a].words} and {objects[b].words} touch?"
    return Question("touch", text, answer, ("yes", "no"))
