"""A time budget turned into steps: a short trial run measures what a step will cost at the end."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch

from clay4d.scenes import Dataset
from clay4d.training.config import TrainConfig
from clay4d.training.density import Mcmc, expected_count
from clay4d.training.fields import FieldTrainer
from clay4d.training.frames import generator
from clay4d.training.trainer import Trainer

TRIAL_STEPS = 800
TRIAL_SHARE = 0.04
TIMED_STEPS = 12
RESERVE = 0.03
"""Share of the budget kept for checkpoints and previews."""


def plan_steps(config: TrainConfig, dataset: Dataset, *, seconds: float) -> TrainConfig:
    """The config with as many steps as fit in `seconds` on this machine as it is now.

    A trial run of the same kind comes to Gaussians that look like trained ones; a step is timed at
    each of the schedule's picture sizes, with as many Gaussians as there will be by then, and the
    trial is thrown away. Only the number of steps depends on the clock, so `--steps` with it repeats
    the run.
    """
    began = time.monotonic()
    if config.field is not None:
        cost = _field_cost(config, dataset, seconds)
        left = seconds * (1 - RESERVE) - (time.monotonic() - began)
        return dataclasses.replace(config, steps=max(int(left / cost / 100) * 100, 100))
    trial = Trainer(dataclasses.replace(config, steps=TRIAL_STEPS), dataset)
    first = len(trial.scene)
    for _ in range(4):
        trial.step()  # compiles the kernels; not counted
    compiled = time.monotonic()
    while trial.step_done < TRIAL_STEPS - 1 and time.monotonic() - compiled < TRIAL_SHARE * seconds:
        trial.step()
    cost = _mean_cost(trial, first)
    left = seconds * (1 - RESERVE) - (time.monotonic() - began)
    steps = max(int(left / cost / 100) * 100, 100)
    return dataclasses.replace(config, steps=steps)


def _field_cost(config: TrainConfig, dataset: Dataset, seconds: float) -> float:
    """Seconds of a step of a field, whose places are as many at every step: the median of a few."""
    trial = FieldTrainer(dataclasses.replace(config, steps=TRIAL_STEPS), dataset)
    began, costs = time.monotonic(), list[float]()
    while len(costs) < TRIAL_STEPS // 4 and time.monotonic() - began < TRIAL_SHARE * seconds:
        t = time.monotonic()
        trial.step()
        costs.append(time.monotonic() - t)
    return float(np.median(costs[len(costs) // 2 :]))


def _mean_cost(trial: Trainer, first: int) -> float:
    """Seconds of a step, averaged over the schedule; the median in the middle of each part."""
    density, total = trial.config.density, 0.0
    for start, end in _parts(trial.config):
        progress = (start + end) / 2
        _fill(trial, expected_count(density, first, progress))
        costs = []
        for k in range(TIMED_STEPS):
            # A refinement step is not a typical one, and motion has to be on.
            trial.step_done = int(progress * TRIAL_STEPS) // 100 * 100 + 1 + k
            t = time.monotonic()
            trial.step()
            costs.append(time.monotonic() - t)
        total += (end - start) * float(np.median(costs))
    return total


def _parts(config: TrainConfig) -> list[tuple[float, float]]:
    """Stretches of the schedule with one picture size each, long ones in two."""
    starts = [start for start, _ in config.schedule.coarse] + [1.0]
    parts = []
    for start, end in zip(starts, starts[1:]):
        middle = (start + end) / 2
        parts += [(start, middle), (middle, end)] if end - start > 0.3 else [(start, end)]
    return parts


def _fill(trial: Trainer, count: int) -> None:
    """Copy Gaussians until there are `count`, as growth would."""
    strategy = Mcmc(cap=count, growth=0.5)
    for i in range(40):
        if len(trial.scene) >= count:
            break
        weights = torch.sigmoid(trial.scene.raw["opacities"].detach())
        draws = generator(trial.config.seed, 3, i)
        strategy.refine(trial.scene.raw, trial.optimisers.rows, weights, generator=draws)
    trial.reset_density_state()
