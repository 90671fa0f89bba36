"""What each motion makes of its things: the rules behind the verbs."""

from __future__ import annotations

from dataclasses import replace

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.references import References
from clay4d.physics_baseline.planner.story import Path, Story
from clay4d.physics_baseline.planner.things import FLAT_TOPS, Thing
from clay4d.physics_baseline.planner.words import PlanError

REACHED = ("into", "at", "against", "towards", "with", "on", "to")
Tails = list[tuple[str, list[Thing]]]


class MotionRules(References):
    """A method for each motion, which changes the story; what it cannot use it refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()

    def _roll(
        self, subject: Thing, path: Path, objects: list[Thing], tails: Tails, kind: str = "roll"
    ) -> None:
        if kind == "roll" and subject.shape in ("box", "cone", "cloth"):
            raise PlanError(
                f"no rule for a {subject.noun.name} that rolls; known: balls, cylinders, capsules. "
                "Did you mean 'slides'?"
            )
        if kind == "roll" and subject.shape in ("cylinder", "capsule"):
            subject.lying = True
        path.kind = path.kind if path.kind in ("throw", "swing", "fall") else kind
        for name, things in tails:
            for thing in things:
                if name in ("down", "from") or (name == "on" and thing.shape == "ramp"):
                    if thing.shape == "ramp":
                        path.ramp = thing
                    else:
                        path.surface, path.off = thing, True
                elif name == "off":
                    if thing.shape == "ramp":
                        path.ramp = thing
                    else:
                        path.surface, path.off = thing, True
                elif name in ("across", "on", "over"):
                    if thing.shape == "ramp":
                        path.ramp = thing
                    elif (
                        thing.shape == "box" and path.surface is None and thing.noun.name != "wall"
                    ):
                        path.surface = thing
                    elif path.surface is not thing:
                        raise self.unread(kind, name, thing)
                elif name == "past":
                    path.meet("past", thing)
                elif name in REACHED:
                    path.meet("into", thing)
                else:
                    self.place(name, subject, [thing])

    @staticmethod
    def unread(motion: str, name: str, thing: Thing) -> PlanError:
        return PlanError(
            f"no rule for {motion!r} {name!r} {thing.phrase.text!r}. Say it in other words."
        )

    def _move(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        """Rolls what is round all around, slides what is not; what already moves goes on."""
        kind = "roll" if subject.shape == "sphere" and not subject.soft else "slide"
        self._roll(subject, path, objects, tails, kind=kind)

    def _slide(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        self._roll(subject, path, objects, tails, kind="slide")

    def _hit(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        if not path.kind:
            path.kind = "roll" if subject.shape == "sphere" and not subject.soft else "slide"
            path.kind = "swing" if subject.noun.name == "pendulum" else path.kind
        how = "on" if path.kind == "fall" else "into"
        for thing in objects:
            path.meet(how, thing)
        for name, things in tails:
            for thing in things:
                if name == "off" and objects:  # "knocks a can off a shelf"
                    for other in objects:
                        self.place("on", other, [thing])
                elif name in REACHED or name == "off":
                    path.meet(how, thing)
                else:
                    raise self.unread("hit", name, thing)

    def _push(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        """ "push a box": a blow after a moment at rest."""
        path.blow = path.release if path.release is not None else 0.3
        path.kind = "roll" if subject.shape == "sphere" else "slide"
        self._hit(subject, path, [], tails)

    def _fall(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        moving = path.kind in ("roll", "slide", "throw", "swing")
        row = subject.noun.name == "domino" and subject.count > 1
        if row and not tails and path.height is None:  # Where dominoes stand, falling is toppling.
            self._topple(subject, path, objects, tails)
            return
        for name, things in tails:
            for thing in things:
                if name in ("off", "from") and not moving:
                    path.kind, path.surface, path.off = "roll", thing, True
                    moving = True
                    if subject.shape == "box":
                        path.kind = "slide"
                elif name in ("on", "into", "to") or (name in ("over", "above") and not moving):
                    path.meet("land" if moving else "on", thing)
                elif name in ("off", "from") and path.surface is None and path.ramp is not thing:
                    path.surface, path.off = thing, True
                elif name in v.STATIC:
                    if not moving:
                        self.place(name, subject, [thing])
                elif path.surface is not thing:
                    raise self.unread("fall", name, thing)
        for thing in objects:
            path.meet("land" if moving else "on", thing)
        path.kind = path.kind or "fall"

    def _bounce(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        self.bouncy(subject)
        off = [t for name, ts in tails if name in ("off", "against", "from") for t in ts]
        if off and not path.kind:
            path.kind = "throw"
        for thing in off:
            path.meet("into", thing)
        rest = [t for t in tails if t[0] not in ("off", "against", "from")]
        if rest or not off:
            self._fall(subject, path, objects, rest)

    def bouncy(self, subject: Thing) -> None:
        springy = max(0.8, subject.material.restitution)
        subject.material = replace(subject.material, restitution=springy)

    def _throw(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        path.kind, path.blow = "throw", None
        path.upwards = any(name == "up" for name, _ in tails)
        for name, things in tails:
            for thing in things:
                if name == "up":
                    raise self.unread("throw", name, thing)
                path.meet(
                    "over" if name in ("over", "across") else "past" if name == "past" else "into",
                    thing,
                )

    def _swing(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        path.kind = "swing"
        for name, things in tails:
            for thing in things:
                path.meet("past" if name == "past" else "into", thing)

    def _hang(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        path.kind = "hang"
        for name, things in tails:
            if name in ("above", "over"):
                for thing in things:
                    path.meet("on", thing)

    def _stack(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        if subject.arrangement == "row":
            subject.arrangement = "stack"
        if subject.shape not in FLAT_TOPS:
            raise PlanError(
                f"no rule for a stack of {subject.noun.name}s, which roll off each other."
            )

    def _carry(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        for thing in objects:
            self.place("on", thing, [subject])

    def _pile(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        if subject.arrangement == "row":
            subject.arrangement = "pile"
        self._rest(subject, path, objects, tails)

    def _line(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        subject.arrangement = "row"

    def _spin(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        self.story.spinning.append(subject)
        self._rest(subject, path, objects, tails)

    def _rest(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        for name, things in tails:
            if things:
                self.place({"at": "beside", "by": "beside"}.get(name, name), subject, things)

    def place(self, relation: str, subject: Thing, things: list[Thing]) -> None:
        if relation not in v.STATIC:
            raise PlanError(
                f"no rule for a place with {relation!r}; known places: {', '.join(v.STATIC)}."
            )
        if relation == "foot_of" and things[0].shape == "box" and things[0].noun.name != "wall":
            raise self.unread("rest", "at the end of", things[0])
        self.story.relations.append((relation, subject, things))

    def _topple(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        if any(things for _, things in tails):  # "tumbles off a table"
            self._move(subject, path, objects, tails)
            return
        struck = any(t is subject for _, p in self.story.paths for _, t in p.stations)
        if not struck and not path.kind:
            path.kind = "topple"

    def _float(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        path.kind = path.kind or "float"
        for name, things in tails:
            for thing in things:
                path.meet("on" if name in ("above", "over") else "into", thing)

    def _drape(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        if subject.shape != "cloth":
            raise PlanError(
                f"no rule for a {subject.noun.name} that drapes; known: cloths, flags, blankets."
            )
        path.kind, path.height = "fall", path.height or 0.15
        for thing in [*objects, *(t for _, ts in tails for t in ts)]:
            path.meet("on", thing)

    def _flutter(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        if subject.shape != "cloth":
            raise PlanError(
                f"no rule for a {subject.noun.name} that flutters; known: cloths, flags, blankets."
            )
        path.kind = "flutter"

    def _hold(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        path.kind = "hold"
        for _, things in tails:
            for thing in things:
                path.meet("on", thing)

    def _release(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        ramps = [o[0] for r, t, o in self.story.relations if t is subject and o[0].shape == "ramp"]
        ramps += [
            t for name, ts in tails if name in ("from", "down") for t in ts if t.shape == "ramp"
        ]
        if ramps:  # What is let go on a slope goes down it.
            self._move(subject, path, objects, [("down", ramps[-1:])])
            return
        if subject.noun.name == "pendulum" or path.kind == "swing":
            path.kind = "swing"  # It is let go as every pendulum is.
            if path.release is None and not any(things for _, things in tails):
                return
        path.kind = path.kind or "hold"
        path.release = 0.5 if path.release is None else path.release
        for name, things in tails:
            for thing in things:
                if name not in ("above", "over", "on"):
                    raise self.unread("release", name, thing)
                path.meet("on", thing)

    def _stop(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        for name, things in tails:
            for thing in things:
                if path.kind:
                    path.meet("into" if name in ("against", "at") else "land", thing)
                else:
                    self.place(name, subject, [thing])
