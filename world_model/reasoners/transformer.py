"""A small transformer that is fed piece by piece: what it has read stays in a key-value cache.

With the cache a thought costs one token's pass and not a pass over everything before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.world_model.reasoners.block_pass import EPS, BlockPass
from clay4d.world_model.reasoners.shelf import Past, Rows


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

    layers: tuple[Past, ...]
    real: Bool[Tensor, "N L"]
    """False where a token is padding, which takes no room in the layers."""

    def __len__(self) -> int:
        return int(self.real.shape[1])

    def head(self, count: int) -> Cache:
        """The cache as it was when it held `count` tokens."""
        real = self.real[:, :count]
        lengths = real.sum(1).numpy()
        return Cache(tuple(p.head(lengths) for p in self.layers), real)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each after RMS normalisation and with a residual.

    Source: Vaswani et al. 2017; Zhang & Sennrich 2019 (RMSNorm); Hendrycks & Gimpel 2016 (GELU).
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.before = nn.RMSNorm(size.width, eps=EPS)
        self.qkv = nn.Linear(size.width, 3 * size.width, bias=False)
        self.out = nn.Linear(size.width, size.width, bias=False)
        self.between = nn.RMSNorm(size.width, eps=EPS)
        self.up = nn.Linear(size.width, size.hidden)
        self.down = nn.Linear(size.hidden, size.width)

    def forward(
        self,
        x: Float[Tensor, "N Q D"],
        rows: Rows,
        past: Past,
        *,
        stays: bool = True,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "N Q D"], Past]:
        """New states, 0 of what is padding, and the past with the tokens at its end, if they stay."""
        seen = past.extensible() if stays else past
        states, link = BlockPass.apply(
            x, seen.link, rows, seen, self.heads, stays, causal,
            self.before.weight, self.qkv.weight, self.out.weight, self.between.weight,
            self.up.weight, self.up.bias, self.down.weight, self.down.bias,
        )  # fmt: skip
        return states, Past(seen.shelf, seen.lengths + rows.counts, link) if stays else past


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
        self.last = nn.RMSNorm(size.width, eps=EPS)
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
        stays: bool = True,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "N Q D"], Cache]:
        """Normalised states of the tokens, and the cache with them.

        The tokens see all that is in the cache and each other; `causal`: only those before them. Where
        they do not stay, the cache is the one that was given.
        """
        size, n = self.size, len(tokens)
        if cache is None:
            empty = (
                Past.empty(n, size.heads, size.width // size.heads) for _ in range(size.layers)
            )
            cache = Cache(tuple(empty), torch.zeros(n, 0, dtype=torch.bool))
        rows, layers = Rows.of(real), []
        for block, past in zip(self.blocks, cache.layers):
            tokens, after = block(tokens, rows, past, stays=stays, causal=causal)
            layers.append(after)
        states: Tensor = self.last(tokens)
        if not stays:
            return states, cache
        return states, Cache(tuple(layers), torch.cat([cache.real, real], 1))


def positions(count: int, width: int, *, first: int = 0) -> Float[Tensor, "count width"]:
    """Sines and cosines that tell places apart, half as long as a normalised token.

    They are fixed, so that a place that training never reached still has one that fits the others.

    Source: Vaswani et al. 2017, section 3.5.
    """
    place = torch.arange(first, first + count, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(100.0) / width))
    waves = torch.cat([torch.sin(place * rate), torch.cos(place * rate)], 1)
    return 0.5 * waves[:, :width]
