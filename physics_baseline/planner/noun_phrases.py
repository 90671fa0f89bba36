"""The part of the grammar that names things: nouns with what stands before and behind them."""

from __future__ import annotations

from dataclasses import replace

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.asides import AsideParser
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Statement
from clay4d.physics_baseline.planner.vocabulary import Noun
from clay4d.physics_baseline.planner.words import PlanError, Word

STARTS = ("DET", "NUM", "ADJ", "NOUN", "GROUP", "PRON", "ONE", "FIRST", "LEADER")
"""Kinds of words with which a thing may begin."""


def one_of_each(phrase: Phrase) -> list[Phrase]:
    """The phrase, or one for each of its things where each has a quality of its own."""
    if not phrase.each:
        return [phrase]
    return [
        replace(phrase, each=[], count=1, many=False, adjectives=[*phrase.adjectives, quality])
        for quality in phrase.each
    ]


class PhraseParser(AsideParser):
    """Reads things; `Parser` adds motions."""

    def __init__(self, words: list[Word]) -> None:
        super().__init__(words)
        self.last_noun: Noun | None = None
        """What "one" and "another" stand for."""
        self.fronted = False
        """Whether a clause before its subject is read, which ends at a comma."""

    def predicates(self, subjects: list[Phrase]) -> list[Predicate]:
        """What things do; `Parser` has the rule."""
        raise NotImplementedError

    def predicate(self) -> Predicate:
        """One motion with what follows; `Parser` has the rule."""
        raise NotImplementedError

    def _is_order(self) -> bool:
        raise NotImplementedError

    def _is_predicate(self) -> bool:
        raise NotImplementedError

    # ── things ───────────────────────────────────────────────────────────────────────────────────
    def things(
        self, *, attach: bool = True, listed: bool = True, subject: bool = False
    ) -> list[Phrase]:
        found = one_of_each(self.thing(attach=attach, subject=subject))
        while listed and self.sees("COMMA", "AND") and not (self.fronted and self.sees("COMMA")):
            mark = self.mark()
            while self.take("COMMA", "AND", "THEN"):
                pass
            if not self.sees(*STARTS, "MEASURE") or self._camera_ahead():
                self.reset(mark)
                break
            if self._is_order() or self._is_predicate():
                self.reset(mark)
                break
            more = self.thing(attach=attach, subject=subject)
            if not subject and self._is_finite():  # "… and a cone falls": a sentence of its own.
                self.reset(mark)
                break
            found += one_of_each(more)
        return found

    def _is_finite(self) -> bool:
        """Whether a verb stands here whose subject was just read."""
        if self.sees("IS") and "PREP" not in self.words[self.k]:
            return True
        return (
            self.sees("VERB")
            and not self.sees("NOUN")
            and bool(self.words[self.k]["VERB"][2] & {"present", "base"})
        )

    def thing(self, *, attach: bool = True, subject: bool = False) -> Phrase:
        start = self.k
        phrase = Phrase()
        word = self.take("PRON")
        if word:
            phrase.pronoun, phrase.text = word["PRON"], word.text
            return phrase
        leader = self.take("LEADER")
        phrase.first = bool(leader or self.take("FIRST"))
        phrase.definite = bool(leader)
        if leader and not self.sees("ADJ", "NOUN", "GROUP") and self.last_noun is not None:
            phrase.noun, phrase.text = self.last_noun, leader.text
            return phrase
        self._describe(phrase)
        if self.sees("GROUP") and (not self.sees("NOUN") or self._of_ahead()):
            self._group(phrase)
        else:
            self._named(phrase)
        phrase.text = self.said(start)
        self.last_noun = phrase.noun or self.last_noun
        self._after(phrase, attach=attach, subject=subject)
        return phrase

    def _named(self, phrase: Phrase) -> None:
        """The noun, or "one" or nothing after "another", which repeat the last noun."""
        word = self.take("NOUN")
        if word is not None:
            phrase.noun, phrase.many = word["NOUN"]
            return
        word = self.take("ONE")
        if (word is None and not phrase.another) or self.last_noun is None:
            raise self.refuse("the name of a thing, such as 'ball', 'cube' or 'ramp'")
        phrase.noun, phrase.another = self.last_noun, True
        phrase.many = word is not None and word["ONE"]

    def _of_ahead(self) -> bool:
        return self.k + 1 < len(self.words) and self.words[self.k + 1].text == "of"

    def _group(self, phrase: Phrase) -> None:
        phrase.group = self.words[self.k]["GROUP"]
        self.k += 1
        if self.sees("PREP") and self.words[self.k].text == "of":
            self.k += 1
        elif phrase.group not in ("dozen", "pair"):
            phrase.many = True
            return
        self._describe(phrase)
        word = self.take("NOUN")
        if word is None:
            raise self.refuse("the name of things, such as 'cubes'")
        phrase.noun, phrase.many = word["NOUN"]
        if phrase.count is not None and phrase.group in ("dozen", "pair"):
            raise PlanError(f"no rule for {phrase.count} times a {phrase.group}; say the number.")
        if phrase.group == "dozen":
            phrase.count, phrase.group = 12, ""
        elif phrase.group == "pair":
            phrase.count, phrase.group = 2, ""

    def _describe(self, phrase: Phrase) -> None:
        """Determiner, count and adjectives, in the order in which English has them or nearly."""
        while True:
            if self.sees("ONE") and not self.sees("NOUN", "ADJ", "GROUP", "NUM", ahead=1):
                return
            if self.sees("GROUP") and (not self.sees("NOUN") or self._of_ahead()):
                return
            if self.sees("DET") and not phrase.adjectives:
                text = self.words[self.k].text
                phrase.definite |= text in ("the", "its", "this", "that", "these", "those")
                phrase.another |= text in ("another", "other")
                if text == "some" and phrase.count is None:
                    phrase.count = 3 if self._plural_ahead() else None
            elif self.sees("NUM") and phrase.count is None and not phrase.adjectives:
                phrase.count = self.words[self.k]["NUM"]
            elif self.sees("MEASURE"):
                self._measure(phrase)
                continue
            elif self.sees("ADJ") and (
                not self.sees("NOUN") or self.sees("NOUN", "GROUP", ahead=1)
            ):
                phrase.adjectives.append(self.words[self.k]["ADJ"])
            elif self.sees("VERB") and self._verb_before_noun():
                phrase.predicates.append(self._participle())
            elif self.sees("COMMA", "AND") and phrase.adjectives and self._adjective_ahead():
                pass
            else:
                return
            self.k += 1

    def _adjective_ahead(self) -> bool:
        return self.sees("ADJ", ahead=1) and (
            "COMMA" in self.words[self.k] or self.sees("NOUN", ahead=2)
        )

    def _plural_ahead(self) -> bool:
        for word in self.words[self.k : self.k + 5]:
            if "NOUN" in word:
                return bool(word["NOUN"][1])
        return False

    def _verb_before_noun(self) -> bool:
        motion, _, forms = self.words[self.k]["VERB"]
        if motion in ("stop", "drape", "release", "hit") and "past" not in forms:
            return False
        return bool(forms & {"ing", "past"}) and self.sees("NOUN", "ADJ", "GROUP", ahead=1)

    def _participle(self) -> Predicate:
        word = self.words[self.k]
        return Predicate(word["VERB"][0], word.text, passive="past" in word["VERB"][2])

    def _measure(self, phrase: Phrase) -> None:
        measure, dimension = (
            self.words[self.k]["MEASURE"],
            self.words[self.k].readings.get("OF", ""),
        )
        self.k += 1
        word = self.take("DIM") if not dimension else None
        phrase.measures.append((dimension or (word["DIM"] if word else ""), measure))

    def _after(self, phrase: Phrase, *, attach: bool, subject: bool) -> None:
        """What follows a noun and belongs to it."""
        while (
            self._attribute(phrase, subject=subject)
            or self._each(phrase)
            or self._apposition(phrase, subject=subject)
            or (subject and self._between_commas(phrase))
        ):
            pass
        while True:
            if self._acted_on(phrase):
                pass
            elif self.sees("THAT") and self.sees("VERB", "IS", "ADV", ahead=1):
                self.k += 1
                phrase.predicates += self.predicates([phrase])
            elif not subject and not self.fronted and self._done_to(phrase):
                pass
            elif not (attach and self._place(phrase)) and not self._attribute(phrase, subject=subject):  # fmt: skip
                if not self._carried(phrase):
                    return

    def _attribute(self, phrase: Phrase, *, subject: bool = False) -> bool:
        """A measure, a material or a quality behind the noun: "30 cm wide", "of steel", "red"."""
        of = self.sees("PREP") and self.words[self.k].text in ("of", "with")
        if self.sees("MEASURE") and self.sees("DIM", ahead=1):
            self._measure(phrase)
        elif of and self.sees("MEASURE", ahead=1):
            measure = self.words[self.k + 1]["MEASURE"]
            if measure.kind == "speed":
                if not subject:  # It is how fast the motion before is.
                    return False
                moves = Predicate("move", self.words[self.k + 1].text, measures=[("at", measure)])
                phrase.predicates.append(moves)
                self.k += 2
                return True
            self.k += 1
            self._measure(phrase)
        elif of and self.words[self.k].text == "of" and self.sees("ADJ", ahead=1):
            phrase.adjectives.append(self.words[self.k + 1]["ADJ"])
            self.k += 2
        elif self.sees("ADJ") and self._stands_alone():
            phrase.adjectives.append(self.words[self.k]["ADJ"])
            self.k += 1
        else:
            return False
        return True

    def _stands_alone(self) -> bool:
        """Whether an adjective follows its noun: "a ball red and heavy", "in different colours"."""
        word = self.words[self.k]
        if word["ADJ"][1] == "colourful":
            return True
        other = any(k in word for k in ("ADV", "NOUN", "VERB", "PREP", "GROUP", "DIR", "NUM"))
        return not other and not self.sees("NOUN", "ADJ", "GROUP", "ONE", "WIND", "CAM", ahead=1)

    def _apposition(self, phrase: Phrase, *, subject: bool) -> bool:
        """ ", 20 cm wide and made of rubber,": qualities between commas."""
        mark = self.mark()
        kept = (list(phrase.adjectives), list(phrase.measures), list(phrase.predicates))
        found = False
        if self.sees("COMMA"):
            while self.take("COMMA", "AND"):
                self.k += self.sees("DET") and self.words[self.k].text == "each"
                if not self._attribute(phrase, subject=subject):
                    break
                found = True
            before = self.words[self.k - 1] if self.k else None
            ends = self.k >= len(self.words) or self.sees("STOP")
            if found and before is not None and ("COMMA" in before or ends):
                return True
        self.reset(mark)
        phrase.adjectives, phrase.measures, phrase.predicates = kept
        return False

    def _each(self, phrase: Phrase) -> bool:
        """ ", one red and one blue,": a quality for each."""
        mark, found = self.mark(), []
        if self.take("COMMA") and phrase.count and not phrase.each:
            while self.sees("ONE") and self.sees("NUM") and self.sees("ADJ", ahead=1):
                found.append(self.words[self.k + 1]["ADJ"])
                self.k += 2
                while self.take("COMMA", "AND"):
                    pass
        if len(found) < 2 or len(found) != phrase.count:
            self.reset(mark)
            return False
        phrase.each = found
        return True

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

    def _acted_on(self, phrase: Phrase) -> bool:
        """ ", which a cannonball destroys": what another does to it, told after the sentence."""
        at = int(self.sees("COMMA"))
        if not self.sees("THAT", ahead=at) or not self.sees(*STARTS, ahead=at + 1):
            return False
        mark = self.mark()
        self.k += at + 1
        start = self.k
        others = self.things(attach=False)
        self.take("THEN")
        verb = self.take("VERB")
        if verb is None or not v.MOTIONS[verb["VERB"][0]].acts_on:
            self.reset(mark)
            return False
        target = replace(phrase, definite=True, predicates=[], places=[], carries=[], count=None)
        made = Predicate(verb["VERB"][0], "", objects=[target])
        self.tails(made)
        made.text = self.said(start)
        self.later.append(Statement(others, [made], made.text))
        return True

    def _carried(self, phrase: Phrase) -> bool:
        """ "with a red one on top", "with two balls on it", "with a cube behind it"."""
        if not (self.sees("PREP") and self.words[self.k].text == "with" and self.noun_follows()):
            return False
        mark = self.mark()
        self.k += 1
        if self._camera_ahead():
            self.reset(mark)
            return False
        others = self.things(attach=False)
        self.take("VERB") if self.sees("VERB") and self.words[self.k]["VERB"][0] == "rest" else None
        relation = self.words[self.k]["PREP"] if self.sees("PREP") else ""
        if relation in v.STATIC and self.sees("PRON", ahead=1):
            self.k += 2
        elif self.take("ONTOP"):
            relation = "on"
        else:
            self.reset(mark)
            return False
        phrase.carries.append((relation, others))
        return True

    def _place(self, phrase: Phrase) -> bool:
        if (
            not self.sees("PREP")
            or self.sees("WORLD")
            or self.words[self.k]["PREP"] not in v.STATIC
        ):
            return False
        relation = self.words[self.k]["PREP"]
        if relation in ("over", "against") and not self._thing_follows():
            return False
        if relation == "on" and self._floor():
            return True
        if not self._thing_follows():
            return False
        self.k += 1
        phrase.places.append((relation, self.things(listed=relation == "between")))
        return True

    def _starts_thing(self) -> bool:
        """Whether a thing begins here; "fast" alone is how something moves."""
        adverb = self.sees("ADV") and not self.sees("NOUN", "ADJ", "GROUP", ahead=1)
        return self.sees(*STARTS) and not adverb

    def _thing_follows(self) -> bool:
        return self.sees(*STARTS, "MEASURE", ahead=1)

    def noun_follows(self) -> bool:
        """Whether a thing, and no bare measure, comes after the word here."""
        measured = self.sees("MEASURE", ahead=1) and self.sees("NOUN", "ADJ", ahead=2)
        return self.sees(*STARTS, ahead=1) or measured
