"""Radiance fields: scenes that are density and colour at every place and time, not Gaussians."""

from clay4d.scenes.fields.base import RadianceField
from clay4d.scenes.fields.kplanes import KPlanes
from clay4d.scenes.fields.objects import FieldSize, ObjectField, ObjectFields
from clay4d.scenes.fields.scene import FieldScene, all_occupied
from clay4d.scenes.scene import Scene

AnyField = FieldScene | ObjectFields
"""Scenes whose `.at(time)` is a `RadianceField`."""
AnyScene = Scene | AnyField
"""What `render` draws."""

__all__ = [
    "AnyField",
    "AnyScene",
    "FieldScene",
    "FieldSize",
    "KPlanes",
    "ObjectField",
    "ObjectFields",
    "RadianceField",
    "all_occupied",
]
