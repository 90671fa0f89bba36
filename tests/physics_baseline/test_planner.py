"""The planner: prompts become scenes that hold when simulated; every word of the vocabulary works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clay4d.physics_baseline.planner import PlanError, explain, plan
from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner import vocabulary as n
from clay4d.physics_baseline.planner.document import vocabulary_page
from clay4d.physics_baseline.planner.lexicon import lexicon, plural, verb_forms
from clay4d.physics_baseline.planner.wordings import ROPES
from clay4d.physics_baseline.spec import SceneSpec

HERE = Path(__file__).parent
CORE = yaml.safe_load((HERE / "prompts" / "core.yaml").read_text())
MORE = yaml.safe_load((HERE / "prompts" / "more.yaml").read_text())
THIRD = yaml.safe_load((HERE / "prompts" / "third.yaml").read_text())
FOURTH = yaml.safe_load((HERE / "prompts" / "fourth.yaml").read_text())
FIFTH = yaml.safe_load((HERE / "prompts" / "fifth.yaml").read_text())
LATER = (*THIRD, *FOURTH, *FIFTH)
HELD = yaml.safe_load((HERE / "prompts" / "held.yaml").read_text())
MAIN = "a red ball rolls down a ramp and hits two blue cubes"


@pytest.mark.parametrize(
    "entry",
    [*CORE, *MORE, *(e for e in LATER if "refused" not in e)],
    ids=lambda e: e["prompt"][:60],
)
def test_core_prompts_hold_when_simulated(entry: dict[str, Any], judge: Any) -> None:
    judged = judge(plan(entry["prompt"]))
    assert judged.failures(entry) == []
    assert judged.run.deepest_start > -2e-3, judged.run.start_pair


@pytest.mark.parametrize("entry", [e for e in LATER if "refused" in e], ids=lambda e: e["prompt"])
def test_what_has_no_rule_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=entry["refused"]):
        plan(entry["prompt"])


def test_held_paraphrases_are_read_rightly_or_refused(judge: Any) -> None:
    read, wrong = 0, []
    for entry in HELD:
        try:
            scene = plan(entry["prompt"])
        except PlanError:
            continue
        failures = judge(scene).failures(entry)
        read += not failures
        wrong += [(entry["prompt"], failures)] if failures else []
    assert (len(CORE), len(HELD)) == (40, 20)
    # Measured after the fourth and the fifth round: 14 right, 5 refused, 1 wrong. Nobody has looked which, to keep the set fair.
    assert len(wrong) <= 1
    assert read >= 14, f"{read} of 20"


def project(camera: Any, points: np.ndarray) -> np.ndarray:
    """Points in the picture of a fixed camera, −1 to 1 where it sees them."""
    eye, at = np.array(camera.position), np.array(camera.look_at)
    f = (at - eye) / np.linalg.norm(at - eye)
    right = np.cross(f, [0, 0, 1])
    right /= np.linalg.norm(right)
    d = points - eye
    slope = np.tan(np.radians(camera.fov / 2))
    depth = d @ f
    assert (depth > 0).all()
    return np.stack([d @ right, d @ np.cross(right, f)], 1) / (depth * slope)[:, None]


@pytest.mark.parametrize("entry", CORE, ids=lambda e: e["prompt"][:60])
def test_the_camera_sees_all(entry: dict[str, Any], judge: Any) -> None:
    """At the start every camera that stands sees every body whole."""
    scene = plan(entry["prompt"])
    points = np.concatenate([judge.corners(b) for b in scene.bodies])
    for camera in scene.cameras:
        if camera.kind == "fixed":
            assert np.abs(project(camera, points)).max() <= 1.0


def test_the_camera_sees_the_hit(judge: Any) -> None:
    scene = plan(MAIN)
    run = judge(scene).run
    path = run.paths["red-ball"]
    inside = np.abs(project(scene.cameras[0], path)).max(1) <= 1.0
    reach = path[:, 0] <= max(b.position[0] for b in scene.bodies)
    assert inside[reach].all()


# ── the vocabulary ──────────────────────────────────────────────────────────────────────────────────
NOUNS = [noun for noun in n.NOUNS if noun.shape != "floor"]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda x: x.name)
def test_nouns(noun: n.Noun, judge: Any) -> None:
    for word in noun.words:
        one, three = plan(f"a {word}"), plan(f"three {plural(word)}")
        assert (len(one.bodies), len(three.bodies)) == (1, 3)
        assert judge(one).run.deepest_start > -2e-3


@pytest.mark.parametrize("word", n.COLOUR_WORDS)
def test_colours(word: str) -> None:
    assert plan(f"a {word} ball").bodies[0].material.colour == n.COLOURS[n.COLOUR_WORDS[word]]


@pytest.mark.parametrize("word", n.SUBSTANCE_WORDS)
def test_materials(word: str) -> None:
    substance = n.SUBSTANCES[n.SUBSTANCE_WORDS[word]]
    assert plan(f"a {word} cube").bodies[0].material.density == substance.density


@pytest.mark.parametrize("word", n.QUALITY_WORDS)
def test_qualities(word: str) -> None:
    quality = n.QUALITIES[n.QUALITY_WORDS[word]]
    phrase = f"three balls {word}" if word[:3] in ("of ", "in ") else f"three {word} cubes"
    if quality.speed != 1:
        with pytest.raises(PlanError, match="the scene would be the same"):
            plan(phrase)
        phrase = "three cubes"
    plain, made = plan("three cubes").bodies[0], plan(phrase).bodies[0]
    if quality.scale != (1, 1, 1):
        assert made.size == pytest.approx([a * b for a, b in zip(plain.size, quality.scale)])
    if quality.density != 1:
        assert made.material.density == pytest.approx(plain.material.density * quality.density)
    for key in ("restitution", "friction", "texture", "opacity", "roughness"):
        if getattr(quality, key) is not None:
            assert getattr(made.material, key) == getattr(quality, key)
    if quality.flag == "soft":
        assert made.kind == "soft"
    if quality.flag == "fixed":
        assert made.motion == "fixed"
    if quality.flag == "colourful":
        assert len({b.material.colour for b in plan(phrase).bodies}) == 3
    if quality.speed != 1:
        usual = plan("a ball rolls").bodies[0].velocity[0]
        assert plan(f"a {word} ball rolls").bodies[0].velocity[0] == pytest.approx(
            usual * quality.speed, abs=1e-5
        )


@pytest.mark.parametrize("word", n.GROUPS)
def test_groups(word: str) -> None:
    count = {"dozen": 12, "pair": 2, "couple": 2}.get(word, 4)
    number = "" if word in ("dozen", "pair", "couple") else "four "
    assert len(plan(f"a {word} of {number}cubes").bodies) == count


@pytest.mark.parametrize(("word", "number"), n.NUMBERS.items())
def test_numbers(word: str, number: int) -> None:
    noun = "cubes" if number > 1 else "cube"
    article = "a " if word in ("few", "single") else ""
    assert len(plan(f"{article}{word} {noun}").bodies) == number


AGENTS = {
    "drape": "a cloth",
    "flutter": "a flag",
    "slide": "a cube",
    "topple": "a row of five dominoes",
}
AFTER = {
    "hit": " a box", "drape": " over a ball", "float": " in zero gravity", "throw": " at a wall",
    "release": " after 0.5 seconds", "hold": " above a box",
}  # fmt: skip


@pytest.mark.parametrize("base", [(m, b) for m, motion in v.MOTIONS.items() for b in motion.verbs])
def test_motions_in_every_form(base: tuple[str, str], judge: Any) -> None:
    motion, verb = base
    agent, after = AGENTS.get(motion, "a ball"), AFTER.get(motion, "")
    if verb.endswith((" with", " into")):
        after = " a box"
    scenes = []
    for name, forms in verb_forms(verb).items():
        for form in forms:
            helper = {"ing": " is", "past": " is", "present": "", "base": None}[name]
            if helper is None or (name == "past" and motion in ("hit", "stop", "rest")):
                continue
            if verb in ("let go of",) or (motion == "hit" and name == "past"):
                continue
            scenes.append(plan(f"{agent}{helper} {form}{after}"))
    assert len({s.to_json().split('"bodies"')[1] for s in scenes}) <= 1
    for scene in scenes[:1]:
        assert judge(scene).run.deepest_start > -2e-3


@pytest.mark.parametrize("word", [w for w, r in v.PREPOSITIONS.items() if r in v.STATIC])
def test_places(word: str, judge: Any) -> None:
    relation = v.PREPOSITIONS[word]
    if relation in ("top_of", "foot_of"):
        scene = plan(f"a cube {word} a ramp")
    elif relation == "between":
        scene = plan(f"a red cube {word} two blue cubes")
    else:
        scene = plan(f"a red cube is {word} a blue box")
    assert judge(scene).run.deepest_start > -2e-3
    position = {b.name: b.position for b in scene.bodies}
    expected = {
        "left_of": (0, -1), "right_of": (0, 1), "front_of": (1, -1), "behind": (1, 1),
        "on": (2, 1), "above": (2, 1), "over": (2, 1), "under": (2, -1),
    }.get(relation)  # fmt: skip
    if expected:
        axis, sign = expected
        assert sign * (position["red-cube"][axis] - position["blue-box"][axis]) > 0.1


@pytest.mark.parametrize("word", [*v.ADVERBS, *v.DIRECTIONS])
def test_adverbs_and_directions(word: str) -> None:
    if word in ROPES or word.endswith("ceiling"):
        assert plan(f"a ball hangs {word}").joints
        return
    fitting = v.FITTING.get(word, ("roll",))
    if word.startswith("down"):
        with pytest.raises(PlanError, match="where there is no slope"):
            plan(f"a ball rolls {word}")
        fitting = ("fall",)
    if word.startswith("off") or word.startswith("over the"):
        assert plan(f"a ball on a table rolls {word}") if word != "over" else True
        return
    if "roll" not in fitting:
        with pytest.raises(PlanError, match="it goes with:|where there is no slope"):
            plan(f"a ball rolls {word}")
        subject = {"topple": "a row of four dominoes", "flutter": "a flag", "rest": "a cube"}
        verb = v.MOTIONS[fitting[0]].verbs[0] + ("s a box" if fitting[0] == "hit" else "s")
        assert plan(f"{subject.get(fitting[0], 'a ball')} {verb} {word}")
        return
    if word in ("upright", "on end", "on its end", "on its side"):
        assert plan(f"a cylinder rests {word}")
        return
    speed = plan(f"a ball rolls {word}").bodies[0].velocity[0]
    usual = plan("a ball rolls").bodies[0].velocity[0]
    factor = v.ADVERBS[word] if word in v.ADVERBS else v.DIRECTIONS[word][0]
    assert speed == pytest.approx(usual * factor, abs=1e-5)


@pytest.mark.parametrize("phrase", v.WORLDS)
def test_worlds(phrase: str) -> None:
    scene = plan(f"a cube, {phrase}")
    kind, value = v.WORLDS[phrase]
    down = -sum(f.acceleration[2] for f in scene.fields if f.kind == "gravity")
    drag = [f for f in scene.fields if f.kind == "drag"]
    assert {
        "gravity": down == value, "drag": bool(drag) == (value > 0), "slow": scene.fps == 24 * value,
        "friction": scene.floor is not None and scene.floor.material.friction == 0,
        "floor": scene.floor is None,
    }[kind]  # fmt: skip


@pytest.mark.parametrize("word", v.WIND_WORDS)
@pytest.mark.parametrize("strength", ["", *v.WIND_STRENGTHS])
def test_winds(word: str, strength: str) -> None:
    scene = plan(f"a ball in a {strength} {word} from the right")
    speed = v.WIND_SPEEDS[word] * v.WIND_STRENGTHS.get(strength, 1.0)
    assert [f.velocity[0] for f in scene.fields if f.kind == "wind"] == pytest.approx([-speed])


@pytest.mark.parametrize("phrase", [*v.VIEW_WORDS, *v.SHOTS])
def test_views(phrase: str) -> None:
    usual, camera = (
        plan("a ball on a box").cameras[0],
        plan(f"a ball on a box, {phrase}").cameras[0],
    )
    if phrase in v.VIEW_WORDS:
        way = np.array(v.VIEWS[v.VIEW_WORDS[phrase]])
        seen = np.array(camera.position) - camera.look_at
        assert way @ seen / np.linalg.norm(way) / np.linalg.norm(seen) > 0.97
    else:
        ratio = np.linalg.norm(np.subtract(camera.position, camera.look_at)) / np.linalg.norm(
            np.subtract(usual.position, usual.look_at)
        )
        assert ratio == pytest.approx(v.SHOTS[phrase], rel=1e-3)


@pytest.mark.parametrize("move", v.CAMERA_MOVES)
def test_camera_moves(move: str) -> None:
    form = min(verb_forms(move)["present"])
    around = " around a stack of three boxes" if v.CAMERA_MOVES[move] == "orbit" and "around" not in move else ""  # fmt: skip
    camera = plan(f"a ball rolls. the camera {form}{around}").cameras[0]
    kinds = {"orbit": "orbit", "follow": "follow", "still": "fixed"}
    assert camera.kind == kinds.get(v.CAMERA_MOVES[move], "path")


@pytest.mark.parametrize("unit", v.UNITS)
def test_units(unit: str) -> None:
    kind, factor = v.UNITS[unit]
    number = {"m": 1, "cm": 50}.get(unit, 1)
    if kind == "length":
        number = max(1, round(0.4 / factor))
        assert plan(f"a {number} {unit} cube").bodies[0].size[0] == pytest.approx(number * factor)
    elif kind == "mass":
        assert plan(f"a {number} {unit} ball").bodies[0].mass == pytest.approx(factor)
    elif kind == "speed":
        assert plan(f"a ball rolls at 2 {unit}").bodies[0].velocity[0] == pytest.approx(
            2 * factor, abs=1e-5
        )
    elif kind == "time":
        number = 500 if unit == "ms" else 1
        assert plan(f"a ball rolls for {number} {unit}").duration == pytest.approx(number * factor)
    elif kind == "rate":
        assert plan(f"a ball rolls at 60 {unit}").fps == 60


@pytest.mark.parametrize("word", v.FILLERS)
def test_fillers_change_nothing(word: str) -> None:
    explained = explain(f"{word} a ball")
    assert explained.scene.bodies == plan("a ball").bodies


def test_the_vocabulary_page_is_up_to_date() -> None:
    """After a change: python -m clay4d.physics_baseline.planner.document docs/prompts.md."""
    page = (HERE.parents[1] / "docs" / "prompts.md").read_text(encoding="utf-8")
    assert page == vocabulary_page()


# ── nothing is read and forgotten ───────────────────────────────────────────────────────────────────
SAID = [e["prompt"].lower().rstrip(".") for e in (*CORE, *MORE, *LATER) if "refused" not in e]
CONTENT = sorted(
    " ".join(key) for key, readings in lexicon().items()
    if set(readings) & {"ADJ", "NUM", "DIR", "NOUN", "GROUP"} and not set(readings) & {"ADV", "PREP", "FILLER"}
)  # fmt: skip


def without_prompt(scene: SceneSpec) -> str:
    return re.sub(r'"prompt": "[^\n]*"', "", scene.to_json())


def inserted(prompt: str, word: str, at: int) -> str:
    parts = prompt.split()
    at = at % (len(parts) + 1)
    return " ".join([*parts[:at], word, *parts[at:]])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(SAID),
    st.sampled_from(["zyx", "not", "unless", "purplish", "juggles"]),
    st.integers(0, 30),
)
def test_a_word_without_a_rule_is_named_wherever_it_stands(prompt: str, word: str, at: int) -> None:
    with pytest.raises(PlanError, match=f"'{word}'"):
        plan(inserted(prompt, word, at))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(SAID), st.sampled_from(CONTENT), st.integers(0, 30))
@example("twelve dominoes stand in a line and the first is knocked over", "aluminium", 5)
def test_no_content_word_is_passed_over(prompt: str, word: str, at: int) -> None:
    """A word more is refused or shows in the scene, or says what is so without it."""
    try:
        explained = explain(inserted(prompt, word, at))
    except PlanError:
        return
    if word in explained.passed_over or without_prompt(explained.scene) != without_prompt(
        plan(prompt)
    ):
        return
    readings = lexicon()[tuple(word.split())]
    kind, name = readings.get("ADJ", ("", ""))
    quality = n.QUALITIES.get(name)
    assert (
        quality is not None and (quality.flag or quality == n.Quality(quality.doc))
        or kind in ("material", "colour", "quality")  # As it is anyway: a wooden crate.
        or word in ("to the right", "rightwards", "from left to right")  # As everything goes.
        or "NOUN" in readings and readings["NOUN"][0].shape == "floor"
        or readings.keys() & {"GROUP", "NUM"}
    ), explained  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a ball falls slowly", "how fast it is in 'falls slowly'"),
        ("a fast cube stands on a table", "'fast' of 'a fast cube'"),
        ("a ball falls to the left", "the direction in 'falls to the left'"),
        ("a ball swings from a table", "no rule for 'swing' with 'from'"),
        ("a ball is thrown from a table into a box", "no rule for 'throw' with 'from'"),
        ("a ball hangs from a plank", "no rule for 'hang' with 'from'"),
        ("a table rolls into a box", "moves: it stands fast|no rule for a table that rolls"),
        ("a wall is pushed", "it stands fast"),
        ("a ball rolls up", "it goes with: throw"),
        ("a ball rolls down", "where there is no slope"),
        ("a red ball hits a blue ball. the ball stops", "could be 'a red ball' or 'a blue ball'"),
        ("a ball rolls down a ramp into a cube that stands on a table", "no rule lets 'a ball' reach 'a cube'"),
        ("a cube on a table rolls off a ramp", "."),
        ("a ball is hit a cube by a cone", "."),
        ("a ball rolls across the steep floor", "no rule for a floor that is 'steep'"),
        ("two balls roll to the left and to the left they collide", "."),
    ],
)  # fmt: skip
def test_what_would_be_forgotten_is_refused(prompt: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan(prompt)


def test_later_sentences_add_to_what_was_named() -> None:
    scene = plan("A crate stands on the floor. The box is green and heavy. A ball rolls into it.")
    assert [b.name for b in scene.bodies] == ["green-box", "ball"]
    assert scene.bodies[0].material.density == pytest.approx(3 * n.SUBSTANCES["wood"].density)
    assert scene.bodies[0].material.colour == n.COLOURS["green"]
    knocked = plan("a can on a shelf is knocked off by a ball that is thrown at 6 m/s")
    assert knocked.body("can").position[2] > 0.4
    planks = plan("a plank stands on its end").bodies[0].size
    assert planks == tuple(sorted(planks))


# ── refusals, references, repetition ────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a red ball juggles", "no rule for 'juggles'; known motions: fall, bounce, roll,"),
        ("a cat on a table", "no rule for 'cat'; known things: ball, marble,"),
        ("a fluffy ball", "no rule for 'fluffy'; known qualities: red, green,"),
        ("a ball rols down a ramp", "Did you mean 'rolls'?"),
        ("a cube rolls down a ramp", "no rule for a cube that rolls; .* Did you mean 'slides'?"),
        ("a stack of three balls", "no rule for a stack of balls"),
        ("a cube on top of a ball", "no rule for a thing that rests on a ball"),
        ("a ball floats", "no rule for 'float' where there is gravity"),
        ("a ball hits it", "no rule for 'it' here"),
        ("a ball collides", "expected what it meets"),
        ("100 cubes", "expected 1 to 60"),
        ("a ball swings under a table", "no rule for 'swing'|no rule for"),
        ("a tall ball", "as wide as it is tall"),
        ("a ball rolls at 3 kg", "no rule for '3 kg' after 'roll'"),
        ("", "prompt got nothing"),
        ("the camera orbits", "prompt got no thing"),
        ("red blue", "expected the name of a thing"),
        ("a ball 球", "expected English words"),
    ],
)
def test_refusals_name_what_has_no_rule(prompt: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan(prompt)


def test_every_unknown_word_is_named() -> None:
    with pytest.raises(PlanError) as error:
        plan("a furry cat juggles oranges")
    assert all(f"'{w}'" in str(error.value) for w in ("furry", "cat", "juggles", "oranges"))


def test_references_are_not_new_things() -> None:
    scene = plan("a red ball and a blue box. the ball rolls into the box")
    assert [b.name for b in scene.bodies] == ["red-ball", "blue-box"]
    assert (
        len(plan("a red ball hits a blue ball. another ball falls onto the blue ball").bodies) == 3
    )


def test_the_other_way_round(judge: Any) -> None:
    """To the left everything is mirrored, the ramp too, and still hits."""
    scene = plan("a red ball rolls down a ramp to the left and hits two blue cubes")
    right = plan(MAIN)
    mirrored = [(-b.position[0], *b.position[1:]) for b in right.bodies]
    assert np.allclose(mirrored, [b.position for b in scene.bodies])
    assert judge(scene).check_hits("red_sphere", "blue_box")


def test_the_same_bits_in_another_process() -> None:
    code = f"from clay4d.physics_baseline.planner import plan; print(plan({MAIN!r}, seed=3).to_json(), end='')"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert texts == {plan(MAIN, seed=3).to_json()}


def test_seeds_vary_what_is_open_and_nothing_else(judge: Any) -> None:
    scenes = [plan("a ball rolls into a cube", seed=k) for k in range(6)]
    assert len({s.bodies[0].velocity for s in scenes}) == 6
    assert len({s.bodies[0].material.colour for s in scenes}) > 1
    assert len({s.bodies[1].position for s in scenes}) == 1
    said = [plan("a red ball rolls into a blue cube at 2 m/s", seed=k) for k in range(3)]
    assert len({s.bodies for s in said}) == 1
    for scene in scenes:
        assert judge(scene).check_hits("sphere", "box")


def test_the_golden_scene() -> None:
    """The bytes of one scene; after a meant change write them anew with `plan(MAIN).save`."""
    assert (HERE / "prompts" / "golden.json").read_text() == plan(MAIN).to_json()


things = st.sampled_from(
    ["a red ball", "two wooden cubes", "a tall cylinder", "a stack of three boxes", "a wall", "a table",
     "a ramp", "five marbles", "a row of six dominoes", "an orange cone", "a cloth", "a soft cube"]
)  # fmt: skip
joins = st.sampled_from(
    [" rolls into ", " hits ", " falls onto ", " next to ", " behind ", " on ", " is thrown at ", " and ",
     " slides down ", " swings into ", " rolls off ", " above ", " bounces off ", " is hit by ", ". ",
     " rolls across ", " is thrown over "]
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(said=st.tuples(things, joins, things, joins, things))
def test_whatever_is_said_is_refused_or_sound(judge: Any, said: tuple[str, ...]) -> None:
    """No prompt ends in another error, in bodies inside each other, or in a scene that JSON cannot hold."""
    try:
        scene = plan("".join(said))
    except PlanError:
        return
    assert SceneSpec.from_json(scene.to_json()) == scene
    run = judge.simulate(scene, seconds=0.001)
    assert run.deepest_start > -2e-3, (run.start_pair, run.deepest_start, scene.prompt)


def test_what_bounces_is_bouncy() -> None:
    assert plan("a steel ball bounces").bodies[0].material.restitution == 0.8
    assert plan("a steel ball falls").bodies[0].material.restitution < 0.8
