"""From sentences to a story: references are resolved and each motion becomes a path."""

from __future__ import annotations

from dataclasses import replace

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.motions import Tails
from clay4d.physics_baseline.planner.naming import NamingRules
from clay4d.physics_baseline.planner.story import Path, Story
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences, Statement
from clay4d.physics_baseline.planner.things import (
    Thing,
    lay_down,
    make_thing,
    stand_up,
)
from clay4d.physics_baseline.planner.words import Measure, PlanError

PLACED = ("roll", "slide", "fall", "bounce", "spin", "rest", "topple")
"""Motions that may happen next to or behind something."""
FREED = ("roll", "slide", "move", "fall")
"""What a thing does that was struck, without a push of its own."""
FREE: dict[str, tuple[str, ...]] = {
    "float": ("meet", "met"), "hang": ("swing",), "flutter": (), "hold": ("fall",),
    "swing": ("throw",), "throw": (),
}  # fmt: skip
"""What comes after a motion that is nothing else at the same time."""
UNMOVED = ("rest", "hold", "hang", "stop")
"""Motions whose "for 2 seconds" is no length of the film."""
TURNS = ("one by one", "one after another", "one after the other", "in turn", "in sequence")


class Teller(NamingRules):
    """Builds a `Story` from `Sentences`."""

    def tell(self) -> Story:
        for statement in self.said.statements:
            self.statement(statement)
        for k, wish in enumerate(self.said.cameras):
            seen = [
                replace(p, definite=not p.pronoun, predicates=[], places=[], carries=[])
                for p in wish.target
            ]
            for thing in self.all(seen):
                self.story.watched.setdefault(k, thing)
        return self.story

    def statement(self, statement: Statement) -> None:
        subjects = self.all(statement.subjects)
        self.parallel = statement.led_by_place
        for sooner in statement.after:
            self.topics = subjects
            self.statement(sooner)
        for predicate in statement.predicates:
            self.predicate(self.first_only(statement.subjects, predicate), subjects)
        self.topics = subjects or self.topics
        self.landmarks = []
        if statement.led_by_place:
            ((_, places), *_) = statement.predicates[0].tails
            self.landmarks = [t for p in places for t in self.named.get(id(p), [])]

    # ── predicates ───────────────────────────────────────────────────────────────────────────────
    def predicate(self, said: Predicate, subjects: list[Thing]) -> None:
        if said.motion == "be":
            self.be(said, subjects)
            return
        by = next((p for p, _ in said.tails if p in ("by", "with")), "")
        if said.passive and by and said.motion not in ("hang", "swing", "hold"):
            self.swapped(said, subjects, by)
            return
        self.check(said)
        each_other = self._each_other(said)
        objects = self.all(said.objects, besides=subjects)
        tails = self.tails(said, subjects)
        grounded = (
            said.motion == "hit" and not each_other and self.meets_floor(said, objects, tails)
        )
        for k, subject in enumerate(subjects):
            path = self.story.path(subject)
            if grounded and path.kind:
                continue
            path.factor *= said.speed
            self.head(said, path)
            path.texts.append(said.text)
            self.measures(said, path)
            before = path.kind
            reached = bool(objects or any(t for _, t in tails) or grounded)
            alone = said.motion == "hit" and not reached
            if alone and said.passive:
                self._push(subject, path, objects, tails)
            elif self.freed(said, path) and self.struck(subject) is not None:
                self.outcome(subject, objects, tails)
            elif alone or (each_other and said.motion in ("roll", "move", "hit", "slide")):
                self.together(said, subject, subjects, path)
            else:
                act = getattr(self, f"_{'fall' if grounded else said.motion}")
                act(subject, path, objects, tails)
            if before in FREE and path.kind not in (before, *FREE[before]):
                raise PlanError(
                    f"no rule for {said.text!r} of {subject.phrase.text!r}: {before!r} was said of it."
                )
            self.manner(said, subject, path, k)

    @staticmethod
    def _each_other(said: Predicate) -> bool:
        phrases = [said.objects, *(tail for _, tail in said.tails)]
        return any(p.pronoun == "each other" for listed in phrases for p in listed)

    @staticmethod
    def head(said: Predicate, path: Path) -> None:
        path.way = said.heading or path.way
        path.heading = path.way or path.heading

    def check(self, said: Predicate) -> None:
        """Refuse prepositions and adverbs that the motion has no rule for."""
        name = "hit" if said.motion == "push" else said.motion
        motion = v.MOTIONS[name]
        for preposition, phrases in said.tails:
            placed = name in PLACED and preposition in v.STATIC
            heap = name in ("rest", "stack") and preposition in ("in", "into")
            grouped = heap and _heaped(phrases)
            if preposition not in motion.after and not placed and not grouped and name != "rest":
                known = ", ".join(sorted(motion.after)) or "none"
                raise PlanError(
                    f"no rule for {name!r} with {preposition!r} in {said.text!r}; known: {known}."
                )
        if said.heading and name in UNMOVED:
            raise PlanError(
                f"no rule for {name!r} with a direction in {said.text!r}; say 'to the left of'."
            )
        for adverb in said.adverbs:
            fitting = v.FITTING.get(adverb)
            if fitting is not None and name not in fitting:
                raise PlanError(
                    f"no rule for {name!r} with {adverb!r} in {said.text!r}; it goes with: {', '.join(fitting)}."
                )

    def tails(self, said: Predicate, subjects: list[Thing]) -> Tails:
        """What follows a motion, as things; a pile is not one of them but how the subjects stand."""
        found: Tails = []
        for name, phrases in said.tails:
            if (
                name in ("into", "on", "in")
                and _heaped(phrases)
                and said.motion in ("fall", "rest", "pile", "stack")
            ):
                for subject in subjects:
                    subject.arrangement = "pile" if said.motion == "fall" else phrases[0].group
            else:
                self.sloped = name in ("foot_of", "top_of")
                self.placing = said.motion == "rest" and name in v.STATIC
                found.append((name, self.all(phrases, besides=subjects)))
                self.sloped = self.placing = False
        return found

    @staticmethod
    def meets_floor(said: Predicate, objects: list[Thing], tails: Tails) -> bool:
        """Whether the floor is all that is hit."""
        named = bool(said.objects or any(p for _, p in said.tails))
        return named and not objects and not any(t for _, t in tails)

    def manner(self, said: Predicate, subject: Thing, path: Path, k: int) -> None:
        """What adverbs add: one after another, on its side, off."""
        for adverb in said.adverbs:
            if adverb in TURNS and said.motion == "fall" and subject.noun.name != "domino":
                path.kind, path.stagger = "hold", 0.4
                path.release = 0.4 * (k + 1)
            elif adverb in ("down", "downward", "downwards") and said.motion in (
                "roll",
                "slide",
                "move",
            ):
                path.down = True
            elif adverb in ("upright", "on end", "on its end"):
                stand_up(subject)
            elif adverb == "on its side":
                lay_down(subject)
            elif adverb in ("off", "off the edge", "over the edge") and said.motion != "hit":
                path.off = True

    def moves(self, thing: Thing) -> bool:
        """Whether it was said to move."""
        return self.story.has_path(thing)

    @staticmethod
    def freed(said: Predicate, path: Path) -> bool:
        """Whether it is what a thing may do after a blow, without a push of its own."""
        hits = said.motion == "hit" and not said.passive
        return not path.kind and (said.motion in FREED or hits)

    def struck(self, thing: Thing) -> Path | None:
        """The path of what meets it, if something does."""
        paths = [
            p
            for t, p in self.story.paths
            if t is not thing and any(s is thing for _, s in p.stations)
        ]
        return paths[-1] if paths else None

    def outcome(self, subject: Thing, objects: list[Thing], tails: Tails) -> None:
        """What is struck moves by that alone: "… and slides off the table", "… and rolls into a wall"."""
        hitter = self.struck(subject)
        assert hitter is not None
        for thing in objects:
            hitter.meet("into", thing)
        for name, things in tails:
            for thing in things:
                if name in ("off", "from", "across", "along") and thing.shape == "box":
                    self.place("on", subject, [thing])
                elif name in ("into", "at", "against", "towards", "to"):
                    hitter.meet("into", thing)
                elif name not in ("on",):
                    raise self.unread("what is struck", name, thing)

    def be(self, said: Predicate, subjects: list[Thing]) -> None:
        """ "the cube is blue": the thing is made once more, with that quality."""
        if not subjects and said.quality is not None:
            self.floor(said.quality)
        for subject in subjects if said.quality is not None else []:
            assert said.quality is not None
            old = subject.phrase
            phrase = replace(
                old, adjectives=[*old.adjectives, *said.quality.adjectives],
                measures=[*old.measures, *said.quality.measures],
            )  # fmt: skip
            made = make_thing(phrase, list(self.palette))
            for name in ("phrase", "size", "material", "colours", "mass", "soft", "fixed", "lying"):
                setattr(subject, name, getattr(made, name))
            path = self.story.path(subject)
            path.factor *= made.speed / subject.speed
            subject.speed = made.speed
        if said.tails or said.adverbs or said.measures:
            raise PlanError(
                f"no rule for more behind {said.text!r}. Say it in a sentence of its own."
            )

    def swapped(self, said: Predicate, subjects: list[Thing], by: str) -> None:
        """ "a tower is hit by a ball": the ball hits the tower, and then what that is pushed into."""
        if said.motion not in ("hit", "topple"):
            raise PlanError(
                f"no rule for {said.motion!r} with {by!r} in {said.text!r}; known: what is hit by something."
            )
        self.check(replace(said, tails=[]))
        agents = self.all(
            [p for name, ps in said.tails if name == by for p in ps], besides=subjects
        )
        tails = [(n_, self.all(ps, besides=subjects)) for n_, ps in said.tails if n_ != by]
        for agent in agents:
            path = self.story.path(agent)
            path.texts.append(said.text)
            path.factor *= said.speed
            self.head(said, path)
            self.measures(said, path)
            self._hit(agent, path, subjects, tails)

    def measures(self, said: Predicate, path: Path) -> None:
        for preposition, measure in said.measures:
            self.measure(preposition, measure, path, said)

    def measure(self, preposition: str, measure: Measure, path: Path, said: Predicate) -> None:
        if measure.kind == "speed":
            path.speed = measure.value
        elif measure.kind == "spin" and said.motion == "spin":
            path.turning = measure.value
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
        elif measure.kind == "time" and preposition == "for" and said.motion not in UNMOVED:
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
        ways = {self.story.path(t).way for t in subjects}
        if len(subjects) > 1 and len(ways) == 1 and 0.0 not in ways:
            raise PlanError(f"no rule for {said.text!r} of things that go the same way.")
        # They stand in the order they are named.
        path.heading = self.story.path(subjects[0]).heading
        if subject is subjects[0]:
            path.kind, path.partners = "meet", subjects
        else:
            path.kind = "met"


def _heaped(phrases: list[Phrase]) -> bool:
    """Whether a pile or pyramid stands there that no thing was called before."""
    return any(p.group and p.noun is None and not p.definite for p in phrases)


def tell(said: Sentences, palette: list[str]) -> Story:
    """The story of a prompt's sentences.

    Raises:
        PlanError: a motion, relation or pronoun without a rule; the message names it.
    """
    return Teller(said, palette).tell()
