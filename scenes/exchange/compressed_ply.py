"""PlayCanvas' compressed PLY: chunks of 256 Gaussians, and 16 bytes for each of them.

Source: PlayCanvas' splat-transform (MIT), which writes it. A chunk has the bounds of places, logarithms
of sizes, and colours; a Gaussian has 11, 10 and 11 bits of places and sizes between them, a quaternion
by the three smallest components in 10 bits each, and a byte for each colour and the opacity. Harmonics
above the constant ones are bytes over −4 to 4. All Gaussians are sorted, so that chunks are small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt32

from clay4d.files import written_whole
from clay4d.scenes.exchange.clay4d_file import morton_order
from clay4d.scenes.exchange.still import Still, colours, constant, frozen, logit, sigmoid
from clay4d.scenes.ply_elements import Table, broken
from clay4d.scenes.scene import Scene

CHUNK = 256
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
ENDS = ("min", "max")
GROUPS = (("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b"))
THREE = (11, 10, 11)
"""Bits of places and sizes, the first in the highest."""
LARGEST = 20.0
"""Logarithms of sizes beyond ±20 are cut."""
RANGE = 8.0
"""Width of the harmonics' range."""
SMALLEST_THREE = ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2))


def write_compressed_ply(
    scene: Scene, path: str | Path, *, times: Sequence[float] | None = None
) -> None:
    """Write the Gaussians of one time to a compressed .ply file, whole or not at all.

    Args:
        times: the one time, seconds; the scene's start by default.

    Raises:
        ValueError: several times, or numbers that are not finite.

    >>> import tempfile
    >>> from clay4d.scenes.gaussians import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.compressed.ply"
    ...     write_compressed_ply(SplatScene(raw_from_gaussians(g), Static()), file)
    ...     len(file.read_bytes().split(b"end_header\\n")[1]) == 18 * 4 + 2 * 16
    True
    """
    path = Path(path)
    still = frozen(scene, path, times)
    still = still.taken(morton_order(torch.from_numpy(still.means)).numpy())
    bounds, packed = _packed(still)
    rest = still.sh[:, 1:].transpose(0, 2, 1).reshape(len(still), -1)
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {len(bounds)}"]
    lines += [f"property float {end}_{k}" for group in GROUPS for end in ENDS for k in group]
    lines += [f"element vertex {len(still)}", *(f"property uint {key}" for key in PACKED)]
    if rest.shape[1]:
        lines += [f"element sh {len(still)}"]
        lines += [f"property uchar f_rest_{i}" for i in range(rest.shape[1])]
    steps = np.clip(np.floor((rest / RANGE + 0.5) * 256), 0, 255).astype(np.uint8)
    with written_whole(path) as place, place.open("wb") as file:
        file.write("\n".join([*lines, "end_header", ""]).encode())
        file.write(bounds.astype("<f4").tobytes())
        file.write(packed.astype("<u4").tobytes())
        file.write(steps.tobytes())


def is_compressed(tables: dict[str, Table]) -> bool:
    """Whether elements of a PLY file are those of a compressed one."""
    return "packed_position" in tables.get("vertex", {}) or "chunk" in tables


def unpacked_ply(tables: dict[str, Table], name: str) -> Still:
    """The Gaussians of a compressed file's elements.

    Raises:
        ValueError: elements or properties that are missing or of another length.
    """
    vertices, chunks, rest = (tables.get(key, {}) for key in ("vertex", "chunk", "sh"))
    needed = {f"{end}_{k}" for group in GROUPS[:2] for end in ENDS for k in group}
    if not vertices.keys() >= set(PACKED) or not chunks.keys() >= needed:
        raise broken(name, "elements that are not those of compressed Gaussians")
    if any(vertices[key].dtype != np.uint32 for key in PACKED):
        raise broken(name, "packed numbers that are not of type uint")
    count = len(vertices[PACKED[0]])
    if len(chunks["min_x"]) != math.ceil(count / CHUNK):
        raise broken(name, f"{len(chunks['min_x'])} chunks for {count} Gaussians")
    chunk = np.arange(count) // CHUNK

    def between(shares: np.ndarray, group: tuple[str, ...]) -> np.ndarray:
        low, high = (np.stack([chunks[f"{end}_{k}"][chunk] for k in group], 1) for end in ENDS)
        mixed: np.ndarray = low.astype(np.float64) * (1 - shares) + high * shares
        return mixed

    rgba = _shares(vertices["packed_color"], (8, 8, 8, 8))
    shades = rgba[:, :3]
    if chunks.keys() >= {f"{end}_{k}" for end in ENDS for k in GROUPS[2]}:
        shades = between(shades, GROUPS[2])  # older files have colours from 0 to 1
    sh = constant(shades)
    if rest:
        sh = np.concatenate([sh, _rest(rest, count, name)], 1)
    return Still(
        between(_shares(vertices["packed_position"], THREE), GROUPS[0]),
        _rotations(vertices["packed_rotation"]),
        between(_shares(vertices["packed_scale"], THREE), GROUPS[1]), logit(rgba[:, 3]), sh,
    )  # fmt: skip


def _rest(columns: Table, count: int, name: str) -> Float[np.ndarray, "N K1 3"]:
    from clay4d.scenes.exchange.ply_reading import rest_of

    if any(column.dtype != np.uint8 or len(column) != count for column in columns.values()):
        raise broken(name, f"harmonics that are not bytes for {count} Gaussians")
    steps = rest_of(columns, len(columns), name).astype(np.float64)
    # The two ends stand for themselves, all others for the middle of their step.
    shares = np.select([steps == 0, steps == 255], [0.0, 1.0], (steps + 0.5) / 256)
    return (shares - 0.5) * RANGE


def _packed(still: Still) -> tuple[Float[np.ndarray, "M 18"], UInt32[np.ndarray, "N 4"]]:
    starts = np.arange(0, len(still), CHUNK)
    bounds, shares = [], []
    columns = (still.means, still.log_scales.clip(-LARGEST, LARGEST), colours(still.sh))
    each = np.repeat(np.arange(len(starts)), CHUNK)[: len(still)]
    for values in columns:
        # Shares are of the bounds as they are written, in 32 bits.
        whole = values.astype(np.float32)
        low, high = np.minimum.reduceat(whole, starts), np.maximum.reduceat(whole, starts)
        bounds += [low, high]
        width = (high.astype(np.float64) - low)[each]
        shares.append(np.where(width > 0, (values - low[each]) / np.where(width > 0, width, 1), 0))
    rgba = np.concatenate([shares[2], sigmoid(still.logits)[:, None]], 1)
    position, scale = _word(shares[0], THREE), _word(shares[1], THREE)
    colour = _word(rgba, (8, 8, 8, 8))
    packed = np.stack([position, _quaternions(still.quats), scale, colour], 1)
    return np.concatenate(bounds, 1), packed


def _word(shares: Float[np.ndarray, "N C"], bits: tuple[int, ...]) -> UInt32[np.ndarray, " N"]:
    """Shares of 0–1 as whole numbers of so many bits, the first in the highest."""
    word = np.zeros(len(shares), np.uint32)
    for k, width in enumerate(bits):
        top = (1 << width) - 1
        steps = np.floor(shares[:, k].clip(0, 1) * top + 0.5).astype(np.uint32)
        word = (word << np.uint32(width)) | steps
    return word


def _shares(word: UInt32[np.ndarray, " N"], bits: tuple[int, ...]) -> Float[np.ndarray, "N C"]:
    """What `_word` packed."""
    columns = []
    for width in reversed(bits):
        top = np.uint32((1 << width) - 1)
        columns.append((word & top) / np.float64(top))
        word = word >> np.uint32(width)
    return np.stack(columns[::-1], 1)


def _quaternions(quats: Float[np.ndarray, "N 4"]) -> UInt32[np.ndarray, " N"]:
    largest = np.abs(quats).argmax(1)
    rows = np.arange(len(quats))
    quats = quats * np.where(quats[rows, largest] < 0, -1.0, 1.0)[:, None]
    three = quats[rows[:, None], np.array(SMALLEST_THREE)[largest]]
    word = _word(three * math.sqrt(0.5) + 0.5, (10, 10, 10))
    turned: np.ndarray = word | (largest.astype(np.uint32) << np.uint32(30))
    return turned


def _rotations(word: UInt32[np.ndarray, " N"]) -> Float[np.ndarray, "N 4"]:
    largest = (word >> np.uint32(30)).astype(np.int64)
    three = (_shares(word, (10, 10, 10)) - 0.5) * math.sqrt(2)
    rows = np.arange(len(word))
    quats = np.empty((len(word), 4))
    quats[rows[:, None], np.array(SMALLEST_THREE)[largest]] = three
    quats[rows, largest] = np.sqrt(np.maximum(0, 1 - np.square(three).sum(1)))
    return quats
