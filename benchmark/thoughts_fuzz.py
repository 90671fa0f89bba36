"""Experiment (e) of the thoughts: do small errors grow as thoughts are recycled, and does rounding to codes stop them?

Both arms are trained alike from the same start, one with recycled states and one whose thoughts are one of a thousand
codes. The state before each thought is blurred by normal noise, a share of the state's own strength, the same
draws in both; a code may swallow it, a recycled state hands it on. Growth: the first state alone is
blurred by a hundredth, and how far thinking is off is followed over sixteen thoughts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
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
from clay4d.world_model.model.world_model import whole_segment
from clay4d.world_model.reasoners import MOST_THOUGHTS, Thinker
from clay4d.world_model.training.score import Episodes

ARMS = ("recycled", "discrete")
LITTLE = 0.01
RELEASED = "released"

CONFIG = StudyConfig(
    "thoughts-fuzz",
    "States blurred before each thought by normal noise, the same draws in both arms, its strength a share of the "
    "state's; arms trained alike from the released weights. Growth: the first state blurred by a hundredth.",
    (
        Metric("centre_error", "m", "lower", "distance of movers' centres from the truth"),
        Metric("shift", "m", "lower", "distance of what is foretold from what it foretells without noise"),
        Metric("off", "", "lower", "distance of a state from what it is without noise, as a share of its length"),
        Metric("growth", "", "lower", "logarithm of the factor by which that distance grows with each thought"),
        Metric("kept", "", "higher", "share of worlds whose thoughts are all just as without noise"),
    ),
    (
        Claim("blur-grows", "growth", "still", "recycled", 0.01, False,
              "Over sixteen recycled thoughts a small blur grows by a hundredth or more with each.", "growth"),
        Claim("codes-swallow", "noise 0.1", "discrete", "recycled", 0.5, True,
              "Under noise of a tenth, the discrete arm's forecasts move at most half as far as the recycled arm's.", "shift"),
        Claim("codes-err-less", "noise 1", "discrete", "recycled", 0.02, True,
              "Under noise as strong as the state, the discrete arm errs by a fiftieth less than the recycled one."),
        Claim("noise-costs", "noise 1", "without noise", "recycled", 0.05, True,
              "Under noise as strong as the state, the recycled arm errs by a twentieth more than without."),
    ),
    levels=(0.03, 0.1, 0.3, 1.0, 3.0),
)  # fmt: skip
QUICK = replace(CONFIG, train=120, worlds=40, seeds=(0,), steps=10, batch=8, levels=(0.1, 1.0))


@contextmanager
def blurred(
    reasoner: Thinker, share: float, *, seed: int, steps: tuple[int, ...] | None = None
) -> Iterator[None]:
    """Blur each state before it becomes a thought, while this is open; `steps` says which, all by default.

    Raises:
        ValueError: a reasoner whose thoughts are no function of the last state.
    """
    if type(reasoner).advance is not Thinker.advance:
        raise ValueError(
            f"reasoner got {reasoner.kind}; expected one that expresses states, such as recycled or discrete."
        )
    plain = reasoner.express

    def express(hidden: Tensor, step: int) -> Any:
        if steps is not None and step not in steps:
            return plain(hidden, step)
        draws = torch.Generator().manual_seed(1_000_003 * seed + step)
        noise = torch.randn(hidden.shape, generator=draws)
        strength = hidden.square().mean(-1, keepdim=True).sqrt()
        return plain(hidden + share * strength * noise, step)

    reasoner.express = express  # type: ignore[method-assign]
    try:
        yield
    finally:
        del reasoner.express


@torch.no_grad()
def drift(
    model: WorldModel, given: Episodes, *, seed: int, count: int = MOST_THOUGHTS
) -> Float[Tensor, "N K"]:
    """How far each state of the first stretch is off when the first was blurred, as a share of its length."""
    dynamics, slots = model.dynamics, given.context
    mind = dynamics.begin(list(given.prompts), slots.stage)
    first = whole_segment(slots, model.config.reasoning.segment)
    mind = dynamics.read(mind, first, slots.looks, slots.present, 0)
    plain, _ = dynamics.reasoner.think(mind, count)
    with blurred(dynamics.reasoner, LITTLE, seed=seed, steps=(0,)):
        moved, _ = dynamics.reasoner.think(mind, count)
    off: Tensor = (moved.hidden - plain.hidden).norm(dim=-1) / plain.hidden.norm(dim=-1)
    return off[:, 1:]


def growth(off: Float[Tensor, "N K"]) -> Float[np.ndarray, " N"]:
    """Slope of the logarithm of the distance over thoughts; 0 where it came to nothing.

    >>> growth(torch.tensor([[0.01, 0.02, 0.04]])).round(3).tolist()
    [0.693]
    """
    steps = torch.arange(off.shape[1], dtype=torch.float64)
    steps = steps - steps.mean()
    told = off.double().clamp_min(1e-9).log()
    slope: np.ndarray = ((told * steps).sum(1) / steps.square().sum()).numpy()
    return np.where((off > 1e-8).all(1).numpy(), slope, 0.0)


def arm_rows(run: Run, made: Material, name: str, model: WorldModel, seed: int) -> Rows:
    """One arm under all noises."""
    c, shown = run.config, made.given.context.positions.shape[1]
    plain, before = foretold(model, made.given, thoughts=c.thoughts)
    own = replace(made.given, truth=plain)
    rows = Rows()
    for level in c.levels:
        task = f"noise {level:g}"
        with blurred(model.dynamics.reasoner, level, seed=seed):
            moved, after = foretold(model, made.given, thoughts=c.thoughts)
        same = [
            (a.vectors == b.vectors).flatten(1).all(1) for a, b in zip(before.thoughts, after.thoughts)
        ]  # fmt: skip
        kept = torch.stack(same).all(0).float().numpy()
        rows += run.numbers(task, name, "centre_error", world_errors(moved, made.given, shown=shown), seed=seed)  # fmt: skip
        rows += run.numbers(task, name, "shift", world_errors(moved, own, shown=shown), seed=seed)
        rows += run.numbers(task, name, "kept", kept, seed=seed)
        if name == "recycled":
            errors = world_errors(plain, made.given, shown=shown)
            rows += run.numbers(task, "without noise", "centre_error", errors, seed=seed)
    off = drift(model, made.given, seed=seed)
    rows += run.numbers("growth", name, "growth", growth(off), seed=seed)
    for k in range(off.shape[1]):
        rows += run.numbers("growth", name, "off", off[:, k].numpy(), seed=seed, thoughts=k + 1)
    if name == "recycled":
        rows += run.numbers("growth", "still", "growth", np.zeros(len(off)), seed=seed)
    return rows


def study(run: Run, made: Material) -> None:
    """The released model, then both arms with each seed."""
    c = run.config
    of = 1 + len(ARMS) * len(c.seeds)
    run.part("released", lambda: arm_rows(run, made, RELEASED, made.model, 0), of=of)
    for seed in c.seeds:
        for kind in ARMS:

            def measure(seed: int = seed, kind: str = kind) -> Rows:
                arm = train(
                    fresh(made.model, kind, seed=seed), made.cached, steps=c.steps, seed=seed,
                    batch=c.batch, curriculum=0.0, blind=0.0,
                )  # fmt: skip
                return arm_rows(run, made, kind, arm, seed)

            run.part(f"{kind}-{seed}", measure, of=of)
