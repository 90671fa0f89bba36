"""Where a layer keeps keys and values: tokens are put behind those that are there, and nothing is copied.

A `Past` is a beginning of a shelf. Passes that build on the longest one write behind it; one that builds on
a shorter past, whose room is taken, gets a shelf of its own. Gradients of keys and values are added up
on the shelf too, not handed over from pass to pass. What keeps the order then is `Past.link`, a number
without a value: it goes through every pass, so that autograd has all passes that saw a token behind
them when it comes to the one that the token is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.autograd.function import once_differentiable

from clay4d.world_model.reasoners.layers import LANES


def wide(count: int) -> int:
    """The next multiple of LANES.

    >>> wide(17)
    32
    """
    return -(-count // LANES) * LANES


class Shelf:
    """Keys and values [N, H, d, room] of one layer, and their gradients while these are made."""

    def __init__(self, worlds: int, heads: int, size: int) -> None:
        self.filled = 0
        self.keys, self.values = np.zeros((2, worlds, heads, size, 0), np.float32)
        self._slopes: Float32[np.ndarray, "2 N H d room"] | None = None
        self._task = -1

    def make_room(self, count: int) -> None:
        """Have room for `count` tokens in all, and where there was none, for some more."""
        have = self.keys.shape[3]
        if count > have:
            more = [(0, 0), (0, 0), (0, 0), (0, wide(count + 3 * LANES) - have)]
            self.keys, self.values = np.pad(self.keys, more), np.pad(self.values, more)

    def head(self, count: int) -> Shelf:
        """Another shelf with the first `count` tokens of this one."""
        made = Shelf(*self.keys.shape[:3])
        made.make_room(count)
        made.keys[..., :count] = self.keys[..., :count]
        made.values[..., :count] = self.values[..., :count]
        made.filled = count
        return made

    def slopes(self) -> Float32[np.ndarray, "2 N H d room"]:
        """Gradients of keys and values as far as this backward pass has come."""
        task = torch._C._current_graph_task_id()
        if self._slopes is None or self._task != task or self._slopes[0].shape != self.keys.shape:
            self._slopes, self._task = np.zeros((2, *self.keys.shape), np.float32), task
        return self._slopes


@dataclass(frozen=True)
class Past:
    """The first `length` tokens on a shelf."""

    shelf: Shelf
    length: int
    link: Float[Tensor, ""]

    @classmethod
    def empty(cls, worlds: int, heads: int, size: int) -> Past:
        """No tokens, on a new shelf."""
        return cls(Shelf(worlds, heads, size), 0, torch.zeros(()))

    def head(self, count: int) -> Past:
        """The first `count` of these tokens."""
        return Past(self.shelf, count, self.link)

    def extensible(self) -> Past:
        """The same tokens where others can be put behind them."""
        if self.length == self.shelf.filled:
            return self
        own = self.shelf.head(self.length)
        link: Tensor = _Copy.apply(self.link, self.shelf, own)
        return Past(own, self.length, link)

    @property
    def keys(self) -> Float[Tensor, "N H d length"]:
        """As they are now, without a way back to what they are from."""
        return torch.from_numpy(self.shelf.keys[..., : self.length])


class _Copy(torch.autograd.Function):
    """The beginning of one shelf on another."""

    @staticmethod
    def forward(ctx: Any, link: Tensor, given: Shelf, own: Shelf) -> Tensor:
        ctx.shelves = given, own, own.filled
        return link.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_link: Tensor | None) -> tuple[Tensor | None, None, None]:
        given, own, count = ctx.shelves
        given.slopes()[..., :count] += own.slopes()[..., :count]
        return g_link, None, None
