"""Puzzles of reachability: from which of two ends can a node be reached? ProsQA's schema, read and made.

"Every terpus is a brimpus. Tom is a terpus. … Is Tom a lempus or a scrompus?" is a graph, a root and two
ends, one of which the root reaches. Source: Hao et al. 2024 (COCONUT), appendix A, whose construction
`make_puzzle` follows: nodes are added one by one, children of earlier ones, the deeper the likelier, and
most of them of the root's family alone or of the other end's.

The files leak: the end that is deeper (farther from the nearest name) is the right one in 92.5 % of
prosqa_valid. `deeper_end` says so for any puzzle, and `make_puzzle(level=True)` makes those where it says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

MOST_NODES, MOST_EDGES = 32, 60
FEWEST_HOPS, MOST_HOPS = 3, 6
FILES = ("prosqa_valid", "graph4_valid")


@dataclass(frozen=True)
class Puzzle:
    """A graph and a question about it.

    Raises:
        ValueError: an end that the root does not reach, or two that it does.
    """

    edges: tuple[tuple[int, int], ...]
    root: int
    target: int
    """The end that the root reaches."""
    other: int
    """The end that it does not."""

    def __post_init__(self) -> None:
        reached = distances(self.edges, self.root)
        if self.target not in reached or self.other in reached:
            raise ValueError(
                f"puzzle got target {self.target} and other end {self.other} of root {self.root}; "
                "expected the target, and it alone, to be reached."
            )

    @property
    def path(self) -> tuple[int, ...]:
        """A shortest way from the root to the target, without the root."""
        reached = distances(self.edges, self.root)
        way = [self.target]
        while reached[way[-1]] > 1:
            way.append(min(a for a, b in self.edges if b == way[-1] and reached.get(a, 99) == reached[b] - 1))  # fmt: skip
        return tuple(reversed(way))

    @property
    def hops(self) -> int:
        """Edges from the root to the target."""
        return len(self.path)


def distances(edges: Sequence[tuple[int, int]], root: int) -> dict[int, int]:
    """Edges from a node to every node that it reaches.

    >>> distances([(0, 1), (1, 2), (3, 2)], 0)
    {0: 0, 1: 1, 2: 2}
    """
    children: dict[int, list[int]] = {}
    for a, b in edges:
        children.setdefault(a, []).append(b)
    found = {root: 0}
    row = [root]
    for a in row:
        for b in children.get(a, ()):
            if b not in found:
                found[b] = found[a] + 1
                row.append(b)
    return found


def depths(edges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Edges from the nearest name, a node without parents, to every node."""
    parents = {b for _, b in edges}
    found: dict[int, int] = {}
    for name in sorted({a for a, _ in edges} - parents):
        for node, far in distances(edges, name).items():
            found[node] = min(far, found.get(node, far))
    return found


def deeper_end(puzzle: Puzzle) -> float:
    """1 if the deeper end is the right one, 0 if it is not, a half where they are equally deep.

    >>> deeper_end(Puzzle(((0, 2), (2, 3), (1, 4)), root=0, target=3, other=4))
    1.0
    """
    depth = depths(puzzle.edges)
    a, b = depth[puzzle.target], depth[puzzle.other]
    return 0.5 if a == b else float(a > b)


def read_puzzles(path: Path) -> list[Puzzle]:
    """The puzzles of one of ProsQA's files.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, or holds a graph that is larger than the models take.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a file of ProsQA. Give its folder.")
    try:
        items = json.loads(path.read_text(encoding="utf-8"))
        puzzles = []
        for item in items:
            edges = tuple((int(a), int(b)) for a, b in item["edges"])
            ends = (int(item["root"]), int(item["target"]), int(item["neg_target"]))
            nodes = {n for edge in edges for n in edge} | set(ends)
            if not 0 <= min(nodes) <= max(nodes) < MOST_NODES or len(edges) > MOST_EDGES:
                raise ValueError(f"a graph of {len(edges)} edges, nodes to {max(nodes)}")
            puzzles.append(Puzzle(edges, *ends))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} got {error}; expected ProsQA's puzzles of at most {MOST_NODES} nodes and "
            f"{MOST_EDGES} edges."
        ) from None
    return puzzles


def make_puzzle(draws: np.random.Generator, *, level: bool = False) -> Puzzle:
    """A new puzzle with the files' statistics.

    Args:
        level: both ends equally deep, so that depth says nothing.
    """
    while True:
        found = _ends(*_grown(draws), draws, level=level)
        if found is not None:
            return found


Edges = tuple[tuple[int, int], ...]


def _grown(draws: np.random.Generator) -> tuple[Edges, list[int]]:
    """Edges of a graph whose nodes 0 and 1 begin two families, and the families of each node as bits."""
    count = int(draws.integers(17, 29))
    family, depth = [1, 2], [0, 0]
    edges: list[tuple[int, int]] = []
    for new in range(2, count):
        parents = int(draws.poisson(1.5))
        while parents == 0 and draws.random() > 0.1:
            parents = int(draws.poisson(1.5))
        luck = draws.random()
        banned = 2 if luck <= 0.35 else 1 if luck <= 0.7 else 0
        free = np.array([n for n in range(new) if not family[n] & banned])
        weight = np.array([1.5 * depth[n] + 1 for n in free])
        parents = min(parents, len(free))
        chosen = draws.choice(free, parents, replace=False, p=weight / weight.sum())
        edges += [(int(n), new) for n in chosen]
        label = 0
        for n in chosen:
            label |= family[n]
        family.append(label)
        depth.append(min((depth[n] + 1 for n in chosen), default=0))
    return tuple(edges), family


def _ends(
    edges: Edges, family: list[int], draws: np.random.Generator, *, level: bool
) -> Puzzle | None:
    """A question about a graph, if there is one of 3 to 6 hops; ends have no children and one family."""
    root = int(draws.integers(2))
    reached, depth = distances(edges, root), depths(edges)
    sinks = sorted({b for _, b in edges} - {a for a, _ in edges})
    own = [n for n in sinks if family[n] == 1 << root]
    near = [n for n in own if FEWEST_HOPS <= reached.get(n, 0) <= MOST_HOPS]
    far = [n for n in sinks if family[n] == 1 << (1 - root)]
    if not near or not far or len(edges) > MOST_EDGES:
        return None
    if not level:  # the files ask for far ends: this is where depth gives the answer away
        near = [n for n in near if reached[n] == max(reached[m] for m in near)]
    target = int(draws.choice(near))
    if level:
        far = [n for n in far if depth[n] == depth[target]]
        if not far:
            return None
    return Puzzle(edges, root, target, int(draws.choice(far)))


@dataclass(frozen=True)
class Puzzles:
    """P puzzles as tensors; nodes are numbers that say nothing until `named` gives them symbols."""

    edges: Int[Tensor, "P E 2"]
    real: Bool[Tensor, "P E"]
    root: Int[Tensor, " P"]
    ends: Int[Tensor, "P 2"]
    """The target, then the other."""
    path: Int[Tensor, "P H"]
    """Nodes on the way, −1 after the target."""

    def __len__(self) -> int:
        return int(self.root.shape[0])

    @classmethod
    def of(cls, puzzles: Sequence[Puzzle]) -> Puzzles:
        """The tensors of some puzzles."""
        count = len(puzzles)
        edges = torch.zeros(count, MOST_EDGES, 2, dtype=torch.int64)
        real = torch.zeros(count, MOST_EDGES, dtype=torch.bool)
        path = torch.full((count, MOST_HOPS), -1)
        for i, p in enumerate(puzzles):
            edges[i, : len(p.edges)] = torch.tensor(p.edges)
            real[i, : len(p.edges)] = True
            path[i, : p.hops] = torch.tensor(p.path)
        ends = torch.tensor([(p.target, p.other) for p in puzzles])
        return cls(edges, real, torch.tensor([p.root for p in puzzles]), ends, path)

    def of_rows(self, rows: Int[Tensor, " N"]) -> Puzzles:
        """Some of them, without room for more edges than they have."""
        some = Puzzles(**{k: v[rows] for k, v in vars(self).items()})
        most = int(some.real.sum(1).max())
        return replace(some, edges=some.edges[:, :most], real=some.real[:, :most])

    def named(self, draws: torch.Generator) -> Puzzles:
        """The same with a new symbol for each node, drawn for each puzzle: a symbol alone tells nothing."""
        noise = torch.rand(len(self), MOST_NODES, generator=draws)
        symbol = noise.argsort(1)
        path = torch.where(self.path < 0, -1, symbol.gather(1, self.path.clamp_min(0)))
        edges = symbol.gather(1, self.edges.flatten(1)).unflatten(1, (-1, 2))
        root = symbol.gather(1, self.root[:, None])[:, 0]
        return Puzzles(edges, self.real, root, symbol.gather(1, self.ends), path)
