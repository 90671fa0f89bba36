"""The start of each kind of motion: on a ramp, on the floor, in the air, on a rope."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from clay4d.physics_baseline.planner.story import Path
from clay4d.physics_baseline.planner.things import Thing
from clay4d.physics_baseline.planner.words import PlanError

if TYPE_CHECKING:
    from clay4d.physics_baseline.planner.layout import Layout

ROLL, SLIDE, THROW = 2.0, 3.0, 5.0
"""Usual speeds, metres per second."""
ROPE = 1.2
"""Length of a pendulum, metres."""


def put_on_slope(thing: Thing, ramp: Thing) -> None:
    """Stand a thing near the top of a ramp whose foot is at its right, just above the surface."""
    (x0, y0, z0), (x1, y1, z1) = ramp.bounds()
    run, rise = x1 - x0, z1 - z0
    slope = math.atan2(rise, run)
    if thing.arrangement == "row" and thing.count > 1:
        thing.arrangement = "across"
    w, _, h = thing.solid_size
    thing.put(0.0, 0.0, 0.0)
    round_ = thing.shape == "sphere" or thing.lying
    reach = (h / 2 if round_ else w / 2) + 0.04
    if 2 * reach > math.hypot(run, rise):
        raise PlanError(
            f"{thing.phrase.text!r} is longer than {ramp.phrase.text!r}; expected a larger ramp."
        )
    lift = h / 2 + 0.001
    x = x0 + reach * math.cos(slope) + lift * math.sin(slope)
    z = z1 - reach * math.sin(slope) + lift * math.cos(slope)
    for copy in thing.copies:
        _, dy, dz = copy.position
        up = dz - h / 2  # Above the lowest of a stack, along the slope's normal.
        copy.position = (
            x + up * math.sin(slope), (y0 + y1) / 2 + dy, z + up * math.cos(slope),
        )  # fmt: skip
        if not round_:
            copy.quat = (math.cos(slope / 2), 0.0, math.sin(slope / 2), 0.0)


def _fit_ramp(thing: Thing, ramp: Thing) -> None:
    wide = thing.size[1] + 0.2
    if thing.arrangement == "row" and thing.count > 1:
        thing.arrangement = "across"
        wide = thing.extents()[1] + 0.2
    ramp.size = (ramp.size[0], max(ramp.size[1], wide), ramp.size[2])
    # A ramp lower than what rolls down it would not show as one.
    needed = 1.5 * thing.solid_size[2]
    if ramp.size[2] < needed:
        ramp.size = (ramp.size[0] * needed / ramp.size[2], ramp.size[1], needed)


def _stations(layout: Layout, thing: Thing, path: Path, start: float, base: float) -> float:
    """Stand what is met one after the other from `start` on; gives the x where the last ends."""
    x = start
    width = thing.extents()[1]
    for how, target in path.stations:
        if how == "land" or target.placed:
            continue
        carrier = layout.support(target)
        root = carrier if carrier is not None and carrier is not path.surface else target
        if target.arrangement == "row" and target.count > 1 and target.noun.name != "domino":
            even = target.shape in ("sphere", "cylinder", "box") and not target.lying
            wedge = (
                target.count > 2 and even and not target.fixed and not target.phrase.group
            )  # What is met first passes the blow on.
            target.arrangement = "triangle" if wedge else "across"
            target.spacing = 0.13 * target.solid_size[0] if wedge else 0.02
        w, d, _ = root.extents()
        y = (width + d) / 2 + 0.15 if how == "past" else 0.0
        if root is not target:
            root.put(x + w / 2, y, base)
            layout.load(root)
        else:
            target.put(x + w / 2, y, base)
        x += w + (0.0 if how == "past" else 0.35)
    return x


def lay_roll(layout: Layout, thing: Thing, path: Path) -> None:
    """Rolling and sliding: down a ramp, over a table or on the floor."""
    if thing.placed:
        return
    if path.ramp is None and path.surface is None:
        carrier = layout.support(thing)
        if carrier is not None and carrier.shape == "ramp":
            path.ramp = carrier
        elif carrier is not None and not carrier.placed:
            path.surface = carrier
    for _, target in path.stations:
        carrier = layout.support(target)
        if path.surface is None and path.ramp is None and carrier is not None and carrier.fixed:
            path.surface = carrier
    if path.kind == "slide":
        low = min(thing.material.friction, 0.15)
        thing.material = replace(thing.material, friction=low)
    if path.ramp is not None:
        _on_ramp(layout, thing, path, path.ramp)
    elif path.surface is not None:
        _on_surface(layout, thing, path, path.surface)
    else:
        _on_floor(layout, thing, path)


def _on_ramp(layout: Layout, thing: Thing, path: Path, ramp: Thing) -> None:
    if not ramp.placed:
        _fit_ramp(thing, ramp)
        ramp.put(-ramp.size[0] / 2, 0.0, 0.0)
    put_on_slope(thing, ramp)
    foot = ramp.bounds()[1][0]
    _, _, rise = ramp.size
    slope = math.atan2(rise, ramp.size[0])
    if path.speed is not None or path.factor != 1.0:
        push = layout.speed(path, 1.0)
        _start(thing, path, push, (math.cos(slope), 0.0, -math.sin(slope)))
    room = 0.25 if path.kind == "roll" else 0.1  # What slides loses speed where the ramp ends.
    end = _stations(layout, thing, path, foot + thing.solid_size[0] + room, 0.0)
    layout.points.append((max(end, foot + 0.6), 0.0, 0.0))
    speed = max(0.3, math.sqrt(2 * max(layout.gravity, 0.1) * rise * 0.6))
    layout.lasts(2 * math.hypot(*ramp.size[::2]) / speed + (end - foot) / speed + 0.8)


def _start(
    thing: Thing, path: Path, speed: float, way: tuple[float, float, float] = (1.0, 0.0, 0.0)
) -> None:
    """Give all copies a velocity; what rolls turns as fast as it goes."""
    velocity = (speed * way[0], speed * way[1], speed * way[2])
    radius = thing.size[0] / 2
    for copy in thing.copies:
        copy.velocity = velocity
        if path.kind == "roll":
            copy.spin = (-speed * way[1] / radius, speed * math.hypot(way[0], way[2]) / radius, 0.0)


def _usual(layout: Layout, path: Path, distance: float, friction: float) -> float:
    """Fast enough that what slides still moves when it has gone the distance."""
    usual = ROLL if path.kind == "roll" else SLIDE
    if path.kind == "slide":
        usual = max(usual, math.sqrt(2 * friction * layout.gravity * distance) + 1.0)
    return layout.speed(path, usual)


def _on_surface(layout: Layout, thing: Thing, path: Path, surface: Thing) -> None:
    if surface.shape not in ("box", "cylinder"):
        raise PlanError(
            f"no rule for rolling on a {surface.noun.name}; known: tables, boxes, ramps."
        )
    if thing.count > 1 and thing.arrangement == "row":
        thing.arrangement = "across"
    targets = [t for how, t in path.stations if how != "land" and not t.placed]
    on_it = [t for t in targets if layout.support(t) in (None, surface)]
    width = thing.extents()[0]
    if not surface.placed:
        need = width + 0.2 + (0.7 if on_it else 0.3)
        need += sum(_station_width(t) + 0.35 for t in on_it)
        w, d, h = surface.size
        depth = max([thing.extents()[1], *(_station_depth(t) for t in on_it)]) + 0.2
        grown = (max(w, need), max(d, depth), h) if surface.fixed else (w, d, h)
        surface.size = grown
        surface.put(0.0, 0.0, 0.0)
    (left, _, _), (right, _, top) = surface.bounds()
    thing.put(left + width / 2 + 0.05, surface.middle[1], top)
    start = left + width + 0.6
    if path.off:
        on_it = []
    end = _stations(layout, thing, path, start if on_it else right + 0.5, top if on_it else 0.0)
    length = right - left
    speed = _usual(
        layout, path, length, math.sqrt(thing.material.friction * surface.material.friction)
    )
    _start(thing, path, speed)
    flight = math.sqrt(2 * top / layout.gravity) if layout.gravity > 0 else 0.0
    landing = right + speed * flight
    for how, target in path.stations:
        if how == "land" and not target.placed:
            target.put(landing, 0.0, 0.0)
    layout.points.append((max(end, landing + 0.5), 0.0, 0.0))
    layout.lasts(length / speed + flight + 0.5)


def _station_width(target: Thing) -> float:
    w = target.extents()[0]
    return (
        target.solid_size[0]
        if target.arrangement == "row" and target.count > 1 and target.noun.name != "domino"
        else w
    )


def _station_depth(target: Thing) -> float:
    if target.arrangement == "row" and target.count > 1 and target.noun.name != "domino":
        return target.count * (target.solid_size[1] + 0.02)
    return target.extents()[1]


def _on_floor(layout: Layout, thing: Thing, path: Path) -> None:
    if thing.count > 1 and thing.arrangement == "row":
        thing.arrangement = "across"
    width = thing.extents()[0]
    thing.put(-width / 2, 0.0, 0.0)
    gap = 0.8 if path.kind == "roll" else 0.5
    first = [t for how, t in path.stations if t.placed and how != "land"]
    if first:  # What it meets stands already: start to the left of it.
        low = first[0].bounds()[0]
        thing.put(low[0] - gap - width / 2, first[0].middle[1], 0.0)
        for _ in range(60):  # Behind what is on its way there already.
            if not layout.collides(thing):
                break
            thing.shift(-0.1, 0.0)
    end = _stations(layout, thing, path, gap, 0.0)
    speed = _usual(layout, path, gap, thing.material.friction)
    if path.blow is None:
        _start(thing, path, speed)
    else:
        path.speed = speed
    reach = thing.bounds()[1][0] + (0.0 if path.stations else min(1.2 * speed, 2.5))
    layout.points.append((max(end if path.stations else reach, reach), 0.0, 0.0))
    layout.lasts(gap / speed + 1.4 + (path.blow or 0.0))


def lay_meet(layout: Layout, thing: Thing, path: Path) -> None:
    """Things that roll or slide towards one another, and meet in the middle."""
    movers = path.partners or [thing]
    total = sum(t.count for t in movers)
    widest = max(max(t.extents()[:2]) if t.count == 1 else max(t.solid_size[:2]) for t in movers)
    radius = max(0.7, total * widest / 4) + widest / 2
    k = 0
    for mover in movers:
        rolls = mover.shape == "sphere"
        if not rolls:
            mover.material = replace(mover.material, friction=min(mover.material.friction, 0.15))
        if mover.arrangement == "row":
            mover.put(0.0, 0.0, 0.0)
        own = layout.story.path(mover)
        own.speed = path.speed if own.speed is None else own.speed
        speed = layout.speed(own, ROLL if rolls else SLIDE)
        for copy in mover.copies:
            angle = math.pi + 2 * math.pi * k / total
            c, s = round(math.cos(angle), 12), round(math.sin(angle), 12)
            copy.position = (radius * c, radius * s, copy.position[2])
            copy.velocity = (-speed * c, -speed * s, 0.0)
            if rolls:
                r = mover.size[0] / 2
                copy.spin = (speed * s / r, -speed * c / r, 0.0)
            k += 1
    layout.lasts(radius / ROLL + 1.4)


def lay_throw(layout: Layout, thing: Thing, path: Path) -> None:
    """A parabola from 0.6 m above the floor, through what it hits or over what it clears."""
    if thing.count > 1 and thing.arrangement == "row":
        thing.arrangement = "across"
    x0, y0 = _before(path)
    thing.put(x0, y0, 0.6)
    start = thing.middle[2]
    g, r = layout.gravity, thing.size[0] / 2
    path.stations = [s for s in path.stations if s[0] != "past" or s[1].shape != "floor"]
    speed = layout.speed(path, THROW)
    if path.upwards or not path.stations:
        vx, vz = (0.0, speed) if path.upwards else (0.5 * speed, 0.6 * speed)
    else:
        over = [t for how, t in path.stations if how == "over"]
        first = over[0] if over else path.stations[0][1]
        _stand_target(layout, first, 1.2 if over else 2.0)
        low, high = first.bounds()
        if over:
            # As a parabola through the apex above the obstacle's middle, the ends of which clear it too.
            apex = high[2] + r + 0.35
            vz = math.sqrt(2 * max(g, 0.01) * (apex - start)) if apex > start else 0.5
            distance = first.middle[0] - x0
            vx = distance * max(g, 0.01) / vz
        else:
            flight = max(0.15, (low[0] - r - x0) / speed)
            vx = (low[0] - r - x0) / flight
            aim = max(first.middle[2], low[2] + r)  # What is large cannot fly low.
            vz = (aim - start) / flight + g * flight / 2
    for copy in thing.copies:
        copy.velocity = (vx, 0.0, vz)
    air = _airtime(start - r, vz, g)
    landing = x0 + vx * air
    x = landing
    for how, target in path.stations:
        if not target.placed:
            target.put(x if how in ("land", "into") else x + 0.6, 0.0, 0.0)
            for _ in range(60):
                if not layout.collides(target):
                    break
                target.shift(0.1, 0.0)
    highest = start + (vz * vz / (2 * g) if vz > 0 and g > 0 else vz * 1.0 if vz > 0 else 0.0)
    hits = path.stations and not any(how == "over" for how, _ in path.stations)
    layout.points += [(min(landing + 0.5, 4.5) if not hits else 0.0, 0.0, 0.0), (0.5 * min(landing, 4.0), 0.0, highest + r)]  # fmt: skip
    layout.lasts(air + 0.3 if not hits else 2.0 / speed + 1.3)


def _before(path: Path) -> tuple[float, float]:
    """Where a throw starts: two metres before what it meets if that stands already, metres."""
    placed = [t for how, t in path.stations if t.placed and how != "land"]
    if not placed:
        return 0.0, 0.0
    return min(0.0, placed[0].bounds()[0][0] - 2.0), placed[0].middle[1]


def _airtime(height: float, vz: float, g: float) -> float:
    if g <= 0:
        return 1.5
    return (vz + math.sqrt(max(0.0, vz * vz + 2 * g * height))) / g


def _stand_target(layout: Layout, target: Thing, x: float) -> None:
    if target.placed:
        return
    carrier = layout.support(target)
    root = carrier or target
    if target.arrangement == "row" and target.count > 1 and target.noun.name != "domino":
        target.arrangement, target.spacing = "across", 0.02
    root.put(x + root.extents()[0] / 2, 0.0, 0.0)
    if carrier is not None:
        layout.load(carrier)


def lay_swing(layout: Layout, thing: Thing, path: Path) -> None:
    """A pendulum at 60 degrees to the left of its lowest point, where what it hits begins."""
    if thing.count > 1:
        thing.arrangement = "across"
    targets = [t for _, t in path.stations]
    r = thing.size[0] / 2
    for target in targets:
        _stand_target(layout, target, r + 0.01)
    low, high = targets[0].bounds() if targets else ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    lowest = max(thing.solid_size[2] / 2 + 0.05, low[2] + 0.6 * (high[2] - low[2]))
    if not targets:
        lowest += 0.25
    swing_x = low[0] - r - 0.01 if targets else 0.0
    thing.put(swing_x, 0.0, 0.0)
    angle = math.radians(60)
    for k, copy in enumerate(thing.copies):
        anchor = (swing_x, copy.position[1], lowest + ROPE)
        copy.position = (
            swing_x - ROPE * math.sin(angle), copy.position[1], anchor[2] - ROPE * math.cos(angle),
        )  # fmt: skip
        layout.anchors.append((thing, k, anchor, "socket"))
        layout.points += [
            anchor,
            (swing_x + ROPE * math.sin(angle), copy.position[1], lowest + 0.6),
        ]
    layout.lasts(2.6)
