"""Scenes of Gaussians for other programs: glTF, USD and PLY."""

from __future__ import annotations

from clay4d.scenes.exchange.gltf_splats import write_gltf_splats
from clay4d.scenes.exchange.ply import write_ply, write_ply_sequence
from clay4d.scenes.exchange.usd_splats import write_usd_splats

WRITERS = {
    ".gltf": write_gltf_splats, ".glb": write_gltf_splats, ".usda": write_usd_splats,
    ".usdc": write_usd_splats, ".usdz": write_usd_splats, ".ply": write_ply,
}  # fmt: skip
"""By suffix; each is called as `write(scene, path, *, times)`."""

__all__ = ["WRITERS", "write_gltf_splats", "write_ply", "write_ply_sequence", "write_usd_splats"]
