"""Experiment (h) of the thoughts: does learning to understand help to generate, and the other way round?

Understanding: from six seen frames, what happens next. Generation: from a prompt alone, how a scene begins. A small
reasoner learns one from all training worlds and then the other from a share of them. Beside it, with the same steps on
the same share: one that starts from nothing; one that starts from nothing and takes the first task's steps on the second
task, too (steps); one whose first task had other worlds' answers (labels).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from clay4d.benchmark.results import Metric
from clay4d.benchmark.studies import (
    Material,
    Rows,
    Run,
    StudyConfig,
    foretold,
    fresh,
    train,
    world_errors,
)
from clay4d.benchmark.suites import Claim
from clay4d.world_model.model import WorldModel
from clay4d.world_model.model.birth import announced_loss
from clay4d.world_model.reasoners import Size
from clay4d.world_model.script import mention_order
from clay4d.world_model.training.cache import CachedWorlds
from clay4d.world_model.training.reasoning import ReasoningStage, ordered
from clay4d.world_model.training.stage import generator

SMALL = Size(64, 2, 4, 128)
SHARES = (0.01, 0.05, 0.2, 1.0)
UNDERSTAND, GENERATE = TASKS = ("understanding", "generation")
PRETRAINED, NOTHING, LONGER, SHUFFLED = STARTS = (
    "the other task", "nothing", "nothing, as many steps", "shuffled answers",
)  # fmt: skip
SEGMENT = 6
"""Frames of one answer."""
PLACE = 31
"""Of this experiment's draws."""

CONFIG = StudyConfig(
    "thoughts-transfer",
    "Small reasoners (64 numbers, 2 layers) on the released encoder's slots, taught the half second after the context, one thought before each. "
    "Understanding is measured by the error of what comes after six frames, generation by the loss of what is said of "
    "a prompt's things (which there are, and their looks).",
    (
        Metric("centre_error", "m", "lower", "understanding: distance of movers' centres from the truth"),
        Metric("birth_loss", "nats", "lower", "generation: loss of which things a prompt's scene has, and their looks"),
    ),
    tuple(
        Claim(f"{a}-helps-{b}-at-5-percent-against-{short}", f"{b}, 5 %", PRETRAINED, rival, 0.05, True,
              f"With 5 % of the data, {a} first takes a twentieth off the error of {b}, against {said}.", metric)
        for a, b, metric in ((GENERATE, UNDERSTAND, "centre_error"), (UNDERSTAND, GENERATE, "birth_loss"))
        for rival, short, said in ((NOTHING, "nothing", "nothing first"), (SHUFFLED, "shuffled", "shuffled answers first"))
    ),
    steps=60, batch=16, worlds=100, thoughts=1, levels=SHARES,
)  # fmt: skip
QUICK = replace(CONFIG, train=120, worlds=40, seeds=(0,), steps=10, batch=8, levels=(0.05, 1.0))


def shuffled(cached: CachedWorlds, task: str) -> CachedWorlds:
    """The same worlds with other worlds' answers: what is foretold, or what is said of a scene."""
    if task == GENERATE:
        return replace(cached, words=(*cached.words[1:], cached.words[0]))
    whole, shown = cached.whole, cached.contexts[0].positions.shape[1]
    # The way that another world's things go from where the context ends.
    way = (whole.positions[:, shown:] - whole.positions[:, shown - 1 : shown]).roll(1, 0)
    later = whole.positions[:, shown - 1 : shown] + way
    return replace(
        cached, whole=replace(whole, positions=torch.cat([whole.positions[:, :shown], later], 1))
    )


def beginnings(stage: ReasoningStage, step: int) -> Tensor:
    """The loss of what is said of prompts' things, on a batch of prompts."""
    lesson = stage.lesson(step)
    mind = stage.model.dynamics.begin(lesson.prompts)
    mind, _, _ = stage._think(mind, lesson, 0)
    return stage.birth(mind, lesson, step)[0]


def taught(
    model: WorldModel, cached: CachedWorlds, task: str, *, steps: int, batch: int, seed: int
) -> WorldModel:
    """Train one task; the same seed gives the same batches wherever the weights come from."""
    return train(
        model, cached, steps=steps, seed=seed, batch=batch, curriculum=0.0, thoughts=(1, 1),
        blind=1.0 if task == GENERATE else 0.0, loss=beginnings if task == GENERATE else None,
    )  # fmt: skip


@torch.no_grad()
def birth_losses(model: WorldModel, held: CachedWorlds, *, thoughts: int) -> np.ndarray:
    """Of each held-out world's prompt, how far off is what is said of its things, nats."""
    dynamics, found = model.dynamics, []
    for k in range(len(held)):
        told = held.words[k]
        order = mention_order(told["prompt"], [(o["colour"], o["shape"]) for o in told["objects"]])
        slots = ordered(held.whole.of([k]), [order])
        mind = dynamics.begin([told["prompt"]])
        _, mind = dynamics.reasoner.think(mind, thoughts)
        said = dynamics.announce(mind, slots.present.shape[1])
        found.append(float(announced_loss(said, dynamics.normal(slots.looks), slots.present)))
    return np.array(found)


def measured(run: Run, made: Material, model: WorldModel, task: str, name: str, share: float, seed: int) -> Rows:  # fmt: skip
    """The second task's number on the held-out worlds."""
    at, thoughts = f"{task}, {100 * share:g} %", run.config.thoughts
    if task == UNDERSTAND:
        positions, _ = foretold(model, made.given, thoughts=thoughts)
        shown = made.given.context.positions.shape[1]
        errors = world_errors(positions, made.given, shown=shown)
        return run.numbers(at, name, "centre_error", errors, seed=seed)
    assert made.held is not None
    losses = birth_losses(model, made.held, thoughts=thoughts)
    return run.numbers(at, name, "birth_loss", losses, seed=seed)


def start(run: Run, made: Material, task: str, name: str, seed: int) -> WorldModel:
    """A small model before it learns `task`, by what it learned first."""
    c, other = run.config, TASKS[1 - TASKS.index(task)]
    model = fresh(made.model, "recycled", seed=seed, keep=False, size=SMALL)
    if name in (NOTHING, LONGER):
        return model
    cached = shuffled(made.cached, other) if name == SHUFFLED else made.cached
    return taught(model, cached, other, steps=c.steps, batch=c.batch, seed=seed)


def arms(run: Run, made: Material, task: str, name: str, seed: int) -> Rows:
    """One start and all shares of the second task's data."""
    c, rows = run.config, Rows()
    before = start(run, made, task, name, seed)
    weights = {k: v.clone() for k, v in before.state_dict().items()}
    order = torch.randperm(len(made.cached), generator=generator(seed, PLACE))
    for share in c.levels:
        few = order[: max(round(share * len(made.cached)), 1)].tolist()
        cached = chosen(made.cached, few)
        before.load_state_dict(weights)
        steps = 2 * c.steps if name == LONGER else c.steps
        model = taught(before, cached, task, steps=steps, batch=c.batch, seed=seed + 1000)
        rows += measured(run, made, model, task, name, share, seed)
    return rows


def chosen(cached: CachedWorlds, which: list[int]) -> CachedWorlds:
    """Some of the worlds."""
    return CachedWorlds(
        cached.whole.of(which), tuple(c.of(which) for c in cached.contexts),
        tuple(cached.words[k] for k in which),
    )  # fmt: skip


def study(run: Run, made: Material) -> None:
    """Every task, start and seed; what is learned of motion is the half second after the context."""
    whole = made.cached.whole
    made = replace(made, cached=replace(made.cached, whole=whole.at(slice(0, 2 * SEGMENT))))
    jobs: list[tuple[str, Callable[[], Rows]]] = [
        (f"{task}-{STARTS.index(name)}-{seed}", partial(arms, run, made, task, name, seed))
        for seed in run.config.seeds for task in TASKS for name in STARTS
    ]  # fmt: skip
    for name, job in jobs:
        run.part(name, job, of=len(jobs))
