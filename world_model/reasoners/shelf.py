"""Where a layer keeps keys and values: tokens are put behind those that are there, and nothing is copied.

A `Past` is a beginning of a shelf. Passes that build on the longest one write behind it; one that builds on
a shorter past, whose room is taken, gets a shelf of its own. Gradients of keys and values are added up
on the shelf too, not handed over from pass to pass. What keeps the order then is `Past.link`, a number
without a value: it goes through every pass, so that autograd has all passes that saw a token behind
them when it comes to the one that the token is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from clay4d.world_model.reasoners.layers import LANES, wide


@dataclass(frozen=True)
class Rows:
    """The tokens of N worlds as rows, one world's behind another's, and without padding.

    >>> Rows.of(torch.tensor([[True, False], [True, True]])).starts.tolist()
    [0, 1, 3]
    """

    index: Int[Tensor, " R"] | None
    """Their places among all N·Q; none where all are real."""
    starts: Int[np.ndarray, " N+1"]

    @classmethod
    def of(cls, real: Bool[Tensor, "N Q"]) -> Rows:
        """The rows of what is real."""
        starts = np.zeros(len(real) + 1, np.int64)
        starts[1:] = real.sum(1).cumsum(0).numpy()
        return cls(None if starts[-1] == real.numel() else real.flatten().nonzero()[:, 0], starts)

    @cached_property
    def counts(self) -> Int[np.ndarray, " N"]:
        """Tokens of each world."""
        return np.diff(self.starts)

    def take(self, x: Float[Tensor, "N Q D"]) -> Float[Tensor, "R D"]:
        """The rows of some tokens."""
        rows = x.reshape(-1, x.shape[-1])
        return rows.contiguous() if self.index is None else rows[self.index]

    def give(self, rows: Float[Tensor, "R D"], shape: tuple[int, ...]) -> Float[Tensor, "N Q D"]:
        """Tokens of a shape from rows; padding is 0."""
        if self.index is not None:
            rows = rows.new_zeros(shape[0] * shape[1], shape[2]).index_copy_(0, self.index, rows)
        return rows.view(shape)


class Shelf:
    """Keys and values [N, H, d, room] of one layer, and their gradients while these are made.

    For one thread at a time: queries stand on it, too, while they are answered.
    """

    def __init__(self, worlds: int, heads: int, size: int) -> None:
        self.filled = np.zeros(worlds, np.int64)
        self.keys, self.values = np.zeros((2, worlds, heads, size, 0), np.float32)
        self._slopes: Float32[np.ndarray, "2 N H d room"] | None = None
        self._task = -1

    def make_room(self, count: int) -> None:
        """Have room for `count` tokens of each world, and where there was none, for some more."""
        have = self.keys.shape[3]
        if count > have:
            room = wide(count) + 3 * LANES
            more = [(0, 0), (0, 0), (0, 0), (0, room - have)]
            self.keys, self.values = np.pad(self.keys, more), np.pad(self.values, more)

    def head(self, lengths: Int[np.ndarray, " N"]) -> Shelf:
        """Another shelf with the first tokens of this one."""
        made, most = Shelf(*self.keys.shape[:3]), int(lengths.max(initial=0))
        made.make_room(most)
        made.keys[..., :most] = self.keys[..., :most]
        made.values[..., :most] = self.values[..., :most]
        made.filled = lengths
        return made

    def slopes(self) -> Float32[np.ndarray, "2 N H d room"]:
        """Gradients of keys and values as far as this backward pass has come."""
        task = torch._C._current_graph_task_id()
        if self._slopes is None or self._task != task or self._slopes[0].shape != self.keys.shape:
            self._slopes, self._task = np.zeros((2, *self.keys.shape), np.float32), task
        return self._slopes


@dataclass(frozen=True)
class Past:
    """Each world's first tokens on a shelf."""

    shelf: Shelf
    lengths: Int[np.ndarray, " N"]
    link: Float[Tensor, ""]

    @classmethod
    def empty(cls, worlds: int, heads: int, size: int) -> Past:
        """No tokens, on a new shelf."""
        return cls(Shelf(worlds, heads, size), np.zeros(worlds, np.int64), torch.zeros(()))

    def head(self, lengths: Int[np.ndarray, " N"]) -> Past:
        """The first of these tokens."""
        return Past(self.shelf, lengths, self.link)

    def extensible(self) -> Past:
        """The same tokens where others can be put behind them."""
        if (self.lengths == self.shelf.filled).all():
            return self
        own = self.shelf.head(self.lengths)
        link: Tensor = _Copy.apply(self.link, self.shelf, own)
        return Past(own, self.lengths, link)

    def keys(self, world: int) -> Float[Tensor, "H d length"]:
        """A world's, as they are now, without a way back to what they are from."""
        return torch.from_numpy(self.shelf.keys[world, ..., : self.lengths[world]])


class _Copy(torch.autograd.Function):
    """The beginning of one shelf on another."""

    @staticmethod
    def forward(ctx: Any, link: Tensor, given: Shelf, own: Shelf) -> Tensor:
        ctx.shelves = given, own, own.filled
        return link.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_link: Tensor | None) -> tuple[Tensor | None, None, None]:
        given, own, lengths = ctx.shelves
        mine = np.arange(own.keys.shape[3]) < lengths[:, None, None, None]
        most = int(lengths.max(initial=0))
        given.slopes()[..., :most] += (own.slopes() * mine)[..., :most]
        return g_link, None, None
