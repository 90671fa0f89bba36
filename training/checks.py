"""Settings that cannot train are refused before anything is read or written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from clay4d.training.config import TrainConfig

MANY = math.inf
LIMITS = {
    "steps": (1, MANY),
    "checkpoint_every": (1, MANY),
    "largest": (1e-6, MANY),
    "eps2d": (0, 100),
    "rates.fall": (0, 1),
    "start.count": (1, MANY),
    "start.limit": (1, MANY),
    "start.moments": (1, MANY),
    "start.opacity": (1e-3, 0.999),
    "losses.motion_every": (1, MANY),
    "motion.nodes": (1, MANY),
    "motion.neighbours": (1, MANY),
    "motion.width": (1, MANY),
    "motion.depth": (1, MANY),
    "motion.codes": (0, MANY),
    "motion.resolution": (2, MANY),
    "motion.time_resolution": (2, MANY),
    "motion.features": (1, MANY),
    "motion.levels": (1, MANY),
    "motion.degree": (0, MANY),
    "motion.harmonics": (0, MANY),
    "motion.bases": (1, MANY),
    "motion.keys": (4, MANY),
    "motion.octaves": (0, MANY),
    "motion.time_octaves": (0, MANY),
    "motion.span": (1e-6, MANY),
    "motion.start": (0, 1),
    "motion.settle": (0, MANY),
    "field.resolution": (2, 4096),
    "field.time_resolution": (2, MANY),
    "field.features": (16, MANY),
    "field.levels": (1, 8),
    "field.width": (1, MANY),
    "field.geometry": (1, MANY),
    "field.along": (2, 65_536),
    "field.cells": (1, 512),
    "field.moments": (1, MANY),
    "field.places": (256, 1 << 24),
    "field.warm": (0, MANY),
    "field.final": (0, 1),
    "density.cap": (1, MANY),
    "density.every": (1, MANY),
    "density.begin": (0, MANY),
    "density.stop": (0, 1),
    "density.growth": (0, MANY),
    "density.trim": (0, 0.9),
    "density.reset_every": (1, MANY),
    "losses.ssim": (0, 1),
    "schedule.sh_degree": (0, 3),
    "schedule.sh_every": (1e-6, MANY),
}
"""Least and greatest value of a setting; rates and weights, not named here, are 0 or more."""
FIELDS_OWN = ("field", "steps", "seed", "checkpoint_every")
"""What a radiance field reads of a config; all else speaks of Gaussians."""


def check_config(config: TrainConfig) -> None:
    """Refuse numbers out of their range, picture sizes that are no schedule and what a field would ignore.

    Raises:
        ValueError: names the setting, its value and its range.

    >>> check_config(dataclasses.replace(TrainConfig(), steps=0))
    Traceback (most recent call last):
    ValueError: steps got 0; expected at least 1. Correct the preset or the option.
    """
    for name, value in _numbers(config, ""):
        low, high = LIMITS.get(name, (-MANY if name == "seed" else 0, MANY))
        if not low <= value <= high:
            wanted = f"at least {low:g}" if high == MANY else f"{low:g} to {high:g}"
            raise ValueError(
                f"{name} got {value:g}; expected {wanted}. Correct the preset or the option."
            )
    starts = [start for start, _ in config.schedule.coarse]
    sizes = [size for _, size in config.schedule.coarse]
    ordered = starts[:1] == [0] and starts == sorted(starts) and starts[-1] < 1
    if not ordered or not all(0 < size <= 1 for size in sizes):
        raise ValueError(
            f"schedule.coarse got {config.schedule.coarse}; expected (share, size) pairs, shares "
            "rising from 0 to below 1, sizes above 0, 1 at the most. Correct the preset."
        )
    if config.field is not None:
        _check_alone(config)


def _check_alone(config: TrainConfig) -> None:
    """Refuse settings of Gaussians beside a radiance field, which would pass over them in silence."""
    plain = TrainConfig()
    if config.losses.cover == 0:  # as a field does anyway; runs from when it was the default say so
        plain = dataclasses.replace(plain, losses=dataclasses.replace(plain.losses, cover=0.0))
    for field in dataclasses.fields(config):
        found = None
        if field.name not in FIELDS_OWN:
            given, default = getattr(config, field.name), getattr(plain, field.name)
            found = _first_change(given, default, field.name)
        if found is not None:
            name, value = found
            raise ValueError(
                f"{name} got {value} for a radiance field; expected its default: a field has the "
                "settings field.*, steps, seed and checkpoint_every alone. Leave it out, or train "
                "Gaussians (a preset without field)."
            )


def _first_change(given: Any, default: Any, name: str) -> tuple[str, Any] | None:
    """The first setting in which two configs differ, and what was given."""
    if given == default:
        return None
    if not dataclasses.is_dataclass(given):
        return name, given
    if type(given) is not type(default):
        return name, type(given).__name__
    for field in dataclasses.fields(given):
        pair = getattr(given, field.name), getattr(default, field.name)
        found = _first_change(*pair, f"{name}.{field.name}")
        if found is not None:
            return found
    return None


def _numbers(config: Any, at: str) -> Iterator[tuple[str, float]]:
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{at}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _numbers(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value
