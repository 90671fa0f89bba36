"""Radiance fields: scenes that are density and colour at every place and time, not Gaussians."""

from clay4d.scenes.fields.kplanes import KPlanes
from clay4d.scenes.fields.scene import FieldScene, RadianceField, all_occupied
from clay4d.scenes.scene import Scene

AnyScene = Scene | FieldScene
"""What `render` draws."""

__all__ = ["AnyScene", "FieldScene", "KPlanes", "RadianceField", "all_occupied"]
