"""The part of the grammar that reads what English puts before the subject."""

from __future__ import annotations

from dataclasses import dataclass, field

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.noun_phrases import STARTS
from clay4d.physics_baseline.planner.relatives import RelativeParser
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Statement
from clay4d.physics_baseline.planner.words import Measure, PlanError


@dataclass
class Front:
    """What stood before the subject: it belongs to the first motion, or is one by itself."""

    speed: float = 1.0
    measures: list[tuple[str, Measure]] = field(default_factory=list)
    tails: list[tuple[str, list[Phrase]]] = field(default_factory=list)
    predicates: list[Predicate] = field(default_factory=list)
    adverbs: list[str] = field(default_factory=list)
    qualities: list[tuple[str, str]] = field(default_factory=list)
    """Adjectives before a comma: "blue and heavy, a ball …"."""

    def give(self, predicates: list[Predicate]) -> list[Predicate]:
        """All predicates of the sentence, with what stood before it in its place."""
        if (self.tails or self.measures or self.adverbs) and not predicates:
            predicates = [Predicate("rest", "")]
        if predicates:
            first = predicates[0]
            first.speed *= self.speed
            first.adverbs = [*self.adverbs, *first.adverbs]
            first.measures = [*self.measures, *first.measures]
            first.tails = [*first.tails, *self.tails]
        return [*self.predicates, *predicates]


class FrontParser(RelativeParser):
    """Reads fronted parts; `Parser` adds motions."""

    def predicate(self) -> Predicate:
        """A motion with what follows; `Parser` has the rule."""
        raise NotImplementedError

    def inverted(self) -> bool:
        """ "on a table sits a ball", "down a ramp rolls a cube": place, verb, subject."""
        if not self.sees("PREP") or not self.noun_follows() or self._of_wind():
            return False
        mark = self.mark()
        try:
            found = self._inverted(mark[0])
        except PlanError:
            found = False
        if not found:
            self.reset(mark)
        return found

    def _inverted(self, start: int) -> bool:
        relation = self.words[self.k]["PREP"]
        self.k += 1
        self.fronted = True
        try:
            places = self.things(listed=True)
        finally:
            self.fronted = False
        made = Predicate("rest", "")
        is_ = bool(self.take("IS"))
        while self.sees("ADV") and not self.sees("ADJ", "PREP"):
            made.speed *= self.words[self.k]["ADV"]
            made.adverbs.append(self.words[self.k].text)
            self.k += 1
        verb = self.take("VERB")
        if not (verb or is_) or not self.sees(*STARTS):
            return False
        if verb:
            made.motion = verb["VERB"][0]
        subjects = self.things(subject=True)
        made.tails.append((relation, places))
        self.tails(made)
        made.text = self.said(start)
        made.finite = True
        rest = self.more_predicates(made)
        self.out.statements.append(
            Statement(subjects, [made, *rest], made.text, led_by_place=relation in v.STATIC)
        )
        return True

    def more_predicates(self, before: Predicate) -> list[Predicate]:
        raise NotImplementedError

    def _of_wind(self) -> bool:
        self.k += 1
        found = self._camera_ahead()
        self.k -= 1
        return found

    def front(self) -> Front:
        """Adverbs, measures, places and clauses before the subject, each up to its comma."""
        front = Front()
        while self._one_front(front):
            self.take("COMMA")
            while self.aside():
                self.take("COMMA")
        return front

    def _one_front(self, front: Front) -> bool:
        if self.sees("ADV") and not self.sees("ADJ", "PREP", "NOUN", "VERB", "VIEW"):
            front.speed *= self.words[self.k]["ADV"]
            front.adverbs.append(self.words[self.k].text)
            self.k += 1
            return True
        if self._clause(front) or self._qualities(front):
            return True
        if not self.sees("PREP") or self.sees("WORLD"):
            return False
        relation = self.words[self.k]["PREP"]
        if self.sees("MEASURE", ahead=1) and not self.sees("NOUN", "ADJ", ahead=2):
            front.measures.append((relation, self.words[self.k + 1]["MEASURE"]))
            self.k += 2
            return True
        if not self.noun_follows():
            return False
        if self._of_wind():  # "with a camera circling around": the camera's rule comes next.
            self.k += 1
            return self.camera()
        self.k += 1
        self.fronted = True
        try:
            front.tails.append((relation, self.things()))
        finally:
            self.fronted = False
        return True

    def _qualities(self, front: Front) -> bool:
        """ "blue, shiny and heavy, a ball …": what the subject is like."""
        mark, found = self.mark(), []
        while self.sees("ADJ") and not self.sees("DET", "NOUN"):
            found.append(self.words[self.k]["ADJ"])
            self.k += 1
            while self.take("COMMA", "AND"):
                pass
        if not found or "COMMA" not in self.words[self.k - 1] or not self.sees("DET"):
            self.reset(mark)
            return False
        front.qualities += found
        self.k -= 1
        return True

    def _clause(self, front: Front) -> bool:
        """ "after rolling down a ramp, …", "having hit a wall, …", "falling from a table, …"."""
        at = self.k
        if self.sees("PREP") and self.words[self.k].text in ("after", "upon", "on", "by"):
            at += 1
        having = at < len(self.words) and "HAVING" in self.words[at]
        at += having
        led, start = at > self.k, at
        been = having and at < len(self.words) and "IS" in self.words[at]
        at += been  # "having been hit by a puck"
        if at >= len(self.words) or "VERB" not in self.words[at]:
            return False
        forms = self.words[at]["VERB"][2]
        if not forms & {"past" if having else "ing", "past"}:
            return False
        following = self.words[at + 1] if at + 1 < len(self.words) else None
        if following is None or any(k in following for k in ("NOUN", "GROUP")):
            return False
        mark = self.mark()
        self.k = start
        self.fronted = True
        try:
            made = self.predicate()
        finally:
            self.fronted = False
        made.passive &= been or not having
        if not (self.sees("COMMA") or (led and self.sees(*STARTS))):
            self.reset(mark)
            return False
        front.predicates.append(made)
        return True
