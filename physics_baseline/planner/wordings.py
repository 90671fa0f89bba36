"""Other ways to say what the vocabulary has a word for: synonyms, respellings, measures in words."""

from __future__ import annotations

DIMENSION_NOUNS: dict[str, str] = {
    "width": "size", "size": "size", "diameter": "size", "sides": "size",
    "edges": "size", "edge length": "size", "edge lengths": "size", "side length": "size",
    "side lengths": "size", "height": "height", "length": "length", "radius": "radius",
    "thickness": "thickness", "mass": "mass", "weight": "mass", "speed": "speed",
    "velocity": "speed", "initial speed": "speed", "initial velocity": "speed",
    "constant speed": "speed",
}  # fmt: skip
"""What a measure behind "a … of" is of."""

FIRST_OF = (
    "the first of", "the first one of", "the first one in", "the first in", "the first domino of",
    "the first domino in",
)  # fmt: skip
"""The one of a row that topples."""

ORDINALS: dict[str, int] = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "last": -1,
    "final": -1, "former": 1, "latter": -1,
}  # fmt: skip
"""Which one of several, in the order in which they stand or were named."""

UPWARDS = (
    "up", "upward", "upwards", "into the air", "up into the air", "high into the air", "skyward",
    "skywards", "vertically upwards",
)  # fmt: skip
"""Adverbs that make a throw go straight up."""

ROPES = tuple(
    f"{preposition} {article} {word}"
    for preposition in ("from", "by", "on", "to", "with")
    for article in ("a", "the")
    for word in ("rope", "string", "chain", "cord", "cable", "wire", "thread")
)
"""What a thing hangs or swings from."""

FASTER = (
    "swiftly", "speedily", "briskly", "violently", "vigorously", "forcibly", "with force",
    "with great force", "at great speed", "at top speed", "at a high speed", "in a hurry",
)  # fmt: skip
SLOWER = (
    "leisurely", "sluggishly", "lazily", "delicately", "carefully", "at a low speed",
    "at a slow speed", "at slow speed", "unhurriedly", "tenderly",
)  # fmt: skip
PLAIN = (
    "upward", "upwards", "into the air", "up into the air", "high into the air", "skyward",
    "skywards", "vertically upwards", "downward", "downwards", "vertically",
    "one after another", "one after the other", "in turn", "in sequence", "by its own weight",
    "at constant speed", "on its edge", "on edge", "on its end", "on end", "to the end",
    "without stopping", "from the sky", "out of the sky", "from the air", "to and fro",
    "from side to side", "under its own weight", "in mid-air", "along", "repeatedly",
    "continuously", "in midair", "in the air", "back", "motionless", "stationary", "unmoving",
)  # fmt: skip
"""Adverbs that change nothing beyond what their verb says."""

_GOES = ("roll", "slide", "move")
_FLIES = ("throw", "fall", "bounce", "float", "swing", "hit", "hang", "hold", "release", "spin")
_OFTEN = ("bounce", "swing", "spin", "flutter")
_UP = ("throw", "bounce", "float")
FITTING: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (UPWARDS, _UP),
    (("up and down",), ("bounce", "float", "swing")),
    (("back and forth", "to and fro", "from side to side"), ("swing", "flutter")),
    (("once", "twice", "three times", "several times", "a few times", "repeatedly", "continuously"), _OFTEN),
    (("again",), ("bounce", "fall", "swing")),
    (("back",), ("bounce",)),
    (("away",), (*_GOES, "throw", "bounce", "float", "hit")),
    (("aside", "apart"), ("hit",)),
    (("forward", "forwards", "along"), (*_GOES, "hit", "throw")),
    (("off", "off the edge", "over the edge"), (*_GOES, "fall", "hit")),
    (ROPES, ("hang", "swing", "hold")),
    (("over",), ("topple", "hit", "fall")),
    (("around",), ("spin", "swing")),
    (("one by one", "one after another", "one after the other", "in turn", "in sequence"), ("topple", "fall", "hit")),
    (("on its edge", "on edge"), ("spin",)),
    (("upright", "on end", "on its end", "on its side", "sideways"), ("rest", "stop", "spin", "roll", "slide")),
    (("in place",), ("spin", "rest")),
    (("motionless", "stationary", "unmoving", "still"), ("rest", "hang", "hold", "stop")),
    (("through the air", "in mid-air", "in midair", "from the air", "from the sky", "out of the sky", "in the air"), _FLIES),
    (("vertically",), ("throw", "fall", "bounce", "hang")),
    (("from the ceiling",), ("hang", "swing", "hold", "fall")),
    (("to a stop", "to a halt", "to rest"), (*_GOES, "spin", "swing", "bounce")),
    (("at constant speed", "without stopping", "to the end"), _GOES),
)  # fmt: skip
"""Adverbs that say something which holds for some motions only, and those motions."""

RESPELLINGS: tuple[tuple[str, str], ...] = (
    (r" ?\(([^()]*)\)", r", \1,"),
    (r"(?:after (?:that|this|which),?|thereafter,?|subsequently,?) (?=(?:it|they|an?|the|another|one)\b)", "then "),
    (r"(both|all|each) of (?:them|which|whom)\b", r"\1"),
    (r"(?:each |all |both )?(?:of|in|with|having) (?:a |its own )?(?:different|distinct|various|own) colou?rs?\b", "in different colours"),
    (r", (the (?:[a-z]+)) of (?:which|them) is (?=[a-z ]+(?:[.;]|$))", r"; \1 is "),
    (r"(onto|on|into) ((?:an?|the) [a-z ]+?) (?:below|underneath|beneath)(?= ?(?:[.,;]| and\b|$))", r"\1 \2"),
    (r"((?!(?:is|was)\b)[a-z]{3,}s) (?:scattered|strewn|spread(?: out)?|laid out) (?:all )?(?:over|across|on|about) (?=(?:an?|the|some)\b)", r"\1 lying on "),
    (r"(looks?|looking) down (?:on|at|onto|upon)\b", r"\1 from above at"),
    (r"(?:because|as soon as|since)\b(?! of\b)", "after"),
    (r"(?:what if|suppose(?: that)?|imagine(?: that)?|let's say(?: that)?)\b,?", ""),
    (r"(into|onto|against|hits?|from|to) a (?:second|third|fourth)(?= ?(?:[.,;]|and\b|$))", r"\1 another"),
    (r"(?:has|have|had) been\b", "was"),
    (r"(?:has|have|had) (?=[a-z]+(?:ed|en|wn|ng)\b)", ""),
    (r"(?:has|have|had) (?=(?:hit|struck|slid|swung|spun|stood|sat|met|gone|come|run|let|sunk|shot|hung)\b)", ""),
    (r"(?:stand|sit|lie|rest|are) in (?:a|one|a single) (?:row|line)\b", "are lined up"),
    (r"(?:standing|sitting|lying|resting|placed|set up) in (?:a|one|a single) (?:row|line)\b", "lined up"),
    (r"(?:starts?|started|begins?|began|goes on|keeps on) (?=[a-z]+ing\b)", ""),
    (r"(lie|lies|lying|lay|are|is|sit|rest) (?:scattered|strewn|spread out|dotted about)\b", r"\1"),
    (r"to (?:its|the|their) (left|right)(?= (?:a|an|is|are|stands?|sits?|lies|there|one|two|three)\b)", r"to the \1 of it"),
    (r"(\d+(?:\.\d+)? ?[a-z]+) (?:on|along|to) (?:each|a|every|the) (?:side|edge)\b", r"\1 wide"),
    (r"(?:a )?(?:gust|blast|burst) of wind\b", "a gust"),
    (r"(?:a )?breath of (?:wind|air)\b", "a breeze"),
    (r"what (?:happens|would happen) (?:when|if)\b", ""),
    (r"(?:another|a further) one\b", "another"),
    (r"(?:watch|(?:we |you )?(?:can )?see|observe|let us see|have) (?=(?:an?|the|some|one|two|three|four|five) )", ""),
    (r"(?:comes?|came|goes|went|gets?) (?=[a-z]+ing\b)", ""),
    (r"(?<!after )(?<!for )(?<!in )a (?:second|third|fourth) (?!later|it\b|the\b|an?\b|and\b)(?=[a-z])", "another "),
    (r"with a side of (?=\d)", "with a width of "),
    (r"downhill\b", "down a hill"),
    (r"downslope\b", "down a slope"),
    (r"whose (?:colour|color) (?:is|was)\b", "of"),
    (r"whose ([a-z]+(?: length)?) (?:is|are|measures?)\b", r"with a \1 of"),
    (r"(?:measuring|weighing|(?:that|which) (?:weighs?|measures?))\b", "of"),
    (r"(?:that|which) (?:is|are) (?:made|built) (?:out of|up of|from|of)\b", "of"),
    (r"(?:made|built|formed|constructed|consisting|composed|assembled|comprised) (?:up of|out of|from|of)\b", "of"),
    (r"(?:sheet|patch|layer|stretch|expanse|surface|field) of (?=(?:ice|grass|sand|carpet|concrete|wood|marble)\b)", ""),
    (r"at (?:its|the|their) (foot|top|bottom)(?! (?:of|end))", r"at the \1 of it"),
    (r"(?:hit|struck|kicked|pushed|knocked) by (?:something|a blow|a push|a kick)\b", "pushed"),
    (r"(?:about|approximately|roughly|around) (?=\d)", ""),
)  # fmt: skip
"""Patterns of lower-case text, and the plain words that are read in their place."""

VERBS: dict[str, tuple[str, ...]] = {
    "fall": ("fall down", "drop down", "free-fall", "crash down", "rain down"),
    "roll": ("trundle",),
    "slide": ("slip", "skate", "slither"),
    "move": ("advance", "proceed", "coast", "cruise", "dart", "creep", "shift"),
    "throw": ("chuck", "pitch", "catapult", "propel", "heave", "soar", "sling"),
    "hang": ("tie", "attach", "tether", "fasten"),
    "spin": ("whirl", "revolve", "pirouette"),
    "rest": ("perch", "remain", "situate", "seat", "put", "start", "begin"),
    "hit": (
        "impact", "thump", "whack", "punch", "pound", "jolt", "collide into", "smack",
        "smack into", "plow into", "plough into", "hammer", "batter", "thud into", "contact",
        "make contact with", "come into contact with", "bounce into", "crash against",
        "crash with", "hammer into", "disturb", "overturn", "set off", "trigger",
    ),
    "topple": ("keel over", "tip", "give way"),
    "float": ("levitate",),
    "flutter": ("billow",),
    "drape": ("spread",),
    "stop": ("come to a standstill", "pause"),
}  # fmt: skip
"""More verbs of each motion."""
PAST: dict[str, tuple[str, ...]] = {
    "creep": ("crept",), "put": ("put",), "make": ("made",), "give": ("gave", "given"),
    "spread": ("spread",), "bear": ("bore", "borne"), "sling": ("slung",), "slip": ("slipped",), "free-fall": ("free-fell",),
    "propel": ("propelled",), "set": ("set",), "begin": ("began", "begun"),
}  # fmt: skip

PREPOSITIONS: dict[str, str] = {
    "on the surface of": "on", "down onto": "on", "down on": "on", "on the ground beside": "beside",
    "adjacent to": "beside", "by the side of": "beside", "at the side of": "beside",
    "to one side of": "beside", "on the left-hand side of": "left_of",
    "on the right-hand side of": "right_of",
    "at the left of": "left_of", "at the right of": "right_of", "ahead of": "front_of",
    "on the far side of": "behind", "to the rear of": "behind", "at the back of": "behind",
    "in between": "between", "in the direction of": "towards", "up to": "to",
    "over the edge of": "off", "from the edge of": "off", "from on top of": "off",
    "from the top of": "down", "along the length of": "across", "at the edge of": "on", "near the edge of": "on",
    "on the edge of": "on",
    "at the base of": "foot_of", "at the top end of": "top_of", "at the bottom end of": "foot_of",
}  # fmt: skip

QUALITIES: dict[str, str] = {
    "sizeable": "large", "sizable": "large", "oversized": "large", "colossal": "huge",
    "petite": "small", "wee": "small", "hefty": "heavy", "weighty": "heavy", "dense": "heavy",
    "slim": "narrow", "slender": "narrow", "chunky": "thick", "lofty": "tall", "rubbery": "bouncy",
    "greased": "slippery", "oiled": "slippery", "dull": "matte", "swift": "fast",
    "sluggish": "slow", "stationary": "still", "motionless": "still", "unmoving": "still",
    "immobile": "fixed", "resting": "still", "at rest": "still", "inclined": "medium", "sloping": "medium",
    "jelly": "soft", "gelatinous": "soft", "spongy": "soft", "single-coloured": "medium",
}  # fmt: skip

WORLDS: dict[str, tuple[str, float]] = {
    f"{preposition} {name} gravity": ("gravity", g)
    for preposition in ("in", "under", "with")
    for name, g in (("lunar", 1.62), ("martian", 3.71), ("the moon's", 1.62), ("reduced", 1.62),
                    ("weak", 1.62), ("earth's", 9.81), ("normal", 9.81))
} | {
    "on the surface of the moon": ("gravity", 1.62), "on the lunar surface": ("gravity", 1.62),
    "on the surface of mars": ("gravity", 3.71), "in the absence of gravity": ("gravity", 0.0),
    "under zero gravity": ("gravity", 0.0), "weightlessly": ("gravity", 0.0), "in weightless conditions": ("gravity", 0.0),
    "in vacuum": ("drag", 0.0), "in slowed-down time": ("slow", 4.0),
}  # fmt: skip

VIEWS: dict[str, str] = {
    "aerial view": "above", "from directly above": "above", "from straight above": "above",
    "from a bird's-eye view": "above", "from a bird's eye view": "above", "from high above": "above",
    "side-on": "side", "in profile": "side", "from below": "low angle", "rear view": "back",
    "from eye level": "front", "from the rear": "back", "frontal view": "front",
}  # fmt: skip

FILLERS = (
    "coming", "in the foreground", "in the background", "in the centre", "in the center",
    "in the middle of the scene", "kindly", "could you", "can you", "let's", "picture", "animate",
    "an animation of", "a clip of", "a clip showing", "a video showing", "a scene showing",
    "a short video of", "perfectly", "quite", "rather", "fairly", "somewhat", "meanwhile",
    "afterwards", "next", "gradually", "initially", "at first", "in total", "in colour", "in color",
    "sized", "quietly", "from the same height", "at the same height", "accidentally", "a bit", "over time", "arranged",
)  # fmt: skip
