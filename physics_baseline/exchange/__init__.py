"""Simulated scenes for other programs: meshes, materials, cameras and lights in glTF and USD."""

from clay4d.physics_baseline.exchange.gltf_scene import write_gltf_scene
from clay4d.physics_baseline.exchange.usd_scene import write_usd_scene

__all__ = ["write_gltf_scene", "write_usd_scene"]
