"""The part of the grammar that reads what is said of a thing behind its noun: colours, measures, materials."""

from __future__ import annotations

from dataclasses import replace

from clay4d.physics_baseline.planner.asides import AsideParser
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate
from clay4d.physics_baseline.planner.words import PlanError


def one_of_each(phrase: Phrase) -> list[Phrase]:
    """The phrase, or one for each part of its things that has a quality of its own."""
    return [
        replace(
            phrase, each=[], count=count, many=count > 1,
            adjectives=[*phrase.adjectives, quality],
        )
        for count, quality in phrase.each
    ] or [phrase]  # fmt: skip


def share_out(listed: list[Phrase]) -> None:
    """Give all of a list what the last was told with "both", "all" or a plural "which are".

    Raises:
        PlanError: "both" of other than two things.
    """
    shared = listed[-1].shared
    if shared is None:
        return
    many = listed[-1].many or (listed[-1].count or 1) > 1
    number = sum(p.count or 1 for p in listed)
    if shared.text == "both" and number != 2:
        raise PlanError(f"no rule for 'both' of {number} things; say of each what it is.")
    if len(listed) == 1 or (
        many and shared.text != "all"
    ):  # "two cubes that are blue": these alone.
        return
    for phrase in listed[:-1]:
        phrase.adjectives += shared.adjectives
        phrase.measures += shared.measures


class QualityParser(AsideParser):
    """Reads qualities behind a noun; `PhraseParser` has the nouns."""

    fronted = False
    """Whether a clause before its subject is read, which ends at a comma."""

    def _measure(self, phrase: Phrase) -> None:
        measure, dimension = (
            self.words[self.k]["MEASURE"],
            self.words[self.k].readings.get("OF", ""),
        )
        self.k += 1
        word = self.take("DIM") if not dimension else None
        phrase.measures.append((dimension or (word["DIM"] if word else ""), measure))

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

    def _attributes(self, phrase: Phrase) -> bool:
        """One quality or several, with "and" between them."""
        found = False
        while self._attribute(phrase):
            found = True
            if self.sees("AND") and self.sees("ADJ", ahead=1) and not self.sees("NOUN", ahead=2):
                self.k += 1
        return found

    def _apposition(self, phrase: Phrase, *, subject: bool) -> bool:
        """ ", 20 cm wide and made of rubber,", ", a red one,": qualities between commas."""
        mark = self.mark()
        kept = (list(phrase.adjectives), list(phrase.measures), list(phrase.predicates))
        found = False
        if self.sees("COMMA"):
            while self.take("COMMA", "AND"):
                self.k += self.sees("DET") and self.words[self.k].text == "each"
                if not (self._one_again(phrase) or self._attribute(phrase, subject=subject)):
                    break
                found = True
            before = self.words[self.k - 1] if self.k else None
            ends = self.k >= len(self.words) or self.sees("STOP")
            if found and before is not None and ("COMMA" in before or ends):
                return True
        self.reset(mark)
        phrase.adjectives, phrase.measures, phrase.predicates = kept
        return False

    def _one_again(self, phrase: Phrase) -> bool:
        """ "a red one" between commas: the thing before once more."""
        at = self.k + 1
        while self.sees("ADJ", ahead=at - self.k):
            at += 1
        single = self.sees("DET") and self.words[self.k].text in ("a", "an") and not phrase.many
        if not single or at == self.k + 1 or not self.sees("ONE", ahead=at - self.k):
            return False
        if self.words[at]["ONE"] or not self.sees("COMMA", "STOP", ahead=at + 1 - self.k):
            return False
        phrase.adjectives += [word["ADJ"] for word in self.words[self.k + 1 : at]]
        self.k = at + 1
        return True

    def _all_of(self, phrase: Phrase) -> bool:
        """ ", both green,", ", all of steel,", "which are blue": qualities of all in the list."""
        mark = self.mark()
        comma = self.take("COMMA")
        text = self.words[self.k].text if self.k < len(self.words) else ""
        if not (self.sees("ALLOF") or text == "all") or (text in ("both", "all") and not comma):
            self.reset(mark)
            return False
        self.k += 1
        shared = Phrase(text=text)
        if not self._attributes(shared):
            self.reset(mark)
            return False
        if text in ("both", "all") and self.k < len(self.words) and not self.sees("STOP"):
            if not self.take("COMMA"):
                self.reset(mark)
                return False
        phrase.adjectives += shared.adjectives
        phrase.measures += shared.measures
        phrase.shared = shared
        return True

    def _each(self, phrase: Phrase) -> bool:
        """ ", two red and one blue,": how many have which quality."""
        mark, found = self.mark(), []
        if (
            (self.take("COMMA") or self._colon())
            and (phrase.count or phrase.many)
            and not phrase.each
        ):
            while self.sees("NUM") and self.sees("ADJ", ahead=1):
                found.append((self.words[self.k]["NUM"], self.words[self.k + 1]["ADJ"]))
                self.k += 2
                self.take("ONE")
                while self.take("COMMA", "AND"):
                    pass
        if len(found) < 2 or sum(count for count, _ in found) != (phrase.count or -1):
            self.reset(mark)
            return False
        phrase.each = found
        return True

    def _colon(self) -> bool:
        return self.sees("STOP") and self.words[self.k].text == ":" and bool(self.take("STOP"))
