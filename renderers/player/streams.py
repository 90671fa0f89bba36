"""Whole numbers and floats as bytes that a browser takes apart: byte planes, zlib, and text of base 85.

Browsers inflate zlib by themselves (`DecompressionStream`). A column of numbers is kept as it is or as
differences from row to row, whichever has less entropy, zigzag and cut into planes of bytes.
"""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float, Int, Num

ALPHABET = "".join(chr(c) for c in range(35, 127) if chr(c) not in "&'<>\\`/")[:85]
"""85 printable characters, none of which means anything in HTML, in JSON, or to a script."""
_DIGITS = np.frombuffer(ALPHABET.encode(), np.uint8)


class Streams:
    """Streams of bytes, one after another in a file, as `read_whole` finds them again.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> entry = Streams(file).add_whole(np.array([[3, 1000], [4, 999]]))
    >>> read_whole(file.getvalue(), entry).tolist()
    [[3, 1000], [4, 999]]
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, 0

    def add(self, plain: bytes) -> list[int]:
        """Compress bytes; gives where they begin and how many they became."""
        packed = zlib.compress(plain, 9)
        place = [self._size, len(packed)]
        self._file.write(packed)
        self._size += len(packed)
        return place

    def add_whole(self, numbers: Num[np.ndarray, "N C"]) -> dict[str, Any]:
        """Keep N rows of C whole numbers below 2³¹.

        Raises:
            ValueError: larger ones.
        """
        planes, deltas, depths = [], [], []
        for column in (each.astype(np.int64) for each in np.asarray(numbers).T):
            steps = np.diff(column, prepend=0)
            delta = bool(_entropy(steps) < _entropy(column))
            zigzag = _zigzag(steps if delta else column)
            largest = int(zigzag.max(initial=0))
            if largest >= 2**32:
                raise ValueError(f"numbers got {largest // 2}; expected less than 2**31.")
            depth = max(1, (largest.bit_length() + 7) // 8)
            planes += [(zigzag >> np.uint64(8 * k)).astype(np.uint8) for k in range(depth)]
            deltas.append(int(delta))
            depths.append(depth)
        plain = np.concatenate(planes).tobytes() if planes else b""
        return {"at": self.add(plain), "rows": len(numbers), "delta": deltas, "bytes": depths}

    def add_floats(self, numbers: Float[np.ndarray, ...]) -> dict[str, Any]:
        """Keep float32 numbers, flat."""
        plain = np.ascontiguousarray(numbers, "<f4").view(np.uint8).reshape(-1, 4).T.tobytes()
        return {"at": self.add(plain), "rows": int(np.size(numbers))}


def read_whole(data: bytes, entry: dict[str, Any]) -> Int[np.ndarray, "N C"]:
    """What `Streams.add_whole` kept."""
    rows, plain = entry["rows"], _plain(data, entry)
    columns, at = [], 0
    for delta, depth in zip(entry["delta"], entry["bytes"], strict=True):
        planes = plain[at * rows : (at + depth) * rows].reshape(depth, rows).astype(np.int64)
        zigzag = sum(planes[k] << (8 * k) for k in range(depth))
        column = (zigzag >> 1) ^ -(zigzag & 1)
        columns.append(np.cumsum(column) if delta else column)
        at += depth
    return np.stack(columns, 1) if columns else np.zeros((rows, 0), np.int64)


def read_floats(data: bytes, entry: dict[str, Any]) -> Float[np.ndarray, " n"]:
    """What `Streams.add_floats` kept."""
    planes = _plain(data, entry).reshape(4, entry["rows"])
    return np.ascontiguousarray(planes.T).view("<f4")[:, 0]


def to_text(data: bytes) -> str:
    """Bytes as text, five characters for four bytes; the last are filled up with zeros.

    >>> len(to_text(b"12345678")), from_text(to_text(b"12345678"))
    (10, b'12345678')
    """
    words = np.frombuffer(data + bytes(-len(data) % 4), "<u4").astype(np.uint64)
    digits = np.empty((len(words), 5), np.uint8)
    for k in range(5):
        digits[:, k] = _DIGITS[words % np.uint64(85)]
        words //= np.uint64(85)
    return digits.tobytes().decode("ascii")


def from_text(text: str) -> bytes:
    """What `to_text` wrote, with its zeros at the end.

    Raises:
        ValueError: characters that are none of it.
    """
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    values = np.full(256, 255, np.uint8)
    values[_DIGITS] = np.arange(85, dtype=np.uint8)
    digits = values[codes]
    if len(digits) % 5 or (digits == 255).any():
        raise ValueError("text got other characters or length; expected text of base 85.")
    words = digits.reshape(-1, 5).astype(np.uint64) @ (
        np.uint64(85) ** np.arange(5, dtype=np.uint64)
    )
    return words.astype("<u4").tobytes()


def _plain(data: bytes, entry: dict[str, Any]) -> Any:
    at, size = entry["at"]
    return np.frombuffer(zlib.decompress(data[at : at + size]), np.uint8)


def _zigzag(numbers: Any) -> Any:
    """0, −1, 1, −2 … as 0, 1, 2, 3 …"""
    return ((numbers << 1) ^ (numbers >> 63)).astype(np.uint64)


def _entropy(numbers: Any) -> float:
    """Bits a number, of the bytes of all its planes one by one: what Huffman's code comes near."""
    zigzag, bits = _zigzag(numbers), 0.0
    for k in range(4):
        counts = np.bincount((zigzag >> np.uint64(8 * k)).astype(np.uint8), minlength=256)
        shares = counts[counts > 0] / max(len(numbers), 1)
        bits -= float((shares * np.log2(shares)).sum())
    return bits
