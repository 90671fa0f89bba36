"""What a scene file claims is checked before it is believed.

Kernels index by what is stored and check nothing, and a file's options say how much to allocate: a wrong
index would read another's memory, and a wrong size would take all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clay4d.scenes.motion import ControlNodes, Motion, RigidPaths

HEADER = {"motion": str, "options": dict, "duration": int | float, "background": list}
LARGEST = 1e6
"""Most that a corner of a box or a colour may be."""


def check_header(header: dict[str, Any]) -> None:
    """Refuse a header without what a scene needs.

    Raises:
        ValueError: an entry that is missing or of another type.

    >>> check_header({"motion": "static", "options": {}, "duration": 0.0, "background": [0, 0, 0]})
    """
    check_entries("scene", header, HEADER)
    three_numbers("background", header["background"])
    degree = header.get("sh_degree")
    if degree is not None and degree not in (0, 1, 2, 3):
        raise ValueError(f"sh_degree got {degree!r}; expected 0 to 3 or none. Make the file again.")
    for name, most in (("near", 1e6), ("eps2d", 100)):
        value = header.get(name, 0)
        if not isinstance(value, int | float) or not 0 <= value <= most:
            raise ValueError(f"{name} got {value!r}; expected 0 to {most:g}. Make the file again.")


def three_numbers(name: str, given: Any) -> tuple[float, float, float]:
    """A colour or a corner that a header has as a list.

    Raises:
        ValueError: something else, or numbers past `LARGEST`.

    >>> three_numbers("background", [1, 0.5, 0])
    (1.0, 0.5, 0.0)
    """
    fits = isinstance(given, list) and len(given) == 3
    if not fits or not all(isinstance(x, int | float) and abs(x) <= LARGEST for x in given):
        raise ValueError(f"{name} got {given!r:.60}; expected three numbers. Make the file again.")
    return float(given[0]), float(given[1]), float(given[2])


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors with NaN or infinity.

    Raises:
        ValueError: names the first of them.

    >>> check_finite({"bounds": torch.zeros(2, 3)})
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{name} got NaN or infinity; expected finite values. Train again.")


def check_entries(where: str, header: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a header that lacks one of `wanted`, each with its type.

    Raises:
        ValueError: names the entry; true and false are no numbers.

    >>> check_entries("a.safetensors", {"step": 3}, {"step": int})
    """
    for name, kind in wanted.items():
        value = header.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(
                f"{where} got {name} {value!r:.60}; expected one. Make the file again."
            )


def check_shapes(tensors: dict[str, Tensor], motion: Motion) -> None:
    """Refuse tensors that do not fit each other or `motion`, a model that may lie on the meta device.

    Raises:
        ValueError: names the tensor, its shape and the one expected.

    >>> from clay4d.scenes.motion import Static
    >>> check_shapes({"raw.means": torch.zeros(2, 4)}, Static())
    Traceback (most recent call last):
    ValueError: raw.means got float32 [2, 4]; expected float32 [2, 3]. Make the file again.
    """
    means, sh = tensors.get("raw.means"), tensors.get("raw.sh")
    n = len(means) if means is not None and means.ndim else 0
    bands = sh.shape[1] if sh is not None and sh.ndim == 3 and sh.shape[1] in (1, 4, 9, 16) else 1
    shapes = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": (), "sh": (bands, 3)}
    wanted = {k: torch.empty(n, *tail, device="meta") for k, tail in shapes.items()}
    wanted |= motion.rows(wanted["means"])
    given = {f"raw.{k}": v for k, v in wanted.items()}
    given |= {f"motion.{k}": v for k, v in motion.tensors().items()}
    if "raw.moves" in tensors:
        given["raw.moves"] = torch.empty(n, dtype=torch.uint8, device="meta")
    check_like(tensors, given)
    for name in tensors:
        if name.startswith("motion.") and name not in given:
            raise ValueError(
                f"scene got {name[:60]!r}; expected no such tensor for a motion of these options. "
                "Make the file again."
            )


def check_like(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse tensors that lack one of `wanted` or have it in another shape or type.

    Raises:
        ValueError: names the tensor, its shape and the one expected.

    >>> check_like({"a": torch.zeros(2)}, {"a": torch.ones(2)})
    """
    for name, target in wanted.items():
        value = tensors.get(name)
        if value is None or value.shape != target.shape or value.dtype != target.dtype:
            got = "nothing" if value is None else _said(value)
            raise ValueError(f"{name} got {got}; expected {_said(target)}. Make the file again.")


def check_indices(raw: dict[str, Tensor], motion: Motion) -> None:
    """Refuse rows that point at nodes or objects that are not there.

    Raises:
        ValueError: names the row, the index and the range.
    """
    match motion:
        case ControlNodes():
            name, low, high = "nodes", 0, len(motion.centres) - 1
        case RigidPaths():
            name, low, high = "object", -1, len(motion.positions) - 1
        case _:
            return
    value = raw[name]
    wrong = value[(value < low) | (value > high)]
    if len(wrong):
        raise ValueError(
            f"raw.{name} got {int(wrong[0])}; expected {low} to {high}. Make the file again."
        )


def _said(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
