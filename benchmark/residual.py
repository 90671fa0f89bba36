"""An engine with a learned residual: the nominal engine's path, and what it usually gets wrong added to it.

The correction of a thing is a sum of vectors that turn with the scene (towards where it stood, towards
where it would go straight on, how far the engine missed the seen frames, …), each times a number that a
ridge regression learned from `train` worlds: from what the thing is, how it moves and how long it has
been unseen. So the scene turned or mirrored gives the correction turned or mirrored. It learned from the
same worlds as the world model did, and is told what all systems are told. `clay4d.benchmark.residual_fit`
fits it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from clay4d.benchmark.estimate import Estimate, State, estimate, state_at
from clay4d.benchmark.observation import Observation, Prediction, Thing
from clay4d.benchmark.systems import NominalEngine, nominal_scene, sampled
from clay4d.physics_baseline.engines import Engine, make_engine
from clay4d.scenes.store import read_tensors, write_tensors

FORMAT = "clay4d-residual-1"
WEIGHTS = Path(__file__).parent / "weights" / "residual.safetensors"
SURPRISES = 5
"""Last seen frames at which the engine's miss is looked at."""
UNIT = 1.5
"""Seconds that times are told in."""
POWERS = 3
"""Of the time: 1, t, t²."""
EARLY_STEP = 1 / 480
"""Longest step of the simulation from the first frame on, seconds: it only shows what was missed."""
SHAPES, MATERIALS = ("ball", "cube", "cylinder"), ("rubber", "steel", "wood")
VECTORS = 6 + SURPRISES
GATES = 11 + len(SHAPES) + len(MATERIALS)


@dataclass(frozen=True)
class Clues:
    """What is known of N moving things at T later moments."""

    vectors: Float[np.ndarray, "N T V 3"]
    """They turn with the scene; metres, metres per second, or of length 1."""
    gates: Float[np.ndarray, "N T S"]
    """Plain numbers, which do not turn."""
    ahead: Float[np.ndarray, " T"]
    """Seconds since the last moment that was seen."""


@dataclass(frozen=True)
class Law:
    """The correction's numbers: which gate moves which vector, at which power of the time."""

    weights: Float[np.ndarray, "S P V"]
    low: Float[np.ndarray, " S"]
    high: Float[np.ndarray, " S"]
    """What gates were in training: outside they count as at the end."""

    def correction(self, clues: Clues) -> Float[np.ndarray, "N T 3"]:
        """Metres to add to the nominal engine's centres.

        >>> law = Law(np.zeros((GATES, POWERS, VECTORS)), np.zeros(GATES), np.ones(GATES))
        >>> clues = Clues(np.ones((2, 4, VECTORS, 3)), np.ones((2, 4, GATES)), np.arange(4.0))
        >>> law.correction(clues).shape
        (2, 4, 3)
        """
        gates = np.clip(clues.gates, self.low, self.high)
        clock = powers(clues.ahead)
        found: Float[np.ndarray, "N T 3"] = np.einsum(
            "nts,tp,spv,ntvk->ntk", gates, clock, self.weights, clues.vectors, optimize=True
        )
        return found


class ResidualEngine:
    """The nominal engine, put right by a law that was learned from training worlds."""

    name = "engine-residual"

    def __init__(self, weights: str | Path | None = None) -> None:
        self._law = read_law(weights or WEIGHTS)
        self._runs = Runs()

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """The nominal engine's trajectory, with the correction added to the centres of what moves."""
        found = estimate(observation)
        plain, early = self._runs.of(observation, found, times)
        which, clues = clues_of(observation, found, plain.positions, early, times)
        return Prediction(
            corrected(self._law, observation, plain.positions, which, clues), plain.quats
        )


class Runs:
    """The two simulations that a correction is made from."""

    def __init__(self) -> None:
        self._nominal = NominalEngine()
        self._early: Engine = make_engine("mujoco", step=EARLY_STEP)

    def of(
        self, observation: Observation, found: Estimate, times: Float[np.ndarray, " T"]
    ) -> tuple[Prediction, Float[np.ndarray, "M B 3"]]:
        """The nominal prediction, and centres from the first frame on, at the M seen and later moments."""
        plain = self._nominal.predict_from(observation, found, times)
        scene = nominal_scene(observation, found, until=float(times[-1]), last=False)
        path = self._early.run(scene, check=False)
        clock = np.concatenate([observation.times, times])
        return plain, sampled(path, float(observation.times[0]), clock).positions


def corrected(
    law: Law, observation: Observation, plain: Float[np.ndarray, "T B 3"], which: Sequence[int], clues: Clues
) -> Float[np.ndarray, "T B 3"]:  # fmt: skip
    """Centres with the correction; nothing is put into the floor that was above it."""
    out = plain.copy()
    if not which:
        return out
    out[:, which] += law.correction(clues).transpose(1, 0, 2)
    if observation.floor:
        for b in which:
            least = np.minimum(plain[:, b, 2], low_of(observation.things[b]))
            out[:, b, 2] = np.maximum(out[:, b, 2], least)
    return out


def clues_of(
    observation: Observation, found: Estimate, nominal: Float[np.ndarray, "T B 3"],
    early: Float[np.ndarray, "M B 3"], times: Float[np.ndarray, " T"],
) -> tuple[list[int], Clues]:  # fmt: skip
    """Which things move and were seen, and what is known of them."""
    things, ahead = observation.things, times - observation.times[-1]
    seen = len(observation.times)
    which = [b for b, t in enumerate(things) if t.moves and found.seen[:, b].any()]
    vectors = np.zeros((len(which), len(times), VECTORS, 3))
    gates = np.zeros((len(which), len(times), GATES))
    for k, b in enumerate(which):
        state = state_at(found, b, last=True, thing=things[b], floor=observation.floor)
        missed = _missed(found.positions[:, b] - early[:seen, b])
        late = early[seen:, b] - nominal[:, b]
        vectors[k] = _vectors(state, nominal[:, b], late, missed, ahead)
        gates[k] = _gates(state, things, b, nominal, late, missed, ahead, found.noise)
    return which, Clues(vectors, gates, ahead)


def powers(ahead: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T P"]:
    """1, t, t² of times in units of `UNIT`."""
    return (ahead / UNIT)[:, None] ** np.arange(POWERS)


def low_of(thing: Thing) -> float:
    """The least height of its centre above the floor that it lies on, metres."""
    return 0.5 * min(thing.size)


def _missed(off: Float[np.ndarray, "F 3"]) -> Float[np.ndarray, "W 3"]:
    """How far the engine from the first frame on was off at the last seen frames; 0 where not seen."""
    known = np.nan_to_num(off[-SURPRISES:])
    return np.pad(known, ((SURPRISES - len(known), 0), (0, 0)))


def _vectors(
    state: State, path: Float[np.ndarray, "T 3"], late: Float[np.ndarray, "T 3"],
    missed: Float[np.ndarray, "W 3"], ahead: Float[np.ndarray, " T"],
) -> Float[np.ndarray, "T V 3"]:  # fmt: skip
    """Towards where it was, towards where it would go straight on, towards the engine from the first
    frame on; up, its velocity, from the middle of the world; how far the engine missed."""
    still = state.position - path
    moving = [still, still + ahead[:, None] * state.velocity, late]
    middle = state.position * np.array([1.0, 1.0, 0.0])
    fixed = [np.array([0.0, 0.0, 1.0]), state.velocity, middle, *missed]
    return np.stack([*moving, *(np.broadcast_to(v, path.shape) for v in fixed)], 1)


def _gates(
    state: State, things: Sequence[Thing], b: int, nominal: Float[np.ndarray, "T B 3"],
    late: Float[np.ndarray, "T 3"], missed: Float[np.ndarray, "W 3"], ahead: Float[np.ndarray, " T"], noise: float,
) -> Float[np.ndarray, "T S"]:  # fmt: skip
    """What it is, how it moves, whether the engine did well so far, and whether it meets something."""
    thing, h = things[b], ahead[:, None]
    fall = np.array([0.0, 0.0, -9.81]) if state.flying else np.zeros(3)
    free = state.position + h * state.velocity + 0.5 * h**2 * fall
    met = np.tanh(np.linalg.norm(nominal[:, b] - free, axis=1) / 0.3)
    unsure = np.tanh(np.linalg.norm(late, axis=1) / 0.3)
    size = float(np.prod(thing.size)) ** (1 / 3)
    still = [
        1.0, state.flying, state.position[2] - low_of(thing) < 0.03,
        *(thing.shape == s for s in SHAPES), *(thing.material == m for m in MATERIALS),
        np.log(size / 0.2), np.linalg.norm(state.velocity) / 2, sum(t.moves for t in things) / 4,
        np.tanh(np.linalg.norm(missed[-1]) / (4 * noise)),
        np.tanh(np.linalg.norm(missed) / (8 * noise)),
    ]  # fmt: skip
    row = np.broadcast_to(np.array(still, float), (len(ahead), len(still)))
    return np.column_stack([row, met, unsure, _near(things, b, nominal)])


def _near(
    things: Sequence[Thing], b: int, nominal: Float[np.ndarray, "T B 3"]
) -> Float[np.ndarray, " T"]:
    """1 where the engine's path touches another thing by then, near 0 where it stays away."""
    gaps = np.full(len(nominal), 9.0)
    for k, other in enumerate(things):
        if k != b:
            reach = 0.5 * (max(things[b].size) + max(other.size))
            gaps = np.minimum(gaps, np.linalg.norm(nominal[:, b] - nominal[:, k], axis=1) - reach)
    closest: Float[np.ndarray, " T"] = np.exp(-np.maximum(np.minimum.accumulate(gaps), 0) / 0.2)
    return closest


def write_law(path: str | Path, law: Law, notes: dict[str, object]) -> None:
    """Write a law to a safetensors file, with notes on how it was learned."""
    tensors = {n: torch.from_numpy(np.ascontiguousarray(v)) for n, v in vars(law).items()}
    write_tensors(path, tensors, {"format": FORMAT, **notes})


def read_law(path: str | Path) -> Law:
    """Read a law.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another format or other shapes, NaN or infinity.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} got format {header.get('format')!r}; expected {FORMAT!r}. "
            "Make it with: python -m clay4d.benchmark.residual_fit"
        )
    expected = {"weights": (GATES, POWERS, VECTORS), "low": (GATES,), "high": (GATES,)}
    for name, shape in expected.items():
        value = tensors.get(name)
        if value is None or tuple(value.shape) != shape or not torch.isfinite(value).all():
            raise ValueError(
                f"{path} got {name} of another shape, or NaN; expected finite numbers of shape {shape}. "
                "Make it with: python -m clay4d.benchmark.residual_fit"
            )
    return Law(*(tensors[n].double().numpy() for n in expected))
