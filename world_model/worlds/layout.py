"""A world before it is simulated: what each thing starts to do, where, and what is hidden.

Everything is drawn from one generator, in a fixed order; what does not fit is drawn again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clay4d.world_model.worlds.things import SLIPPERY, Thing, Vec

Kind = Literal["rest", "roll", "slide", "throw", "fall", "descend"]
Direction = Literal["right", "left"]
DIRECTIONS: tuple[Direction, ...] = ("right", "left")
"""As the first camera sees them; the planner's grammar has no others."""
SLANT = 0.6
"""Most that a thing that goes right or left also goes towards or away from the camera, radians."""
GRAVITY = 9.81
STAGE = 0.62
"""Radius within which things rest, metres."""
EDGE = 1.05
"""Radius within which things start, metres."""
GAP = 0.05
"""Left free between things at the start, metres."""


class Crowded(ValueError):
    """There is no room; draw another world."""


@dataclass(frozen=True)
class Act:
    """What a thing starts to do."""

    kind: Kind
    aim: int | None = None
    """Which thing it is to meet, or falls or rests on; None: the floor."""
    direction: Direction | None = None
    """Where it goes, if at nothing."""
    pace: Literal["", "slowly", "quickly"] = ""


@dataclass(frozen=True)
class Placed:
    """A thing with its act and its state at time 0."""

    thing: Thing
    act: Act
    position: Vec
    yaw: float = 0.0
    velocity: Vec = (0.0, 0.0, 0.0)
    spin: Vec = (0.0, 0.0, 0.0)


class Stage:
    """Places things one after the other, none in another's way.

    Args:
        rng: source of every draw.
        speed: slowest and fastest start along the floor, metres per second.
    """

    def __init__(self, rng: np.random.Generator, speed: tuple[float, float]) -> None:
        self.rng, self.speed = rng, speed
        self.placed: dict[int, Placed] = {}

    def free(self, x: float, y: float, radius: float, *, but: tuple[int, ...] = (), top: float = -1.0) -> bool:  # fmt: skip
        """Whether a circle on the floor is clear of everything that reaches above `top` metres."""
        for index, other in self.placed.items():
            if index in but or _top(other) < top:
                continue
            for cx, cy, r in footprint(other):
                if math.hypot(x - cx, y - cy) < radius + r + GAP:
                    return False
        return True

    def clear(self, a: tuple[float, float], b: tuple[float, float], radius: float, but: tuple[int, ...]) -> bool:  # fmt: skip
        """Whether a thing can go from a to b along the floor and meet nothing else."""
        count = max(2, math.ceil(math.hypot(b[0] - a[0], b[1] - a[1]) / 0.05))
        return all(
            self.free(a[0] + (b[0] - a[0]) * k / count, a[1] + (b[1] - a[1]) * k / count, radius, but=but)
            for k in range(count + 1)
        )  # fmt: skip

    def add_fixture(self, index: int, thing: Thing) -> None:
        """Place something that never moves; ramps lie so that their foot points inwards.

        Raises:
            Crowded: no room.
        """
        for _ in range(60):
            angle = self.rng.uniform(0, 2 * math.pi)
            far = {"ramp": 0.75, "wall": 0.85, "platform": 0.45, "pillar": 0.5}[thing.shape]
            far *= self.rng.uniform(0.8, 1.1)
            x, y = far * math.cos(angle), far * math.sin(angle)
            yaw = angle + math.pi + self.rng.uniform(-0.3, 0.3)
            placed = Placed(thing, Act("rest"), (x, y, thing.stand), yaw)
            if all(self.free(cx, cy, r) for cx, cy, r in footprint(placed)):
                self.placed[index] = placed
                return
        raise Crowded(f"no room for the {thing.shape}")

    def add(self, index: int, thing: Thing, act: Act) -> None:
        """Place something that can move, with the start of its act.

        Raises:
            Crowded: no room.
        """
        makers = {
            "rest": self._rest, "roll": self._run, "slide": self._run, "throw": self._throw,
            "fall": self._fall, "descend": self._descend,
        }  # fmt: skip
        for _ in range(60):
            placed = makers[act.kind](thing, act)
            if placed is not None:
                self.placed[index] = placed
                return
        raise Crowded(f"no room for the {thing.short}, which is to {act.kind}")

    def _somewhere(self, radius: float) -> tuple[float, float]:
        r, a = radius * math.sqrt(self.rng.random()), self.rng.uniform(0, 2 * math.pi)
        return r * math.cos(a), r * math.sin(a)

    def _yaw(self) -> float:
        return float(self.rng.uniform(0, 2 * math.pi))

    def _rest(self, thing: Thing, act: Act) -> Placed | None:
        yaw = self._yaw()
        if act.aim is not None:
            under = self.placed[act.aim]
            x, y, _ = under.position
            if thing.reach > 0.8 * under.thing.reach or not self.free(x, y, thing.reach, but=(act.aim,)):  # fmt: skip
                return None
            return Placed(thing, act, (x, y, _top(under) + thing.stand), yaw)
        x, y = self._somewhere(STAGE)
        if not self.free(x, y, thing.reach):
            return None
        return Placed(thing, act, (x, y, thing.stand), yaw)

    def _heading(self, thing: Thing, act: Act, far: float) -> tuple[float, float, float, float]:
        """Start and unit direction along the floor of something that goes `far` to what it meets."""
        if act.aim is not None:
            to, angle = self.placed[act.aim].position, self.rng.uniform(0, 2 * math.pi)
            miss = self.rng.normal(0, 0.04)
            return (
                to[0] - far * math.cos(angle), to[1] - far * math.sin(angle),
                math.cos(angle + miss), math.sin(angle + miss),
            )  # fmt: skip
        slant, aside = self.rng.uniform(-SLANT, SLANT), self.rng.uniform(-0.35, 0.35)
        ux, uy = math.cos(slant) * (-1 if act.direction == "left" else 1), math.sin(slant)
        return -far * ux - aside * uy, -far * uy + aside * ux, ux, uy

    def _pace(self, pace: str) -> float:
        low, high = self.speed
        third = (high - low) / 3
        if pace == "slowly":
            return float(self.rng.uniform(low, low + third))
        if pace == "quickly":
            return float(self.rng.uniform(high - third, high))
        return float(self.rng.uniform(low + third, high - third))

    def _run(self, thing: Thing, act: Act) -> Placed | None:
        speed = self._pace(act.pace)
        met = self.placed[act.aim].thing.reach if act.aim is not None else 0.0
        most = 0.95
        if act.kind == "slide":  # It is to arrive, though friction slows it.
            friction = GRAVITY * math.sqrt(SLIPPERY * 0.6)
            most = min(most, 0.8 * speed * speed / (2 * friction))
        least = met + thing.reach + 2 * GAP
        if most + met < least:
            return None
        far = float(self.rng.uniform(least, max(least, most + met)))
        x, y, ux, uy = self._heading(thing, act, far)
        end = (x + far * ux, y + far * uy)
        but = () if act.aim is None else (act.aim,)
        if math.hypot(x, y) > EDGE or not self.clear((x, y), end, thing.reach, but):
            return None
        if not self.free(x, y, thing.reach):
            return None
        spin, yaw = (0.0, 0.0, 0.0), self._yaw()
        if act.kind == "roll":
            rate = speed / (thing.extents[0] / 2)
            spin = (-uy * rate, ux * rate, float(self.rng.uniform(-20, 20)))
            yaw = math.atan2(uy, ux) + math.pi / 2  # A capsule rolls across its axis.
            if thing.shape == "capsule":
                spin = (spin[0], spin[1], 0.0)
        return Placed(thing, act, (x, y, thing.stand), yaw, (ux * speed, uy * speed, 0.0), spin)

    def _throw(self, thing: Thing, act: Act) -> Placed | None:
        seconds = float(self.rng.uniform(0.28, 0.55))
        speed = min(self._pace(act.pace), 0.95 / seconds) if self.speed[1] < 2.5 else self._pace(act.pace)  # fmt: skip
        far = speed * seconds
        x, y, ux, uy = self._heading(thing, act, far)
        start = float(self.rng.uniform(0.25, 0.7)) + thing.stand
        end = thing.stand
        if act.aim is not None:
            end = self.placed[act.aim].position[2]
        up = (end - start) / seconds + 0.5 * GRAVITY * seconds
        out = EDGE if self.speed[1] < 2.5 else 1.3 * EDGE
        if math.hypot(x, y) > out or not self.free(x, y, thing.reach, top=start - 0.5):
            return None
        spin = self.rng.uniform(-8, 8, 3) + np.array([0, 0, self.rng.choice((-18.0, 18.0))])
        velocity = (ux * speed, uy * speed, up)
        return Placed(
            thing,
            act,
            (x, y, start),
            self._yaw(),
            velocity,
            (float(spin[0]), float(spin[1]), float(spin[2])),
        )

    def _fall(self, thing: Thing, act: Act) -> Placed | None:
        x, y, top = *self._somewhere(STAGE), 0.0
        if act.aim is not None:
            under = self.placed[act.aim]
            x, y = (v + float(self.rng.normal(0, 0.02)) for v in under.position[:2])
            top = _top(under)
        but = () if act.aim is None else (act.aim,)
        if not self.free(x, y, thing.reach, but=but):
            return None
        z = top + thing.stand + float(self.rng.uniform(0.45, 1.0))
        spin = tuple(float(v) for v in self.rng.uniform(-10, 10, 3))
        return Placed(thing, act, (x, y, z), self._yaw(), spin=(spin[0], spin[1], spin[2]))

    def _descend(self, thing: Thing, act: Act) -> Placed | None:
        if act.aim is None:
            return None
        ramp = self.placed[act.aim]
        length, width, height = ramp.thing.extents
        slope = math.atan2(height, length)
        radius = thing.extents[0] / 2
        if thing.shape != "ball" or 2 * radius > 0.9 * width:
            return None
        along = -length / 2 + float(self.rng.uniform(0.1, 0.25)) * length
        # The touching point is on the slope; the centre is a radius along its normal from there.
        at = along + (radius + 0.001) * math.sin(slope)
        z = height * (0.5 - along / length) + (radius + 0.001) * math.cos(slope)
        c, s = math.cos(ramp.yaw), math.sin(ramp.yaw)
        x, y = ramp.position[0] + at * c, ramp.position[1] + at * s
        if not self.free(x, y, thing.reach, but=(act.aim,)):
            return None
        return Placed(thing, act, (x, y, z), self._yaw())


def footprint(placed: Placed) -> list[tuple[float, float, float]]:
    """Circles (x, y, radius) on the floor that hold a thing, metres."""
    x, y, _ = placed.position
    if placed.thing.shape not in ("ramp", "wall"):
        return [(x, y, placed.thing.reach)]
    length, width, _ = placed.thing.extents
    long, wide = max(length, width), min(length, width)
    turn = placed.yaw + (math.pi / 2 if width > length else 0.0)
    count = max(2, math.ceil(long / wide / 1.5))
    radius = 0.5 * math.hypot(wide, long / count)
    offsets = [(k + 0.5) / count * long - long / 2 for k in range(count)]
    return [(x + d * math.cos(turn), y + d * math.sin(turn), radius) for d in offsets]


def _top(placed: Placed) -> float:
    return placed.position[2] + placed.thing.stand
