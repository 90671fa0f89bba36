"""What a suite is: a frozen config whose text is hashed into its results before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clay4d.benchmark.results import Metric

SPLITS_OOD = ("ood-speed", "ood-size", "ood-count", "ood-combination")
ARMS = (
    "static", "constant-velocity", "engine-nominal", "engine-fitted", "engine-fitted-air", "engine-residual",
    "world-model",
)  # fmt: skip
COUNTS = (0, 1, 2, 4, 8, 16)
"""Thoughts before each segment, where the suite varies them."""
KINDS = (
    "static", "polynomial", "control-nodes", "motion-bases", "hex-plane", "deformation", "space-time",
)  # fmt: skip
"""Motion models of Gaussians that learn from pictures."""
CEILINGS = ("engine-true", "true-world")
"""Systems that are told the truth: they show what could be reached, and win nothing."""
ERROR, AT = "centre_error", "centre_error_at"
METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric(ERROR, "m", "lower", "distance of movers' centres from the truth, mean over the future"),
        Metric(AT, "m", "lower", "distance of movers' centres from the truth at a moment"),
        Metric("velocity_error", "m/s", "lower", "distance of movers' velocities from the true ones"),
        Metric("collision_time_error", "s", "lower", "error of the moments of first touches"),
        Metric("penetration", "m", "lower", "depth of things in each other or the floor, at most"),
        Metric("crps", "m", "lower", "energy score of the sampled futures"),
        Metric("best_of_k", "m", "lower", "distance of centres in the best of 8 sampled futures"),
        Metric("toss_position", "% of width", "lower", "distance of the cube's centre, mean over the toss"),
        Metric("toss_rotation", "°", "lower", "angle from the cube's true rotation, mean over the toss"),
        Metric("image_error", "", "lower", "largest difference from a float64 brute force, of colours 0 to 1"),
        Metric("gradient_error", "", "lower", "relative difference of gradients from a float64 brute force, the worst of five"),
        Metric("draw_seconds", "s", "lower", "a picture and its gradients, one thread"),
        Metric("large_seconds", "s", "lower", "the same of 20,000 Gaussians, 400 × 400, with harmonics of degree 3"),
        Metric("prompt_right", "", "higher", "share of prompts whose scene is right in count, looks and acts"),
        Metric("count_right", "", "higher", "share with as many things as the prompt names"),
        Metric("looks_right", "", "higher", "share whose things all have the shapes and colours that it names"),
        Metric("acts_right", "", "higher", "share whose things all do what it says"),
        Metric("things_right", "", "higher", "things of the right shape and colour, of those that it names"),
        Metric("clauses_right", "", "higher", "clauses that come true, of those that it has"),
        Metric("psnr", "dB", "higher", "likeness of held-out pictures, PSNR"),
        Metric("ssim", "", "higher", "likeness of held-out pictures, SSIM"),
        Metric("film_error", "diameters", "lower", "distance of the ball's centre in the picture"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A hypothesis with its margin, written down before the run."""

    id: str
    task: str
    """A task of the suite, `all` for all its scenes, `hidden` for those with a hidden force."""
    system: str
    """Expected to be better…"""
    rival: str
    """…than this one, by at least `margin`; none: than 0, so a margin of -0.1 says that it is at most 0.1 off."""
    margin: float = 0.0
    """In the metric's unit, or a share of the rival's mean where `relative` is set."""
    relative: bool = False
    claim: str = ""
    """In plain words."""
    metric: str = ""
    """The suite's first one where it is left out."""


@dataclass(frozen=True)
class SuiteConfig:
    """A suite: its scenes, its systems, what is measured and what is claimed.

    Raises:
        ValueError: counts below 1, an unknown metric.
    """

    name: str = "predict"
    splits: tuple[str, ...] = ("test",)
    """Of the worlds; each is a task by itself where there are several. Of real motion: the tasks."""
    systems: tuple[str, ...] = ARMS
    seen: int = 6
    """Frames that systems are handed; the rest are foretold."""
    limit: int = 0
    """Scenes of each split, the first ones; 0 for all."""
    timeout: float = 120.0
    """Seconds for one answer; a system that takes longer has failed on that scene."""
    horizons: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    """Seconds after the last seen frame at which errors are given."""
    resamplings: int = 2000
    """Of the bootstrap."""
    claims: tuple[Claim, ...] = ()
    make: int = 0
    """Worlds that the suite makes for itself where none are given; 0 for none."""
    source: Literal["worlds", "real", "renderer", "prompts", "captured"] = "worlds"
    """Where its scenes come from."""
    steps: int = 0
    """Optimiser steps of everybody who learns from a scene's pictures."""
    seeds: int = 1
    """How many times systems that draw are asked."""
    by: Literal["force", "chain"] = "force"
    """What the tasks of a single split are: kinds of hidden force, or counts of foretold events."""
    metrics: tuple[str, ...] = (ERROR, AT, "velocity_error", "collision_time_error", "penetration", "crps", "best_of_k")  # fmt: skip
    """What is measured, the one that decides first."""

    def __post_init__(self) -> None:
        for name, value in (
            ("seen", self.seen),
            ("resamplings", self.resamplings),
            ("seeds", self.seeds),
        ):
            if value < 1:
                raise ValueError(f"{name} got {value}; expected at least 1.")
        if self.limit < 0 or self.timeout <= 0:
            raise ValueError(
                f"limit and timeout got {self.limit}, {self.timeout}; expected 0 or more, above 0."
            )
        for metric in (*self.metrics, *(c.metric for c in self.claims if c.metric)):
            if metric not in METRICS:
                raise ValueError(f"metric got {metric!r}; expected one of {', '.join(METRICS)}.")


_CLAIMS = (
    Claim(
        "learned-halves-constant-velocity", "all", "world-model", "constant-velocity", 0.5,
        relative=True, claim="The world model's error is at most half of constant velocity's.",
    ),
    Claim(
        "learned-beats-nominal-where-hidden", "hidden", "world-model", "engine-nominal",
        claim="Where a force is hidden, the world model errs less than an engine without it.",
    ),
    Claim(
        "learned-beats-fitted-air-where-hidden", "hidden", "world-model", "engine-fitted-air",
        claim="Where a force is hidden, the world model errs less than an engine that fits air and wind.",
    ),
    Claim(
        "nominal-beats-learned-where-nothing-hidden", "none", "engine-nominal", "world-model",
        claim="Where nothing is hidden, the engine errs less than the world model.",
    ),
    Claim(
        "residual-helps", "all", "engine-residual", "engine-nominal", 0.1, relative=True,
        claim="What an engine learns from training worlds takes a tenth off its error.",
    ),
    Claim(
        "learned-beats-residual-where-hidden", "hidden", "world-model", "engine-residual",
        claim="Where a force is hidden, the world model errs less than an engine that learned from worlds, too.",
    ),
)  # fmt: skip

_REAL = (
    Claim(
        "nominal-halves-constant-velocity", "tosses-first-state", "engine-nominal", "constant-velocity", 0.5,
        relative=True, metric="toss_position",
        claim="On real tosses an engine with handbook numbers has at most half of constant velocity's error.",
    ),
    Claim(
        "identified-beats-stated", "tosses-first-state", "engine-identified", "engine-stated", 0.2,
        relative=True, metric="toss_position",
        claim="Numbers identified on the other half of the tosses take a fifth off the error with those stated.",
    ),
    Claim(
        "six-frames-beat-one", "tosses-six-frames", "contact-identified", "engine-identified",
        metric="toss_position", claim="With six frames seen, the smooth contact errs less than MuJoCo.",
    ),
    Claim(
        "air-beats-none", "basketball", "engine-fitted-true-air", "engine-fitted", 0.005,
        claim="On the basketball, air takes half a centimetre off the fitted engine's error.", metric=ERROR,
    ),
)  # fmt: skip

_HIDDEN = (
    Claim(
        "missing-terms-help", "hidden", "engine-fitted-terms", "engine-fitted",
        claim="Where a force is hidden, an engine that fits the missing terms errs less than one that does not.",
    ),
    Claim(
        "knowing-helps", "hidden", "engine-true", "engine-nominal", 0.25, relative=True,
        claim="Knowing all forces would take a quarter off the nominal engine's error where one is hidden.",
    ),
)  # fmt: skip

_THOUGHTS = (
    Claim(
        "thoughts-help", "all", "world-model-4", "world-model-0", 0.05, relative=True,
        claim="Four thoughts before each segment take at least a twentieth off the error without any.",
    ),
    Claim(
        "thoughts-help-where-much-happens", "events-4+", "world-model-4", "world-model-0", 0.1, relative=True,
        claim="Where four or more events are to be foretold, they take at least a tenth off.",
    ),
    Claim(
        "more-thoughts-help", "all", "world-model-16", "world-model-4", 0.02, relative=True,
        claim="Sixteen thoughts take a further fiftieth off.",
    ),
    Claim(
        "thoughts-matter", "all", "world-model-4", "world-model-swapped", 0.05, relative=True,
        claim="With the thoughts about another scene in the place of its own, the model errs by a twentieth more.",
    ),
    Claim(
        "thoughts-are-read", "all", "world-model-4", "world-model-noise-4", 0.05, relative=True,
        claim="Noise four times as strong as its thoughts makes the model err by a twentieth more.",
    ),
)  # fmt: skip

_RENDERER = (
    Claim(
        "picture-parity", "all", "cpu", "", -5e-5, metric="image_error",
        claim="The CPU rasteriser's pictures differ from a float64 brute force by at most 5e-5.",
    ),
    Claim(
        "gradient-parity", "all", "cpu", "", -1e-3, metric="gradient_error",
        claim="Its gradients differ by at most a thousandth.",
    ),
    Claim(
        "ten-times-as-fast", "300", "cpu", "torch-reference", 0.9, relative=True, metric="draw_seconds",
        claim="With 300 Gaussians it takes at most a tenth of the time of a dense loop in torch.",
    ),
)  # fmt: skip

_GENERATE = (
    Claim(
        "learned-reads-prompts", "all", "world-model-prompted", "planner-engine",
        claim="The world model makes as large a share of prompts come true as the planner with its engine.",
    ),
    Claim(
        "learned-names-things", "all", "world-model-prompted", "planner-engine", -0.05, metric="things_right",
        claim="Of the things named it makes at most a twentieth fewer right.",
    ),
    Claim(
        "many-things-cost-the-model", "4+-things", "planner-engine", "world-model-prompted",
        claim="Of prompts with four things or more, the planner makes more come true.",
    ),
)  # fmt: skip

_RECONSTRUCT = (
    Claim(
        "motion-pays", "all", "gaussians-control-nodes", "gaussians-static", 1.0,
        claim="Control nodes show held-out pictures at least 1 dB better than Gaussians that stand still.",
    ),
    Claim(
        "nodes-beat-polynomials", "all", "gaussians-control-nodes", "gaussians-polynomial",
        claim="They are better than a polynomial for each Gaussian, too.",
    ),
    Claim(
        "learning-pays", "all", "gaussians-control-nodes", "nearest-picture", 3.0,
        claim="They are at least 3 dB better than the nearest training picture.",
    ),
)  # fmt: skip

SUITES: dict[str, SuiteConfig] = {
    "predict": SuiteConfig(claims=_CLAIMS),
    "ood": SuiteConfig("ood", SPLITS_OOD, claims=(_CLAIMS[0],)),
    "real": SuiteConfig(
        "real", ("tosses-first-state", "tosses-six-frames", "basketball", "filmed-balls"),
        (
            "static", "constant-velocity", "constant-acceleration", "engine-nominal", "engine-fitted",
            "engine-fitted-true-air", "engine-stated", "engine-identified", "contact-identified",
        ),
        horizons=(0.1, 0.2, 0.3, 0.4), claims=_REAL, source="real",
        metrics=("toss_position", "toss_rotation", ERROR, AT, "film_error"),
    ),
    "hidden-physics": SuiteConfig(
        "hidden-physics", ("test",),
        (
            "constant-velocity", "engine-nominal", "engine-fitted", "engine-fitted-terms", "engine-residual",
            "engine-true", "world-model",
        ),
        limit=60, timeout=600.0, claims=_HIDDEN,
    ),
    "thoughts": SuiteConfig(
        "thoughts", ("test",),
        ("constant-velocity", *(f"world-model-{n}" for n in (*COUNTS, "zeroed", "swapped", "noise", "noise-4"))),
        claims=_THOUGHTS, by="chain", metrics=(ERROR, AT, "velocity_error", "collision_time_error", "penetration"),
    ),
    "thoughts-ood": SuiteConfig(
        "thoughts-ood", SPLITS_OOD,
        ("constant-velocity", *(f"world-model-{n}" for n in COUNTS)),
        claims=(_THOUGHTS[0], _THOUGHTS[2]), metrics=(ERROR, AT, "velocity_error", "collision_time_error", "penetration"),
    ),
    "renderer": SuiteConfig(
        "renderer", ("50", "150", "300", "20000"), ("cpu", "torch-reference"), limit=4, timeout=600.0,
        claims=_RENDERER, source="renderer", metrics=("draw_seconds", "image_error", "gradient_error", "large_seconds"),
    ),
    "generate": SuiteConfig(
        "generate", ("test",), ("planner-engine", "world-model-prompted", "true-world"), limit=100,
        claims=_GENERATE, source="prompts",
        metrics=(
            "prompt_right", "count_right", "looks_right", "acts_right", "things_right", "clauses_right",
        ),
    ),
    "reconstruct": SuiteConfig(
        "reconstruct", ("test",), ("nearest-picture", *(f"gaussians-{kind}" for kind in KINDS)), limit=3,
        timeout=3600.0, claims=_RECONSTRUCT, source="captured", steps=1500, metrics=("psnr", "ssim"),
    ),
    "smoke": SuiteConfig(
        "smoke", ("train",), ("static", "constant-velocity", "engine-nominal"), make=16, limit=12,
        claims=(Claim("engine-beats-static", "all", "engine-nominal", "static"),),
    ),
}  # fmt: skip
