"""The part of the grammar that speaks of the whole scene: world, wind, time and cameras."""

from __future__ import annotations

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.syntax import (
    CameraWish,
    Phrase,
    Predicate,
    Sentences,
    Statement,
    Wind,
)
from clay4d.physics_baseline.planner.vocabulary import FLOORS
from clay4d.physics_baseline.planner.words import Measure, PlanError, Word

_FROM = {
    "left": (1.0, 0.0, 0.0), "right": (-1.0, 0.0, 0.0), "front": (0.0, 1.0, 0.0),
    "back": (0.0, -1.0, 0.0), "above": (0.0, 0.0, -1.0), "side": (1.0, 0.0, 0.0),
}  # fmt: skip
"""Where air goes that comes from there."""
_SIDES = {
    "behind": "back", "front_of": "front", "left_of": "left", "right_of": "right", "above": "above",
}  # fmt: skip
"""Where a camera stands that is behind something, or above it."""


class Reader:
    """A place in a list of words, and what stands there."""

    def __init__(self, words: list[Word]) -> None:
        self.words, self.k = words, 0
        self.out = Sentences()
        self.later: list[Statement] = []
        """What relative clauses say of others: told after the sentence they stand in."""

    def sees(self, *kinds: str, ahead: int = 0) -> bool:
        at = self.k + ahead
        return at < len(self.words) and any(kind in self.words[at] for kind in kinds)

    def take(self, *kinds: str) -> Word | None:
        if self.sees(*kinds):
            self.k += 1
            return self.words[self.k - 1]
        return None

    def mark(self) -> tuple[int, ...]:
        """The place reached, for `reset` to come back to."""
        out = self.out
        return (
            self.k, len(out.statements), len(out.winds), len(out.cameras), len(out.worlds),
            len(out.floor_quality), len(self.later),
        )  # fmt: skip

    def reset(self, mark: tuple[int, ...]) -> None:
        """Go back to a place and forget what was read since."""
        self.k, *lengths = mark
        out = self.out
        for found, length in zip(
            (out.statements, out.winds, out.cameras, out.worlds, out.floor_quality, self.later),
            lengths,
        ):
            del found[length:]  # type: ignore[attr-defined]

    def said(self, start: int) -> str:
        return " ".join(w.text for w in self.words[start : self.k])

    def refuse(self, expected: str) -> PlanError:
        read = self.said(max(0, self.k - 4)) or "the start"
        rest = " ".join(w.text for w in self.words[self.k : self.k + 4])
        got = f"{rest!r} after {read!r}" if rest else f"the end after {read!r}"
        return PlanError(f"prompt got {got}; expected {expected}. Say it in simpler sentences.")


class AsideParser(Reader):
    """Reads what may stand anywhere; `Parser` adds things and motions."""

    def things(
        self, *, attach: bool = True, listed: bool = True, subject: bool = False
    ) -> list[Phrase]:
        """One or more things; `Parser` has the rule."""
        raise NotImplementedError

    def tails(self, made: Predicate, *, only_asides: bool = False) -> None:
        """What follows a motion; `Parser` has the rule."""
        raise NotImplementedError

    def aside(self) -> bool:
        """World, wind and time: what holds for the whole scene, wherever it is said."""
        start = self.k
        word = self.take("WORLD")
        if word:
            self.out.worlds.append((*word["WORLD"], word.text))
            return True
        if self.wind():
            return True
        if self.sees("PREP") and self.words[self.k].text in ("for", "at", "lasting", "in"):
            self.k += 1
            word = self.take("MEASURE")
            measure: Measure | None = word["MEASURE"] if word else None
            if measure and measure.kind == "time" and self.words[start].text == "for":
                self.out.duration = measure.value
                return True
            if measure and measure.kind == "rate":
                self.out.fps = measure.value
                return True
        self.k = start
        return False

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

    def _camera_ahead(self) -> bool:
        at = self.k
        while at < len(self.words) and any(
            k in self.words[at] for k in ("DET", "NUM", "ADJ", "STRENGTH")
        ):
            if "NOUN" in self.words[at]:
                return False
            at += 1
        return at < len(self.words) and any(k in self.words[at] for k in ("CAM", "WIND", "SHOT"))

    def wind(self) -> bool:
        start = self.k
        if self.sees("PREP") and self.words[self.k].text in ("with", "in", "by"):
            self.k += 1
        self.take("DET")
        strength = self.take("STRENGTH")
        word = self.take("WIND")
        if not word:
            self.k = start
            return False
        speed = v.WIND_SPEEDS[word["WIND"]] * (strength["STRENGTH"] if strength else 1.0)
        towards = (1.0, 0.0, 0.0)
        blows = self.sees("VERB") and self.words[self.k]["VERB"][1] in ("blow", "fly")
        self.k += blows
        while True:
            if self.sees("VIEW") and self.words[self.k]["VIEW"] in _FROM:
                towards = _FROM[self.words[self.k]["VIEW"]]
            elif self.sees("DIR"):
                towards = (*self.words[self.k]["DIR"], 0.0)
            elif self.sees("PREP") and self.words[self.k].text in ("at", "of") and self.sees("MEASURE", ahead=1):  # fmt: skip
                measure = self.words[self.k + 1]["MEASURE"]
                if measure.kind != "speed":
                    break
                speed, self.k = measure.value, self.k + 1
            else:
                break
            self.k += 1
        self.out.winds.append(Wind(speed, towards, self.said(start)))
        self._blown(start, blows=blows)
        return True

    def _blown(self, start: int, *, blows: bool) -> None:
        """ "the wind pushes a ball": it is there, and the wind does the rest."""
        pushes = self.sees("VERB") and "present" in self.words[self.k]["VERB"][2]
        if pushes or (blows and self.sees("DET", "NUM", "NOUN", "PRON")):
            self.k += pushes
            blown = self.things()
            predicate = Predicate("rest", self.said(start))
            self.tails(predicate)
            predicate.adverbs = [
                a for a in predicate.adverbs if a not in ("away", "along", "aside")
            ]
            if any(name == "across" for name, _ in predicate.tails):
                raise PlanError(
                    f"no rule for wind that blows things across others in {predicate.text!r}."
                )
            self.out.statements.append(Statement(blown, [predicate], self.said(start)))

    def camera(self) -> bool:
        """A camera with what it does and sees, or only from where or how near the scene is seen."""
        start = self.k
        wish = CameraWish()
        seen = self.take("SEEN")
        found = named = self._camera_named(wish)
        while self._camera_word(wish, named=named or found):
            found = True
        if not found or (self.k == start + 1 and seen):
            self.k = start
            return False
        wish.text = self.said(start)
        self.out.cameras.append(wish)
        self.out.statements += [Statement([p], []) for p in wish.target if not p.pronoun]
        return True

    def _camera_named(self, wish: CameraWish) -> bool:
        """ "four fixed cameras", "the view"; an article is passed before a bare view or shot, too."""
        start = self.k
        if self.sees("DET") and self.words[self.k].text in ("a", "an", "the"):
            self.k += 1
        number = self.take("NUM")
        while self.sees("CAM", ahead=1) and self.sees("ADJ") and self.words[self.k]["ADJ"][1] in ("fixed", "still"):  # fmt: skip
            self.k += 1
        word = self.take("CAM")
        if word and number:
            wish.count = number["NUM"]
        if number and not word:
            self.k = start
        return word is not None

    def _camera_word(self, wish: CameraWish, *, named: bool) -> bool:
        """One thing more that is said of it; `named`: it is a camera's, and no word of the scene."""
        if self.sees("VIEW"):
            wish.view = self.words[self.k]["VIEW"]
        elif self.sees("SHOT"):
            wish.distance = self.words[self.k]["SHOT"]
        elif named and self.sees("MOVE") and not wish.move:
            wish.move = self.words[self.k]["MOVE"]
        elif named and self._camera_place() and self.sees("DET", "NOUN", "PRON", "NUM", "ADJ", "GROUP", ahead=1):  # fmt: skip
            wish.view = _SIDES.get(self.words[self.k]["PREP"], wish.view)
            self.k += 1
            wish.target += self.things()
            return True
        elif named and wish.move and not wish.target and self.sees("DET", "NOUN", "PRON"):
            wish.target += self.things()
            return True
        elif not (named and self.sees("IS", "ADV", "SEEN")):
            return False
        self.k += 1
        return True

    def _camera_place(self) -> bool:
        """Whether a preposition stands here that says where the camera is or what it looks at."""
        known = (*_SIDES, "at", "on", "towards", "around", "with", "past")
        return self.sees("PREP") and self.words[self.k]["PREP"] in known
