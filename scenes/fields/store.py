"""Radiance fields on disk: the same safetensors files as scenes of Gaussians, with another format's name."""

from __future__ import annotations

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
from clay4d.scenes.store_checks import check_finite

FORMAT = "clay4d-field-1"
NEEDED = {"field": str, "options": dict, "duration": int | float, "background": list}


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
    with only_sizes():
        _check_shapes(tensors, _build(header))
    field = _build(header)
    with torch.no_grad():
        for name, target in field.tensors().items():
            target.copy_(tensors[f"field.{name}"])
    check_finite(tensors)
    shape = tuple(int(n) for n in header["occupied"])
    wanted, bits = int(np.prod(shape)), tensors["occupied"].numpy()
    if len(shape) != 4 or min(shape) < 1 or bits.ndim != 1 or len(bits) != (wanted + 7) // 8:
        raise ValueError(f"occupied got {list(shape)}; expected its bits. Make the file again.")
    red, green, blue = (float(x) for x in header["background"])
    return FieldScene(
        field, tensors["bounds"], np.unpackbits(bits)[:wanted].reshape(shape),
        float(header["duration"]), (red, green, blue), int(header["steps"]),
    )  # fmt: skip


def _build(header: dict[str, Any]) -> KPlanes:
    try:
        return KPlanes(**header["options"])
    except (TypeError, RuntimeError, OverflowError, ValueError) as error:
        raise ValueError(
            f"field got {error}; expected its options. Was it made by another version?"
        ) from error


def _check_header(header: dict[str, Any]) -> None:
    for name, wanted in (NEEDED | {"steps": int, "occupied": list}).items():
        if not isinstance(header.get(name), wanted):
            raise ValueError(
                f"scene got {name} {header.get(name)!r}; expected one. Make the file again."
            )
    if header["field"] != KPlanes.kind:
        raise ValueError(
            f"field got {header['field']!r}; expected {KPlanes.kind!r} or {ObjectField.kind!r}."
        )
    if len(header["background"]) != 3 or not 1 <= header["steps"] <= 1 << 16:
        raise ValueError(
            f"scene got background {header['background']} and {header['steps']} steps; expected "
            "three numbers and 1 to 65536. Make the file again."
        )
    if not all(isinstance(n, int) for n in header["occupied"]):
        raise ValueError(f"occupied got {header['occupied']}; expected four sizes.")


def _check_shapes(tensors: dict[str, Tensor], field: KPlanes) -> None:
    wanted = {f"field.{k}": v for k, v in field.tensors().items()}
    wanted |= {"bounds": torch.empty(2, 3), "occupied": torch.empty(0, dtype=torch.uint8)}
    for name, target in wanted.items():
        value = tensors.get(name)
        fits = value is not None and value.dtype == target.dtype
        if not fits or (name != "occupied" and value is not None and value.shape != target.shape):
            got = "nothing" if value is None else f"{value.dtype} {list(value.shape)}"
            raise ValueError(f"{name} got {got}; expected {list(target.shape)}. Make it again.")
