"""`.ksplat`: the format of GaussianSplats3D, read at its levels 0 (floats), 1 and 2 (packed).

Source: GaussianSplats3D's `SplatBuffer` (MIT), and the reader of PlayCanvas' splat-transform (MIT). A
header of 4096 bytes, one of 1024 for each section, then for each section its buckets (sizes of those
that are not full, and centres) and its Gaussians. At levels 1 and 2 a place is 16 bits from its
bucket's centre, sizes and quaternions are 16-bit floats, and harmonics those, or bytes at level 2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clay4d.scenes.exchange.dot_splat import log_of
from clay4d.scenes.exchange.still import Still, constant, logit, opened, still_scene
from clay4d.scenes.splat_scene import SplatScene

HEADER, SECTION = 4096, 1024
HARMONICS = (0, 9, 24, 45)
"""Numbers above the constant harmonics, by degree."""


@dataclass(frozen=True)
class Section:
    """What a section's header says."""

    count: int
    room: int
    """Gaussians that its data has room for."""
    capacity: int
    buckets: int
    width: float
    """Side of a bucket's cube."""
    bucket_bytes: int
    steps: int
    full: int
    partial: int
    degree: int

    @classmethod
    def of(cls, data: bytes) -> Section:
        """The section whose header these bytes are."""
        count, room, capacity, buckets, width, size = struct.unpack_from("<4IfH", data)
        steps, full, partial, degree = struct.unpack_from("<I4x2IH", data, 24)
        return cls(
            count, room, capacity, buckets, width, size, steps or 32767, full, partial, degree
        )

    @property
    def bucket_room(self) -> int:
        """Bytes before its Gaussians."""
        return 4 * self.partial + self.bucket_bytes * self.buckets


def read_ksplat(path: str | Path) -> SplatScene:
    """Read a .ksplat file as a scene that stands still.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such file, one cut short, another version or level, counts that disagree.
    """
    path = opened(path, ".ksplat")
    data, name = path.read_bytes(), path.name
    if len(data) < HEADER or data[0] != 0 or data[1] < 1:
        raise _broken(name, "no header of version 0.1")
    sections, splats = struct.unpack_from("<I8xI", data, 4)
    (level,) = struct.unpack_from("<H", data, 20)
    low, high = struct.unpack_from("<2f", data, 36)
    if level > 2 or HEADER + SECTION * sections > len(data):
        raise _broken(name, f"level {level} and {sections} sections in {len(data)} bytes")
    start, parts = HEADER + SECTION * sections, []
    for k in range(sections):
        section = Section.of(data[HEADER + SECTION * k : HEADER + SECTION * (k + 1)])
        part, start = _section(data, start, section, level, (low or -1.5, high or 1.5), name)
        parts.append(part)
    if sum(len(p) for p in parts) != splats or not splats:
        raise _broken(name, f"sections that do not hold its {splats} Gaussians")
    return still_scene(_joined([p for p in parts if len(p)]), name)


def _row(level: int, degree: int) -> np.dtype:
    whole, half = ("<f4", "<f4") if level == 0 else ("<u2", "<f2")
    rest = ("<f4", "<f2", "u1")[level]
    return np.dtype(
        [("means", whole, 3), ("scales", half, 3), ("quats", half, 4), ("rgba", "u1", 4),
         ("rest", rest, HARMONICS[degree])]
    )  # fmt: skip


def _section(
    data: bytes, start: int, section: Section, level: int, ends: tuple[float, float], name: str
) -> tuple[Still, int]:
    """The Gaussians of the section whose data begin at `start`, and where they end."""
    if section.degree >= len(HARMONICS):
        raise _broken(name, f"harmonics of degree {section.degree}")
    kind = _row(level, section.degree)
    first = start + section.bucket_room
    end = first + kind.itemsize * section.room
    if section.count > section.room or first + kind.itemsize * section.count > len(data):
        raise _broken(name, f"a section of {section.count} Gaussians in {len(data)} bytes")
    rows = np.frombuffer(data, kind, section.count, first)
    means = rows["means"].astype(np.float64)
    if level > 0:
        centres = _centres(data, start, section, name)
        means = (means - section.steps) * (section.width / 2 / section.steps) + centres
    rest = rows["rest"].astype(np.float64)
    if level == 2:
        rest = ends[0] + rest / 255 * (ends[1] - ends[0])
    sh = np.concatenate([constant(rows["rgba"][:, :3] / 255), _by_channel(rest)], 1)
    return Still(
        means, rows["quats"], log_of(rows["scales"], name), logit(rows["rgba"][:, 3] / 255), sh
    ), end


def _centres(data: bytes, start: int, section: Section, name: str) -> Float[np.ndarray, "N 3"]:
    """The centre of each Gaussian's bucket: full buckets first, then those whose sizes are listed."""
    if section.full + section.partial != section.buckets or section.bucket_bytes < 12:
        raise _broken(name, f"{section.buckets} buckets of {section.bucket_bytes} bytes")
    sizes = np.frombuffer(data, "<u4", section.partial, start).astype(np.int64)
    full = section.full * section.capacity
    if full + int(sizes.sum()) != section.count:
        raise _broken(name, f"buckets that do not hold its {section.count} Gaussians")
    bucket = np.repeat(
        np.arange(section.buckets), np.concatenate([np.full(section.full, section.capacity), sizes])
    )
    kind = np.dtype({"names": ["at"], "formats": [("<f4", 3)], "itemsize": section.bucket_bytes})
    centres = np.frombuffer(data, kind, section.buckets, start + 4 * section.partial)["at"]
    placed: np.ndarray = centres[bucket].astype(np.float64)
    return placed


def _by_channel(rest: Float[np.ndarray, "N R"]) -> Float[np.ndarray, "N K1 3"]:
    """Each degree's numbers are together, in it all of red first."""
    degree = HARMONICS.index(rest.shape[1])
    parts, done = [np.zeros((len(rest), 0, 3))], 0
    for band in range(1, degree + 1):
        width = 2 * band + 1
        own = rest[:, done : done + 3 * width].reshape(len(rest), 3, width)
        parts.append(own.transpose(0, 2, 1))
        done += 3 * width
    return np.concatenate(parts, 1)


def _joined(parts: list[Still]) -> Still:
    """Sections one after another, harmonics of lower degree filled up with zeros."""
    most = max(p.sh.shape[1] for p in parts)
    sh = [np.pad(p.sh, ((0, 0), (0, most - p.sh.shape[1]), (0, 0))) for p in parts]
    joined = {
        key: np.concatenate([getattr(p, key) for p in parts])
        for key in ("means", "quats", "log_scales", "logits")
    }
    return Still(**joined, sh=np.concatenate(sh))


def _broken(name: str, what: str) -> ValueError:
    return ValueError(f"{name} got {what}; expected a whole .ksplat file. Get it again.")
