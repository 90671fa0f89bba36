"""Points with colours in PLY files, as nerfstudio's ply_file_path and 3DGS's points3D.ply hold them.

Of the element `vertex`, x, y, z and red, green, blue (bytes, or floats from 0 to 1) are kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from clay4d.files import written_whole
from clay4d.scenes.loaders.images import find, inside
from clay4d.scenes.ply_elements import Table, broken, read_elements


def read_points(root: Path, name: str) -> Float[np.ndarray, "P 6"]:
    """The points of a PLY file: xyz and RGB in 0–1, grey where it has no colours.

    Raises:
        ValueError: not such a file, fewer bytes than its header says, NaN.
        FileNotFoundError: no such file.
    """
    path = inside(root, find(root, name, suffixes=("",)))
    tables, _ = read_elements(path, name=name, wanted=("vertex",))
    vertices = tables.get("vertex", {})
    if not {"x", "y", "z"} <= vertices.keys():
        raise broken(name, "no element vertex with x, y, z")
    return _points(vertices, name)


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


def _points(columns: Table, name: str) -> Float[np.ndarray, "P 6"]:
    xyz = np.stack([columns[key] for key in "xyz"], 1).astype(np.float32)
    rgb = np.full_like(xyz, 0.5)
    if {"red", "green", "blue"} <= columns.keys():
        for i, key in enumerate(("red", "green", "blue")):
            scale = 1.0 if columns[key].dtype.kind == "f" else 255.0
            rgb[:, i] = columns[key].astype(np.float32) / scale
    points = np.concatenate([xyz, np.clip(rgb, 0, 1)], 1)
    if not np.isfinite(points).all():
        raise broken(name, "points with NaN or infinity")
    return points
