"""`plan`: a prompt in English becomes a SceneSpec; `explain` says what was understood and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from clay4d.physics_baseline.planner.audit import check_all_read
from clay4d.physics_baseline.planner.build import (
    followed_bodies,
    make_body,
    make_events,
    make_fields,
    make_floor,
    make_joints,
    name_things,
    spin_things,
)
from clay4d.physics_baseline.planner.holds import check_places
from clay4d.physics_baseline.planner.layout import Layout, arrange_story
from clay4d.physics_baseline.planner.parse import parse
from clay4d.physics_baseline.planner.story import Story
from clay4d.physics_baseline.planner.syntax import Sentences
from clay4d.physics_baseline.planner.tell import tell
from clay4d.physics_baseline.planner.things import shuffled_palette
from clay4d.physics_baseline.planner.views import make_cameras
from clay4d.physics_baseline.planner.words import PlanError, read_words
from clay4d.physics_baseline.spec import SceneSpec, SpecError

CONE_SIDES = 24


@dataclass(frozen=True)
class Explanation:
    """What the planner understood of a prompt, phrase by phrase."""

    lines: tuple[tuple[str, str], ...]
    """Each phrase of the prompt, and what it became."""
    passed_over: tuple[str, ...]
    """Words without any effect."""
    scene: SceneSpec

    def __str__(self) -> str:
        width = max((len(said) for said, _ in self.lines), default=0)
        rows = [f"{said:<{width}}  →  {became}" for said, became in self.lines]
        if self.passed_over:
            rows.append("passed over: " + ", ".join(self.passed_over))
        return "\n".join(rows)


def plan(prompt: str, *, seed: int = 0) -> SceneSpec:
    """The scene that a prompt describes, by a grammar with the vocabulary of docs/prompts.md.

    The same prompt and seed give the same scene. The seed draws what the prompt leaves open: colours
    of plastic things, usual speeds within 5 %, ways of drifting.

    Args:
        prompt: English sentences.
        seed: 0 or more.

    Raises:
        PlanError: a `ValueError` that names each word or construction without a rule.

    >>> scene = plan("a red ball rolls down a ramp and hits two blue cubes")
    >>> [body.name for body in scene.bodies]
    ['red-ball', 'ramp', 'blue-cube-1', 'blue-cube-2']
    >>> plan("a cat juggles")
    Traceback (most recent call last):
    clay4d.physics_baseline.planner.words.PlanError: no rule for 'cat'; ...
    """
    return explain(prompt, seed=seed).scene


def explain(prompt: str, *, seed: int = 0) -> Explanation:
    """The scene of a prompt together with what was understood of it; see `plan`.

    >>> print(explain("please show a red ball").passed_over)
    ('please', 'show')
    """
    if not prompt.strip():
        raise PlanError(
            "prompt got nothing; expected a sentence such as 'a red ball rolls down a ramp'."
        )
    if seed < 0:
        raise PlanError(f"seed got {seed}; expected 0 or more.")
    words, passed = read_words(prompt)
    said = parse(words)
    story, layout, scene = _made(prompt, said, seed)
    floor = list(said.floor_quality)

    def again() -> str:
        said.floor_quality[:] = floor
        return _made(prompt, said, seed)[2].to_json()

    check_all_read(said, again)
    return Explanation(tuple(_lines(said, story, scene)), tuple(passed), scene)


def _made(prompt: str, said: Sentences, seed: int) -> tuple[Story, Layout, SceneSpec]:
    """The scene of sentences, with what was understood on the way."""
    rng = Random(seed)
    story = tell(said, shuffled_palette(rng))
    if not story.things:
        raise PlanError(f"prompt got no thing in {prompt!r}; expected one such as 'a ball'.")
    gravity = next((g for kind, g, _ in reversed(said.worlds) if kind == "gravity"), 9.81)
    layout = arrange_story(story, gravity, rng)
    check_places(story)
    spin_things(story)
    try:
        return story, layout, _scene(prompt, said, story, layout, gravity, seed)
    except SpecError as error:
        raise PlanError(f"no rule for such a scene: {error}") from None


def _scene(
    prompt: str, said: Sentences, story: Story, layout: Layout, gravity: float, seed: int
) -> SceneSpec:
    name_things(story.things)
    bodies = tuple(make_body(t, k, c) for t in story.things for k, c in enumerate(t.copies))
    slow = math.prod(f for kind, f, _ in said.worlds if kind == "slow")
    events = make_events(story, {b.name: b for b in bodies})
    duration = said.duration or math.ceil(2 * layout.seconds) / 2
    duration = max(duration, max((e.time for e in events), default=0.0) + 0.5)
    points = list(layout.points)
    for thing in story.things:
        low, high = thing.bounds()
        points += [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (max(low[2], 0.0), high[2])]  # fmt: skip
        points.append((thing.middle[0], thing.middle[1], 0.0))
    return SceneSpec(
        prompt=prompt,
        bodies=bodies,
        joints=make_joints(layout),
        fields=make_fields(said, story, gravity),
        floor=make_floor(said, gravity),
        cameras=make_cameras(said.cameras, points, duration, followed_bodies(said, story)),
        events=events,
        duration=duration,
        fps=said.fps or 24.0 * slow,
        seed=seed,
    )


def _lines(said: Sentences, story: Story, scene: SceneSpec) -> list[tuple[str, str]]:
    lines = list(story.lines)
    for thing, path in story.paths:
        texts = [t for t in path.texts if t]
        if texts:
            met = ", ".join(f"{how} {t.names[0]}" for how, t in path.stations)
            start = thing.copies[0]
            v = math.sqrt(sum(c * c for c in start.velocity))
            became = f"{thing.names[0]}: {path.kind or 'at rest'}"
            became += f", from {path.ramp.names[0]}" if path.ramp else ""
            became += f" ({met})" if met else ""
            became += f", {v:.3g} m/s at the start, centre {start.position[2]:.3g} m above 0"
            lines.append((" … ".join(texts), became))
    for relation, subject, others in story.relations:
        lines.append((relation.replace("_", " "), f"{subject.names[0]} → {', '.join(o.names[0] for o in others)}"))  # fmt: skip
    lines += [(text, f"{kind} {value:g}") for kind, value, text in said.worlds]
    lines += [(w.text, f"wind {w.speed:.3g} m/s towards {w.towards}") for w in said.winds]
    lines += [(c.text, f"camera {scene.cameras[0].kind}") for c in said.cameras]
    lines += [("floor", name) for _, name in said.floor_quality]
    return lines
