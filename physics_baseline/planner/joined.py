"""The part of the grammar that reads clauses which share something: a verb, a preposition, their order in time."""

from __future__ import annotations

from clay4d.physics_baseline.planner.fronted import FrontParser
from clay4d.physics_baseline.planner.noun_phrases import STARTS
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Statement
from clay4d.physics_baseline.planner.words import PlanError


class JoinedParser(FrontParser):
    """Reads what leaves out a word that was just said; `Parser` adds motions."""

    sentence = 0
    """How many statements there were where the sentence began."""

    def item(self) -> None:
        """One clause; `Parser` has the rule."""
        raise NotImplementedError

    # ── order in time ────────────────────────────────────────────────────────────────────────────
    def _clause_after(self) -> bool:
        """Whether "after" stands here with a subject and its verb behind it."""
        if not (self.sees("PREP") and self.words[self.k].text == "after" and self._thing_follows()):
            return False
        mark, last = self.mark(), self.last_noun
        self.k += 1
        try:
            self.things(subject=True)
            return self._is_finite()
        except PlanError:
            return False
        finally:
            self.reset(mark)
            self.last_noun = last

    def sooner(self) -> list[Statement]:
        """What a clause with "after" says, which comes before its sentence."""
        self.k += 1
        held, self.out.statements = self.out.statements, []
        self.item()
        found, self.out.statements = self.out.statements, held
        return found

    def later_first(self) -> bool:
        """ "before it hits the wall, the ball rolls past a cone": the second clause happens first."""
        if not (self.sees("WHILE") and self.words[self.k].text in ("before", "until")):
            return False
        self.k += 1
        start = len(self.out.statements)
        self.item()
        if not self.take("COMMA"):
            raise self.refuse("a comma and what happens first")
        held = self.out.statements[start:]
        del self.out.statements[start:]
        self.item()
        self.out.statements += held
        return True

    # ── what is left out ─────────────────────────────────────────────────────────────────────────
    def without_verb(self, subjects: list[Phrase], start: int) -> bool:
        """ "a red ball falls onto a table and a blue one onto a box": the verb of the clause before."""
        said = self.out.statements[self.sentence :]
        if not said or not said[-1].predicates or self.sees("WORLD"):
            return False
        before = said[-1].predicates[-1]
        turned = self.sees("DIR") or self._from_side()
        into = self.sees("PREP") and any(
            name == self.words[self.k]["PREP"] for name, _ in before.tails
        ) and self._thing_follows()  # fmt: skip
        if not into and not (turned and before.heading):
            return False
        for phrase in subjects:
            if phrase.one and said[-1].subjects:
                phrase.noun = said[-1].subjects[0].noun
        made = Predicate(before.motion, "", passive=before.passive, finite=True)
        self.tails(made)
        made.text = self.said(start)
        self.out.statements.append(Statement(subjects, [made], made.text))
        return True

    def _from_side(self) -> bool:
        return self.sees("VIEW") and self.words[self.k].text in ("from the left", "from the right")

    def tail_again(self, made: Predicate) -> bool:
        """ "into a blue crate, then into a green one", "by a red ball and by a blue one"."""
        if not made.tails or not self.sees("COMMA", "AND", "THEN"):
            return False
        mark = self.mark()
        while self.take("COMMA", "AND", "THEN"):
            pass
        relation = made.tails[-1][0]
        same = self.sees("PREP") and self.words[self.k]["PREP"] == relation
        if (
            not same
            or relation in ("with", "of")
            or not self.noun_follows()
            or self._camera_ahead()
        ):
            self.reset(mark)
            return False
        self.k += 1
        made.tails.append((relation, self.things()))
        if not (self.k >= len(self.words) or self.sees("STOP", "COMMA", "AND", "THEN", "WHILE")):
            made.tails.pop()  # "… and into a box falls a ball" is a sentence of its own.
            self.reset(mark)
            return False
        return True

    def adverb_again(self) -> bool:
        """ "slowly and steadily": the "and" before one adverb more."""
        plain = self.sees("ADV", ahead=1) and not self.sees("ADJ", "PREP", "NOUN", "VERB", ahead=1)
        if not (self.sees("AND") and plain) or self.sees("VERB", "IS", *STARTS, ahead=2):
            return False
        self.k += 1
        return True

    def interposed(self) -> None:
        """ "and, at the bottom, strikes": where it comes by anyway, between commas."""
        foot = self.sees("PREP") and self.words[self.k]["PREP"] == "foot_of"
        if foot and self.sees("PRON", ahead=1):
            if self.sees("COMMA", ahead=2) and self.sees("VERB", ahead=3):
                self.k += 3

    def standing_with(self) -> bool:
        """ "with two cans standing on it": told after the sentence, of what it is about."""
        found = self._with_things(pronoun=False)
        if found is None:
            return False
        relation, others = found
        placed = Predicate("rest", "", tails=[(relation, [Phrase(pronoun="it", text="it")])])
        self.later.append(Statement(others, [placed], f"{others[0].text} {relation}"))
        return True
