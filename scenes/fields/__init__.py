"""Radiance fields: scenes that are density and colour at every place and time, not Gaussians."""

from clay4d.scenes.fields.kplanes import KPlanes
from clay4d.scenes.fields.scene import FieldScene, RadianceField, all_occupied

__all__ = ["FieldScene", "KPlanes", "RadianceField", "all_occupied"]
