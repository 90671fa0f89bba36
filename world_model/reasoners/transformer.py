"""A small transformer that is fed piece by piece: what it has read stays in a key-value cache.

With the cache a thought costs one token's pass and not a pass over everything before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    """Dimensions of a reasoner.

    Raises:
        ValueError: a width that the heads do not divide.
    """

    width: int = 128
    """D, the length of every token, query and thought."""
    layers: int = 4
    heads: int = 4
    hidden: int = 384
    """Width of the feed-forward layers."""

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.heads, self.hidden) < 1 or self.width % self.heads:
            raise ValueError(
                f"size got width {self.width}, layers {self.layers}, heads {self.heads}, hidden "
                f"{self.hidden}; expected at least 1, and a width that the heads divide."
            )


@dataclass(frozen=True)
class Cache:
    """Keys and values of all that was taken in; a new one is made by each pass."""

    keys: tuple[Float[Tensor, "N H L d"], ...]
    """One tensor a layer."""
    values: tuple[Float[Tensor, "N H L d"], ...]
    real: Bool[Tensor, "N L"]
    """False where a token is padding, which nothing looks at."""

    def __len__(self) -> int:
        return int(self.real.shape[1])

    def head(self, count: int) -> Cache:
        """The cache as it was when it held `count` tokens."""
        return Cache(
            tuple(k[:, :, :count] for k in self.keys), tuple(v[:, :, :count] for v in self.values),
            self.real[:, :count],
        )  # fmt: skip


class Block(nn.Module):
    """Attention, then a feed-forward layer, each after RMS normalisation and with a residual.

    Source: Vaswani et al. 2017; Zhang & Sennrich 2019 (RMSNorm).
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.before = nn.RMSNorm(size.width, eps=1e-6)
        self.qkv = nn.Linear(size.width, 3 * size.width, bias=False)
        self.out = nn.Linear(size.width, size.width, bias=False)
        self.between = nn.RMSNorm(size.width, eps=1e-6)
        self.up = nn.Linear(size.width, size.hidden)
        self.down = nn.Linear(size.hidden, size.width)

    def forward(
        self,
        x: Float[Tensor, "N Q D"],
        past: tuple[Tensor, Tensor] | None,
        bias: Float[Tensor, "N 1 Q L"],
    ) -> tuple[Float[Tensor, "N Q D"], tuple[Tensor, Tensor]]:
        """New states, and the keys and values with those of `x` at their end."""
        n, q, width = x.shape
        split = self.qkv(self.before(x)).view(n, q, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        scores = query @ key.transpose(2, 3) / math.sqrt(width / self.heads) + bias
        mixed = (torch.softmax(scores, -1) @ value).transpose(1, 2).reshape(n, q, width)
        x = x + self.out(mixed)
        return x + self.down(F.gelu(self.up(self.between(x)))), (key, value)


class Transformer(nn.Module):
    """Blocks with a cache.

    >>> stack = Transformer(Size(16, 2, 2, 32))
    >>> states, cache = stack(torch.zeros(1, 3, 16), torch.ones(1, 3, dtype=torch.bool), None)
    >>> states.shape, len(cache)
    (torch.Size([1, 3, 16]), 3)
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.last = nn.RMSNorm(size.width, eps=1e-6)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=size.width**-0.5)
                if name.endswith(("out.weight", "down.weight")):
                    weight.data *= (2 * size.layers) ** -0.5

    def forward(
        self,
        tokens: Float[Tensor, "N Q D"],
        real: Bool[Tensor, "N Q"],
        cache: Cache | None,
        *,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "N Q D"], Cache]:
        """Normalised states of the tokens, and the cache with them.

        The tokens see all that is in the cache and each other; `causal`: only those before them.
        """
        every = real if cache is None else torch.cat([cache.real, real], 1)
        bias = torch.zeros(every.shape, dtype=tokens.dtype).masked_fill_(~every, -1e9)
        bias = bias[:, None, None].expand(-1, 1, tokens.shape[1], -1)
        if causal:
            ahead = torch.full((tokens.shape[1],) * 2, -1e9).triu(1)
            before = every.shape[1] - tokens.shape[1]
            bias = bias + F.pad(ahead, (before, 0))
        keys, values = [], []
        for i, block in enumerate(self.blocks):
            past = None if cache is None else (cache.keys[i], cache.values[i])
            tokens, (key, value) = block(tokens, past, bias)
            keys.append(key)
            values.append(value)
        return self.last(tokens), Cache(tuple(keys), tuple(values), every)


def positions(count: int, width: int, *, first: int = 0) -> Float[Tensor, "count width"]:
    """Sines and cosines that tell places apart, half as long as a normalised token.

    They are fixed, so that a place that training never reached still has one that fits the others.

    Source: Vaswani et al. 2017, section 3.5.
    """
    place = torch.arange(first, first + count, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(100.0) / width))
    waves = torch.cat([torch.sin(place * rate), torch.cos(place * rate)], 1)
    return 0.5 * waves[:, :width]
