"""Linear probes: what a straight cut through thoughts can tell of a world, beside shuffled labels and the inputs.

A probe of low capacity reads what is there; a strong one learns the task by itself. So probes here are ridge
regressions onto one-hot labels, their one number chosen by cross-validation on the training worlds, and each
stands beside two controls: the same probe with its training labels shuffled, and the same probe on what the
reasoner was given to read. Sources: Alain and Bengio 2016 (linear probes); Hewitt and Liang 2019 (controls).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from clay4d.benchmark.statistics import Interval
from clay4d.world_model.model.world_model import WorldModel, whole_segment
from clay4d.world_model.training.score import Episodes

RIDGES = tuple(10.0**k for k in range(-1, 6))
FOLDS = 5
RESAMPLINGS = 2000


@dataclass(frozen=True)
class Ridge:
    """A linear probe: labels from features by least squares with a penalty."""

    mean: Float[np.ndarray, " D"]
    scale: Float[np.ndarray, " D"]
    weights: Float[np.ndarray, "D C"]
    bias: Float[np.ndarray, " C"]

    @classmethod
    def fit(cls, x: Float[np.ndarray, "N D"], y: Int[np.ndarray, " N"], *, classes: int) -> Ridge:
        """Fit with the penalty that cross-validation on these worlds chooses; classes weigh alike.

        Raises:
            ValueError: fewer examples than folds, or labels outside 0 to `classes` − 1.

        >>> x = np.repeat(np.eye(2), 10, 0)
        >>> Ridge.fit(x, np.repeat([0, 1], 10), classes=2)(x).tolist() == [0] * 10 + [1] * 10
        True
        """
        if len(x) < FOLDS or y.min() < 0 or y.max() >= classes:
            raise ValueError(
                f"labels got {len(x)} examples from {y.min()} to {y.max()}; expected at least {FOLDS}, "
                f"from 0 to {classes - 1}."
            )
        mean, scale = x.mean(0), x.std(0) + 1e-6
        z = (x - mean) / scale
        folds = np.arange(len(x)) % FOLDS
        scores = []
        for ridge in RIDGES:
            right = []
            for k in range(FOLDS):
                w, b = _solve(z[folds != k], y[folds != k], classes, ridge)
                right.append(balanced((z[folds == k] @ w + b).argmax(1), y[folds == k], classes))
            scores.append(np.mean(right))
        weights, bias = _solve(z, y, classes, RIDGES[int(np.argmax(scores))])
        return cls(mean, scale, weights, bias)

    def __call__(self, x: Float[np.ndarray, "N D"]) -> Int[np.ndarray, " N"]:
        """The likeliest label of each example."""
        said: Int[np.ndarray, " N"] = (
            ((x - self.mean) / self.scale) @ self.weights + self.bias
        ).argmax(1)
        return said


def _solve(
    z: Float[np.ndarray, "N D"], y: Int[np.ndarray, " N"], classes: int, ridge: float
) -> tuple[Float[np.ndarray, "D C"], Float[np.ndarray, " C"]]:
    counts = np.bincount(y, minlength=classes)
    weight = (len(y) / np.maximum(counts, 1) / classes)[y][:, None]
    target = np.eye(classes)[y]
    middle, bias = (weight * z).sum(0) / weight.sum(), (weight * target).sum(0) / weight.sum()
    z = z - middle
    gram = z.T @ (weight * z) + ridge * np.eye(z.shape[1])
    found = np.linalg.solve(gram, z.T @ (weight * (target - bias)))
    return found, bias - middle @ found


def balanced(said: Int[np.ndarray, " N"], true: Int[np.ndarray, " N"], classes: int) -> float:
    """Mean over the classes that occur of the share that is right; chance is one over their number.

    >>> balanced(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
    0.75
    """
    here = [c for c in range(classes) if (true == c).any()]
    return float(np.mean([(said[true == c] == c).mean() for c in here]))


def probed(
    train: tuple[Float[np.ndarray, "N D"], Int[np.ndarray, " N"]],
    test: tuple[Float[np.ndarray, "M D"], Int[np.ndarray, " M"]],
    *,
    classes: int,
    shuffled: bool = False,
    seed: int = 0,
) -> Interval:
    """Balanced accuracy of a probe on other worlds, with its 95 % bootstrap interval over them.

    Args:
        shuffled: the control, whose training labels are another world's.
    """
    draws = np.random.default_rng(seed)
    x, y = train
    said = Ridge.fit(x, draws.permutation(y) if shuffled else y, classes=classes)(test[0])
    rows = draws.integers(0, len(said), (RESAMPLINGS, len(said)))
    spread = [balanced(said[r], test[1][r], classes) for r in rows]
    low, high = np.quantile(spread, (0.025, 0.975))
    return Interval(balanced(said, test[1], classes), float(low), float(high), len(said))


@torch.no_grad()
def states(
    model: WorldModel, given: Episodes, *, thoughts: int = 4, at_once: int = 64
) -> dict[str, Float[np.ndarray, "N D"]]:
    """What there is to probe of each world when it has seen its context and thinks for the first time.

    Returns:
        `read`: the mean of the tokens that the reasoner was given for things that are there; `state`: the
        state before any thought; `thought-1` … `thought-K`: the states after each.
    """
    found: dict[str, list[np.ndarray]] = {}
    dynamics, segment = model.dynamics, model.config.reasoning.segment
    for start in range(0, len(given.prompts), at_once):
        rows = slice(start, start + at_once)
        slots = type(given.context)(**{k: v[rows] for k, v in vars(given.context).items()})
        prompts = list(given.prompts[rows])
        first = whole_segment(slots, segment)
        tokens = dynamics.tokens(first, slots.looks, 0)
        real = slots.present.float()[..., None]
        mind = dynamics.begin(prompts, slots.stage)
        mind = dynamics.read(mind, first, slots.looks, slots.present, 0)
        had, mind = dynamics.reasoner.think(mind, thoughts)
        after = getattr(mind, "ready", None)
        parts = {"read": (tokens * real).sum(1) / real.sum(1).clamp_min(1)}
        names = ["state", *(f"thought-{k + 1}" for k in range(thoughts))]
        steps = [*had.hidden.unbind(1), *([] if after is None else [after])]
        parts |= dict(zip(names, steps))
        for name, value in parts.items():
            found.setdefault(name, []).append(value.double().numpy())
    return {name: np.concatenate(rows) for name, rows in found.items()}
