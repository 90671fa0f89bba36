"""Fields of objects on disk: entries of the header, and tensors by name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from clay4d.scenes.claimed import only_sizes
from clay4d.scenes.fields.objects import FieldSize, ObjectField, ObjectFields
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.motion.rigid_paths import RigidPaths
from clay4d.scenes.store_checks import check_entries, check_finite, check_like, three_numbers

NEEDED = {"options": dict, "paths": dict, "duration": int | float, "background": list}


def object_header(scene: ObjectFields) -> dict[str, Any]:
    """What a file says of fields of objects beside their tensors."""
    return {
        "field": scene.field.kind, "options": scene.field.options(), "paths": scene.paths.options(),
        "duration": scene.duration, "background": list(scene.background),
        "bounds": None if scene.bounds is None else [list(corner) for corner in scene.bounds],
    }  # fmt: skip


def object_tensors(scene: ObjectFields) -> dict[str, Tensor]:
    """All tensors of fields of objects under file names."""
    return _named(scene.field, scene.paths) | {
        "looks": scene.looks, **{f"stage.{k}": v for k, v in scene.stage.tensors().items()}
    }  # fmt: skip


def objects_from(tensors: dict[str, Tensor], header: dict[str, Any]) -> ObjectFields:
    """The scene that `object_tensors` and `object_header` describe.

    Raises:
        ValueError: entries or tensors that are missing, have other shapes, or are not finite.
    """
    check_entries("scene", header, NEEDED)
    background, bounds = three_numbers("background", header["background"]), header.get("bounds")
    if bounds is not None:
        if not isinstance(bounds, list) or len(bounds) != 2:
            raise ValueError(f"bounds got {bounds!r}; expected two corners. Make the file again.")
        bounds = (three_numbers("bounds", bounds[0]), three_numbers("bounds", bounds[1]))
    with only_sizes():  # sizes that a file only claims take no memory
        check_like(tensors, _wanted(tensors, *_build(header)))
    check_finite(tensors)
    field, paths = _build(header)
    with torch.no_grad():
        for name, target in _named(field, paths).items():
            target.copy_(tensors[name])
    stage = Gaussians(**{f.name: tensors[f"stage.{f.name}"] for f in fields(Gaussians)})
    if bool(((stage.opacities < 0) | (stage.opacities > 1)).any() or (stage.scales <= 0).any()):
        raise ValueError(
            "stage got opacities outside 0 to 1, or scales of 0; expected Gaussians. Make the file again."
        )
    return ObjectFields(
        field, tensors["looks"], paths, stage, float(header["duration"]), background, bounds
    )


def _named(field: ObjectField, paths: RigidPaths) -> dict[str, Tensor]:
    own = {f"field.{k}": v for k, v in field.tensors().items()}
    return own | {f"paths.{k}": v for k, v in paths.tensors().items()}


def _build(header: dict[str, Any]) -> tuple[ObjectField, RigidPaths]:
    """A network and paths of a header's sizes."""
    options = dict(header["options"])
    looks = options.pop("looks", None)
    try:
        return ObjectField(FieldSize(**options), looks=looks), RigidPaths(**header["paths"])
    except (TypeError, RuntimeError, OverflowError, ValueError) as error:
        why = "".join(c if c.isprintable() else "?" for c in str(error))[:200]
        raise ValueError(
            f"field got {why}; expected its options. Was it made by another version?"
        ) from error


def _wanted(tensors: dict[str, Tensor], field: ObjectField, paths: RigidPaths) -> dict[str, Tensor]:
    """Tensors of the shapes that a file must have."""
    means, sh = tensors.get("stage.means"), tensors.get("stage.sh")
    n = len(means) if means is not None and means.ndim else 0
    bands = sh.shape[1] if sh is not None and sh.ndim == 3 and sh.shape[1] in (1, 4, 9, 16) else 1
    shapes = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": (), "sh": (bands, 3)}
    stage = {f"stage.{k}": torch.empty(n, *tail) for k, tail in shapes.items()}
    looks = {"looks": torch.empty(len(paths.positions), field.looks)}
    return _named(field, paths) | looks | stage
