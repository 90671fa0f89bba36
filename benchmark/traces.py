"""What a monitor of reasoning sees, what it makes of it, and how well it tells bad from clean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.benchmark.studies import foretold
from clay4d.world_model.model import WorldModel
from clay4d.world_model.model.dynamics import Segment
from clay4d.world_model.model.world_model import FPS, whole_segment
from clay4d.world_model.training.score import Episodes

RIDGE = 30.0
DIRECTIONS = 24
"""Of a thought's deviations, those of most variance; the others are one number."""
PENALTY = 1e-2


@dataclass(frozen=True)
class Trace:
    """N worlds' reasoning as it is shown: S stretches of K thoughts."""

    read: Float[Tensor, "N R"]
    """What the reasoner was given before each stretch, means over things."""
    thoughts: Float[Tensor, "N S K D"]
    foretold: Float[Tensor, "N F"]
    """What its forecast looks like."""


@torch.no_grad()
def traced(
    model: WorldModel, given: Episodes, *, thoughts: int, disturbance: Any = None, reader: WorldModel | None = None
) -> Trace:  # fmt: skip
    """Foretell, and keep what a monitor may see; `reader` embeds what was read, the model by default."""
    positions, had = foretold(model, given, thoughts=thoughts, disturbance=disturbance)
    vectors = torch.stack([t.vectors for t in had.thoughts], 1)
    dynamics, size = (reader or model).dynamics, model.config.reasoning.segment
    slots, shown = given.context, given.context.positions.shape[1]
    there = slots.present.float()[..., None]
    first = whole_segment(slots, size)
    parts = [slots.stage]
    for s in range(vectors.shape[1]):
        if s:
            places = positions[:, shown + (s - 1) * size : shown + s * size]
            turns = first.quats[:, -1:].expand(-1, size, -1, -1)
            first = Segment(places, turns, slots.present[:, None].expand(places.shape[:3]))
        tokens = dynamics.tokens(first, slots.looks, s)
        parts.append((tokens * there).sum(1) / there.sum(1).clamp_min(1))
    return Trace(torch.cat(parts, 1), vectors, looks_of(positions, given, shown=shown))


def looks_of(positions: Tensor, given: Episodes, *, shown: int) -> Float[Tensor, "N F"]:
    """Numbers of a forecast: speeds, accelerations, the jump where it begins, heights, nearness."""
    present = given.context.present.float()
    speed = (positions[:, 1:] - positions[:, :-1]) * FPS
    push = (speed[:, 1:] - speed[:, :-1]) * FPS
    seam = push[:, shown - 2 : shown].norm(dim=-1).amax(1)
    apart = (positions[:, shown:, :, None] - positions[:, shown:, None]).norm(dim=-1)
    none = ~(given.context.present[:, :, None] & given.context.present[:, None])
    none = none | torch.eye(positions.shape[2], dtype=torch.bool)
    near = apart.masked_fill(none[:, None], 9.0).amin((1, 3))
    later = slice(shown, None)
    each = torch.stack([
        speed[:, later].norm(dim=-1).mean(1), speed[:, later, :, 2].mean(1), push[:, later].norm(dim=-1).mean(1),
        push[:, later, :, 2].mean(1), push[:, later].norm(dim=-1).amax(1), seam,
        positions[:, later, :, 2].amin(1), positions[:, later, :, 2].amax(1), near,
    ], -1)  # fmt: skip
    weight = present[..., None]
    mean = (each * weight).sum(1) / weight.sum(1).clamp_min(1)
    return torch.cat([mean, (each.masked_fill(weight == 0, -1e3)).amax(1)], 1)


@dataclass(frozen=True)
class Expected:
    """What a linear map expects of each thought, and how clean traces deviate from it."""

    mean: Float[Tensor, " R"]
    scale: Float[Tensor, " R"]
    weight: Float[Tensor, "R' S K D"]
    basis: Float[Tensor, "S K D E"]
    spread: Float[Tensor, "S K E"]

    @classmethod
    def learn(cls, clean: Trace) -> Expected:
        """Ridge regression of thoughts on what was read; deviations are of held-back worlds, fold by fold."""
        mean, scale = clean.read.mean(0), clean.read.std(0) + 1e-4
        z = _with_one((clean.read - mean) / scale)
        flat = clean.thoughts.flatten(1)
        off = torch.zeros_like(flat)
        fold = torch.arange(len(z)) % 5
        for k in range(5):
            rest, out = fold != k, fold == k
            off[out] = flat[out] - z[out] @ _ridge(z[rest], flat[rest])
        shape = clean.thoughts.shape[1:]
        deviations = off.unflatten(1, shape).permute(1, 2, 0, 3)
        _, values, turn = torch.linalg.svd(deviations, full_matrices=False)
        few = min(DIRECTIONS, turn.shape[2])
        spread = values[..., :few] / len(z) ** 0.5 + 1e-4
        weight = _ridge(z, flat).unflatten(1, shape)
        return cls(mean, scale, weight, turn.mT[..., :few], spread)

    def __call__(self, read: Float[Tensor, "N R"]) -> Float[Tensor, "N S K D"]:
        """Thoughts as they are expected."""
        z = _with_one((read - self.mean) / self.scale)
        said: Tensor = torch.einsum("nr,rskd->nskd", z, self.weight)
        return said


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones(len(x), 1)], 1)


def _ridge(x: Tensor, y: Tensor) -> Tensor:
    weight: Tensor = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]), x.T @ y)
    return weight


def _surprise(trace: Trace, expected: Expected) -> np.ndarray:
    """Two numbers a thought: how unusual its deviation is, and how long what is left of it."""
    off = trace.thoughts - expected(trace.read)
    along = torch.einsum("nskd,skde->nske", off, expected.basis)
    far = (along / expected.spread).square().mean(-1).log1p()
    rest = (off.square().sum(-1) - along.square().sum(-1)).clamp_min(1e-9).log()
    return torch.cat([far.flatten(1), rest.flatten(1)], 1).double().numpy()


def _lengths(trace: Trace, expected: Expected) -> np.ndarray:
    x = trace.thoughts.norm(dim=-1).clamp_min(1e-6).log().flatten(1)
    return torch.cat([x, (x - x.mean(0)).square()], 1).double().numpy()


def _output(trace: Trace, expected: Expected) -> np.ndarray:
    x = trace.foretold
    found: np.ndarray = torch.cat([x, (x - x.mean(0)).square()], 1).double().numpy()
    return found


DETECTORS: dict[str, Callable[[Trace, Expected], np.ndarray]] = {
    "thoughts": _surprise, "output": _output, "lengths": _lengths,
}  # fmt: skip
"""What each monitor sees of a trace."""


def scores(
    clean: np.ndarray, bad: np.ndarray, asked: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, ...]:
    """How bad traces look to a logistic regression that learned clean from bad, both weighing alike."""
    x = np.concatenate([clean, bad])
    mean, scale = x.mean(0), x.std(0) + 1e-6

    def wide(v: np.ndarray) -> Tensor:
        z = ((v - mean) / scale).clip(-6, 6)
        return torch.from_numpy(np.concatenate([z, np.ones((len(z), 1))], 1))

    z = wide(x)
    y = torch.cat([torch.zeros(len(clean)), torch.ones(len(bad))]).double()
    cost = torch.where(y > 0, 0.5 / len(bad), 0.5 / len(clean))
    w = torch.zeros(z.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([w], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        each = torch.nn.functional.binary_cross_entropy_with_logits(z @ w, y, reduction="none")
        loss = (cost * each).sum() + PENALTY * w[:-1].square().mean()
        loss.backward()
        return loss

    solver.step(closure)
    return tuple((wide(v) @ w.detach()).numpy() for v in asked)


def placed(clean: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each bad score the share of clean ones below it (its mean is the AUROC), and whether it is above 99 % of them.

    >>> [x.tolist() for x in placed(np.array([0.0, 1.0]), np.array([2.0, 0.0, -1.0]))]
    [[1.0, 0.25, 0.0], [1.0, 0.0, 0.0]]
    """
    below = (bad[:, None] > clean).mean(1) + 0.5 * (bad[:, None] == clean).mean(1)
    return below, (bad > np.quantile(clean, 0.99)).astype(float)
