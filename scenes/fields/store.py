"""Radiance fields on disk: the same safetensors files as scenes of Gaussians, with another format's name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clay4d.scenes.claimed import only_sizes
from clay4d.scenes.fields import AnyField
from clay4d.scenes.fields.kplanes import KPlanes
from clay4d.scenes.fields.object_store import object_header, object_tensors, objects_from
from clay4d.scenes.fields.objects import ObjectField, ObjectFields
from clay4d.scenes.fields.scene import FieldScene
from clay4d.scenes.store_checks import check_entries, check_finite, check_like, three_numbers

FORMAT = "clay4d-field-1"
NEEDED = {
    "field": str, "options": dict, "duration": int | float, "background": list, "steps": int,
    "occupied": list,
}  # fmt: skip
MOST_CELLS = 1 << 32
"""Of the grid of what is occupied; kept as bits, that is half a gigabyte."""


def field_header(scene: AnyField) -> dict[str, Any]:
    """What a file says of a field beside its tensors."""
    if isinstance(scene, ObjectFields):
        return object_header(scene)
    return {
        "field": scene.field.kind, "options": scene.field.options(), "duration": scene.duration,
        "background": list(scene.background), "steps": scene.steps,
        "occupied": list(scene.occupied.shape),
    }  # fmt: skip


def field_tensors(scene: AnyField) -> dict[str, Tensor]:
    """All tensors of a field under file names; occupancy is one bit a cell."""
    if isinstance(scene, ObjectFields):
        return object_tensors(scene)
    tensors = {f"field.{k}": v for k, v in scene.field.tensors().items()}
    bits = torch.from_numpy(np.packbits(scene.occupied.reshape(-1)))
    return tensors | {"bounds": scene.bounds, "occupied": bits}


def field_from(tensors: dict[str, Tensor], header: dict[str, Any]) -> AnyField:
    """The field that `field_tensors` and `field_header` describe.

    Raises:
        ValueError: entries or tensors that are missing, have other shapes, or are not finite.
    """
    if header.get("field") == ObjectField.kind:
        return objects_from(tensors, header)
    _check_header(header)
    background, shape = three_numbers("background", header["background"]), header["occupied"]
    cells = math.prod(shape)
    with only_sizes():
        wanted = {f"field.{k}": v for k, v in _build(header).tensors().items()}
        wanted |= {"bounds": torch.empty(2, 3)}
        wanted |= {"occupied": torch.empty((cells + 7) // 8, dtype=torch.uint8)}
        check_like(tensors, wanted)
    field = _build(header)
    with torch.no_grad():
        for name, target in field.tensors().items():
            target.copy_(tensors[f"field.{name}"])
    check_finite(tensors)
    occupied = np.unpackbits(tensors["occupied"].numpy(), count=cells).reshape(shape)
    return FieldScene(
        field, tensors["bounds"], occupied, float(header["duration"]), background, header["steps"]
    )


def _build(header: dict[str, Any]) -> KPlanes:
    try:
        return KPlanes(**header["options"])
    except (TypeError, RuntimeError, OverflowError, ValueError) as error:
        raise ValueError(
            f"field got {error}; expected its options. Was it made by another version?"
        ) from error


def _check_header(header: dict[str, Any]) -> None:
    check_entries("scene", header, NEEDED)
    if header["field"] != KPlanes.kind:
        raise ValueError(
            f"field got {header['field']!r}; expected {KPlanes.kind!r} or {ObjectField.kind!r}."
        )
    if not 1 <= header["steps"] <= 1 << 16:
        raise ValueError(f"steps got {header['steps']}; expected 1 to 65536. Make the file again.")
    shape = header["occupied"]
    sizes = len(shape) == 4 and all(isinstance(n, int) and n > 0 for n in shape)
    if not sizes or math.prod(shape) > MOST_CELLS:
        raise ValueError(f"occupied got {shape!r:.60}; expected four sizes. Make the file again.")
