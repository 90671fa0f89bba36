"""COLMAP's sparse model, text and binary: cameras, images, points3D.

Source: colmap.github.io/format.html. Poses are world-to-camera quaternions wxyz and translations,
the first pixel's centre is at (0.5, 0.5). The rigs and frames files of COLMAP 3.12 and later repeat
the poses by rig and are not needed. Counts in a file are checked against its size before anything
is reserved for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clay4d.scenes.loaders.images import find, inside
from clay4d.scenes.loaders.lens import Lens, colmap_lens
from clay4d.scenes.loaders.lens_models import COLMAP_MODELS

NAMES = {number: (name, len(params.split())) for name, (number, _, params) in COLMAP_MODELS.items()}
LARGEST = 1 << 16
"""Pixels a side beyond which a size cannot be right."""


@dataclass(frozen=True)
class ColmapImage:
    """A registered picture."""

    name: str
    """From the pictures' folder."""
    camera: int
    viewmat: Float[np.ndarray, "4 4"]
    """World to camera, OpenCV axes, float64."""


@dataclass(frozen=True)
class ColmapModel:
    """What a sparse model says that training needs."""

    lenses: Mapping[int, Lens]
    images: tuple[ColmapImage, ...]
    points: Float[np.ndarray, "P 6"] | None
    """xyz in the model's world, RGB in 0–1."""


def read_model(root: Path, folder: str) -> ColmapModel:
    """The model in `folder` of the data folder `root`, binary where both kinds are there.

    Raises:
        ValueError: truncated files, counts or values that cannot be right.
        FileNotFoundError: cameras or images are missing.
    """
    at = "" if folder in ("", ".") else f"{folder}/"
    binary = [inside(root, f"{at}{name}.bin").is_file() for name in ("cameras", "images")]
    if any(binary):
        lenses = _cameras_bin(root, f"{at}cameras.bin")
        images = _images_bin(root, f"{at}images.bin")
    else:
        lenses = _cameras_txt(root, f"{at}cameras.txt")
        images = _images_txt(root, f"{at}images.txt")
    if not images:
        raise ValueError(
            f"{at}images got no registered pictures; expected at least one. Run the mapper again."
        )
    for image in images:
        if image.camera not in lenses:
            raise ValueError(
                f"{at}images, {image.name} got camera {image.camera}; expected one of "
                f"{', '.join(map(str, list(lenses)[:8]))} in cameras. Export the model again."
            )
    names = [image.name for image in images]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(f"{at}images got {twice} twice; expected each name once. Merge them.")
    return ColmapModel(lenses, tuple(images), _points(root, at))


def _points(root: Path, at: str) -> Float[np.ndarray, "P 6"] | None:
    if inside(root, f"{at}points3D.bin").is_file():
        return _points_bin(root, f"{at}points3D.bin")
    if inside(root, f"{at}points3D.txt").is_file():
        return _points_txt(root, f"{at}points3D.txt")
    return None


def _lens(model: str, params: list[float], width: int, height: int, where: str) -> Lens:
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise ValueError(
            f"{where} got {width}×{height} pixels; expected 1 to {LARGEST} a side. "
            "Export the model again."
        )
    return colmap_lens(model, params, width, height, where)


def _viewmat(q: tuple[float, ...], t: tuple[float, ...], where: str) -> Float[np.ndarray, "4 4"]:
    pose, norm = np.eye(4), float(np.linalg.norm(q))
    if not np.isfinite([*q, *t]).all() or not 0.5 < norm < 2:
        raise ValueError(
            f"{where} got quaternion {tuple(round(v, 4) for v in q)} and translation "
            f"{tuple(round(v, 4) for v in t)}; expected finite numbers and length 1. "
            "Export the model again."
        )
    w, x, y, z = np.array(q) / norm
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = t
    return pose


class _Bytes:
    """A binary file read from front to back, whose end is told in one line."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.data = memoryview(inside(root, find(root, name, suffixes=("",))).read_bytes())
        self.at = 0

    def take(self, layout: str) -> tuple[int | float, ...]:
        size = struct.calcsize(f"<{layout}")
        self.need(size)
        values = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += size
        return values

    def need(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise self.broken(f"ends {self.at + size - len(self.data)} bytes too early")

    def skip(self, count: int, size: int) -> None:
        self.need(count * size)
        self.at += count * size

    def count(self, least: int) -> int:
        """A number of entries of at least `least` bytes each."""
        (count,) = self.take("Q")
        if int(count) * least > len(self.data) - self.at:
            raise self.broken(
                f"speaks of {count} entries where {len(self.data) - self.at} bytes follow"
            )
        return int(count)

    def text(self) -> str:
        end = bytes(self.data[self.at : self.at + 4096]).find(b"\0")
        if end < 0:
            raise self.broken("has a name without an end")
        raw = bytes(self.data[self.at : self.at + end])
        self.at += end + 1
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.broken("has a name that is not UTF-8") from None

    def end(self) -> None:
        if self.at < len(self.data):
            raise self.broken(f"has {len(self.data) - self.at} bytes after its last entry")

    def broken(self, how: str) -> ValueError:
        return ValueError(
            f"{self.name} got a file that {how}; expected COLMAP's binary format. "
            "Copy it again, or export the model as text."
        )


def _cameras_bin(root: Path, name: str) -> dict[int, Lens]:
    file, lenses = _Bytes(root, name), {}
    for _ in range(file.count(24)):
        number, model, width, height = map(int, file.take("iiQQ"))
        if model not in NAMES:
            raise ValueError(
                f"{name}, camera {number} got camera model {model}; expected 0 to 16. "
                "Undistort the pictures with `colmap image_undistorter` first."
            )
        label, count = NAMES[model]
        params = [float(v) for v in file.take(f"{count}d")]
        lenses[number] = _lens(label, params, width, height, f"{name}, camera {number}")
    file.end()
    return lenses


def _images_bin(root: Path, name: str) -> list[ColmapImage]:
    file, images = _Bytes(root, name), []
    for _ in range(file.count(73)):
        number, *pose = file.take("i7d")
        (camera,) = file.take("i")
        label = file.text()
        file.skip(file.count(24), 24)
        viewmat = _viewmat(tuple(pose[:4]), tuple(pose[4:]), f"{name}, image {number}")
        images.append(ColmapImage(label, int(camera), viewmat))
    file.end()
    return images


def _points_bin(root: Path, name: str) -> Float[np.ndarray, "P 6"]:
    file = _Bytes(root, name)
    count = file.count(51)
    points = np.zeros((count, 6), np.float32)
    for row in points:
        _, x, y, z, r, g, b, _ = file.take("Q3d3Bd")
        file.skip(file.count(8), 8)
        row[:] = x, y, z, r / 255, g / 255, b / 255
    file.end()
    return _finite(points, name)


def _finite(points: Float[np.ndarray, "P 6"], name: str) -> Float[np.ndarray, "P 6"]:
    if not np.isfinite(points).all():
        raise ValueError(
            f"{name} got points with NaN or infinity; expected finite numbers. "
            "Run the mapper again."
        )
    return points


def _lines(root: Path, name: str) -> Iterator[str]:
    try:
        with inside(root, find(root, name, suffixes=("",))).open(encoding="utf-8") as file:
            for line in file:
                if not line.startswith("#"):
                    yield line.strip()
    except UnicodeDecodeError:
        raise ValueError(
            f"{name} got bytes that are not UTF-8; expected COLMAP's text format. Copy it again."
        ) from None


def _numbers(words: list[str], where: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError:
        raise ValueError(
            f"{where} got {' '.join(words)[:60]!r}; expected numbers. Export the model again."
        ) from None


def _whole(word: str, where: str) -> int:
    value = _numbers([word], where)[0]
    if value != value or abs(value) > 1 << 53 or value != int(value):
        raise ValueError(f"{where} got {word[:60]!r}; expected a whole number. Export it again.")
    return int(value)


def _row(line: str, least: int, where: str, *, split: int = -1) -> list[str]:
    words = line.split(maxsplit=split)
    if len(words) < least:
        raise ValueError(
            f"{where} got {line[:60]!r}; expected at least {least} entries. Export the model again."
        )
    return words


def _cameras_txt(root: Path, name: str) -> dict[int, Lens]:
    lenses = {}
    for line in filter(None, _lines(root, name)):
        number, model, width, height, *params = _row(line, 5, name)
        where = f"{name}, camera {number[:20]}"
        lenses[_whole(number, where)] = _lens(
            model, _numbers(params, where), _whole(width, where), _whole(height, where), where
        )
    return lenses


def _images_txt(root: Path, name: str) -> list[ColmapImage]:
    images, lines = [], _lines(root, name)
    for line in lines:
        if not line:
            continue
        words = _row(line, 10, name, split=9)
        where = f"{name}, image {words[0][:20]}"
        q1, q2, q3, q4, *t = _numbers(words[1:8], where)
        viewmat = _viewmat((q1, q2, q3, q4), tuple(t), where)
        images.append(ColmapImage(words[9], _whole(words[8], where), viewmat))
        next(lines, "")  # the picture's 2D points; the line is there and may be empty
    return images


def _points_txt(root: Path, name: str) -> Float[np.ndarray, "P 6"]:
    rows = [_numbers(_row(line, 8, name)[1:7], name) for line in filter(None, _lines(root, name))]
    points = np.array(rows, np.float32).reshape(-1, 6)
    points[:, 3:] /= 255
    return _finite(points, name)
