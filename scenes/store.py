"""Scenes on disk: one safetensors file, its JSON header naming the motion model and its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clay4d.files import written_whole
from clay4d.scenes.claimed import only_sizes
from clay4d.scenes.fields import AnyField
from clay4d.scenes.fields.store import FORMAT as FIELD_FORMAT
from clay4d.scenes.fields.store import field_from, field_header, field_tensors
from clay4d.scenes.motion import (
    ControlNodes,
    Deformation,
    HexPlane,
    Motion,
    MotionBases,
    Polynomial,
    RigidPaths,
    SpaceTime,
    Static,
)
from clay4d.scenes.motion.rigid_paths import from_rigid_parts
from clay4d.scenes.splat_scene import SplatScene
from clay4d.scenes.store_checks import (
    check_finite,
    check_header,
    check_indices,
    check_shapes,
    three_numbers,
)

if TYPE_CHECKING:
    from clay4d.scenes.exchange import SplatSequence

FORMAT = "clay4d-scene-1"
MOTIONS: dict[str, Any] = {
    m.kind: m
    for m in (
        Static,
        ControlNodes,
        Deformation,
        HexPlane,
        MotionBases,
        Polynomial,
        RigidPaths,
        SpaceTime,
    )  # fmt: skip
}


def write_tensors(path: str | Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write a safetensors file with a JSON header, whole or not at all.

    The file is written beside its place under a temporary name, flushed to disk, and renamed.

    Raises:
        OSError: it cannot be written, for want of room or of rights.
    """
    plain = {k: v.detach().contiguous() for k, v in tensors.items()}
    metadata = {"clay4d": json.dumps(header, sort_keys=True)}
    try:
        with written_whole(Path(path)) as place:
            place.touch()  # safetensors' own files can be read by their owner alone
            mode = place.stat().st_mode
            save_file(plain, place, metadata=metadata)
            place.chmod(mode)
    except SafetensorError as error:
        raise OSError(f"{path} got {error}; expected to write it. Make room there.") from error


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON header of a file that `write_tensors` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file, or is cut short.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a clay4d file. Check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("clay4d", "null"))
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, RecursionError, OSError) as error:
        why = "".join(c if c.isprintable() else "?" for c in str(error))[:300]
        raise ValueError(
            f"{path} got {why}; expected a whole clay4d file. Make it again."
        ) from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} got no clay4d header; expected a file written by clay4d.")
    return tensors, header


def build_motion(kind: str, options: dict[str, Any]) -> Motion:
    """A motion model by its kind and options.

    Raises:
        ValueError: an unknown kind or option.

    >>> build_motion("static", {}).kind
    'static'
    """
    if kind not in MOTIONS:
        raise ValueError(f"motion got {kind!r}; expected one of {', '.join(MOTIONS)}.")
    try:
        motion: Motion = MOTIONS[kind](**options)
    except (TypeError, RuntimeError, ArithmeticError, AttributeError) as error:
        raise _no_options(kind, error) from error
    return motion


def _no_options(kind: str, error: Exception) -> ValueError:
    why = "".join(c if c.isprintable() else "?" for c in str(error))[:200]
    return ValueError(
        f"motion {kind} got {why}; expected its options. Was it made by another version?"
    )


def scene_header(scene: SplatScene) -> dict[str, Any]:
    """What a file says of a scene beside its tensors."""
    return {
        "motion": scene.motion.kind, "options": scene.motion.options(),
        "duration": scene.duration, "background": list(scene.background),
        "sh_degree": scene.sh_degree, "near": scene.near, "antialiased": scene.antialiased,
        "eps2d": scene.eps2d,
    }  # fmt: skip


def scene_tensors(scene: SplatScene) -> dict[str, Tensor]:
    """All tensors of a scene under file names: `raw.NAME` and `motion.NAME`."""
    raw = {f"raw.{k}": v for k, v in scene.raw.items()}
    return raw | {f"motion.{k}": v for k, v in scene.motion.tensors().items()}


def scene_from(tensors: dict[str, Tensor], header: dict[str, Any]) -> SplatScene:
    """The scene that `scene_tensors` and `scene_header` describe.

    Raises:
        ValueError: tensors that are missing, have other shapes, or are not finite.
    """
    check_header(header)
    if header["motion"] == "rigid-parts":
        tensors, header = from_rigid_parts(tensors, header)
    with only_sizes():  # sizes that a file only claims take no memory
        claimed = build_motion(header["motion"], header["options"])
        try:
            check_shapes(tensors, claimed)
        except (TypeError, RuntimeError, ArithmeticError, AttributeError) as error:
            raise _no_options(header["motion"], error) from error
    motion = build_motion(header["motion"], header["options"])
    with torch.no_grad():
        for name, target in motion.tensors().items():
            target.copy_(tensors[f"motion.{name}"])
    raw = {k.removeprefix("raw."): v for k, v in tensors.items() if k.startswith("raw.")}
    check_finite({**raw, **motion.tensors()})
    check_indices(raw, motion)
    background = three_numbers("background", header["background"])
    return SplatScene(
        raw, motion, float(header["duration"]), background, header.get("sh_degree"),
        float(header.get("near", 0.01)), bool(header.get("antialiased", False)),
        float(header.get("eps2d", 0.3)),
    )  # fmt: skip


def save_scene(path: str | Path, scene: SplatScene | AnyField) -> None:
    """Write a scene to one file, whole or not at all."""
    if isinstance(scene, AnyField):
        header = {"format": FIELD_FORMAT, **field_header(scene)}
        write_tensors(path, field_tensors(scene), header)
        return
    header = {"format": FORMAT, **scene_header(scene)}
    write_tensors(path, scene_tensors(scene), header)


def load_scene(path: str | Path) -> SplatScene | SplatSequence | AnyField:
    """Read a scene that `save_scene` wrote, or a file of one of `exchange.READERS`, by its suffix.

    A folder of numbered .ply files is a scene too, one that moves.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no scene, or of another version.
    """
    from clay4d.scenes.exchange import (
        READERS,
        read_ply_sequence,
    )  # they build scenes by this module

    if Path(path).is_dir():
        return read_ply_sequence(path)
    read = READERS.get(Path(path).suffix.lower())
    if read is not None:
        loaded: SplatScene = read(path)
        return loaded
    tensors, header = read_tensors(path)
    if header.get("format") == FIELD_FORMAT:
        return field_from(tensors, header)
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} got format {header.get('format')!r}; expected {FORMAT!r}.")
    return scene_from(tensors, header)
