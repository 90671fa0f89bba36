"""The planner's grammar: words → phrases and statements, by recursive descent.

Written by hand and not by a parser generator, for two reasons: English attaches a phrase to what
stands nearest, which a greedy descent does by itself and an ambiguous grammar only by priorities; and
a refusal has to say what was read and what could have followed. In extended Backus–Naur form:

    prompt     = item { separator item } ;
    item       = world | wind | camera | order | things [ predicates ] ;
    order      = VERB things { tail } ;                          "drop a ball onto a table"
    things     = thing { ("," | "and") thing } ;
    thing      = [ DET ] [ NUM ] { ADJ | MEASURE } ( NOUN | GROUP "of" thing ) { place | clause } ;
    place      = STATIC things | "of" ( MATERIAL | MEASURE ) | MEASURE [ DIM ] ;
    clause     = "that" predicates | VERB-ing { tail } ;
    predicates = predicate { ("," | "and" | "then") predicate } ;
    predicate  = [ IS ] { ADV } ( VERB [ things ] | PREP things ) { tail } ;
    tail       = PREP ( things | MEASURE ) | MEASURE | ADV | DIRECTION | world | wind | view ;
    camera     = [ NUM ] "camera" [ MOVE ] [ PREP thing ] | [ SEEN ] ( VIEW | SHOT ) ;
    wind       = [ "with" | "in" ] [ STRENGTH ] WIND [ VERB ] [ VIEW | DIRECTION ] [ "at" MEASURE ] ;
"""

from __future__ import annotations

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.asides import AsideParser
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences, Statement
from clay4d.physics_baseline.planner.vocabulary import FLOORS
from clay4d.physics_baseline.planner.words import Word

SEPARATORS = ("COMMA", "AND", "THEN", "STOP", "WHILE")


class Parser(AsideParser):
    """Reads `Sentences` from words; `parse` is its door."""

    # ── items ────────────────────────────────────────────────────────────────────────────────────
    def prompt(self) -> Sentences:
        while self.take(*SEPARATORS):
            pass
        while self.k < len(self.words):
            self.item()
            if self.k < len(self.words) and not self.sees(*SEPARATORS):
                raise self.refuse("a motion, a place, a comma or the end")
            while self.take(*SEPARATORS):
                pass
        return self.out

    def item(self) -> None:
        start = self.k
        if self.aside():
            return
        if self.camera():
            return
        if self._is_order():
            self.order(start)
            return
        subjects = self.things()
        predicates = self.predicates(subjects)
        self.out.statements.append(Statement(subjects, predicates, self.said(start)))

    def _is_order(self) -> bool:
        if not self.sees("VERB") or "base" not in self.words[self.k]["VERB"][2]:
            return False
        return self.sees("DET", "NUM", "ADJ", "NOUN", "GROUP", "MEASURE", "PRON", ahead=1)

    def order(self, start: int) -> None:
        verb = self.words[self.k]["VERB"]
        self.k += 1
        subjects = self.things(attach=False)
        predicate = Predicate("push" if verb[0] == "hit" else verb[0], self.said(start))
        self.tails(predicate)
        predicate.text = self.said(start)
        more = self.more_predicates()
        self.out.statements.append(Statement(subjects, [predicate, *more], self.said(start)))

    # ── things ───────────────────────────────────────────────────────────────────────────────────
    def things(self, *, attach: bool = True, listed: bool = True) -> list[Phrase]:
        found = [self.thing(attach=attach)]
        while listed and self.sees("COMMA", "AND"):
            start = self.k
            while self.take("COMMA", "AND", "THEN"):
                pass
            if not self.sees("DET", "NUM", "ADJ", "NOUN", "GROUP", "PRON", "MEASURE") or self._camera_ahead():  # fmt: skip
                self.k = start
                break
            if self._is_order() or self._is_predicate():
                self.k = start
                break
            found.append(self.thing(attach=attach))
        return found

    def _camera_ahead(self) -> bool:
        at = self.k
        while at < len(self.words) and any(
            k in self.words[at] for k in ("DET", "NUM", "ADJ", "STRENGTH")
        ):
            if "NOUN" in self.words[at]:
                return False
            at += 1
        return at < len(self.words) and any(k in self.words[at] for k in ("CAM", "WIND", "SHOT"))

    def thing(self, *, attach: bool = True) -> Phrase:
        start = self.k
        phrase = Phrase()
        word = self.take("PRON")
        if word:
            phrase.pronoun, phrase.text = word["PRON"], word.text
            return phrase
        self._describe(phrase)
        if self.sees("GROUP") and (not self.sees("NOUN") or self._of_ahead()):
            self._group(phrase)
        else:
            word = self.take("NOUN")
            if word is None:
                raise self.refuse("the name of a thing, such as 'ball', 'cube' or 'ramp'")
            phrase.noun, phrase.many = word["NOUN"]
        phrase.text = self.said(start)
        self._after(phrase, attach=attach)
        return phrase

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
        if phrase.group == "dozen":
            phrase.count, phrase.group = 12, ""
        elif phrase.group == "pair":
            phrase.count, phrase.group = 2, ""

    def _describe(self, phrase: Phrase) -> None:
        """Determiner, count and adjectives, in the order in which English has them or nearly."""
        while True:
            if self.sees("GROUP") and (not self.sees("NOUN") or self._of_ahead()):
                return
            if self.sees("DET"):
                text = self.words[self.k].text
                phrase.definite |= text in ("the", "its", "this", "that", "these", "those")
                phrase.another |= text in ("another", "other")
                if text == "some" and phrase.count is None:
                    phrase.count = 3 if self._plural_ahead() else None
            elif self.sees("NUM"):
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
        forms = self.words[self.k]["VERB"][2]
        return bool(forms & {"ing", "past"}) and self.sees("NOUN", "ADJ", "GROUP", ahead=1)

    def _participle(self) -> Predicate:
        word = self.words[self.k]
        return Predicate(word["VERB"][0], word.text)

    def _measure(self, phrase: Phrase) -> None:
        measure = self.words[self.k]["MEASURE"]
        self.k += 1
        word = self.take("DIM")
        phrase.measures.append((word["DIM"] if word else "", measure))

    def _after(self, phrase: Phrase, *, attach: bool) -> None:
        """What follows a noun and belongs to it."""
        while True:
            if self.sees("MEASURE") and self.sees("DIM", ahead=1):
                self._measure(phrase)
            elif self.sees("PREP") and self.words[self.k].text in ("of", "with") and self.sees("MEASURE", ahead=1):  # fmt: skip
                self.k += 1
                self._measure(phrase)
            elif (
                self.sees("PREP") and self.words[self.k].text == "of" and self.sees("ADJ", ahead=1)
            ):
                self.k += 1
                phrase.adjectives.append(self.words[self.k]["ADJ"])
                self.k += 1
            elif self.sees("ADJ") and self.words[self.k]["ADJ"][1] == "colourful":
                phrase.adjectives.append(self.words[self.k]["ADJ"])
                self.k += 1
            elif self.sees("THAT") and self.sees("VERB", "IS", "ADV", ahead=1):
                self.k += 1
                phrase.predicates += self.predicates([phrase])
            elif attach and self._place(phrase):
                pass
            else:
                return

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
        return self.sees("DET", "NUM", "ADJ", "NOUN", "GROUP", "PRON") and not adverb

    def _thing_follows(self) -> bool:
        return self.sees("DET", "NUM", "ADJ", "NOUN", "GROUP", "PRON", "MEASURE", ahead=1)

    def _floor(self) -> bool:
        """ "on ice", "across an icy floor": what the floor is made of."""
        at = self.k + 1
        qualities = []
        while at < len(self.words) and ("DET" in self.words[at] or "ADJ" in self.words[at]):
            if "NOUN" in self.words[at]:
                break
            if "ADJ" in self.words[at]:
                qualities.append(self.words[at]["ADJ"])
            at += 1
        word = self.words[at] if at < len(self.words) else None
        if word is not None and "NOUN" in word:
            if word["NOUN"][0].shape != "floor":
                return False
            at += 1
        elif len(qualities) != 1 or qualities[0][1] not in FLOORS:
            return False
        self.out.floor_quality += qualities
        self.k = at
        return True

    # ── motions ──────────────────────────────────────────────────────────────────────────────────
    def _is_predicate(self) -> bool:
        at = self.k
        while at < len(self.words) and ("IS" in self.words[at] or "ADV" in self.words[at]):
            if "PREP" in self.words[at] and at > self.k:
                break
            at += 1
        if at >= len(self.words):
            return False
        word = self.words[at]
        if "VERB" in word and ("NOUN" not in word or at > self.k):
            return True
        return at > self.k and "IS" in self.words[self.k] and "PREP" in word

    def predicates(self, subjects: list[Phrase]) -> list[Predicate]:
        start = self.k
        if self.sees("THAT") or (self.sees("COMMA") and self.sees("THAT", ahead=1)):
            self.take("COMMA")
            self.k += 1
        if not self._is_predicate():
            self.k = start
            hollow = Predicate("rest", "")
            self.tails(hollow, only_asides=True)
            return []
        return [self.predicate(), *self.more_predicates()]

    def more_predicates(self) -> list[Predicate]:
        found = []
        while self.sees(*SEPARATORS, "THAT"):
            start = self.k
            stopped = self.sees("STOP")
            while self.take(*SEPARATORS, "THAT"):
                pass
            if (
                stopped
                or not self._is_predicate()
                or self._is_order()
                and self.words[start].text == "."
            ):
                self.k = start
                break
            found.append(self.predicate())
        return found

    def predicate(self) -> Predicate:
        start = self.k
        made = Predicate("rest", "")
        is_ = False
        while self.sees("IS", "ADV") and not (self.sees("VERB") and not self.sees("IS")):
            if self.sees("PREP") and self._thing_follows():
                break
            word = self.words[self.k]
            is_ |= "IS" in word
            made.speed *= word["ADV"] if "ADV" in word else 1.0
            self.k += 1
        verb = self.take("VERB")
        if verb:
            made.motion, base, forms = verb["VERB"]
            if base == "fall over" and self.sees("DET", "NUM", "ADJ", "NOUN", "GROUP", "PRON"):
                made.motion = "fall"
                made.tails.append(("over", self.things()))
            if made.motion == "topple" and self._starts_thing():
                made.motion = "hit"  # "toppling them": what topples something else meets it.
            elif (
                made.motion == "topple" and self.sees("PREP") and self.words[self.k].text == "down"
            ):
                made.motion = "move"
            made.passive = is_ and "past" in forms
            motion = v.MOTIONS[made.motion]
            by = self.sees("PREP") and self.words[self.k].text == "by"
            if motion.acts_on and not by and self._starts_thing():
                if not self._camera_ahead():
                    made.objects = self.things(listed=True)
        elif not is_:
            raise self.refuse("a motion")
        self.tails(made)
        made.text = self.said(start)
        return made

    def tails(self, made: Predicate, *, only_asides: bool = False) -> None:
        while self.k < len(self.words):
            if self.sees("VIEW") and not only_asides and self.words[self.k].text in ("from the left", "from the right"):  # fmt: skip
                made.heading = 1.0 if self.words[self.k].text.endswith("left") else -1.0
                self.k += 1
            elif self.aside() or self._view():
                pass
            elif only_asides:
                return
            elif self.sees("DIR"):
                made.heading = self.words[self.k]["DIR"][0]
                self.k += 1
            elif self.sees("PREP") and self.words[self.k]["PREP"] in ("on", "across", "over") and self._floor():  # fmt: skip
                pass
            elif (
                self.sees("PREP")
                and self.sees("MEASURE", ahead=1)
                and not self.sees("NOUN", "ADJ", ahead=2)
            ):
                preposition = self.words[self.k]["PREP"]
                made.measures.append((preposition, self.words[self.k + 1]["MEASURE"]))
                self.k += 2
                self.take("DIM")
            elif self.sees("MEASURE") and not self.sees("NOUN", ahead=1):
                made.measures.append(("", self.words[self.k]["MEASURE"]))
                self.k += 1
            elif self.sees("PREP") and self._thing_follows():
                preposition = self.words[self.k]["PREP"]
                self.k += 1
                made.tails.append((preposition, self.things()))
            elif self.sees("ADV"):
                made.speed *= self.words[self.k]["ADV"]
                self.k += 1
            else:
                return

    def _view(self) -> bool:
        return self.sees("SEEN", "VIEW", "SHOT") and self.camera()


def parse(words: list[Word]) -> Sentences:
    """What a prompt's words say.

    Raises:
        PlanError: words in an order that no rule fits; the message says where.

    >>> from clay4d.physics_baseline.planner.words import read_words
    >>> said = parse(read_words("a red ball hits two blue cubes")[0])
    >>> said.statements[0].predicates[0].objects[0].count
    2
    """
    return Parser(words).prompt()
