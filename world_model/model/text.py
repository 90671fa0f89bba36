"""Prompts as the model reads them: bytes, grouped in patches, one token a patch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clay4d.world_model.patcher import GlobalThreshold, Monotonic, Rule, patch_starts
from clay4d.world_model.reasoners.transformer import positions

Patcher = Callable[[bytes], Sequence[int]]
"""Where patches start; the first is 0."""


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
        self.local = nn.ModuleList(nn.Conv1d(width // 2, width // 2, 5) for _ in range(2))
        self.out = nn.Linear(width // 2, width)

    def forward(self, prompts: Sequence[str]) -> tuple[Float[Tensor, "N P D"], Bool[Tensor, "N P"]]:
        """A token for each patch, and which tokens are no padding."""
        raw = [p.encode() for p in prompts]
        owner = [_owners(text, self.patcher(text)) for text in raw]
        length = max([len(text) for text in raw] + [1])
        patches = max([max(o, default=-1) + 1 for o in owner] + [1])
        ids: Int[Tensor, "N L"] = torch.full((len(raw), length), 256)
        where = torch.zeros(len(raw), patches, length)
        for n, (text, own) in enumerate(zip(raw, owner)):
            ids[n, : len(text)] = torch.tensor(list(text), dtype=torch.int64)
            where[n, own, range(len(own))] = 1
        state = self.bytes(ids).transpose(1, 2)
        for layer in self.local:
            state = state + F.gelu(layer(F.pad(state, (4, 0))))
        count = where.sum(-1, keepdim=True)
        pooled = where @ state.transpose(1, 2) / count.clamp_min(1)
        return self.out(pooled) + positions(patches, self.width), count[..., 0] > 0


def vocabulary(prompts: Iterable[str]) -> list[str]:
    """All words of some prompts, sorted."""
    return sorted({word for p in prompts for word in words_of(p)})


def _owners(text: bytes, starts: Sequence[int]) -> list[int]:
    """Which patch each byte belongs to."""
    owners, patch, later = [], -1, set(starts)
    for place in range(len(text)):
        patch += place in later
        owners.append(max(patch, 0))
    return owners
