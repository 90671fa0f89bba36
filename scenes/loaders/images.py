"""Pictures from a data folder: decoded by pillow to uint8, and never from outside the folder."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image

SUFFIXES = ("", ".png", ".jpg", ".jpeg")
"""Tried in this order: D-NeRF and Blender name their pictures without a suffix."""
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than 8 bits, which `convert` would clip to white without a word."""
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What pillow raises on damaged files, by format and place of the damage."""
BROKEN_ARRAY = (ValueError, OSError, EOFError, SyntaxError, TypeError, OverflowError, TokenError)
"""What numpy raises on damaged headers of npy files, which it reads as Python's literals."""

LARGEST_ARRAY = 1 << 30
"""Bytes that an array in a compressed file may have: a megabyte of zip can hold a gigabyte of zeros."""
ENDS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}
"""The mark at the end of a whole file; some programs write a little more after it."""


def inside(root: Path, name: object) -> Path:
    """The path of `name` in the folder `root`, after links, whether or not it exists.

    Raises:
        ValueError: an absolute path, a Windows path, `..`, or a link that leads out of the folder.

    >>> inside(Path("/"), "tmp/../etc")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: path got 'tmp/../etc'; expected a relative path with / inside the data folder. ...
    """
    text = name if isinstance(name, str) else ""
    out = ValueError(
        f"path got {str(name)[:200]!r}; expected a relative path with / inside the data folder. "
        "Copy the file into the folder and name it from there."
    )
    foreign = "\\" in text or "\0" in text or text[1:2] == ":"
    if not text or foreign or text.startswith("/") or ".." in PurePosixPath(text).parts:
        raise out
    try:
        path = (root / text).resolve()
        if not path.is_relative_to(root.resolve()):
            raise out
    except (OSError, RuntimeError, UnicodeError):  # loops of links, names no disk can hold
        raise out from None
    return path


def find(root: Path, name: object, *, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """The name of an existing file in `root`, without a leading `./` and with its suffix.

    Raises:
        ValueError: the name leads out of the folder.
        FileNotFoundError: no such file, with any of the suffixes.
    """
    inside(root, name)
    plain = str(PurePosixPath(str(name)))
    for suffix in suffixes:
        try:
            if inside(root, plain + suffix).is_file():
                return plain + suffix
        except OSError:  # a name too long for the disk
            continue
    tried = ", ".join(s for s in suffixes if s)
    also = f" (or with {tried})" if tried else ""
    raise FileNotFoundError(
        f"file got {plain[:200]!r}, which is not there; expected it in {root.name}{also}. "
        "Restore the file or remove its entry."
    )


@contextmanager
def _opened(root: Path, name: str) -> Iterator[Image.Image]:
    """The picture `name`, with any trouble in reading it told in one line."""
    path = inside(root, name)
    if not path.is_file():
        find(root, name, suffixes=("",))  # raises, with the remedy
    try:
        with Image.open(path) as picture:
            yield picture
    except BROKEN as error:
        why = " ".join(str(error).replace(str(path), path.name).split())
        raise ValueError(
            f"{name} got a picture that does not decode ({why}); expected a whole PNG or JPEG. "
            "Copy or export it again."
        ) from None


def header(root: Path, name: str) -> tuple[int, int, bool]:
    """Width and height in pixels, and whether there is an alpha channel, without decoding.

    Raises:
        ValueError: not a picture, one whose end is cut off, or one of more than 8 bits a channel.
        FileNotFoundError: no such file.
    """
    with _opened(root, name) as picture:
        size, mode, alpha = picture.size, picture.mode, _has_alpha(picture)
        end = ENDS.get(str(picture.format))
    if end is not None and end not in _tail(inside(root, name)):
        raise ValueError(
            f"{name} got a picture whose end is cut off; expected a whole PNG or JPEG. "
            "Copy or export it again."
        )
    if mode in WIDE_MODES:
        raise ValueError(
            f"{name} got pixels of mode {mode}; expected 8 bits a channel. Convert it to 8 bits."
        )
    return size[0], size[1], alpha


def read_image(root: Path, name: str) -> UInt8[np.ndarray, "H W D"]:
    """A picture as stored, D = 3, or 4 with straight alpha; EXIF rotation is not applied.

    Pose files speak of pixels as stored, as COLMAP reads them, so turning by EXIF would break them.

    Raises:
        ValueError: truncated or not a picture.
        FileNotFoundError: no such file.
    """
    with _opened(root, name) as picture:
        converted = picture.convert("RGBA" if _has_alpha(picture) else "RGB")
    return np.array(converted, dtype=np.uint8)


def read_mask(root: Path, name: str) -> UInt8[np.ndarray, "H W"]:
    """A grey picture, 0 to 255; a 1-bit one gives 0 and 255.

    Raises:
        ValueError: truncated or not a picture.
        FileNotFoundError: no such file.
    """
    with _opened(root, name) as picture:
        converted = picture.convert("L")
    return np.array(converted, dtype=np.uint8)


def read_npy(root: Path, name: str) -> np.ndarray[Any, Any]:
    """The array in an npy file, mapped and not yet read; nothing is unpickled.

    Raises:
        ValueError: not an npy file, objects in it, or fewer bytes than its header says.
        FileNotFoundError: no such file.
    """
    path = inside(root, find(root, name, suffixes=("",)))
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except BROKEN_ARRAY as error:
        why = " ".join(str(error).replace(str(path), path.name).split())[:200]
        raise ValueError(
            f"{name} got no readable array ({why}); expected a whole npy file of numbers. "
            "Copy it again."
        ) from None
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} got entries of type {array.dtype}; expected numbers. Write it again."
        )
    return array


def read_npz(path: Path, *names: str) -> list[np.ndarray[Any, Any]]:
    """Arrays of an npz file by their names; nothing is unpickled, and no bomb is inflated.

    Raises:
        ValueError: not an npz file, an array that is missing or objects, or one beyond `LARGEST_ARRAY`.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            sizes = {i.filename.removesuffix(".npy"): i.file_size for i in bundle.infolist()}
            large = [n for n in names if sizes.get(n, 0) > LARGEST_ARRAY]
            if large:
                raise ValueError(f"{sizes[large[0]]} bytes of {large[0]}")
            for name in names:
                claimed = _claimed(bundle, name)
                if claimed > sizes[name]:
                    raise ValueError(f"a claim of {claimed} bytes of {name} in {sizes[name]}")
        with np.load(path, allow_pickle=False) as file:
            return [np.asarray(file[name]) for name in names]
    except (*BROKEN_ARRAY, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:  # fmt: skip
        why = " ".join(str(error).replace(str(path), path.name).split())[:200]
        raise ValueError(
            f"{path.name} got no readable arrays ({why}); expected {', '.join(names)}, each of at "
            f"most {LARGEST_ARRAY >> 20} MB. Copy it again."
        ) from None


def _claimed(bundle: zipfile.ZipFile, name: str) -> int:
    """Bytes that the header of an array in an npz file says it has; nothing else is read."""
    with bundle.open(f"{name}.npy") as file:
        old = np.lib.format.read_magic(file) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return math.prod(shape) * dtype.itemsize


def read_depth(root: Path, name: str) -> Float[np.ndarray, "H W"]:
    """Depth in the file's own unit, 0 where unknown: a 16-bit PNG, or npy of [H, W] or [H, W, 1].

    Raises:
        ValueError: not such a file, or negative depth.
        FileNotFoundError: no such file.
    """
    if name.endswith(".npy"):
        values = read_npy(root, name)
    else:
        with _opened(root, name) as picture:
            values = np.asarray(picture)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise ValueError(
            f"{name} got an array of shape {list(values.shape)[:6]}; expected depth [H, W]. "
            "Write one number a pixel."
        )
    depth: NDArray[np.float32] = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    if depth.size and depth.min() < 0:
        raise ValueError(
            f"{name} got depth {depth.min():g}; expected 0 (unknown) or more. Check the file."
        )
    return depth


def with_mask(
    pixels: UInt8[np.ndarray, "H W D"], mask: UInt8[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 4"]:
    """The picture with `mask` as fourth channel; multiplied into an alpha that is there already.

    >>> with_mask(np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 9, np.uint8))[0, 0].tolist()
    [0, 0, 0, 9]
    """
    if pixels.shape[2] == 4:
        product = pixels[..., 3].astype(np.uint16) * mask
        mask = ((product + 127) // 255).astype(np.uint8)
    return np.concatenate([pixels[..., :3], mask[..., None]], axis=2)


def _tail(path: Path, count: int = 4096) -> bytes:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - count, 0))
        return file.read()


def check_size(
    name: str, got: tuple[int, ...], expected: tuple[int, int], *, whose: str = "the camera"
) -> None:
    """Refuse a picture whose width and height are not those of its camera.

    Raises:
        ValueError: another size.
    """
    if tuple(got[:2]) != expected:
        raise ValueError(
            f"{name} got {got[0]}×{got[1]} pixels; expected {expected[0]}×{expected[1]} as "
            f"{whose} says. Scale the picture, or w, h and the intrinsics."
        )


def _has_alpha(picture: Any) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info
