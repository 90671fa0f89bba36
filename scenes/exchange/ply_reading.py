"""Scenes from PLY files: INRIA's layout, and PlayCanvas' compressed one.

Sources: 3D Gaussian Splatting (Kerbl et al., SIGGRAPH 2023), `GaussianModel.save_ply`; for compressed
files `compressed_ply`. Files differ in whether they have normals, in their degree of harmonics (none,
f_rest of 9, 24, 45, or 72 of which degree 4 is left out) and in how numbers are written; all are read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from clay4d.scenes.exchange.compressed_ply import is_compressed, unpacked_ply
from clay4d.scenes.exchange.still import Still, opened, still_scene
from clay4d.scenes.ply_elements import Table, broken, read_elements
from clay4d.scenes.splat_scene import SplatScene

NEEDED = (
    "x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
    "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip


def read_ply(path: str | Path) -> SplatScene:
    """Read the Gaussians of a .ply file, compressed or not, as a scene that stands still.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no Gaussians in it, a file cut short, NaN.

    >>> import tempfile, torch
    >>> from clay4d.scenes.exchange.ply import write_ply
    >>> from clay4d.scenes.gaussians import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import raw_from_gaussians
    >>> g = Gaussians.from_points(torch.rand(3, 3), torch.rand(3, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ply(SplatScene(raw_from_gaussians(g), Static()), Path(folder) / "a.ply")
    ...     bool((read_ply(Path(folder) / "a.ply").raw["means"] == g.means).all())
    True
    """
    return read_ply_and_comments(path)[0]


def read_ply_and_comments(path: str | Path) -> tuple[SplatScene, tuple[str, ...]]:
    """The scene of `read_ply`, and the comments of the file's header."""
    path = opened(path, "PLY")
    tables, comments = read_elements(path, name=path.name, wanted=("chunk", "vertex", "sh"))
    still = unpacked_ply(tables, path.name) if is_compressed(tables) else _inria(tables, path.name)
    return still_scene(still, path.name), comments


def _inria(tables: dict[str, Table], name: str) -> Still:
    vertices = tables.get("vertex", {})
    lacking = [key for key in NEEDED if key not in vertices]
    if lacking:
        raise broken(name, f"no {', '.join(lacking[:3])} in its vertices, so no Gaussians,")

    def columns(*keys: str) -> Float[np.ndarray, "N C"]:
        return np.stack([vertices[key] for key in keys], 1)

    sh = columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    more = sum(key.startswith("f_rest_") for key in vertices)
    if more:
        sh = np.concatenate([sh, rest_of(vertices, more, name)], 1)
    return Still(
        columns("x", "y", "z"), columns("rot_0", "rot_1", "rot_2", "rot_3"),
        columns("scale_0", "scale_1", "scale_2"), vertices["opacity"], sh,
    )  # fmt: skip


def rest_of(columns: Table, count: int, name: str) -> Float[np.ndarray, "N K1 3"]:
    """The harmonics above the constant ones, from `count` columns f_rest, all of red first.

    Raises:
        ValueError: a number of columns that is no degree's, or names that are not f_rest_0 and on.
    """
    keys = [f"f_rest_{i}" for i in range(count)]
    if count not in (9, 24, 45, 72) or not columns.keys() >= set(keys):
        raise broken(name, f"{count} f_rest that are those of no degree")
    table = np.stack([columns[key] for key in keys], 1)
    return table.reshape(len(table), 3, count // 3).transpose(0, 2, 1)
