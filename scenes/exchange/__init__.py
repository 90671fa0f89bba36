"""Scenes of Gaussians in files: clay4d's own container, and glTF, USD and PLY for other programs."""

from __future__ import annotations

from clay4d.scenes.exchange.clay4d_file import read_clay4d, write_clay4d
from clay4d.scenes.exchange.gltf_splats import write_gltf_splats
from clay4d.scenes.exchange.ply import write_ply, write_ply_sequence
from clay4d.scenes.exchange.usd_splats import write_usd_splats

WRITERS = {
    ".gltf": write_gltf_splats, ".glb": write_gltf_splats, ".usda": write_usd_splats,
    ".usdc": write_usd_splats, ".usdz": write_usd_splats, ".ply": write_ply,
    ".clay4d": write_clay4d,
}  # fmt: skip
"""By suffix; each is called as `write(scene, path, *, times)`."""

READERS = {".clay4d": read_clay4d}
"""By suffix, of files that `load`, render, evaluate and export take in a run's place."""

__all__ = [
    "READERS", "WRITERS", "read_clay4d", "write_clay4d", "write_gltf_splats", "write_ply",
    "write_ply_sequence", "write_usd_splats",
]  # fmt: skip
