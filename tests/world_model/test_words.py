"""Words in and out: patches of prompts, events and their codes, prompts that cannot be read."""

from __future__ import annotations

import pytest
import torch

from clay4d.world_model.model.text import TextEncoder, vocabulary, whitespace_patches
from clay4d.world_model.prompts import check_prompt
from clay4d.world_model.script import NOTHING, EventCodec, mention_order
from clay4d.world_model.worlds import WorldEvent

THINGS = ["the red ball", "the red ball on the ramp", "the wall"]
EVENTS = [
    WorldEvent(0.05, "the red ball hits the wall"),
    WorldEvent(0.24, "the red ball on the ramp hits the red ball"),
    WorldEvent(0.61, "the red ball stops"),
]


def codec() -> EventCodec:
    return EventCodec.learn([(EVENTS, THINGS)])


def test_events_are_written_and_read_back() -> None:
    c = codec()
    assert c.templates == ("{0} hits {1}", "{0} stops")
    for event in EVENTS:
        code = c.encode(event, THINGS, start=0.0, end=1.0)
        back = c.decode(code, THINGS, start=0.0, end=1.0)
        assert back is not None and back.words == event.words
        assert abs(back.time - event.time) <= 0.5 / 12 + 0.01


def test_segments_hold_their_own_events_and_then_nothing() -> None:
    codes = codec().segment(EVENTS, THINGS, start=0.0, end=0.5, count=4)
    assert codes.tolist() == [[1, 1, 1, 3], [1, 5, 2, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert codec().segment(EVENTS, THINGS, start=0.0, end=0.5, count=1).tolist() == [[1, 1, 1, 3]]
    assert codec().segment(EVENTS, THINGS, start=1.0, end=1.5, count=0).shape == (0, 4)


def test_sentences_never_learned_say_nothing() -> None:
    strange = WorldEvent(0.1, "the red ball sings")
    assert codec().encode(strange, THINGS, start=0, end=1) == NOTHING
    assert codec().decode(NOTHING, THINGS, start=0, end=1) is None
    assert codec().decode((2, 0, 7, 0), THINGS, start=0, end=1).words == "something stops"  # type: ignore[union-attr]


def test_objects_come_in_the_order_of_their_words() -> None:
    objects = [("red", "ball"), ("blue", "ball"), ("white", "pillar")]
    assert mention_order(
        "There is a pillar. A small blue ball hits a red rubber ball.", objects
    ) == [2, 1, 0]
    assert mention_order("nothing of the kind", objects) == [0, 1, 2]


def test_patches_have_whole_words_and_padding_changes_nothing() -> None:
    assert whitespace_patches(b"a  red ball ") == [0, 1, 6]
    torch.manual_seed(0)
    encoder = TextEncoder(16)
    alone, real = encoder(["a red ball"])
    both, mask = encoder(["a red ball", "a very much longer prompt than that"])
    assert real.sum() == 3 and mask.sum(1).tolist() == [3, 7]
    torch.testing.assert_close(alone[0], both[0, :3])
    behind, mask = encoder(["", "a very much longer prompt than that", "a red ball"])
    assert mask.sum(1).tolist() == [0, 7, 3]
    torch.testing.assert_close(alone[0], behind[2, :3])


def test_what_follows_does_not_change_earlier_patches() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(16)
    short, _ = encoder(["a red ball falls"])
    longer, _ = encoder(["a red ball falls onto the wall"])
    torch.testing.assert_close(short[0], longer[0, :4])


WORDS = vocabulary(
    [
        "A small large heavy light red blue dark grey wooden steel ball and cube falls quickly slowly the"
    ]
)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "prompt got nothing; expected English"),
        ("  ", "prompt got nothing"),
        ("A red cat juggles", "prompt got unknown words 'cat', 'juggles'; expected words that"),
        ("a red blue ball falls", "'red' and 'blue' of one ball; expected one colour"),
        ("a small large ball", "'small' and 'large' of one thing; expected one size"),
        ("a wooden steel cube", "'wooden' and 'steel' of one cube; expected one material"),
        ("a ball falls quickly slowly", "'quickly' and 'slowly' of one thing; expected one pace"),
    ],
)
def test_prompts_that_cannot_be_are_refused(prompt: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_prompt(prompt, WORDS)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "prompt",
    [
        "a small red ball and a large blue cube",
        "a dark grey ball",
        "A heavy red steel ball falls slowly.",
    ],
)
def test_prompts_that_can_be_are_kept(prompt: str) -> None:
    assert check_prompt(prompt, WORDS) == prompt


def test_unknown_words_can_be_left_out() -> None:
    assert check_prompt("A red shiny ball falls!", WORDS, allow_unknown=True) == "A red ball falls!"
    with pytest.raises(ValueError, match="only unknown words 'hello', 'there'"):
        check_prompt("hello there", WORDS, allow_unknown=True)
    assert check_prompt("", WORDS, empty=True) == ""
