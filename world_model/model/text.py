"""Prompts as the model reads them: bytes, grouped in patches, one token a patch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.world_model.patcher import GlobalThreshold, Monotonic, Rule, patch_starts
from clay4d.world_model.reasoners.transformer import positions

Patcher = Callable[[bytes], Sequence[int]]
"""Where patches start; the first is 0."""


SEEN = 5
"""Bytes that a local convolution mixes: one and those before it."""


def whitespace_patches(text: bytes) -> list[int]:
    """A patch for each word with the space before it.

    >>> whitespace_patches(b"a red ball")
    [0, 1, 5]
    """
    return sorted({0, *(m.start() for m in re.finditer(rb"\s+(?=\S)", text))}) if text else []


def entropy_patches(text: bytes) -> list[int]:
    """A patch from each byte on whose entropy, to the byte model, is above the paper's threshold.

    >>> entropy_patches(b"a red ball")[0]
    0
    """
    return _cut(text, GlobalThreshold())


def monotonic_patches(text: bytes) -> list[int]:
    """A patch from each byte on at which the entropy rises."""
    return _cut(text, Monotonic())


PATCHERS: dict[str, Patcher] = {
    "entropy": entropy_patches, "monotonic": monotonic_patches, "whitespace": whitespace_patches,
}  # fmt: skip


@lru_cache(maxsize=1 << 16)
def _starts(text: bytes, rule: Rule) -> tuple[int, ...]:
    return tuple(np.nonzero(patch_starts(text, rule))[0].tolist())


def _cut(text: bytes, rule: Rule) -> list[int]:
    return list(_starts(text, rule)) if text else []


def words_of(prompt: str) -> list[str]:
    """The words of a prompt, in lower case.

    >>> words_of("A red ball, thrown.")
    ['a', 'red', 'ball', 'thrown']
    """
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", prompt.lower())


class TextEncoder(nn.Module):
    """Bytes → local mixing → the mean of each patch.

    The bytes of a patch are pooled as in the local encoder of BLT (Pagnoni et al. 2024), with two
    causal convolutions in the place of its attention.

    >>> tokens, real = TextEncoder(16)(["a red ball", ""])
    >>> tokens.shape, real.sum(1).tolist()
    (torch.Size([2, 3, 16]), [3, 0])
    """

    def __init__(self, width: int, patcher: Patcher = whitespace_patches) -> None:
        super().__init__()
        self.width, self.patcher = width, patcher
        self.bytes = nn.Embedding(257, width // 2)
        self.local = nn.ModuleList(nn.Conv1d(width // 2, width // 2, SEEN) for _ in range(2))
        self.out = nn.Linear(width // 2, width)

    def forward(self, prompts: Sequence[str]) -> tuple[Float[Tensor, "N P D"], Bool[Tensor, "N P"]]:
        """A token for each patch, and which tokens are no padding."""
        lengths = [_lengths(text, self.patcher(text)) for text in (p.encode() for p in prompts)]
        patches = max([len(own) for own in lengths] + [1])
        real = torch.arange(patches) < torch.tensor([len(own) for own in lengths])[:, None]
        tokens = torch.zeros(len(prompts), patches, self.width)
        if real.any():
            state = self._bytes("".join(prompts).encode(), [sum(own) for own in lengths])
            counts = torch.tensor([n for own in lengths for n in own])
            pooled = torch.segment_reduce(state, "mean", lengths=counts, axis=0)
            tokens = tokens.masked_scatter(real[..., None], self.out(pooled))
        return tokens + positions(patches, self.width), real

    def _bytes(self, text: bytes, lengths: Sequence[int]) -> Float[Tensor, "L C"]:
        """States of all bytes of some texts, which stand behind each other with gaps between.

        In the gaps is nothing, so that no text sees the one before it, and the sums take in no padding.
        """
        gap = SEEN - 1
        before = torch.repeat_interleave(torch.arange(1, len(lengths) + 1), torch.tensor(lengths))
        places = torch.arange(len(text)) + gap * before
        filled = torch.zeros(len(text) + gap * len(lengths), 1)
        filled[places] = 1
        embedded: Tensor = self.bytes(torch.frombuffer(bytearray(text), dtype=torch.uint8).long())
        state = torch.zeros(len(filled), self.width // 2).index_copy(0, places, embedded)
        for layer in self.local:
            mixed = layer(F.pad(state.t(), (gap, 0))[None])[0].t()
            state = (state + F.gelu(mixed)) * filled
        return state[places]


def vocabulary(prompts: Iterable[str]) -> list[str]:
    """All words of some prompts, sorted."""
    return sorted({word for p in prompts for word in words_of(p)})


def _lengths(text: bytes, starts: Sequence[int]) -> list[int]:
    """Bytes of each patch.

    >>> _lengths(b"a red ball", [0, 1, 5])
    [1, 4, 5]
    """
    return [b - a for a, b in pairwise([*starts, len(text)])]
