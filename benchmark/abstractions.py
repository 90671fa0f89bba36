"""Where a concept of a world is in the reasoner's layers and thoughts, and whether what follows uses it.

Decodability alone shows that something is there, not that it is used; so beside the probes
(`benchmark.probes`) stand patches: the state is moved along the difference of two classes' means, as far as
they are apart, and what the model then predicts is measured, on the outcome that goes with the concept
and on the others, beside a direction drawn at random. The same patch on the tokens that are read, instead of
on thoughts, shows that patches can move what the model uses.
Sources: Alain & Bengio 2016 (probes by layer); Marks & Tegmark 2023 (differences of means); Han et al. 2024
(concept decodability by layer and over training).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.benchmark.statistics import Interval
from clay4d.scenes.store import read_tensors
from clay4d.world_model.model.world_model import FPS, WorldModel, whole_segment
from clay4d.world_model.reasoners import Thinker
from clay4d.world_model.slots import Slots
from clay4d.world_model.training.score import Episodes

RESAMPLINGS = 2000
NEAR = 1.1
"""Of two things' radii together: centres nearer than this times that count as a touch."""


def last(tokens: Float[Tensor, "N L D"]) -> Float[Tensor, "N D"]:
    """The last of some tokens."""
    return tokens[:, -1]


@contextmanager
def watched(
    reasoner: Thinker, *, pool: Callable[[Tensor], Tensor] = last
) -> Iterator[list[list[Float[Tensor, "N D"]]]]:
    """Collect what each layer gives in each pass while this is open, [layer][pass], by default at the
    last token."""
    blocks = list(reasoner.body.blocks)
    seen: list[list[Tensor]] = [[] for _ in blocks]
    handles = [
        block.register_forward_hook(lambda _, __, out, k=k: seen[k].append(pool(out[0].detach())))
        for k, block in enumerate(blocks)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


Place = Literal["think", "read"]


@contextmanager
def patched(
    reasoner: Thinker, layer: int, shift: Float[Tensor, " D"], *, place: Place = "think"
) -> Iterator[None]:
    """Add `shift` to what a layer gives, in all passes of thinking, or else of reading, and in no others."""
    passes = getattr(reasoner, place)

    def changed(*given: Any, **asked: Any) -> Any:
        block = list(reasoner.body.blocks)[layer]
        handle = block.register_forward_hook(lambda _, __, out: (out[0] + shift, out[1]))
        try:
            return passes(*given, **asked)
        finally:
            handle.remove()

    setattr(reasoner, place, changed)
    try:
        yield
    finally:
        delattr(reasoner, place)


def load_step(model: WorldModel, path: Path) -> int:
    """Give a model the dynamics of a kept checkpoint (`keep_checkpoints`), and say of which step.

    Raises:
        ValueError: a checkpoint of another kind of model.
    """
    tensors, header = read_tensors(path)
    own = model.dynamics.state_dict()
    for name, value in own.items():
        found = next(
            (tensors[k] for k in (f"{p}.dynamics.{name}" for p in ("parameter", "buffer")) if k in tensors),
            None,
        )  # fmt: skip
        if found is None or found.shape != value.shape:
            raise ValueError(
                f"{path}: {name} got {'nothing' if found is None else list(found.shape)}; expected shape "
                f"{list(value.shape)}. Load the model of the same run."
            )
        value.copy_(found)
    return int(header["step"])


@torch.no_grad()
def layer_states(
    model: WorldModel, given: Episodes, *, thoughts: int = 4, at_once: int = 64
) -> dict[str, Float[np.ndarray, "N D"]]:
    """What each layer holds of each world when it has seen its context and thinks for the first time.

    Returns:
        `read`: the mean of the tokens that the reasoner was given for things that are there, the control;
        `L/read`: what layer L gives for them, from 1; `L/T`: what it gives at thought T, 0 before any.
    """
    found: dict[str, list[np.ndarray]] = {}
    dynamics, segment = model.dynamics, model.config.reasoning.segment
    for start in range(0, len(given.prompts), at_once):
        rows = slice(start, start + at_once)
        slots = given.context.of(rows)
        first = whole_segment(slots, segment)
        mind = dynamics.begin(list(given.prompts[rows]), slots.stage)
        there = slots.present.float()[..., None]

        def pooled(tokens: Tensor, there: Tensor = there) -> Tensor:
            return (tokens * there).sum(1) / there.sum(1).clamp_min(1)

        with watched(dynamics.reasoner, pool=pooled) as read:
            mind = dynamics.read(mind, first, slots.looks, slots.present, 0)
        with watched(dynamics.reasoner) as seen:
            dynamics.reasoner.think(mind, thoughts)
        parts = {"read": pooled(dynamics.tokens(first, slots.looks, 0))}
        for layer, passes in enumerate(seen):
            parts[f"{layer + 1}/read"] = read[layer][0]
            parts |= {f"{layer + 1}/{k}": value for k, value in enumerate(passes)}
        for name, value in parts.items():
            found.setdefault(name, []).append(value.double().numpy())
    return {name: np.concatenate(rows) for name, rows in found.items()}


def outcomes(slots: Slots, movers: Tensor, *, shown: int) -> dict[str, Float[np.ndarray, " N"]]:
    """What a predicted scene does after its first `shown` moments, one number a world.

    Returns:
        touches: share of movers that come near another thing; way: mean length of movers' ways, metres;
        aside: mean change of movers' horizontal velocity, metres per second squared.
    """
    places, counted = slots.positions[:, shown - 1 :], (movers & slots.present).float()
    total = counted.sum(1).clamp_min(1)
    radius = slots.looks[..., 0].exp()
    apart = (places[:, :, :, None] - places[:, :, None]).norm(dim=-1)
    reach = NEAR * (radius[:, :, None] + radius[:, None])[:, None]
    other = ~torch.eye(places.shape[2], dtype=torch.bool) & slots.present[:, None, None]
    near = ((apart < reach) & other).any(3).any(1).float()
    speed = (places[:, 1:] - places[:, :-1]) * FPS
    way = speed.norm(dim=-1).mean(1) * ((places.shape[1] - 1) / FPS)
    turn = ((speed[:, 1:] - speed[:, :-1]) * FPS)[..., :2].norm(dim=-1).mean(1)
    named = {"touches": near, "way": way, "aside": turn}
    return {k: ((v * counted).sum(1) / total).double().numpy() for k, v in named.items()}


@dataclass(frozen=True)
class Effect:
    """How outcomes differ between states moved towards one class and towards the other, over worlds."""

    concept: str
    outcome: str
    patched: Interval
    """In standard deviations of the outcome over the worlds as they are predicted without a patch."""
    random: Interval
    """The same for a direction drawn at random, as long."""


@torch.no_grad()
def patch_effects(
    model: WorldModel,
    given: Episodes,
    directions: dict[str, Float[np.ndarray, " D"]],
    *,
    layer: int,
    thoughts: int = 4,
    strength: float = 1.0,
    place: Place = "think",
    seed: int = 0,
) -> list[Effect]:
    """Move states along each direction, half its length times `strength` either way, and see what follows.

    Args:
        directions: for each concept, the difference of its classes' means at `layer`, from 1.
        place: whether states of thoughts are moved or those of tokens that are read, the control.

    Raises:
        ValueError: no such layer.
    """
    count = len(list(model.dynamics.reasoner.body.blocks))
    if not 1 <= layer <= count:
        raise ValueError(f"layer got {layer}; expected 1 to {count}.")
    shown = given.context.positions.shape[1]

    def predict(shift: Float[np.ndarray, " D"]) -> dict[str, np.ndarray]:
        move = torch.from_numpy(shift).float()
        with patched(model.dynamics.reasoner, layer - 1, move, place=place):
            slots, _ = model.imagine(
                given.prompts, context=given.context, frames=given.truth.shape[1],
                thoughts=thoughts, temperature=0.0,
            )  # fmt: skip
        return outcomes(slots, given.movers, shown=shown)

    draws = np.random.default_rng(seed)
    plain = predict(np.zeros_like(next(iter(directions.values()))))
    found = []
    for concept, direction in directions.items():
        chance = draws.normal(size=direction.shape)
        chance *= np.linalg.norm(direction) / np.linalg.norm(chance)
        both = [
            (predict(0.5 * strength * d), predict(-0.5 * strength * d)) for d in (direction, chance)
        ]
        for outcome, usual in plain.items():
            scale = usual.std() + 1e-9
            told = [_mean((up[outcome] - down[outcome]) / scale, draws) for up, down in both]
            found.append(Effect(concept, outcome, *told))
    return found


def direction(
    states: Float[np.ndarray, "N D"], labels: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " D"]:
    """From the mean state of class 0 to that of class 1.

    Raises:
        ValueError: a class without examples.

    >>> direction(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([0, 1])).tolist()
    [2.0, 0.0]
    """
    if not (labels == 0).any() or not (labels == 1).any():
        raise ValueError("labels got one class alone; expected examples of both. Take more worlds.")
    away: Float[np.ndarray, " D"] = states[labels == 1].mean(0) - states[labels == 0].mean(0)
    return away


def _mean(values: Float[np.ndarray, " N"], draws: np.random.Generator) -> Interval:
    means = values[draws.integers(0, len(values), (RESAMPLINGS, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high), len(values))
