"""The part of the grammar that names things: nouns with what stands before and behind them."""

from __future__ import annotations

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.lexicon import plural
from clay4d.physics_baseline.planner.qualities import QualityParser, one_of_each, share_out
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate
from clay4d.physics_baseline.planner.vocabulary import Noun
from clay4d.physics_baseline.planner.words import PlanError, Word

STARTS = ("DET", "NUM", "ADJ", "NOUN", "GROUP", "PRON", "ONE", "FIRST", "ORDINAL")
"""Kinds of words with which a thing may begin."""


DEFINITE = ("the", "its", "this", "that", "these", "those", "each", "every", "all")
"""Words before things that were named already, if any fit."""


class PhraseParser(QualityParser):
    """Reads things; `Parser` adds motions."""

    def __init__(self, words: list[Word]) -> None:
        super().__init__(words)
        self.last_noun: Noun | None = None
        """What "one" and "another" stand for."""
        self.unnumbered = False
        """Whether that was said of several without their number."""
        self.fronted = False
        self.led_by = ""
        """The preposition before the list that is read: behind it again a clause without its verb may stand."""

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
        listed_here = self._one_noun()
        found = listed_here or [self.thing(attach=attach, subject=subject)]
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
            again = self.sees("PREP") and self.words[self.k].text == self.led_by
            if not subject and (
                self._is_finite() or again
            ):  # "… and a cone falls": a sentence of its own.
                self.reset(mark)
                break
            found.append(more)
        share_out(found)
        return [each for phrase in found for each in one_of_each(phrase)]

    def _one_noun(self) -> list[Phrase]:
        """ "a red and a blue ball": things that share the noun of the last."""
        mark, found = self.mark(), []
        while self.sees("DET") and self.words[self.k].text in ("a", "an", "the", "another"):
            phrase = Phrase()
            self._describe(phrase)
            found.append(phrase)
            if not phrase.adjectives or phrase.predicates or not self.sees("COMMA", "AND"):
                break
            while self.take("COMMA", "AND"):
                pass
        if len(found) < 2 or not found[-1].adjectives or not self.sees("NOUN"):
            self.reset(mark)
            return []
        word = self.words[self.k]
        for phrase in found:
            phrase.noun, phrase.many = word["NOUN"]
            phrase.text = " ".join([*(name for _, name in phrase.adjectives), word.text])
        self.k += 1
        self.last_noun = found[-1].noun
        self._after(found[-1], attach=True, subject=False)
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
        if self._both():
            phrase.pronoun = phrase.text = "both"
            return phrase
        phrase.first = bool(self.take("FIRST"))
        word = self.take("ORDINAL")
        if word:
            phrase.ordinal, phrase.definite = word["ORDINAL"], True
            if not self.sees("ADJ", "NOUN", "GROUP"):
                phrase.text = word.text
                return phrase
        self._describe(phrase)
        if self.sees("GROUP") and (not self.sees("NOUN") or self._of_ahead()):
            self._group(phrase)
        else:
            self._named(phrase)
        phrase.text = self.said(start)
        phrase.many |= phrase.every
        if phrase.both and not phrase.many:  # "both a ball and a cube": no count.
            phrase.count, phrase.definite = None, False
        if phrase.noun is not None and not (phrase.noun.fixed and self.last_noun is not None):
            self.last_noun = phrase.noun  # "One" is rather of what moves than of what it is on.
            self.unnumbered = phrase.many and not (phrase.count or phrase.group or phrase.definite)
        self._after(phrase, attach=attach, subject=subject)
        return phrase

    def _named(self, phrase: Phrase) -> None:
        """The noun, or "one" or nothing after "another", which repeat the last noun."""
        word = self.take("NOUN")
        if word is not None:
            phrase.noun, phrase.many = word["NOUN"]
            return
        word = self.take("ONE")
        if phrase.another and phrase.definite:
            phrase.pronoun = "the other"
            return
        if (word is None and not phrase.another) or self.last_noun is None:
            raise self.refuse("the name of a thing, such as 'ball', 'cube' or 'ramp'")
        phrase.noun, phrase.another, phrase.one = self.last_noun, True, word is not None
        if self.unnumbered and word is not None and word["ONE"]:
            raise PlanError(
                f"no rule for {self.said(self.k - 1)!r} here: they could be of the {plural(phrase.noun.name)} that were "
                "named without a number, or more of them. Say how many there are."
            )
        phrase.many = word is not None and word["ONE"]
        if word is not None and not phrase.adjectives and not phrase.measures:
            raise PlanError(
                f"no rule for {self.said(self.k - 1)!r} of things that were named before. Say 'another', 'the "
                "first' or which by its colour."
            )

    def _both(self) -> bool:
        """Whether "both" stands here for two things that were named before."""
        if not self.sees("NUM") or self.words[self.k].text != "both":
            return False
        return not self.sees("NOUN", "ADJ", "GROUP", "DET", "NUM", ahead=1) and bool(
            self.take("NUM")
        )

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
                phrase.definite |= text in DEFINITE
                phrase.every |= text in ("each", "every")
                phrase.another |= text in ("another", "other")
                if text == "some" and phrase.count is None:
                    phrase.count = 3 if self._plural_ahead() else None
            elif self.sees("NUM") and phrase.count is None and not phrase.adjectives:
                phrase.count = self.words[self.k]["NUM"]
                phrase.both = self.words[self.k].text == "both"
                phrase.definite |= phrase.both
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

    def _after(self, phrase: Phrase, *, attach: bool, subject: bool) -> None:
        """What follows a noun and belongs to it; `RelativeParser` has the rule."""
        raise NotImplementedError

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
        if self.words[self.k].text in (
            "onto",
            "on to",
        ):  # Where something goes, and not where it is.
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
