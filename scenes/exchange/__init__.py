"""Scenes of Gaussians in files: clay4d's own container, and the formats of other programs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from clay4d.scenes.exchange.clay4d_file import read_clay4d, write_clay4d
from clay4d.scenes.exchange.compressed_ply import write_compressed_ply
from clay4d.scenes.exchange.dot_splat import read_splat, write_splat
from clay4d.scenes.exchange.dynamic3d import read_dynamic3d
from clay4d.scenes.exchange.gltf_splats import write_gltf_splats
from clay4d.scenes.exchange.gsplat_checkpoint import read_gsplat, write_gsplat
from clay4d.scenes.exchange.gsplat_dict import from_gsplat, to_gsplat
from clay4d.scenes.exchange.ksplat import read_ksplat
from clay4d.scenes.exchange.ply import write_ply, write_ply_sequence
from clay4d.scenes.exchange.ply_reading import read_ply
from clay4d.scenes.exchange.sequence import SplatSequence, is_sequence, read_ply_sequence
from clay4d.scenes.exchange.sog import read_sog
from clay4d.scenes.exchange.sog_writing import write_sog
from clay4d.scenes.exchange.spz import read_spz, write_spz
from clay4d.scenes.exchange.usd_splats import write_usd_splats

WRITERS: dict[str, Any] = {
    ".gltf": write_gltf_splats, ".glb": write_gltf_splats, ".usda": write_usd_splats,
    ".usdc": write_usd_splats, ".usdz": write_usd_splats, ".ply": write_ply,
    ".compressed.ply": write_compressed_ply, ".splat": write_splat, ".spz": write_spz,
    ".v4.spz": partial(write_spz, version=4), ".sog": write_sog,
    ".clay4d": write_clay4d,
}  # fmt: skip
"""By the end of the name, the longest that fits; each is called as `write(scene, path, *, times)`."""

READERS = {
    ".clay4d": read_clay4d, ".ply": read_ply, ".splat": read_splat, ".ksplat": read_ksplat,
    ".spz": read_spz, ".sog": read_sog, ".npz": read_dynamic3d,
}  # fmt: skip
"""By suffix, of files that `load`, render, evaluate and export take in a run's place."""

__all__ = [
    "READERS", "WRITERS", "SplatSequence", "from_gsplat", "is_sequence", "read_clay4d",
    "read_dynamic3d", "read_gsplat",
    "read_ksplat", "read_ply", "read_ply_sequence", "read_sog", "read_splat", "read_spz", "to_gsplat", "write_gsplat",
    "write_clay4d", "write_compressed_ply", "write_gltf_splats", "write_ply", "write_ply_sequence",
    "write_sog", "write_splat", "write_spz", "write_usd_splats", "writer_for",
]  # fmt: skip


def writer_for(path: str | Path) -> Any:
    """The writer of `WRITERS` that a file's name asks for.

    Raises:
        ValueError: a name of no format.

    >>> writer_for("a.compressed.ply").__name__
    'write_compressed_ply'
    """
    name = Path(path).name.lower()
    fitting = [suffix for suffix in WRITERS if name.endswith(suffix)]
    if not fitting:
        raise ValueError(f"out got {Path(path).name}; expected {', '.join(WRITERS)}. Rename it.")
    return WRITERS[max(fitting, key=len)]
