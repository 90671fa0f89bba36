"""Elements of PLY files: tables of numbers by name, whatever they mean.

Source: Greg Turk's description of the format (1994). Read are ASCII and binary files of either byte
order. A count that the file is too short for is refused before anything is allocated.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
LONGEST = 1 << 16
"""Bytes of a header, at the most."""
LIST = "list"
Table = dict[str, np.ndarray]
"""Columns by the names of their properties."""


@dataclass
class Element:
    """What a header says of one table: its rows, and types by property; a list has type `LIST`."""

    name: str
    count: int
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def of_one_size(self) -> bool:
        """Whether all rows take the same room."""
        return LIST not in self.properties.values()


@dataclass(frozen=True)
class Header:
    """How the data is written, what is in it, and where it begins."""

    order: str
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    start: int


def read_elements(
    path: Path, *, name: str, wanted: Collection[str]
) -> tuple[dict[str, Table], tuple[str, ...]]:
    """The tables of the elements in `wanted`, as far as the file has them, and its comments.

    Args:
        name: what errors call the file.

    Raises:
        ValueError: not a PLY file, fewer bytes than its header says, lists where rows must have one size.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.ply"
    ...     _ = path.write_text(
    ...         "ply\\nformat ascii 1.0\\nelement vertex 2\\nproperty float x\\nend_header\\n3\\n4\\n")
    ...     read_elements(path, name="a.ply", wanted=("vertex",))[0]["vertex"]["x"].tolist()
    [3.0, 4.0]
    """
    with path.open("rb") as file:
        header = read_header(file.read(LONGEST), name)
        left = path.stat().st_size - header.start
        file.seek(header.start)
        remaining = {e.name for e in header.elements} & set(wanted)
        words = file.read().split() if header.order == "ascii" else []
        tables: dict[str, Table] = {}
        for element in header.elements:
            if not remaining:
                break
            if not element.properties:
                continue
            if not element.of_one_size:
                raise broken(name, f"lists in its element {element.name}")
            if header.order == "ascii":
                table, words = _ascii(element, words, left, name)
            else:
                table = _binary(element, file, ORDERS[header.order], left, name)
                left -= element.count * _kind(element, "<").itemsize
            if element.name in remaining:
                tables[element.name] = table
                remaining.discard(element.name)
    return tables, header.comments


def read_header(data: bytes, name: str) -> Header:
    """The header that `data` begins with.

    Raises:
        ValueError: there is none, or one that says what no PLY file says.
    """
    end = re.search(rb"^end_header[ \t]*\r?\n", data, re.MULTILINE)
    if not data.startswith(b"ply") or end is None:
        raise broken(name, "no PLY header")
    order, comments, elements = "", [], []
    for line in data[: end.start()].decode("utf-8", "replace").splitlines():
        words = line.split()
        match words:
            case ["format", order_, *_]:
                order = order_
            case ["comment", *_]:
                comments.append(line.strip().removeprefix("comment").strip())
            case ["element", element, count] if re.fullmatch("[0-9]{1,18}", count):
                elements.append(Element(element, int(count)))
            case ["property", "list", _, _, prop] if elements:
                elements[-1].properties[prop] = LIST
            case ["property", kind, prop] if (
                elements and kind in TYPES and prop not in elements[-1].properties
            ):
                elements[-1].properties[prop] = kind
            case ["element" | "property", *_]:
                raise broken(name, repr(line[:60]))
    if order not in ORDERS or not elements:
        raise broken(name, "a header without a format or elements")
    return Header(order, tuple(elements), tuple(comments), end.end())


def broken(name: str, what: str) -> ValueError:
    """The error for a file that is no whole PLY file."""
    return ValueError(f"{name} got {what}; expected a whole PLY file. Write it again.")


def _kind(element: Element, order: str) -> np.dtype:
    return np.dtype([(key, order + TYPES[t]) for key, t in element.properties.items()])


def _binary(element: Element, file: BinaryIO, order: str, left: int, name: str) -> Table:
    kind = _kind(element, order)
    size = element.count * kind.itemsize
    if size > left:
        raise broken(name, f"{element.count} rows of {element.name} in {left} bytes")
    rows = np.frombuffer(file.read(size), kind)
    # As they lie in the file, if its byte order is the machine's: who takes columns together copies them anyway.
    return {key: rows[key].astype(rows[key].dtype.newbyteorder("="), copy=False) for key in kind.names or ()}  # fmt: skip


def _ascii(element: Element, words: list[bytes], left: int, name: str) -> tuple[Table, list[bytes]]:
    width = len(element.properties)
    count = element.count * width
    if count > len(words):
        raise broken(name, f"{element.count} rows of {element.name} in {left} bytes")
    try:
        table = np.array([float(word) for word in words[:count]]).reshape(element.count, width)
    except ValueError:
        raise broken(name, "words that are no numbers") from None
    with np.errstate(invalid="ignore", over="ignore"):
        columns = {
            key: table[:, i].astype(TYPES[kind])
            for i, (key, kind) in enumerate(element.properties.items())
        }
    return columns, words[count:]
