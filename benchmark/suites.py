"""What a suite is: a frozen config whose text is hashed into its results before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

SPLITS_OOD = ("ood-speed", "ood-size", "ood-count", "ood-combination")
ARMS = (
    "static", "constant-velocity", "engine-nominal", "engine-fitted", "engine-fitted-air", "world-model",
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A hypothesis with its margin, written down before the run."""

    id: str
    task: str
    """A task of the suite, `all` for all its scenes, `hidden` for those with a hidden force."""
    system: str
    """Expected to be better…"""
    rival: str
    """…than this one, by at least `margin`."""
    margin: float = 0.0
    """Metres, or a share of the rival's error where `relative` is set."""
    relative: bool = False
    claim: str = ""
    """In plain words."""


@dataclass(frozen=True)
class SuiteConfig:
    """A suite over made worlds.

    Raises:
        ValueError: counts below 1.
    """

    name: str = "predict"
    splits: tuple[str, ...] = ("test",)
    """Of the worlds; each is a task by itself where there are several."""
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

    def __post_init__(self) -> None:
        for name, value in (("seen", self.seen), ("resamplings", self.resamplings)):
            if value < 1:
                raise ValueError(f"{name} got {value}; expected at least 1.")
        if self.limit < 0 or self.timeout <= 0:
            raise ValueError(
                f"limit and timeout got {self.limit}, {self.timeout}; expected 0 or more, above 0."
            )


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
)  # fmt: skip

SUITES: dict[str, SuiteConfig] = {
    "predict": SuiteConfig(claims=_CLAIMS),
    "ood": SuiteConfig("ood", SPLITS_OOD, claims=(_CLAIMS[0],)),
    "smoke": SuiteConfig(
        "smoke", ("train",), ("static", "constant-velocity", "engine-nominal"), make=16, limit=12,
        claims=(Claim("engine-beats-static", "all", "engine-nominal", "static"),),
    ),
}  # fmt: skip
