"""All systems and all sources of cases, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from clay4d.benchmark.cases import Source, WorldCases
from clay4d.benchmark.hidden import FittedTerms, TrueEngine
from clay4d.benchmark.prompted import PlannerEngine, PromptCases, PromptedModel, TrueWorld
from clay4d.benchmark.real import RealCases
from clay4d.benchmark.reconstruct import CapturedCases, NearestPicture, Reconstruction
from clay4d.benchmark.renderer import CpuRasteriser, RendererCases, TorchReference
from clay4d.benchmark.residual import ResidualEngine
from clay4d.benchmark.suites import COUNTS, KINDS, SuiteConfig
from clay4d.benchmark.systems import (
    ConstantAcceleration,
    ConstantVelocity,
    FittedEngine,
    Learned,
    NominalEngine,
    Static,
)
from clay4d.benchmark.tosses import IdentifiedContact, IdentifiedEngine
from clay4d.world_model.reasoners import Disturbance

SPOILED = {
    "zeroed": Disturbance("zero"), "swapped": Disturbance("swap"),
    "noise": Disturbance("noise"), "noise-4": Disturbance("noise", scale=4.0),
}  # fmt: skip
"""Thoughts that are changed as they are had."""
SYSTEMS: dict[str, Callable[..., Any]] = {
    "static": Static, "constant-velocity": ConstantVelocity, "constant-acceleration": ConstantAcceleration,
    "engine-nominal": NominalEngine, "engine-fitted": partial(FittedEngine, air="none"),
    "engine-fitted-air": partial(FittedEngine, air="unknown"),
    "engine-fitted-true-air": partial(FittedEngine, air="real"),
    "engine-stated": partial(IdentifiedEngine, stated=True), "engine-identified": IdentifiedEngine, "contact-identified": IdentifiedContact, "world-model": Learned,
    "engine-residual": ResidualEngine, "engine-fitted-terms": FittedTerms, "engine-true": TrueEngine,
    "cpu": CpuRasteriser, "torch-reference": TorchReference,
    "planner-engine": PlannerEngine, "world-model-prompted": PromptedModel, "true-world": TrueWorld,
    "nearest-picture": NearestPicture,
    **{f"gaussians-{kind}": partial(Reconstruction, kind) for kind in KINDS},
    **{f"world-model-{n}": partial(Learned, samples=0, thoughts=n) for n in COUNTS},
    **{f"world-model-{n}": partial(Learned, samples=0, disturbance=d) for n, d in SPOILED.items()},
}  # fmt: skip
SOURCES: dict[str, Callable[[SuiteConfig, Path], Source]] = {
    "worlds": WorldCases,
    "real": RealCases,
    "renderer": RendererCases,
    "prompts": PromptCases,
    "captured": CapturedCases,
}
DRAWS = (
    "world-model",
    "world-model-prompted",
    "planner-engine",
    *(f"gaussians-{k}" for k in KINDS),
)
"""Systems that draw, and are asked once a seed; all others would say the same again."""
LEARNED = ("world-model",)
"""Names that systems which take `weights` begin with."""


ARM = "@"
"""Between a learned system's name and that of its arm: weights of its own."""
Weights = Mapping[str, str | Path | None]
"""Files or runs by arm; that of no arm under the empty name."""


def system_of(name: str) -> str:
    """A system's name without its arm.

    Raises:
        ValueError: an unknown name, an arm of a system that takes no weights.

    >>> system_of("world-model@discrete")
    'world-model'
    """
    system, sign, _ = name.partition(ARM)
    if system not in SYSTEMS or (sign and not system.startswith(LEARNED)):
        raise ValueError(f"system got {name!r}; expected one of {', '.join(SYSTEMS)}.")
    return system


def arm_system(arm: str) -> str:
    """The system of an arm of the world model; its name stands in keys and in names of files.

    Raises:
        ValueError: a name of other signs than letters, digits, dots, - and _.

    >>> arm_system("discrete")
    'world-model@discrete'
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", arm):
        raise ValueError(f"arm got name {arm!r}; expected letters, digits, dots, - and _ alone.")
    return f"world-model{ARM}{arm}"


def make_system(name: str, *, weights: Weights | None = None, seed: int = 0) -> tuple[Any, ...]:
    """How a worker makes a system: a callable and what it is given.

    Raises:
        ValueError: an unknown name, an arm without weights.
    """
    system, (_, _, arm) = system_of(name), name.partition(ARM)
    files = weights or {}
    if arm and arm not in files:
        raise ValueError(f"arm got {arm!r}; expected one of {sorted(files)}. Give it with --arms NAME RUN")  # fmt: skip
    make = partial(SYSTEMS[system], seed=seed) if system in DRAWS else SYSTEMS[system]
    return make, *([files.get(arm)] if system.startswith(LEARNED) else [])
