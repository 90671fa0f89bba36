"""`.spz`: Niantic's packed Gaussians, versions 1 to 4.

Source: nianticlabs/spz (MIT). Tables of bytes one after another: places, opacities, colours, sizes,
rotations, harmonics; gzip around a header of 16 bytes and the tables up to version 3, from version 4 on
a plain header of 32 bytes and a Zstandard frame for each table. Axes are right, up, back where PLY's are
right, down, forward, so y and z change their signs here, as in the field's converters: the same model
in both formats (PlayCanvas' biker) agrees.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8

from clay4d.files import written_whole
from clay4d.scenes.exchange.clay4d_file import morton_order
from clay4d.scenes.exchange.still import (
    Still,
    check_claim,
    frozen,
    logit,
    opened,
    sigmoid,
    still_scene,
    to_byte,
)
from clay4d.scenes.scene import Scene
from clay4d.scenes.splat_scene import SplatScene

MAGIC = 0x5053474E
SMALL, LARGE = 16, 32
"""Bytes of the header up to version 3, and from version 4 on."""
ANTIALIASED = 1
"""Flag of scenes whose smallest Gaussians grow fainter instead of larger."""
EXTENDED = 2
"""Flag of extensions, which are skipped."""
FRACTION = 12
"""Bits after the point of the places that are written: a quarter of a millimetre."""
COLOUR = 0.15
"""Constant harmonics in parts of the colours' range: wider than what a screen shows."""
REST = {0: 0, 1: 3, 2: 8, 3: 15, 4: 24}
FLIP = np.array([1.0, -1.0, -1.0])
SH_FLIP = np.array([-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1.0])
"""Signs of the harmonics above the constant one under y → −y, z → −z."""
SIXTH = math.sqrt(0.5) / 511
"""Step of a quaternion's three smallest components."""
Version = Literal[3, 4]


@dataclass(frozen=True)
class Header:
    """What all versions say first."""

    version: int
    count: int
    degree: int
    fraction: int
    flags: int

    @property
    def sizes(self) -> list[int]:
        """Bytes of the tables: places, opacities, colours, sizes, rotations, harmonics."""
        place = 6 if self.version == 1 else 9
        turn = 4 if self.version >= 3 else 3
        return [self.count * k for k in (place, 1, 3, 3, turn, 3 * REST[self.degree])]


def write_spz(
    scene: Scene,
    path: str | Path,
    *,
    times: Sequence[float] | None = None,
    version: Version = 3,
) -> None:
    """Write the Gaussians of one time to a .spz file, whole or not at all.

    Harmonics are kept to 5 bits in degree 1 and 4 above, as Niantic's own writer does.

    Args:
        times: the one time, seconds; the scene's start by default.
        version: 3 is read by most programs; 4 is the newest.

    Raises:
        ValueError: several times, numbers that are not finite, places beyond ±2048 m.

    >>> import tempfile
    >>> from clay4d.scenes.gaussians import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import raw_from_gaussians
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_spz(SplatScene(raw_from_gaussians(g), Static()), Path(folder) / "a.spz")
    ...     len(read_spz(Path(folder) / "a.spz"))
    2
    """
    path = Path(path)
    still = frozen(scene, path, times)
    if version not in (3, 4):
        raise ValueError(f"version got {version}; expected 3 or 4.")
    farthest = np.abs(still.means).max()
    if farthest * 2**FRACTION > 2**23 - 1:
        raise ValueError(
            f"{path} got a place {farthest:.0f} m away; expected at most 2047. Crop the scene, or "
            "write .ply."
        )
    still = still.taken(morton_order(torch.from_numpy(still.means)).numpy())
    tables = _tables(still)
    degree = math.isqrt(still.sh.shape[1]) - 1
    flags = ANTIALIASED * (isinstance(scene, SplatScene) and scene.antialiased)
    head = struct.pack("<3I4B", MAGIC, version, len(still), degree, FRACTION, flags, 0)
    with written_whole(path) as place:
        if version == 3:
            place.write_bytes(_gzipped(head + b"".join(tables[:-1]), tables[-1]))
        else:
            place.write_bytes(_version_4(head, [t for t in tables if t]))


def _gzipped(plain: bytes, harmonics: bytes) -> bytes:
    """One gzip member around both, without a name or a time, so that equal scenes give equal bytes.

    Harmonics have few values and hardly a string twice: looking for strings takes zlib twenty times as long, and
    the file grows. So they are a part of their own, with runs and Huffman's code alone.
    """
    first = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    second = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_RLE)
    packed = first.compress(plain) + first.flush(zlib.Z_FULL_FLUSH)
    packed += second.compress(harmonics) + second.flush()
    check = zlib.crc32(harmonics, zlib.crc32(plain))
    size = (len(plain) + len(harmonics)) & 0xFFFFFFFF
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + packed + struct.pack("<2I", check, size)


def _version_4(head: bytes, tables: list[bytes]) -> bytes:
    import zstandard

    frames = [zstandard.ZstdCompressor(level=12).compress(table) for table in tables]
    header = head[:15] + struct.pack("<BI12x", len(tables), LARGE)
    contents = b"".join(struct.pack("<2Q", len(f), len(t)) for f, t in zip(frames, tables))
    return header + contents + b"".join(frames)


def _tables(still: Still) -> list[bytes]:
    fixed = np.rint(still.means * FLIP * 2**FRACTION).astype("<i4")
    flips = 128 * SH_FLIP[: still.sh.shape[1] - 1, None].astype(np.float32)
    steps = np.rint(still.sh[:, 1:] * flips)
    for steps_of, bucket in ((steps[:, :3], 8), (steps[:, 3:], 16)):
        steps_of += 128 + bucket // 2
        steps_of /= bucket
        np.floor(steps_of, out=steps_of)
        steps_of *= bucket
    return [
        fixed[..., None].view(np.uint8)[..., :3].tobytes(),
        to_byte(255 * sigmoid(still.logits)).tobytes(),
        to_byte(255 * (COLOUR * still.sh[:, 0] + 0.5)).tobytes(),
        to_byte(16 * (still.log_scales + 10)).tobytes(),
        _packed(still.quats).astype("<u4").tobytes(),
        to_byte(steps).tobytes(),
    ]


def read_spz(path: str | Path) -> SplatScene:
    """Read a .spz file of version 1 to 4 as a scene that stands still.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such file, one cut short, tables of other sizes than its header says, NaN.
    """
    path = opened(path, ".spz")
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        header, body = _gunzipped(path, data)
    else:
        header, body = _header(data, path), data[SMALL:]
        if header.version >= 4:
            return _scene(header, _frames(header, path, data), path)
    if header.version > 3 or len(body) < sum(header.sizes):
        raise _broken(path, f"{len(body)} bytes of version {header.version}")
    ends = np.cumsum([0, *header.sizes])
    tables = [np.frombuffer(body[a:b], np.uint8) for a, b in zip(ends, ends[1:])]
    return _scene(header, tables, path)


def _scene(header: Header, tables: list[UInt8[np.ndarray, " B"]], path: Path) -> SplatScene:
    scene = still_scene(_still(header, tables), path.name)
    scene.antialiased = bool(header.flags & ANTIALIASED)
    return scene


def _header(data: bytes, path: Path) -> Header:
    if len(data) < SMALL:
        raise _broken(path, f"{len(data)} bytes")
    magic, version, count, degree, fraction, flags = struct.unpack_from("<3I3B", data)
    if magic != MAGIC or version not in (1, 2, 3, 4):
        raise _broken(path, f"magic {magic:#x} and version {version}")
    if degree not in REST or fraction > 23:
        raise _broken(path, f"degree {degree} and {fraction} bits after the point")
    header = Header(version, count, degree, fraction, flags)
    check_claim(path, sum(header.sizes))
    return header


def _gunzipped(path: Path, data: bytes) -> tuple[Header, bytes]:
    """Header and tables of version 1 to 3; no more is inflated than the header says."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        header = _header(unpacker.decompress(data, SMALL), path)
        size = sum(header.sizes)
        body = unpacker.decompress(unpacker.unconsumed_tail, size) if size else b""
        if len(body) == size and not header.flags & EXTENDED:
            left = unpacker.decompress(unpacker.unconsumed_tail, 1)
            if left or not unpacker.eof:
                raise _broken(path, f"more or less than its {header.count} Gaussians")
    except zlib.error as error:
        raise _broken(path, str(error)) from None
    return header, body


def _frames(header: Header, path: Path, data: bytes) -> list[UInt8[np.ndarray, " B"]]:
    """The tables of version 4, each in its Zstandard frame."""
    import zstandard

    sizes = [size for size in header.sizes if size]
    if len(data) < LARGE:
        raise _broken(path, f"{len(data)} bytes")
    number, begin = struct.unpack_from("<BI", data, 15)
    start = begin + 16 * number
    if number != len(sizes) or begin < LARGE or start > len(data):
        raise _broken(path, f"{number} streams, with their sizes at {begin}")
    tables = []
    for k, size in enumerate(sizes):
        packed, whole = struct.unpack_from("<2Q", data, begin + 16 * k)
        if whole != size or packed > len(data) - start:
            raise _broken(path, f"a stream of {packed} bytes for {whole}")
        frame = data[start : start + packed]
        try:
            # A frame may claim another size than the table of contents: read what is expected, and one.
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(frame)
            table = reader.read(size + 1)
        except zstandard.ZstdError as error:
            raise _broken(path, str(error)) from None
        if len(table) != size:
            raise _broken(path, f"a stream of other than {size} bytes")
        tables.append(np.frombuffer(table, np.uint8))
        start += packed
    return tables + [np.zeros(0, np.uint8)] * (len(header.sizes) - len(tables))


def _still(header: Header, tables: list[UInt8[np.ndarray, " B"]]) -> Still:
    places, alphas, shades, sizes, turns, rest = tables
    n = header.count
    if header.version == 1:
        means = places.view("<f2").reshape(n, 3).astype(np.float64)
    else:
        # Three bytes in the upper part of four: the shift back keeps the sign.
        wide = np.zeros((n, 3, 4), np.uint8)
        wide[..., 1:] = places.reshape(n, 3, 3)
        means = (wide.view("<i4")[..., 0] >> 8) / 2.0**header.fraction
    quats = (
        _unpacked(turns.view("<u4")) if header.version >= 3 else _first_three(turns.reshape(n, 3))
    )
    sh = np.concatenate(
        [
            ((shades / 255.0 - 0.5) / COLOUR).reshape(n, 1, 3),
            (rest.reshape(n, REST[header.degree], 3) - 128.0) / 128,
        ],
        1,
    )[:, :16]
    sh[:, 1:] *= SH_FLIP[: sh.shape[1] - 1, None]
    return Still(
        means * FLIP, quats * np.array([1.0, 1, -1, -1]), sizes.reshape(n, 3) / 16.0 - 10,
        logit(alphas / 255.0), sh,
    )  # fmt: skip


def _first_three(turns: UInt8[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 4"]:
    """Versions 1 and 2: x, y, z; w is not below zero."""
    xyz = turns / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - np.square(xyz).sum(1, keepdims=True)))
    return np.concatenate([w, xyz], 1)


def _packed(quats: Float[np.ndarray, "N 4"]) -> np.ndarray:
    """From version 3 on: which of x, y, z, w is largest in two bits, the others as sign and 9 bits."""
    xyzw = (quats * np.array([1.0, 1, -1, -1]))[:, [1, 2, 3, 0]]
    largest = np.abs(xyzw).argmax(1)
    xyzw = xyzw * np.where(xyzw[np.arange(len(xyzw)), largest] < 0, -1.0, 1.0)[:, None]
    word: np.ndarray = largest.astype(np.uint32)
    for k in range(4):
        size = np.minimum(np.floor(np.abs(xyzw[:, k]) / SIXTH + 0.5), 511).astype(np.uint32)
        part = ((xyzw[:, k] < 0).astype(np.uint32) << np.uint32(9)) | size
        word = np.where(largest == k, word, (word << np.uint32(10)) | part)
    return word


def _unpacked(word: np.ndarray) -> Float[np.ndarray, "N 4"]:
    """What `_packed` packed, in the file's axes, wxyz."""
    largest = word >> np.uint32(30)
    xyzw = np.zeros((len(word), 4))
    for k in (3, 2, 1, 0):
        other = largest != k
        size = (word & np.uint32(511)) * SIXTH
        signed = np.where(word & np.uint32(512), -size, size)
        xyzw[:, k] = np.where(other, signed, 0)
        word = np.where(other, word >> np.uint32(10), word)
    rest = np.sqrt(np.maximum(0, 1 - np.square(xyzw).sum(1)))
    xyzw[np.arange(len(xyzw)), largest.astype(np.int64)] = rest
    wxyz: np.ndarray = xyzw[:, [3, 0, 1, 2]]
    return wxyz


def _broken(path: Path, what: str) -> ValueError:
    return ValueError(f"{path.name} got {what}; expected a whole .spz file. Get it again.")
