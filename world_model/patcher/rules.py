"""Where patches start: by entropy, as in the Byte Latent Transformer (Pagnoni et al. 2024), or without it.

Every rule decides whether a byte starts a patch from the bytes before it alone, so the patches of a text
never change when it goes on. The first byte always starts one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from clay4d.world_model.patcher.byte_model import ByteModel, load_byte_model


@dataclass(frozen=True)
class GlobalThreshold:
    """A patch starts where the entropy of the next byte is above a threshold.

    >>> GlobalThreshold(max_length=0)
    Traceback (most recent call last):
    ValueError: max_length got 0; expected 1 or more bytes.
    """

    threshold: float = 1.0
    """Bits."""
    max_length: int = 16
    """Bytes of a patch, at most."""

    def __post_init__(self) -> None:
        _check_length("max_length", self.max_length)


@dataclass(frozen=True)
class Monotonic:
    """A patch starts where the entropy rises by more than a threshold from one byte to the next."""

    threshold: float = 0.5
    """Bits."""
    max_length: int = 16
    """Bytes of a patch, at most."""

    def __post_init__(self) -> None:
        _check_length("max_length", self.max_length)


@dataclass(frozen=True)
class FixedSize:
    """Patches of the same number of bytes."""

    size: int = 4
    """Bytes."""

    def __post_init__(self) -> None:
        _check_length("size", self.size)


@dataclass(frozen=True)
class Whitespace:
    """A patch starts after white space, so that words keep the space behind them."""

    max_length: int = 16
    """Bytes of a patch, at most."""

    def __post_init__(self) -> None:
        _check_length("max_length", self.max_length)


@dataclass(frozen=True)
class SingleBytes:
    """Every byte is a patch."""


Rule = GlobalThreshold | Monotonic | FixedSize | Whitespace | SingleBytes
SPACES = b" \t\n\r\x0b\x0c"


def _check_length(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} got {value}; expected 1 or more bytes.")


def patch_starts(text: bytes, rule: Rule, *, model: ByteModel | None = None) -> Bool[np.ndarray, " L"]:  # fmt: skip
    """Which bytes of a text start a patch.

    Args:
        text: UTF-8 or any other bytes.
        rule: where to cut.
        model: whose entropies; the one that comes with clay4d by default.

    >>> patch_starts(b"a red ball", Whitespace()).nonzero()[0].tolist()
    [0, 2, 6]
    """
    wanted = np.zeros(len(text), bool)
    if isinstance(rule, SingleBytes):
        wanted[:] = True
        return wanted
    if isinstance(rule, FixedSize):
        wanted[:: rule.size] = True
        return wanted
    if isinstance(rule, Whitespace):
        spaces = np.isin(np.frombuffer(text, np.uint8), list(SPACES))
        # In a run of spaces only the first ends a patch: whether another follows is not known yet.
        wanted[1:] = spaces[:-1]
        wanted[2:] &= ~spaces[:-2]
    else:
        entropy = (model or load_byte_model()).entropies(text)
        if isinstance(rule, GlobalThreshold):
            wanted = entropy > rule.threshold
        else:
            wanted[1:] = entropy[1:] - entropy[:-1] > rule.threshold
    return _limited(wanted, rule.max_length)


def split_patches(text: bytes, rule: Rule, *, model: ByteModel | None = None) -> tuple[bytes, ...]:
    """The patches of a text, in order; joined they are the text.

    >>> split_patches(b"two blue cubes", FixedSize(5))
    (b'two b', b'lue c', b'ubes')
    """
    starts = np.nonzero(patch_starts(text, rule, model=model))[0].tolist()
    ends = [*starts[1:], len(text)]
    return tuple(text[a:b] for a, b in zip(starts, ends))


def _limited(wanted: Bool[np.ndarray, " L"], longest: int) -> Bool[np.ndarray, " L"]:
    """Starts with the first byte, and one more wherever a patch would be longer than `longest`."""
    starts = wanted.copy()
    length = longest
    for t in range(len(starts)):
        if starts[t] or length >= longest:
            starts[t], length = True, 1
        else:
            length += 1
    return starts
