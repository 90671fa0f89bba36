"""Where everything stands at the start, so that what the prompt says will happen.

Things that have to do with one another form a group; each group is laid out along x, from left to
right, and the groups stand one behind the other. Nothing overlaps, and what rests touches.
"""

from __future__ import annotations

import math
from random import Random

from clay4d.physics_baseline.planner import airborne, paths
from clay4d.physics_baseline.planner.story import Path, Story
from clay4d.physics_baseline.planner.things import FLAT_TOPS, Thing, Vec
from clay4d.physics_baseline.planner.words import PlanError

APART = 0.15
"""Metres between neighbours that the prompt puts next to each other."""
BETWEEN_GROUPS = 0.6


ALONG = {
    "roll": paths.lay_roll, "slide": paths.lay_roll, "throw": paths.lay_throw,
    "swing": paths.lay_swing, "meet": paths.lay_meet,
}  # fmt: skip
IN_AIR = {
    "fall": airborne.lay_fall, "hold": airborne.lay_hold, "float": airborne.lay_float,
    "hang": airborne.lay_hang, "flutter": airborne.lay_flutter,
}  # fmt: skip


class Layout:
    """Places every thing of a story; `arrange_story` is its door."""

    def __init__(self, story: Story, gravity: float, rng: Random) -> None:
        self.story, self.gravity, self.rng = story, gravity, rng
        self.points: list[Vec] = []
        """Where bodies will be later, for the cameras."""
        self.anchors: list[tuple[Thing, int, Vec, str]] = []
        """Joints to the world: thing, copy, point, "socket" or "rope"."""
        self.seconds = 1.5
        """How long what happens will take, about."""
        self.all_groups = self.groups()

    # ── groups ───────────────────────────────────────────────────────────────────────────────────
    def run(self) -> None:
        behind = 0.0
        for group in self.all_groups:
            before = len(self.points)
            self.group(group)
            if self.turned(group[0]):
                self.mirror(group, before)
            low = min(t.bounds()[0][1] for t in group)
            high = max(t.bounds()[1][1] for t in group)
            if behind:
                self.move(group, before, behind - low)
                high += behind - low
            behind = high + BETWEEN_GROUPS
        self.check_room()

    def turned(self, thing: Thing) -> bool:
        """Whether the thing's group goes from right to left: it is mirrored once it stands."""
        return any(p.heading < 0 for t, p in self.story.paths if self.same_group(t, thing))

    def check_room(self) -> None:
        """Refuse a scene in which two bodies would stand in each other; ramps are exact by rule."""
        boxes = []
        for thing in self.story.things:
            w, d, h = thing.solid_size
            for c in thing.copies:
                if thing.shape != "ramp":
                    boxes.append((thing, c.position, (w / 2, d / 2, h / 2)))
        for k, (a, p, e) in enumerate(boxes):
            for b, q, f in boxes[k + 1 :]:
                depth = min(e[i] + f[i] - abs(p[i] - q[i]) for i in range(3))
                round_ = a.shape == b.shape == "sphere"
                if depth > 1e-3 and not (round_ and math.dist(p, q) > e[0] + f[0] - 1e-3):
                    raise PlanError(
                        f"no room: {a.phrase.text!r} and {b.phrase.text!r} would overlap at the start. "
                        "Say where one of them is, or in two sentences."
                    )

    def groups(self) -> list[list[Thing]]:
        """Things joined by a relation or a path, in the order of the prompt."""
        owner = {id(t): k for k, t in enumerate(self.story.things)}

        def join(a: Thing, b: Thing) -> None:
            old, new = owner[id(b)], owner[id(a)]
            for key, value in owner.items():
                if value == old:
                    owner[key] = new

        for _, a, others in self.story.relations:
            for b in others:
                join(a, b)
        for thing, path in self.story.paths:
            linked = [t for _, t in path.stations] + path.partners
            for other in [*linked, *(t for t in (path.ramp, path.surface) if t)]:
                join(thing, other)
        # Several things that fall, float or rest with nothing else stand side by side.
        loose = [t for t in self.story.things if list(owner.values()).count(owner[id(t)]) == 1]
        for a, b in zip(loose, loose[1:]):
            if not self.moves_along(a) and not self.moves_along(b):
                join(a, b)
        found: dict[int, list[Thing]] = {}
        for thing in self.story.things:
            found.setdefault(owner[id(thing)], []).append(thing)
        return list(found.values())

    def moves_along(self, thing: Thing) -> bool:
        return any(
            other is thing and path.kind in ("roll", "slide", "throw", "swing", "meet", "met")
            for other, path in self.story.paths
        )

    def group(self, things: list[Thing]) -> None:
        mine = [(t, p) for t, p in self.story.paths if any(t is x for x in things)]
        for thing, path in mine:
            if path.kind in ALONG:
                ALONG[path.kind](self, thing, path)
        for thing, path in mine:
            if path.kind in IN_AIR:
                self.before_fall(path)
                IN_AIR[path.kind](self, thing, path)
        self.relations(things)
        for thing in things:
            if not thing.placed:
                self.stand(thing)
        for thing, path in mine:
            if path.kind == "topple":
                self.points.append(thing.bounds()[1])

    def before_fall(self, path: Path) -> None:
        for _, target in path.stations:
            if not target.placed:
                self.settle(target)

    # ── standing things ──────────────────────────────────────────────────────────────────────────
    def stand(self, thing: Thing, base: float = 0.0) -> None:
        """On the floor, to the right of what stands there already."""
        placed = [t for t in self.story.things if t.placed and t is not thing]
        w = thing.extents()[0]
        mine = [t for t in placed if self.same_group(t, thing)]
        x = max((t.bounds()[1][0] for t in mine), default=None) if mine else None
        thing.put(0.0 if x is None else x + APART + w / 2, 0.0, base)

    def same_group(self, a: Thing, b: Thing) -> bool:
        return any(any(a is x for x in g) and any(b is x for x in g) for g in self.all_groups)

    def settle(self, thing: Thing) -> None:
        """Place a thing with all that its relations ask for, as far as nothing else decides."""
        support = self.support(thing)
        if support is not None and not thing.placed:
            self.load(support)
        elif not thing.placed:
            self.relations([thing], only=thing)
            if not thing.placed:
                self.stand(thing)

    def support(self, thing: Thing) -> Thing | None:
        """What the thing stands on by the prompt's words."""
        for relation, subject, others in self.story.relations:
            if subject is thing and self.carries(relation, others[0]):
                return others[0]
        return None

    @staticmethod
    def carries(relation: str, other: Thing) -> bool:
        """Whether the relation means that the other thing bears it."""
        return relation == "on" or (relation == "top_of" and other.shape == "ramp")

    def on_top(self, support: Thing) -> list[Thing]:
        return [
            t for relation, t, others in self.story.relations
            if self.carries(relation, others[0]) and others[0] is support
        ]  # fmt: skip

    def load(self, support: Thing) -> None:
        """Everything that stands on `support`, side by side on its top."""
        if support.shape == "ramp":
            for thing in self.on_top(support):
                if not thing.placed:
                    self.on_ramp(thing, support)
            return
        if support.shape not in FLAT_TOPS or support.lying:
            raise PlanError(
                f"no rule for a thing that rests on a {support.noun.name}: it would roll or slide off. "
                "Known: boxes, tables, cylinders, plates. Or say that it falls onto it."
            )
        loads = [t for t in self.on_top(support) if not t.placed]
        widths = [t.extents()[0] for t in loads]
        need = sum(widths) + APART * (len(loads) - 1)
        if support.fixed and not support.placed:
            depth = max((t.extents()[1] for t in loads), default=0.0)
            w, d, h = support.size
            support.size = (max(w, need + 0.3), max(d, depth + 0.2), h)
        if not support.placed:
            self.settle(support)
        low, high = support.bounds()
        if len(loads) > 1 and need > high[0] - low[0]:
            raise PlanError(
                f"{support.phrase.text!r} is {high[0] - low[0]:.2g} m wide; expected room for "
                f"{need:.2g} m of things. Say 'on a table' or make it larger."
            )
        x = (low[0] + high[0]) / 2 - need / 2
        for thing, width in zip(loads, widths):
            thing.put(x + width / 2, (low[1] + high[1]) / 2, high[2])
            x += width + APART

    def on_ramp(self, thing: Thing, ramp: Thing) -> None:
        if not ramp.placed:
            self.stand(ramp)
        paths.put_on_slope(thing, ramp)

    # ── relations ────────────────────────────────────────────────────────────────────────────────
    def relations(self, things: list[Thing], *, only: Thing | None = None) -> None:
        """Work through the relations until no more can be placed."""
        waiting = [
            r for r in self.story.relations
            if any(r[1] is t for t in things) and (only is None or r[1] is only)
        ]  # fmt: skip
        for relation, subject, others in waiting:
            for other in others:
                if not other.placed and not (relation == "under"):
                    self.settle(other)
            if not subject.placed:
                self.relate(relation, subject, others)
            elif relation in ("on", "above", "over"):
                for other in others:
                    if not other.placed:
                        self.settle(other)

    def relate(self, relation: str, subject: Thing, others: list[Thing]) -> None:
        other = others[0]
        if relation == "on":
            self.load(other)
        elif relation in ("above", "over", "under"):
            if relation == "under":
                if other.fixed or other.placed:
                    raise PlanError(
                        f"no rule for a place under {other.phrase.text!r}; known: under things that are "
                        "free to fall. Say 'next to' or 'behind'."
                    )
                self.stand(subject)
                other.put(subject.middle[0], subject.middle[1], subject.bounds()[1][2] + 0.6)
                return
            subject.put(other.middle[0], other.middle[1], other.bounds()[1][2] + 0.6)
        elif relation == "top_of" and other.shape == "ramp":
            paths.put_on_slope(subject, other)
        elif relation == "top_of":
            subject.put(other.middle[0], other.middle[1], other.bounds()[1][2])
        elif relation == "between":
            self.between(subject, others)
        else:
            self.beside(relation, subject, other)

    def between(self, subject: Thing, others: list[Thing]) -> None:
        width = subject.extents()[0]
        if len(others) == 1:
            other = others[0]
            if other.count < 2:
                raise PlanError(f"'between' got one {other.noun.name}; expected two things.")
            other.arrangement, other.spacing = "row", width + 2 * APART
            if other.count % 2:
                raise PlanError(f"'between' got {other.count} things; expected an even number.")
            x, y, base = other.middle[0], other.middle[1], other.bounds()[0][2]
            other.put(x, y, base)
            subject.put(x, y, base)
            return
        a, b = others[0], others[1]
        (_, _, base), (right, _, _) = a.bounds()
        y = a.middle[1]
        subject.put(right + APART + width / 2, y, base)
        b.put(right + 2 * APART + width + b.extents()[0] / 2, y, base)

    def beside(self, relation: str, subject: Thing, other: Thing) -> None:
        """Next to, left, right, in front of or behind: on the same ground, moved on until free."""
        swap = {"left_of": "right_of", "right_of": "left_of"}
        relation = swap.get(relation, relation) if self.turned(subject) else relation
        way = {
            "left_of": (-1, 0), "right_of": (1, 0), "front_of": (0, -1), "behind": (0, 1),
            "against": (-1, 0), "foot_of": (1, 0),
        }.get(relation, (1, 0))  # fmt: skip
        low, high = other.bounds()
        support = self.support(other)
        base = low[2]
        if base > 1e-6 and (support is None or not support.fixed):
            base = 0.0
            if support is not None:
                low, high = support.bounds()
        w, d, _ = subject.extents()
        gap = 0.002 if relation == "against" else APART
        x, y = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
        if way[0]:
            x = high[0] + gap + w / 2 if way[0] > 0 else low[0] - gap - w / 2
        else:
            y = high[1] + gap + d / 2 if way[1] > 0 else low[1] - gap - d / 2
        subject.put(x, y, base)
        if base > 1e-6 and support is not None:
            self.widen(support, subject)
        for _ in range(400):
            if not self.collides(subject):
                return
            subject.shift(0.05 * way[0], 0.05 * way[1])
        raise PlanError(f"no room for {subject.phrase.text!r} {relation} {other.phrase.text!r}.")

    def widen(self, support: Thing, subject: Thing) -> None:
        """Make a fixed support large enough for one more thing on it."""
        (a, b, _), (c, d, _) = subject.bounds()
        x, y, z = support.copies[0].position
        w = max(support.size[0], 2 * (abs(a - x) + 0.1), 2 * (abs(c - x) + 0.1))
        depth = max(support.size[1], 2 * (abs(b - y) + 0.1), 2 * (abs(d - y) + 0.1))
        support.size = (w, depth, support.size[2])

    def collides(self, thing: Thing) -> bool:
        low, high = thing.bounds()
        for other in self.story.things:
            if other is thing or not other.placed or not self.same_group(other, thing):
                continue
            a, b = other.bounds()
            if all(low[k] < b[k] - 1e-6 and a[k] < high[k] - 1e-6 for k in range(3)):
                return True
        return False

    # ── whole groups ─────────────────────────────────────────────────────────────────────────────
    def move(self, group: list[Thing], before: int, dy: float) -> None:
        for thing in group:
            thing.shift(0.0, dy)
        self.points[before:] = [(x, y + dy, z) for x, y, z in self.points[before:]]
        self.anchors = [
            (t, k, (p[0], p[1] + dy, p[2]), kind) if any(t is g for g in group) else (t, k, p, kind)
            for t, k, p, kind in self.anchors
        ]

    def mirror(self, group: list[Thing], before: int) -> None:
        """Turn a group around, so that it goes from right to left."""
        for thing in group:
            thing.mirrored = not thing.mirrored
            for copy in thing.copies:
                (x, y, z), (w, i, j, k) = copy.position, copy.quat
                copy.position, copy.quat = (-x, y, z), (w, i, -j, -k)
                copy.velocity = (-copy.velocity[0], copy.velocity[1], copy.velocity[2])
                copy.spin = (copy.spin[0], -copy.spin[1], -copy.spin[2])
        self.points[before:] = [(-x, y, z) for x, y, z in self.points[before:]]
        self.anchors = [
            (t, k, (-p[0], p[1], p[2]), kind) if any(t is g for g in group) else (t, k, p, kind)
            for t, k, p, kind in self.anchors
        ]

    def speed(self, path: Path, usual: float) -> float:
        """As the prompt says, or the usual speed with a draw of ±5 % from the seed."""
        if path.speed is not None:
            return path.speed
        return usual * path.factor * (1 + 0.05 * (2 * self.rng.random() - 1))

    def lasts(self, seconds: float) -> None:
        if math.isfinite(seconds):
            self.seconds = max(self.seconds, seconds)


def arrange_story(story: Story, gravity: float, rng: Random) -> Layout:
    """Give every thing of the story its place and its start.

    Args:
        story: what happens.
        gravity: downwards, metres per second squared.
        rng: draws what the prompt leaves open.

    Raises:
        PlanError: what the prompt asks for has no room or no rule.
    """
    made = Layout(story, gravity, rng)
    made.run()
    return made
