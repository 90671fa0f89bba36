"""The start of what falls, is held, floats, hangs or flutters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clay4d.physics_baseline.planner.story import Path
from clay4d.physics_baseline.planner.things import Thing
from clay4d.physics_baseline.planner.words import PlanError

if TYPE_CHECKING:
    from clay4d.physics_baseline.planner.layout import Layout

FALL = 1.0
"""Usual gap below what falls, metres."""


def lay_fall(layout: Layout, thing: Thing, path: Path) -> None:
    """Starts in the air above what it falls on, or above the floor."""
    if thing.placed:
        return
    gap = FALL if path.height is None else path.height
    if path.kind == "hold" and path.height is None:
        gap = 0.6
    if thing.arrangement == "row" and thing.count > 3:
        thing.arrangement = "pile"
    targets = [t for _, t in path.stations]
    if targets and thing.shape == "cloth":
        w, d, _ = targets[0].extents()
        side = max(thing.size[0], 2.0 * max(w, d))
        thing.size = (side, side * thing.size[1] / thing.size[0], thing.size[2])
    if targets:
        target = targets[0]
        low, high = target.bounds()
        x, y, base = target.middle[0], target.middle[1], high[2]
        if not any(
            abs(c.position[0] - x) < target.solid_size[0] / 2
            and abs(c.position[1] - y) < target.solid_size[1] / 2
            for c in target.copies
        ):  # Between two of them: above the first, then.
            x, y, _ = target.copies[0].position
        if target.shape == "ramp":
            x = low[0] + 0.3 * (high[0] - low[0])
    else:
        layout.stand(thing)
        x, y, base = thing.middle[0], thing.middle[1], 0.0
    thing.put(x, y, base + gap)
    for _ in range(60):
        if not layout.collides(thing):
            break
        thing.shift(0.0, 0.0, 0.1)
    high_point = thing.bounds()[1][2]
    g = max(layout.gravity, 0.2)
    layout.lasts(math.sqrt(2 * high_point / g) + 1.2)
    if thing.material.restitution >= 0.75:
        layout.lasts(3 * math.sqrt(2 * high_point / g) + 0.8)


def lay_hold(layout: Layout, thing: Thing, path: Path) -> None:
    """As a fall, but held until it is released."""
    lay_fall(layout, thing, path)
    for copy in thing.copies:
        copy.held = True
    layout.lasts((path.release or 0.0) + 1.5)


def lay_float(layout: Layout, thing: Thing, path: Path) -> None:
    """In the air, each drifting and turning slowly its own way."""
    if layout.gravity > 0:
        raise PlanError(
            "no rule for 'float' where there is gravity; add 'in zero gravity' or say 'falls'."
        )
    if thing.arrangement == "row" and thing.count > 1:
        thing.arrangement, thing.spacing = "pile", 0.8 * max(thing.size)
    layout.stand(thing)
    thing.shift(0.0, 0.0, 0.6)
    drift = 0.25 * path.factor if path.speed is None else path.speed
    for copy in thing.copies:
        way = [2 * layout.rng.random() - 1 for _ in range(3)]
        norm = math.sqrt(sum(c * c for c in way)) or 1.0
        copy.velocity = (drift * way[0] / norm, drift * way[1] / norm, drift * abs(way[2]) / norm)
        copy.spin = tuple(round(layout.rng.uniform(-1, 1), 6) for _ in range(3))  # type: ignore[assignment]
    layout.lasts(3.0)


def lay_hang(layout: Layout, thing: Thing, path: Path) -> None:
    """At rest on a rope of 0.8 m, 0.8 m above the floor or 0.4 m above what it hangs over."""
    targets = [t for _, t in path.stations]
    if targets:
        low, high = targets[0].bounds()
        thing.put(targets[0].middle[0], targets[0].middle[1], high[2] + 0.4)
    else:
        layout.stand(thing)
        thing.shift(0.0, 0.0, 0.8)
    for k, copy in enumerate(thing.copies):
        x, y, z = copy.position
        anchor = (x, y, z + thing.solid_size[2] / 2 + 0.8)
        layout.anchors.append((thing, k, anchor, "rope"))
        layout.points.append(anchor)


def lay_flutter(layout: Layout, thing: Thing, path: Path) -> None:
    """Upright, held by the edge that the wind meets first."""
    thing.pins = tuple((0.0, k / 4) for k in range(5))
    layout.stand(thing, 1.0)
    half = math.sqrt(0.5)
    for copy in thing.copies:
        copy.quat = (half, half, 0.0, 0.0)
    x = thing.bounds()[1][0]
    layout.points += [(x, 0.0, 0.3), (x, 0.4, 1.5)]
    layout.lasts(3.0)
