"""Small reasoners on puzzles of reachability, trained alike and told apart only by what a thought is.

A token for each edge, one for the root; then K thoughts; then the two ends are asked for at once. All
learn by COCONUT's curriculum (Hao et al. 2024): at first the way is written out by a teacher, then its first
step is a thought of the reasoner's own, then the first two, and so on. So what a recycled state brings is told from
what the curriculum brings (`pause`, the same passes with a fixed embedding) and from passes (`pause-single`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clay4d.benchmark.graphs import MOST_HOPS, MOST_NODES, Puzzles
from clay4d.world_model.reasoners import EventSizes, Size, Thoughts, build_reasoner

ARMS = {
    "none": "none", "written chain": "script", "pause": "pause-single",
    "multi-pass pause": "pause", "recycled": "recycled",
}  # fmt: skip
"""The arms, and the reasoner that each is."""


@dataclass(frozen=True)
class GraphTraining:
    """How each arm is trained.

    Raises:
        ValueError: fewer than one step, puzzle or example.
    """

    size: Size = field(default_factory=lambda: Size(128, 2, 4, 256))
    steps: int = 12_000
    batch: int = 64
    lr: float = 1e-3
    puzzles: int = 20_000
    """Graphs to train on; their symbols are new each time."""
    curriculum: float = 0.6
    """Share of the steps after which all thoughts are the reasoner's own."""
    mixed: float = 0.1
    """Share of the steps at a stage drawn from all, so that earlier ones are not forgotten."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "puzzles"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} got {getattr(self, name)}; expected at least 1.")


class GraphReasoner(nn.Module):
    """Edges in, thoughts, and a score for each of two ends.

    >>> model = GraphReasoner("recycled", Size(16, 1, 2, 32))
    >>> model.reasoner.kind
    'recycled'
    """

    def __init__(self, kind: str, size: Size) -> None:
        super().__init__()
        tables = [nn.Embedding(MOST_NODES, size.width) for _ in range(4)]
        for table in tables:
            nn.init.normal_(table.weight, std=0.5)
        self.parent, self.child, self.root, self.end = tables
        # An event is a step of the way: one sentence, one moment, the node that it leads to.
        self.reasoner = build_reasoner(kind, size, EventSizes(2, 1, MOST_NODES + 1))
        self.score = nn.Linear(size.width, 1)

    def forward(
        self, asked: Puzzles, *, latent: int | None = None, taught: bool = False
    ) -> tuple[Float[Tensor, "N 2"], Thoughts]:
        """Scores of the two ends.

        Args:
            latent: thoughts of the reasoner's own; the rest are written. All by default.
            taught: whether a teacher writes what is written.
        """
        edges = self.parent(asked.edges[..., 0]) + self.child(asked.edges[..., 1])
        tokens = torch.cat([edges, self.root(asked.root)[:, None]], 1)
        real = torch.cat([asked.real, torch.ones(len(asked), 1, dtype=torch.bool)], 1)
        mind = self.reasoner.read(tokens, real)
        written = events(asked.path) if taught else None
        had, mind = self.reasoner.think(mind, MOST_HOPS, latent=latent, written=written)
        both = torch.ones(len(asked), 2, dtype=torch.bool)
        # Each end is asked for alone, so that neither sees the other.
        found = [
            self.reasoner.answer(mind, self.end(asked.ends[:, k : k + 1]), both[:, :1])
            for k in range(2)
        ]
        return self.score(torch.cat(found, 1))[..., 0], had


def events(path: Int[Tensor, "N H"]) -> Int[Tensor, "N H 4"]:
    """The steps of a way as events; nothing more after its end.

    >>> events(torch.tensor([[5, -1]])).tolist()
    [[[1, 0, 6, 0], [0, 0, 0, 0]]]
    """
    there = (path >= 0).long()
    zero = torch.zeros_like(path)
    return torch.stack([there, zero, (path + 1) * there, zero], -1)


def writing_loss(had: Thoughts, path: Int[Tensor, "N H"]) -> Tensor:
    """Cross-entropy of the steps that were written, a mean over them; 0 where none were."""
    if had.logits is None:
        return torch.zeros(())
    kind, _, node, _ = had.logits
    true = events(path)[:, -kind.shape[1] :]
    loss = F.cross_entropy(kind.flatten(0, 1), true[..., 0].flatten())
    there: Bool[Tensor, " R"] = true[..., 0].flatten() > 0
    if bool(there.any()):
        loss = loss + F.cross_entropy(
            node.flatten(0, 1)[there], true[..., 2].flatten()[there], reduction="sum"
        ) / len(there)
    return loss


def stage_at(progress: float, training: GraphTraining, draws: torch.Generator) -> int:
    """How many thoughts are the reasoner's own at this share of the steps.

    >>> stage_at(1.0, GraphTraining(mixed=0.0), torch.Generator())
    6
    """
    if float(torch.rand((), generator=draws)) < training.mixed:
        return int(torch.randint(MOST_HOPS + 1, (), generator=draws))
    return min(int(progress / training.curriculum * (MOST_HOPS + 1)), MOST_HOPS)


def train_arm(
    arm: str, puzzles: Puzzles, training: GraphTraining, *, seed: int,
    tell: Callable[[int], None] = lambda step: None,
) -> GraphReasoner:  # fmt: skip
    """One arm, trained; the same seed gives the same graphs and batches to every arm.

    Args:
        arm: of `ARMS`. tell: called with the number of steps done.
    """
    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(1_000_003 * seed + 17)
    model = GraphReasoner(ARMS[arm], training.size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.lr, weight_decay=0.01)
    for step in range(training.steps):
        progress = step / training.steps
        warm = min(step / (0.05 * training.steps + 1), 1.0)
        rate = training.lr * warm * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = torch.randint(len(puzzles), (training.batch,), generator=draws)
        batch = puzzles.of_rows(rows).named(draws)
        stage = stage_at(progress, training, draws)
        scores, had = model(batch, latent=stage, taught=True)
        target = torch.zeros(len(batch), dtype=torch.int64)
        loss = F.cross_entropy(scores, target) + writing_loss(had, batch.path)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tell(step + 1)
    return model.eval()


@torch.no_grad()
def answers(model: GraphReasoner, puzzles: Puzzles, *, seed: int = 0) -> Bool[Tensor, " P"]:
    """Which puzzles are answered rightly, all thoughts the reasoner's own and nothing told; ties are wrong."""
    named = puzzles.named(torch.Generator().manual_seed(seed))
    right = []
    for start in range(0, len(named), 128):
        rows = torch.arange(start, min(start + 128, len(named)))
        scores, _ = model(named.of_rows(rows))
        right.append(scores[:, 0] > scores[:, 1])
    return torch.cat(right)
