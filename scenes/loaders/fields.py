"""Values out of JSON that other people wrote: each is checked where it is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from clay4d.scenes.cameras import RIGID
from clay4d.scenes.loaders.images import find, inside


def parse_json(root: Path, name: str) -> Any:
    """What the JSON file `name` of the folder `root` holds.

    Raises:
        ValueError: not UTF-8, or not JSON.
        FileNotFoundError: no such file.
    """
    path = inside(root, find(root, name, suffixes=("",)))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name} got text that is not JSON ({why}); expected a JSON object. Write it again."
        ) from None


def read_json(root: Path, name: str) -> dict[str, Any]:
    """The object in the JSON file `name` of the folder `root`.

    Raises:
        ValueError: not UTF-8, not JSON, or not an object.
        FileNotFoundError: no such file.
    """
    value = parse_json(root, name)
    if not isinstance(value, dict):
        raise ValueError(
            f"{name} got a JSON {type(value).__name__}; expected an object with named fields. "
            "Check which file this is."
        )
    return value


def objects(meta: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """A list of objects, not empty.

    Raises:
        ValueError: missing, not a list, empty, or with entries that are not objects.
    """
    value = meta.get(key)
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise ValueError(
            f"{where} got {key} = {str(value)[:60]!r}; expected a list of objects. "
            "Check which file this is."
        )
    if not value:
        raise ValueError(
            f"{where} got no {key}; expected at least one. Add pictures or delete the file."
        )
    return value


def number(meta: Mapping[str, Any], key: str, where: str, *, default: float | None = None) -> float:
    """A finite number.

    Raises:
        ValueError: missing without a default, not a number, NaN or infinite.

    >>> number({"w": 3}, "w", "transforms.json")
    3.0
    """
    value = meta.get(key, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            if math.isfinite(float(value)):
                return float(value)
        except OverflowError:
            pass
    raise ValueError(
        f"{where} got {key} = {str(value)[:60]}; expected a finite number. Write the missing value."
    )


def positive(
    meta: Mapping[str, Any], key: str, where: str, *, default: float | None = None
) -> float:
    """A finite number above zero.

    Raises:
        ValueError: anything else.
    """
    value = number(meta, key, where, default=default)
    if value <= 0:
        raise ValueError(
            f"{where} got {key} = {value:g}; expected a number above 0. Correct the value."
        )
    return value


def array(value: object, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    """Nested lists of finite numbers as float64.

    Raises:
        ValueError: another shape, entries that are not numbers, NaN or infinity.
    """
    try:
        result = np.array(value)
    except (ValueError, OverflowError):
        result = np.array(None)
    if result.shape != shape or result.dtype.kind not in "iuf":
        size = "×".join(map(str, shape))
        raise ValueError(
            f"{what} got {str(value)[:60]!r}; expected {size} numbers. Correct the entry."
        )
    if not np.isfinite(result.astype(np.float64)).all():
        raise ValueError(
            f"{what} got NaN or infinity; expected finite numbers. Remove the frame or its pose."
        )
    return result.astype(np.float64)


def rigid(value: object, what: str) -> NDArray[np.float64]:
    """A rotation and a translation as float64 [4, 4], the rotation made exactly orthonormal.

    Raises:
        ValueError: not 4×4 finite numbers, or with scale, shear or mirroring.

    >>> rigid(np.eye(4).tolist(), "pose").shape
    (4, 4)
    """
    pose = array(value, (4, 4), what)
    U, S, Vt = np.linalg.svd(pose[:3, :3])
    off = float(np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max())
    last = float(np.abs(pose[3] - [0, 0, 0, 1]).max())
    if off > RIGID or last > RIGID or np.linalg.det(pose[:3, :3]) < 0:
        raise ValueError(
            f"{what} got a pose that is not rigid (off by {max(off, last):.2g}, determinant "
            f"{np.linalg.det(pose[:3, :3]):.3g}); expected a rotation and a translation. "
            "Remove scale or mirroring from the poses."
        )
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = U @ Vt, pose[:3, 3]
    return result


def inverse(pose: NDArray[np.float64]) -> Float[np.ndarray, "4 4"]:
    """The inverse of a rigid pose, exact up to rounding.

    >>> bool((inverse(np.eye(4)) == np.eye(4)).all())
    True
    """
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result
