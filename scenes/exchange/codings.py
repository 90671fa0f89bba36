"""Tensors as few bytes: steps, rotations and floats, split into byte planes and compressed by LZMA.

A coding is a JSON object in the file's header; docs/clay4d_format.md specifies each. Planes of bytes
that mean the same, column by column, compress better than numbers one after another (the transposition
of Blosc); the LZMA2 coder without contexts of literals (lc = lp = pb = 0) is close to the entropy of
independent bytes, which is what is left after quantisation.
"""

from __future__ import annotations

import lzma
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
LARGEST = 2**31 - 1
"""Steps away from zero that fit in 32 bits; more, and floats are as small."""
DECODER_MEMORY = 64 << 20
"""Bytes that the LZMA decoder may take for itself; preset 6 needs 9 MB."""
FLOATS: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
DTYPES = {
    "float32": torch.float32, "int32": torch.int32, "int64": torch.int64, "uint8": torch.uint8,
}  # fmt: skip
THIRD = math.sqrt(0.5)
"""Largest absolute value of the three smallest of a unit quaternion's components."""


def coded_by_steps(x: Tensor, step: float) -> tuple[bytes, dict[str, Any]]:
    """The nearest multiples of `step`, as they are or as differences of rows: the shorter of the two.

    Raises:
        ValueError: a value further than 2³¹ steps from zero.

    >>> data, coding = coded_by_steps(torch.tensor([0.1, 0.52]), 0.25)
    >>> decoded(data, coding).tolist()
    [0.0, 0.5]
    """
    whole = np.rint(_columns(x).astype(np.float64) / step)
    if whole.size and np.abs(whole).max() > LARGEST:
        raise ValueError(f"values got {np.abs(whole).max():.0f} steps; expected at most 2**31 - 1.")
    numbers = whole.astype(np.int64)
    coding = {"kind": "steps", "step": step, "dtype": str(x.dtype).removeprefix("torch.")}
    best: tuple[bytes, dict[str, Any]] | None = None
    for delta in (False, True):
        steps = np.diff(numbers, axis=0, prepend=0) if delta else numbers
        planes = _zigzag(steps)
        depth = max(1, (int(planes.max(initial=0)).bit_length() + 7) // 8)
        data = packed(_planes(planes, depth))
        if best is None or len(data) < len(best[0]):
            best = data, {**coding, "delta": delta, "bytes": depth, "shape": list(x.shape)}
    assert best is not None
    return best


def coded_as_floats(x: Tensor, name: str) -> tuple[bytes, dict[str, Any]]:
    """Floats of 16 or 32 bits.

    >>> decoded(*coded_as_floats(torch.tensor([0.5]), "float16")).tolist()
    [0.5]
    """
    kind = FLOATS[name]
    bits = _columns(x).astype(kind).view(f"<u{kind.itemsize}")
    data = packed(_planes(bits, kind.itemsize))
    return data, {"kind": name, "shape": list(x.shape)}


def coded_as_rotations(quats: Float[Tensor, "N 4"], step: float) -> tuple[bytes, dict[str, Any]]:
    """Unit quaternions by their three smallest components and which one is left out.

    >>> decoded(*coded_as_rotations(torch.tensor([[0.0, -2.0, 0, 0]]), 0.01)).tolist()
    [[0.0, 1.0, 0.0, 0.0]]
    """
    unit = torch.nn.functional.normalize(quats.double(), dim=1)
    largest = unit.abs().argmax(1)
    rows = torch.arange(len(unit))
    unit = unit * torch.where(unit[rows, largest] < 0, -1.0, 1.0)[:, None]
    three = unit[rows[:, None], (largest[:, None] + torch.tensor([1, 2, 3])) % 4]
    steps = _zigzag(np.rint(three.numpy() / step).astype(np.int64))
    numbers = np.concatenate([largest.numpy().astype(np.uint64)[:, None], steps], 1)
    depth = max(1, (int(numbers.max(initial=0)).bit_length() + 7) // 8)
    coding = {"kind": "rotations", "step": step, "bytes": depth, "shape": list(quats.shape)}
    return packed(_planes(numbers, depth)), coding


def coded_size(coding: dict[str, Any]) -> int:
    """Bytes that a coding's planes take before compression; what it claims is checked, nothing allocated.

    Raises:
        ValueError: an entry that is missing, of another type or out of range.

    >>> coded_size({"kind": "float16", "shape": [10, 3]})
    60
    """
    shape, kind = coding.get("shape"), str(coding.get("kind"))
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise ValueError(f"shape got {shape!r}; expected whole numbers. Make the file again.")
    count = math.prod(shape)
    if kind in FLOATS:
        return count * FLOATS[kind].itemsize
    step, depth = coding.get("step"), coding.get("bytes")
    if kind not in ("steps", "rotations"):
        raise ValueError(f"coding got {kind!r}; expected steps, rotations, float16 or float32.")
    if not isinstance(step, float) or not 0 < step < math.inf or depth not in (1, 2, 3, 4, 5):
        raise ValueError(f"coding got step {step!r}, bytes {depth!r}; expected > 0 and 1 to 5.")
    if kind == "rotations" and (len(shape) != 2 or shape[1] != 4):
        raise ValueError(f"rotations got shape {shape}; expected [N, 4]. Make the file again.")
    if kind == "steps" and str(coding.get("dtype")) not in DTYPES:
        raise ValueError(f"dtype got {coding.get('dtype')!r}; expected {', '.join(DTYPES)}.")
    return count * int(depth)


def decoded(data: bytes, coding: dict[str, Any]) -> Tensor:
    """The tensor that was coded.

    Raises:
        ValueError: a coding that is none, or data that do not fit it.
    """
    size, shape = coded_size(coding), coding["shape"]
    planes = np.frombuffer(unpacked(data, size), np.uint8)
    kind = coding["kind"]
    rows = shape[0] if shape else 1
    columns = math.prod(shape[1:])
    if kind in FLOATS:
        bits = _numbers(planes, FLOATS[kind].itemsize, columns, rows)
        values = bits.astype(f"<u{FLOATS[kind].itemsize}").view(FLOATS[kind]).astype(np.float32)
        return torch.from_numpy(values.reshape(shape))
    numbers = _numbers(planes, coding["bytes"], columns, rows)
    if kind == "rotations":
        return _rotations(numbers, coding["step"])
    steps = _unzigzag(numbers)
    if coding.get("delta"):
        steps = steps.cumsum(0)
    dtype = DTYPES[coding["dtype"]]
    values = steps if not dtype.is_floating_point else (steps * coding["step"]).astype(np.float32)
    return torch.from_numpy(values.reshape(shape)).to(dtype)


def packed(data: bytes) -> bytes:
    """An .xz stream of `data` with a CRC-32."""
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=FILTERS)


def unpacked(data: bytes, size: int) -> bytes:
    """What `packed` packed, if it is `size` bytes; never more than that is inflated.

    Raises:
        ValueError: another size, or no .xz stream.

    >>> unpacked(packed(b"clay"), 4)
    b'clay'
    """
    try:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_MEMORY)
        made = decoder.decompress(data, max_length=size + 1)
        while len(made) <= size and not decoder.eof and not decoder.needs_input:
            made += decoder.decompress(b"", max_length=size + 1 - len(made))
    except lzma.LZMAError as error:
        raise ValueError(
            f"data got {error}; expected an .xz stream. Make the file again."
        ) from error
    if len(made) != size or not decoder.eof or decoder.unused_data:
        raise ValueError(
            f"data got another size; expected {size} bytes inside. Make the file again."
        )
    return made


def _columns(x: Tensor) -> np.ndarray:
    """[N, C] of any tensor; a number is one row."""
    values = x.detach().cpu().numpy()
    return values.reshape(values.shape[0] if values.ndim else 1, math.prod(values.shape[1:]))


def _planes(numbers: np.ndarray, depth: int) -> bytes:
    """Byte k of all rows of column 0, then of column 1, …; for k from the lowest byte up."""
    columns = np.ascontiguousarray(numbers.T.astype("<u8"))
    return (
        columns.view(np.uint8).reshape(*columns.shape, 8)[..., :depth].transpose(2, 0, 1).tobytes()
    )


def _numbers(
    planes: UInt8[np.ndarray, " B"], depth: int, columns: int, rows: int
) -> Int[np.ndarray, "N C"]:
    """What `_planes` wrote."""
    numbers = np.zeros((columns, rows), np.uint64)
    for k, plane in enumerate(planes.reshape(depth, columns, rows)):
        numbers |= plane.astype(np.uint64) << np.uint64(8 * k)
    return np.ascontiguousarray(numbers.T)


def _zigzag(x: np.ndarray) -> np.ndarray:
    """0, −1, 1, −2 … as 0, 1, 2, 3 …, so that small numbers of either sign have small codes."""
    folded: np.ndarray = ((x << 1) ^ (x >> 63)).astype(np.uint64)
    return folded


def _unzigzag(x: np.ndarray) -> np.ndarray:
    half = (x >> np.uint64(1)).astype(np.int64)
    unfolded: np.ndarray = half ^ -(x & np.uint64(1)).astype(np.int64)
    return unfolded


def _rotations(numbers: np.ndarray, step: float) -> Float[Tensor, "N 4"]:
    largest = torch.from_numpy((numbers[:, 0] & np.uint64(3)).astype(np.int64))
    three = torch.from_numpy(_unzigzag(numbers[:, 1:]) * step).clamp(-THIRD, THIRD)
    quats = torch.empty(len(three), 4, dtype=torch.float64)
    rows = torch.arange(len(three))
    quats[rows[:, None], (largest[:, None] + torch.tensor([1, 2, 3])) % 4] = three
    quats[rows, largest] = (1 - three.square().sum(1)).clamp_min(0).sqrt()
    return torch.nn.functional.normalize(quats, dim=1).float()
