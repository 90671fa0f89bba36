"""The planner's grammar: words → phrases and statements, by recursive descent.

Written by hand and not by a parser generator, for two reasons: English attaches a phrase to what
stands nearest, which a greedy descent does by itself and an ambiguous grammar only by priorities; and
a refusal has to say what was read and what could have followed. In extended Backus–Naur form:

    prompt     = item { separator item } ;
    item       = world | wind | camera | order | inverted | "before" item "," item
               | { front } things [ predicates | tail { tail } ] ;  "… and a blue one onto a box"
    inverted   = PREP things [ IS ] [ VERB ] things { tail } ;   "on a table sits a ball"
    front      = ( ADV | PREP ( things | MEASURE ) | [ "after" | "having" ] predicate ) [ "," ] ;
    order      = VERB things { tail } ;                          "drop a ball onto a table"
    things     = thing { ("," | "and") thing } [ shared ] | DET ADJ { "and" DET ADJ } NOUN ;
    shared     = ( "," ( "both" | "all" ) | [ "," ] ( "which" | "that" ) "are" ) attribute ;
    thing      = [ DET ] [ NUM ] { ADJ | MEASURE } ( NOUN | "one" | GROUP "of" thing ) { after }
               | "the" ORDINAL [ NOUN ] | "the other" [ NOUN ] | "both" | PRON ;
    after      = STATIC things | attribute | "," attribute { "and" attribute } "," | clause
               | "with" things ( "on top" | STATIC "it" ) ;      "a table with a ball on it"
    attribute  = "of" ( MATERIAL | MEASURE ) | MEASURE [ DIM ] | ADJ ;
    clause     = "that" predicates | VERB-ing { tail } | "," "which" predicate { "and" predicate }
               | [ "that" ] things VERB [ PREP ] | PREP "which" things predicate ;
    predicates = predicate { [ "," | "and" | "then" ] predicate } ;
    predicate  = [ IS ] { ADV } ( VERB [ things ] | PREP things ) { tail } ;
    tail       = PREP ( things | MEASURE ) | [ "," ] "then" PREP things | "with" things STATIC "it"
               | MEASURE | ADV | DIRECTION | world | wind | view ;
    camera     = [ NUM ] "camera" [ MOVE ] [ PREP thing ] | [ SEEN ] ( VIEW | SHOT ) ;
    wind       = [ "with" | "in" ] [ STRENGTH ] WIND [ VERB ] [ VIEW | DIRECTION ] [ "at" MEASURE ] ;
"""

from __future__ import annotations

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.joined import JoinedParser
from clay4d.physics_baseline.planner.members import single_out
from clay4d.physics_baseline.planner.noun_phrases import STARTS
from clay4d.physics_baseline.planner.syntax import Phrase, Predicate, Sentences, Statement
from clay4d.physics_baseline.planner.wordings import ROPES, UPWARDS
from clay4d.physics_baseline.planner.words import PlanError, Word

ROPED = ("hang", "swing", "hold", "spin")
SEPARATORS = ("COMMA", "AND", "THEN", "STOP", "WHILE")


class Parser(JoinedParser):
    """Reads `Sentences` from words; `parse` is its door."""

    # ── items ────────────────────────────────────────────────────────────────────────────────────
    def prompt(self) -> Sentences:
        self.words = [w for k in range(len(self.words)) for w in self._which_is(k)]
        self.separators()
        while self.k < len(self.words):
            self.item()
            if self.k < len(self.words) and not self.sees(*SEPARATORS):
                raise self.refuse("a motion, a place, a comma or the end")
            self.separators()
            self.out.statements += self.later
            self.later = []
        return self.out

    def _which_is(self, k: int) -> list[Word]:
        """The word, or "which is" as two: nothing before a quality, and else a clause's beginning."""
        word, after = self.words[k], self.words[k + 1 : k + 2]
        told = any("ADJ" in w or "MEASURE" in w or w.text == "of" for w in after)
        if not ("THATIS" in word or ("ALLOF" in word and "NUM" not in word)):
            return [word]
        if told:
            return [] if "THATIS" in word else [word]
        which, is_ = word.text.split()
        return [Word(which, {"THAT": which}), Word(is_, {"IS": is_})]

    def separators(self) -> None:
        """Pass commas, stops and "and"; a "before" at the start of a sentence is left for `item`."""
        while True:
            stopped = self.k == 0 or "STOP" in self.words[self.k - 1]
            if stopped and self.sees("WHILE") and self.words[self.k].text in ("before", "until"):
                return
            word = self.take(*SEPARATORS)
            if word is None:
                return
            if "STOP" in word:
                self.sentence = len(self.out.statements)

    def item(self) -> None:
        start = self.k
        while self.aside():
            if self.k >= len(self.words) or self.sees(*SEPARATORS):
                return
        if self.later_first() or self.camera():
            return
        if self._clause_after():  # "after a ball hits a wall, it …": in the order of time already.
            self.k += 1
        if self._is_order():
            self.order(start)
            return
        if self.inverted():
            return
        front = self.front()
        subjects = self.things(subject=True)
        subjects[0].adjectives += front.qualities
        if self.without_verb(subjects, start):
            return
        predicates = front.give(self.predicates(subjects))
        led = any(relation in v.STATIC for relation, _ in front.tails)
        statement = Statement(subjects, predicates, self.said(start), led_by_place=led)
        if self._clause_after():
            statement.after = self.sooner()
        elif self.sees("PREP") and self.words[self.k].text == "after" and self._participle_ahead():
            self.k += 1  # "falls after being hit by a ball": what came before is told first.
            statement.predicates = [self.predicate(), *predicates]
        self.out.statements.append(statement)

    def _participle_ahead(self) -> bool:
        if self.sees("IS", ahead=1):
            return True
        return self.sees("VERB", ahead=1) and "ing" in self.words[self.k + 1]["VERB"][2]

    def _is_order(self) -> bool:
        if not self.sees("VERB") or "base" not in self.words[self.k]["VERB"][2]:
            return False
        return self.sees(*STARTS, "MEASURE", ahead=1)

    def order(self, start: int) -> None:
        verb = self.words[self.k]["VERB"]
        self.k += 1
        subjects = self.things(attach=False)
        predicate = Predicate("push" if verb[0] == "hit" else verb[0], self.said(start))
        self.tails(predicate)
        predicate.text, predicate.finite = self.said(start), True
        more = self.more_predicates(predicate)
        self.out.statements.append(Statement(subjects, [predicate, *more], self.said(start)))

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
        described = "ADJ" in word and not any(
            k in self.words[at + 1] for k in ("NOUN", "ADJ", "GROUP") if at + 1 < len(self.words)
        )
        told = "PREP" in word or "MEASURE" in word or described
        return at > self.k and "IS" in self.words[self.k] and told

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
        first = self.predicate()
        return [first, *self.more_predicates(first)]

    def more_predicates(self, before: Predicate) -> list[Predicate]:
        found: list[Predicate] = []
        while self.sees(*SEPARATORS, "THAT", "VERB", "IS"):
            start = self.k
            if self.sees("VERB", "IS"):  # "a ball hanging from a rope swings"
                last = found[-1] if found else before
                if self.fronted or last.finite or not self._is_finite():
                    break
                found.append(self.predicate())
                continue
            if self.fronted and self.sees("COMMA"):
                break
            stopped = self.sees("STOP")
            while self.take(*SEPARATORS, "THAT"):
                pass
            self.interposed()
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
            made.adverbs += [word.text] if "ADV" in word else []
            self.k += 1
        verb = self.take("VERB")
        if verb:
            made.motion, base, forms = verb["VERB"]
            made.finite = is_ or bool(forms & {"present", "base"})
            if base == "fall over" and self._starts_thing():
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
            if motion.acts_on and not by and not made.passive and self._starts_thing():
                if not self._camera_ahead():
                    made.objects = self.things(listed=True)
        elif not is_:
            raise self.refuse("a motion")
        else:
            self.quality(made)
        self.tails(made)
        made.text = self.said(start)
        return made

    def head(self, made: Predicate, way: float) -> None:
        if made.heading not in (0.0, way):
            raise PlanError(f"no rule for two directions of {made.motion!r}; expected one.")
        made.heading = way

    def quality(self, made: Predicate) -> None:
        """ "is blue", "is 30 cm wide and heavy": what things are said to be."""
        quality = Phrase(text=made.text)
        self._attributes(quality)
        if quality.adjectives or quality.measures:
            made.motion, made.quality = "be", quality

    def tails(self, made: Predicate, *, only_asides: bool = False) -> None:
        while self.k < len(self.words):
            if self.sees("VIEW") and not only_asides and self.words[self.k].text in ("from the left", "from the right"):  # fmt: skip
                self.head(made, 1.0 if self.words[self.k].text.endswith("left") else -1.0)
                self.k += 1
            elif self.aside() or self._view():
                pass
            elif only_asides:
                return
            elif self.sees("DIR"):
                self.head(made, self.words[self.k]["DIR"][0])
                self.k += 1
            elif self.sees("PREP") and self.words[self.k]["PREP"] in ("on", "across", "over") and self._floor():  # fmt: skip
                pass
            elif self._measured(made):
                pass
            elif self._clause_after():
                return
            elif self.standing_with() or self.adverb_again() or self.tail_again(made):
                pass
            elif self.sees("PREP") and self._thing_follows():
                preposition, self.led_by = self.words[self.k]["PREP"], self.words[self.k].text
                self.k += 1
                made.tails.append((preposition, self.things()))
                self.led_by = ""
            elif self.sees("ADV"):
                self._adverb(made)
            else:
                return

    def _measured(self, made: Predicate) -> bool:
        """ "from 2 m", "at 3 m/s", or a bare measure."""
        if self.sees("MEASURE") and not self.sees("NOUN", ahead=1):
            made.measures.append(("", self.words[self.k]["MEASURE"]))
            self.k += 1
            return True
        measured = self.sees("PREP") and self.sees("MEASURE", ahead=1)
        if not measured or self.sees("NOUN", "ADJ", ahead=2):
            return False
        measure = self.words[self.k + 1]["MEASURE"]
        made.measures.append((self.words[self.k]["PREP"], measure))
        self.k += 2
        if measure.kind == "length" and not self.sees(*STARTS, ahead=1):
            self.take("DIM")
        return True

    def _adverb(self, made: Predicate) -> None:
        text = self.words[self.k].text
        made.speed *= self.words[self.k]["ADV"]
        made.adverbs.append(text)
        if text in ROPES and made.motion not in ROPED:
            raise PlanError(
                f"no rule for {made.motion!r} {text!r}; known on a rope: {', '.join(ROPED)}."
            )
        if made.motion == "throw" and text in UPWARDS:
            made.tails.append(("up", []))
        self.k += 1

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
    return single_out(Parser(words).prompt())
