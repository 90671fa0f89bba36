"""All systems and all sources of cases, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from clay4d.benchmark.cases import Source, WorldCases
from clay4d.benchmark.hidden import FittedTerms, TrueEngine
from clay4d.benchmark.prompted import PlannerEngine, PromptCases, PromptedModel, TrueWorld
from clay4d.benchmark.real import RealCases
from clay4d.benchmark.reconstruct import CapturedCases, NearestPicture, Reconstruction
from clay4d.benchmark.renderer import CpuRasteriser, RendererCases, TorchReference
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
    "engine-fitted-terms": FittedTerms, "engine-true": TrueEngine,
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


def make_system(name: str, *, weights: str | Path | None = None, seed: int = 0) -> tuple[Any, ...]:
    """How a worker makes a system: a callable and what it is given.

    Raises:
        ValueError: an unknown name.
    """
    if name not in SYSTEMS:
        raise ValueError(f"system got {name!r}; expected one of {', '.join(SYSTEMS)}.")
    make = partial(SYSTEMS[name], seed=seed) if name in DRAWS else SYSTEMS[name]
    return make, *([weights] if name.startswith(LEARNED) else [])
