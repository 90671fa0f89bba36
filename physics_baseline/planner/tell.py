"""From sentences to a story: references are resolved and each motion becomes a path."""

from __future__ import annotations

from dataclasses import replace

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.references import References
from clay4d.physics_baseline.planner.story import Path, Story
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences, Statement
from clay4d.physics_baseline.planner.things import Thing, describe, make_thing
from clay4d.physics_baseline.planner.words import Measure, PlanError

REACHED = ("into", "at", "against", "towards", "with", "on", "to")
PLACED = ("roll", "slide", "fall", "spin", "rest", "topple")
"""Motions that may happen next to or behind something."""
Tails = list[tuple[str, list[Thing]]]


class Teller(References):
    """Builds a `Story` from `Sentences`."""

    def __init__(self, said: Sentences, palette: list[str]) -> None:
        super().__init__()
        self.said, self.palette = said, palette
        self.story = Story()

    def tell(self) -> Story:
        for statement in self.said.statements:
            self.statement(statement)
        for wish in self.said.cameras:
            for phrase in wish.target:
                if phrase.pronoun or (phrase.noun is None and not phrase.group):
                    continue
                if phrase.noun is None or phrase.noun.shape != "floor":
                    self.thing(phrase)
        return self.story

    def statement(self, statement: Statement) -> None:
        subjects = self.all(statement.subjects)
        for predicate in statement.predicates:
            self.first_only(statement.subjects, predicate)
            self.predicate(predicate, subjects)

    def first_only(self, subjects: list[Phrase], said: Predicate) -> None:
        """Refuse what only the first of several would do, but for dominoes that topple."""
        topples = said.motion == "topple" or (said.motion == "hit" and said.passive)
        if any(p.first for p in subjects) and not topples:
            raise PlanError(
                f"no rule for {said.motion!r} of the first of several in {said.text!r}; known: "
                "'the first of ten dominoes topples'. Or name it as a thing of its own."
            )

    # ── things ───────────────────────────────────────────────────────────────────────────────────
    def all(self, phrases: list[Phrase], *, besides: list[Thing] | None = None) -> list[Thing]:
        found: list[Thing] = []
        for phrase in phrases:
            if phrase.noun is not None and phrase.noun.shape == "floor":
                continue
            for thing in self.thing(phrase, besides=besides):
                if all(thing is not f for f in found):
                    found.append(thing)
        return found

    def thing(self, phrase: Phrase, *, besides: list[Thing] | None = None) -> list[Thing]:
        if phrase.pronoun:
            return self.meant(phrase, besides or [])
        known = self.known(phrase)
        made = known if known is not None else make_thing(phrase, self.palette)
        if known is None:
            self.story.things.append(made)
            self.story.lines.append((phrase.text, describe(made)))
        self.mention(made)
        for relation, others in phrase.places if known is None else []:
            near = self.all(others, besides=[made])
            if near:
                self.story.relations.append((relation, made, near))
                self.mention(made)
        for relation, others in phrase.carries:
            for other in self.all(others, besides=[made]):
                self.story.relations.append((relation, other, [made]))
            self.mention(made)
        for predicate in phrase.predicates:
            self.first_only([phrase], predicate)
            self.predicate(predicate, [made])
            self.mention(made)
        return [made]

    # ── predicates ───────────────────────────────────────────────────────────────────────────────
    def predicate(self, said: Predicate, subjects: list[Thing]) -> None:
        if said.passive and any(p == "by" for p, _ in said.tails):
            self.swapped(said, subjects)
            return
        motion = v.MOTIONS[said.motion] if said.motion in v.MOTIONS else v.MOTIONS["hit"]
        for preposition, _ in said.tails:
            allowed = {*motion.after, "by"}
            placed = said.motion in PLACED and preposition in v.STATIC
            if preposition not in allowed and not placed and said.motion != "rest":
                known = ", ".join(sorted(motion.after))
                raise PlanError(
                    f"no rule for {said.motion!r} with {preposition!r} in {said.text!r}; known: {known}."
                )
        each_other = any(p.pronoun == "each other" for _, ps in said.tails for p in ps) or any(
            p.pronoun == "each other" for p in said.objects
        )
        objects = self.all(said.objects, besides=subjects)
        tails: Tails = []
        for name, phrases in said.tails:
            heap = [p.group for p in phrases if p.group and p.noun is None and not p.definite]
            if name in ("into", "on") and heap and said.motion == "fall":
                for subject in subjects:  # "fall into a pile": what they become, no other thing.
                    subject.arrangement = "pile"
            else:
                tails.append((name, self.all(phrases, besides=subjects)))
        handler = getattr(self, f"_{said.motion}")
        for subject in subjects:
            path = self.story.path(subject)
            path.factor *= said.speed
            path.heading = said.heading if said.heading < 0 else path.heading
            path.texts.append(said.text)
            self.measures(said, path)
            reached = objects or any(t for _, t in tails)
            if said.motion == "hit" and said.passive and not reached:
                self._push(subject, path, objects, tails)
            elif said.motion in ("roll", "move", "hit") and (
                each_other or (said.motion == "hit" and not reached)
            ):
                self.together(said, subject, subjects, path)
            else:
                handler(subject, path, objects, tails)

    def swapped(self, said: Predicate, subjects: list[Thing]) -> None:
        """ "a tower is hit by a ball": the ball hits the tower."""
        phrases = next(p for name, p in said.tails if name == "by")
        agents = self.all(phrases, besides=subjects)
        for agent in agents:
            path = self.story.path(agent)
            path.texts.append(said.text)
            self._hit(agent, path, subjects, [])

    def measures(self, said: Predicate, path: Path) -> None:
        for preposition, measure in said.measures:
            self.measure(preposition, measure, path, said)

    def measure(self, preposition: str, measure: Measure, path: Path, said: Predicate) -> None:
        if measure.kind == "speed":
            path.speed = measure.value
        elif (
            measure.kind == "length"
            and preposition in ("from", "above", "")
            and said.motion
            in (
                "fall",
                "bounce",
                "drape",
                "hold",
                "release",
            )
        ):
            path.height = measure.value
        elif measure.kind == "time" and preposition == "after":
            path.release = measure.value
        elif measure.kind == "time" and preposition == "for":
            self.said.duration = measure.value
        else:
            raise PlanError(
                f"no rule for {measure.text!r} after {said.motion!r} in {said.text!r}; "
                "known: 'from 2 m', 'at 3 m/s', 'after 0.5 s', 'for 4 s'."
            )

    def together(self, said: Predicate, subject: Thing, subjects: list[Thing], path: Path) -> None:
        """Things that collide with one another."""
        if len(subjects) == 1 and subject.count < 2:
            raise PlanError(
                f"{said.text!r} got one thing; expected what it meets, as in 'hits a cube'."
            )
        if subject is subjects[0]:
            path.kind, path.partners = "meet", subjects
        else:
            path.kind = "met"

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
                elif name in ("across", "on") or (
                    name == "over" and thing.fixed and thing.noun.name != "wall"
                ):
                    if thing.shape == "ramp":
                        path.ramp = thing
                    elif thing.shape == "box" and path.surface is None:
                        path.surface = thing
                    else:
                        path.meet("into", thing)
                elif name == "past":
                    path.meet("past", thing)
                elif name in REACHED:
                    path.meet("into", thing)
                else:
                    self.place(name, subject, [thing])

    def _move(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        """Rolls what is round all around, slides what is not; what already moves goes on."""
        kind = "roll" if subject.shape == "sphere" and not subject.soft else "slide"
        self._roll(subject, path, objects, tails, kind=kind)

    def _slide(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        self._roll(subject, path, objects, tails, kind="slide")

    def _hit(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        if not path.kind:
            path.kind = "roll" if subject.shape == "sphere" and not subject.soft else "slide"
        how = "on" if path.kind == "fall" else "into"
        for thing in objects:
            path.meet(how, thing)
        for name, things in tails:
            for thing in things:
                if name in REACHED or name == "off":
                    path.meet(how, thing)

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
                elif name in ("on", "into", "over", "past", "above", "against", "with", "to"):
                    path.meet("land" if moving else "on", thing)
                elif name in ("off", "from") and path.surface is None and path.ramp is not thing:
                    path.surface, path.off = thing, True
                elif name in v.STATIC:
                    self.place(name, subject, [thing])
        for thing in objects:
            path.meet("land" if moving else "on", thing)
        path.kind = path.kind or "fall"

    def _bounce(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        self.bouncy(subject)
        off = [t for name, ts in tails if name in ("off", "against", "from") for t in ts]
        if off and not path.kind:
            path.kind = "throw"
        if off:
            for thing in off:
                path.meet("into", thing)
            return
        self._fall(subject, path, objects, [t for t in tails if t[0] == "on"])

    def bouncy(self, subject: Thing) -> None:
        springy = max(0.8, subject.material.restitution)
        subject.material = replace(subject.material, restitution=springy)

    def _throw(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        path.kind, path.blow = "throw", None
        path.upwards = any(name == "up" for name, _ in tails)
        for name, things in tails:
            for thing in things:
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
        self.story.relations.append((relation, subject, things))

    def _topple(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        struck = any(t is subject for _, p in self.story.paths for _, t in p.stations)
        if not struck and not path.kind:
            path.kind = "topple"
        for name, things in tails:
            if things:
                self.place("on" if name == "into" else name, subject, things)

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
        path.kind = path.kind or "hold"
        path.release = 0.5 if path.release is None else path.release
        for name, things in tails:
            for thing in things:
                if name in ("above", "over", "on"):
                    path.meet("on", thing)

    def _stop(self, subject: Thing, path: Path, objects: list[Thing], tails: Tails) -> None:
        for name, things in tails:
            for thing in things:
                if path.kind:
                    path.meet("into" if name in ("against", "at") else "land", thing)
                else:
                    self.place(name, subject, [thing])


def tell(said: Sentences, palette: list[str]) -> Story:
    """The story of a prompt's sentences.

    Raises:
        PlanError: a motion, relation or pronoun without a rule; the message names it.
    """
    return Teller(said, palette).tell()
