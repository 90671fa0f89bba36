"""Renderers: a simulated scene in, pictures with depth, segmentation, normals and flow out."""

from clay4d.physics_baseline.renderers.cameras import scene_cameras
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.renderers.raycast import Raycaster

__all__ = ["Pictures", "Raycaster", "scene_cameras"]
