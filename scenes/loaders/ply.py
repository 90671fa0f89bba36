"""Points with colours in PLY files, as nerfstudio's ply_file_path and 3DGS's points3D.ply hold them.

Source: Greg Turk's description of the format (1994). Read are ASCII and binary files of either byte
order, of which the element `vertex` comes first; x, y, z and red, green, blue (bytes, or floats from
0 to 1) are kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from clay4d.files import written_whole
from clay4d.scenes.loaders.images import find, inside

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
LONGEST = 1 << 16
"""Bytes of a header, at the most."""


def read_points(root: Path, name: str) -> Float[np.ndarray, "P 6"]:
    """The points of a PLY file: xyz and RGB in 0–1, grey where it has no colours.

    Raises:
        ValueError: not such a file, fewer bytes than its header says, NaN.
        FileNotFoundError: no such file.
    """
    path = inside(root, find(root, name, suffixes=("",)))
    size = path.stat().st_size
    with path.open("rb") as file:
        order, count, properties = _header(file.read(LONGEST), name)
        kind = np.dtype([(key, ORDERS[order] + TYPES[t]) for key, t in properties])
        start = _start(path)
        # In ASCII a number has one digit and one space at the least, the last one no space.
        least = count * (kind.itemsize if order != "ascii" else 2 * len(properties))
        if least > size - start + (order == "ascii"):
            raise _broken(name, f"{count} points in {size - start} bytes")
        file.seek(start)
        if order == "ascii":
            table = _ascii(file.read(), count, len(properties), name)
            columns = {key: table[:, i] for i, (key, _) in enumerate(properties)}
        else:
            data = np.frombuffer(file.read(count * kind.itemsize), kind)
            columns = {key: data[key] for key in kind.names or ()}
    return _points(columns, dict(properties), name)


def write_points(path: Path, points: Float[np.ndarray, "P 6"]) -> None:
    """Write points as a binary PLY: float x, y, z and uchar red, green, blue."""
    kind = np.dtype([(k, "<f4") for k in "xyz"] + [(k, "u1") for k in ("red", "green", "blue")])
    table = np.zeros(len(points), kind)
    for i, key in enumerate(kind.names or ()):
        column = points[:, i]
        table[key] = column if i < 3 else np.clip(np.rint(255 * column), 0, 255)
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    lines += [
        f"property {'float' if i < 3 else 'uchar'} {k}" for i, k in enumerate(kind.names or ())
    ]
    with written_whole(path) as place:
        place.write_bytes("\n".join([*lines, "end_header\n"]).encode() + table.tobytes())


def _header(data: bytes, name: str) -> tuple[str, int, list[tuple[str, str]]]:
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise _broken(name, "no PLY header")
    order, count, current = "", -1, ""
    properties: list[tuple[str, str]] = []
    for line in data[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"] and len(words) > 1:
            order = words[1]
        elif words[:1] == ["element"] and len(words) == 3:
            current = words[1]
            if count < 0 and (current != "vertex" or not words[2].isdigit()):
                raise _broken(name, f"{' '.join(words)[:60]!r} as its first element")
            count = int(words[2]) if count < 0 else count
        elif words[:1] == ["property"] and current == "vertex":
            if len(words) != 3 or words[1] not in TYPES or words[2] in dict(properties):
                raise _broken(name, f"{line[:60]!r}")
            properties.append((words[2], words[1]))
    if order not in ORDERS or count < 0 or not {"x", "y", "z"} <= dict(properties).keys():
        raise _broken(name, "a header without format, vertices or x, y, z")
    return order, count, properties


def _start(path: Path) -> int:
    """Where the data begins: after the line of end_header, which some files end with \\r\\n."""
    with path.open("rb") as file:
        data = file.read(LONGEST)
    return data.find(b"\n", data.find(b"end_header")) + 1


def _ascii(data: bytes, count: int, width: int, name: str) -> Float[np.ndarray, "P D"]:
    try:
        numbers = [float(word) for word in data.split()[: count * width]]
    except ValueError:
        raise _broken(name, "words that are no numbers") from None
    if len(numbers) < count * width:
        raise _broken(name, f"{len(numbers)} numbers for {count} points")
    return np.array(numbers).reshape(count, width)


def _points(
    columns: dict[str, np.ndarray], types: dict[str, str], name: str
) -> Float[np.ndarray, "P 6"]:
    xyz = np.stack([columns[key] for key in "xyz"], 1).astype(np.float32)
    rgb = np.full_like(xyz, 0.5)
    if {"red", "green", "blue"} <= columns.keys():
        for i, key in enumerate(("red", "green", "blue")):
            scale = 1.0 if TYPES[types[key]].startswith("f") else 255.0
            rgb[:, i] = columns[key].astype(np.float32) / scale
    points = np.concatenate([xyz, np.clip(rgb, 0, 1)], 1)
    if not np.isfinite(points).all():
        raise _broken(name, "points with NaN or infinity")
    return points


def _broken(name: str, what: str) -> ValueError:
    return ValueError(f"{name} got {what}; expected a PLY file of points. Write it again.")
