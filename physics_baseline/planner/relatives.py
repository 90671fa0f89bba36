"""The part of the grammar that reads clauses behind a noun: what it does, and what others do to it."""

from __future__ import annotations

from dataclasses import replace

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.noun_phrases import STARTS, PhraseParser
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Statement
from clay4d.physics_baseline.planner.words import PlanError


class RelativeParser(PhraseParser):
    """Reads relative clauses; `Parser` adds motions."""

    def _after(self, phrase: Phrase, *, attach: bool, subject: bool) -> None:
        """What follows a noun and belongs to it."""
        while (
            self._attribute(phrase, subject=subject)
            or self._all_of(phrase)
            or self._each(phrase)
            or self._apposition(phrase, subject=subject)
            or (subject and self._between_commas(phrase))
        ):
            pass
        while True:
            if self._acted_on(phrase) or self._by_which(phrase):
                pass
            elif not subject and not self.fronted and self._which(phrase):
                pass
            elif self.sees("THAT") and self.sees("VERB", "IS", "ADV", ahead=1):
                self.k += 1
                phrase.predicates += self.predicates([phrase])
            elif not subject and not self.fronted and self._done_to(phrase):
                pass
            elif not (attach and self._place(phrase)) and not self._attribute(phrase, subject=subject):  # fmt: skip
                if not self._carried(phrase):
                    return

    def _between_commas(self, phrase: Phrase) -> bool:
        """ ", swinging from a chain,": what the subject does meanwhile."""
        if not (self.sees("COMMA") and self.sees("VERB", ahead=1)) or self.fronted:
            return False
        forms = self.words[self.k + 1]["VERB"][2]
        if forms & {"present", "base"} or self.sees("NOUN", "GROUP", ahead=1):
            return False
        mark = self.mark()
        self.k += 1
        self.fronted = True
        try:
            made = self.predicate()
        finally:
            self.fronted = False
        made.passive = "past" in forms
        if not self.take("COMMA"):
            self.reset(mark)
            return False
        phrase.predicates.append(made)
        return True

    def _done_to(self, phrase: Phrase) -> bool:
        """ "into a box placed on a table", "by a ball thrown at 6 m/s"."""
        if not self.sees("VERB") or self.sees("NOUN"):
            return False
        motion, _, forms = self.words[self.k]["VERB"]
        if forms != {"past"} and not (forms == {"ing"} and motion in ("rest", "hang", "hold")):
            return False
        made = self.predicate()
        made.passive = forms == {"past"}
        phrase.predicates.append(made)
        return True

    @staticmethod
    def _again(phrase: Phrase) -> Phrase:
        """The same things, named once more."""
        return replace(
            phrase, definite=True, predicates=[], places=[], carries=[], count=None, each=[],
            same=phrase,
        )  # fmt: skip

    def _which(self, phrase: Phrase) -> bool:
        """ ", which then hits a green ball": what was named last does it, after the sentence."""
        at = 2 + self.sees("THEN", ahead=2)
        which = self.sees("COMMA") and self.sees("THAT", ahead=1)
        if not which or not self.sees("VERB", "IS", "ADV", ahead=at):
            return False
        self.k += at
        start, word = self.k, self.words[self.k]
        many = word.text in ("are", "were") or ("VERB" in word and word["VERB"][2] == {"base"})
        if many and not (phrase.many or (phrase.count or 1) > 1):
            raise PlanError(
                f"no rule for 'which {word.text}' behind {phrase.text!r}. Say it in a sentence of its own."
            )
        told = [self.predicate()]
        while self.sees("AND") and self.sees("VERB", ahead=1) and not self.sees("NOUN", ahead=1):
            self.k += 1
            told.append(self.predicate())
        self.later.append(Statement([self._again(phrase)], told, self.said(start)))
        return True

    def _acted_on(self, phrase: Phrase) -> bool:
        """ ", which a cannonball destroys", "the ball rolls into": told after the sentence."""
        at = int(self.sees("COMMA"))
        that = self.sees("THAT", ahead=at)
        bare = not that and at == 0 and self.sees("DET")  # "the cylinder the ball hits"
        if not (that or bare) or not self.sees(*STARTS, ahead=at + that):
            return False
        mark = self.mark()
        self.k += at + that
        start = self.k
        others = self.things(attach=False)
        self.take("THEN")
        verb = self.take("VERB")
        into = self.words[self.k]["PREP"] if verb is not None and self._dangling() else ""
        acts = verb is not None and v.MOTIONS[verb["VERB"][0]].acts_on
        if verb is None or not (acts or into) or (bare and "present" not in verb["VERB"][2]):
            self.reset(mark)
            return False
        made = Predicate(verb["VERB"][0], "")
        if into:
            self.k += 1
            made.tails.append((into, [self._again(phrase)]))
        else:
            made.objects = [self._again(phrase)]
        self.tails(made)
        made.text = self.said(start)
        self.later.append(Statement(others, [made], made.text))
        return True

    def _dangling(self) -> bool:
        """Whether a preposition stands here whose thing came before: "the ball rolls into is …"."""
        if not self.sees("PREP") or self.words[self.k]["PREP"] not in v.ARRIVING:
            return False
        return self.k + 1 >= len(self.words) or (
            self.sees("IS", "VERB", "COMMA", "STOP", ahead=1) and not self.sees("NOUN", ahead=1)
        )

    def _by_which(self, phrase: Phrase) -> bool:
        """ "with which the tower is hit", "into which the ball rolls": told after the sentence."""
        at = int(self.sees("COMMA"))
        if not self.sees("PREP", ahead=at) or not self.sees("THAT", ahead=at + 1):
            return False
        relation = self.words[self.k + at]["PREP"]
        if relation not in ("by", "with", *v.ARRIVING):
            return False
        mark = self.mark()
        self.k += at + 2
        start = self.k
        others = self.things(subject=True)
        if not self._is_predicate():
            self.reset(mark)
            return False
        made = self.predicate()
        if relation in ("by", "with") and not made.passive:
            self.reset(mark)
            return False
        made.tails.append((relation, [self._again(phrase)]))
        made.text = self.said(start)
        self.later.append(Statement(others, [made], made.text))
        return True

    def _carried(self, phrase: Phrase) -> bool:
        """ "with a red one on top", "with two balls on it", "with a cube behind it"."""
        found = self._with_things(pronoun=True)
        if found is None:
            return False
        phrase.carries.append(found)
        return True

    @staticmethod
    def _told_of_it(phrase: Phrase) -> str:
        """The relation of "standing on it", which the phrase has read as a clause of its own."""
        for made in phrase.predicates[-1:]:
            if made.motion == "rest" and [len(phrases) for _, phrases in made.tails] == [1]:
                relation, (other,) = made.tails[0]
                if other.pronoun and relation in v.STATIC:
                    phrase.predicates.pop()
                    return relation
        return ""

    def _with_things(self, *, pronoun: bool) -> tuple[str, list[Phrase]] | None:
        """Others and where they are from what was named before."""
        if not (self.sees("PREP") and self.words[self.k].text == "with" and self.noun_follows()):
            return None
        mark = self.mark()
        self.k += 1
        if not self._camera_ahead():
            others = self.things(attach=False)
            told = self._told_of_it(others[-1])
            if told:
                return told, others
            if self.sees("VERB") and self.words[self.k]["VERB"][0] == "rest":
                self.k += 1
            relation = self.words[self.k]["PREP"] if self.sees("PREP") else ""
            if relation in v.STATIC and self.sees("PRON", ahead=1):
                self.k += 2
                return relation, others
            if pronoun and self.take("ONTOP"):
                return "on", others
        self.reset(mark)
        return None
