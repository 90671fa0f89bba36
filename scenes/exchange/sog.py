"""`.sog`: PlayCanvas' Gaussians in lossless WebP pictures, version 2, bundled in a zip file.

Source: PlayCanvas' splat-transform (MIT). `meta.json` names the pictures, a pixel for each Gaussian row by
row: places as 16 bits in two pictures, of sign · ln(|x| + 1) between bounds; quaternions by the three
smallest components; sizes and colours as indices into tables of 256; the opacity as the alpha of the
colours. Harmonics are an index into a palette, whose entries are 64 to a row of one more picture.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.scenes.exchange.compressed_ply import SMALLEST_THREE
from clay4d.scenes.exchange.still import Still, check_claim, logit, opened, still_scene
from clay4d.scenes.splat_scene import SplatScene

COEFFICIENTS = (0, 3, 8, 15)
"""Harmonics above the constant one, by degree."""
PER_ROW = 64
"""Entries of the palette in a row of its picture."""
FIRST_TAG = 252
"""Alpha of a quaternion's pixel whose largest component is w; 253 to 255 for x, y, z."""
META = "meta.json"
PICTURES = {"means": 2, "scales": 1, "quats": 1, "sh0": 1}


def read_sog(path: str | Path) -> SplatScene:
    """Read a .sog file of version 2 as a scene that stands still.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such file, one cut short, pictures of other sizes than it says, NaN.
    """
    path = opened(path, ".sog")
    try:
        with zipfile.ZipFile(path) as bundle:
            sizes = {i.filename: i.file_size for i in bundle.infolist()}
            check_claim(path, sum(sizes.values()))
            meta = _meta(bundle, path)
            scene = still_scene(_still(bundle, meta, path), path.name)
            scene.antialiased = meta.get("antialias") is True
            return scene
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        # RuntimeError: a password, or a method of compression that Python's zip lacks.
        raise _broken(path, str(error)) from None


def _meta(bundle: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """What `meta.json` says, with the parts that are needed."""
    try:
        meta = json.loads(bundle.read(META))
    except (KeyError, ValueError, RecursionError):
        raise _broken(path, f"no {META} in JSON") from None
    if not isinstance(meta, dict) or meta.get("version") != 2:
        raise _broken(path, f"a {META} of another version than 2")
    count = meta.get("count")
    if type(count) is not int or not 0 < count < 2**32:
        raise _broken(path, f"count {count!r}")
    check_claim(path, 4 * count * sum(PICTURES.values()))
    for key, number in {**PICTURES, **({"shN": 2} if "shN" in meta else {})}.items():
        part = meta.get(key)
        files = part.get("files") if isinstance(part, dict) else None
        if not isinstance(files, list) or [type(f) for f in files] != [str] * number:
            raise _broken(path, f"no files of {key}")
    return meta


def _still(bundle: zipfile.ZipFile, meta: dict[str, Any], path: Path) -> Still:
    count = meta["count"]

    def pixels(key: str, k: int = 0) -> UInt8[np.ndarray, "N 4"]:
        picture = _picture(bundle, meta[key]["files"][k], path, most=2 * count + (1 << 16))
        if picture.shape[0] * picture.shape[1] < count:
            raise _broken(path, f"{picture.shape[:2]} pixels of {key} for {count} Gaussians")
        return picture.reshape(-1, 4)[:count]

    low, high = (_numbers(meta["means"].get(end), 3, path) for end in ("mins", "maxs"))
    steps = pixels("means")[:, :3].astype(np.float64) + 256.0 * pixels("means", 1)[:, :3]
    logs = low + steps / 65535 * (high - low)
    with np.errstate(over="ignore"):
        means = np.sign(logs) * np.expm1(np.abs(logs))
    shades = pixels("sh0")
    sh = _numbers(meta["sh0"].get("codebook"), 256, path)[shades[:, :3]][:, None]
    if "shN" in meta:
        palette = _palette(bundle, meta["shN"], path)
        pair = pixels("shN", 1).astype(np.int64)
        labels = pair[:, 0] + 256 * pair[:, 1]
        if labels.max() >= len(palette):
            raise _broken(path, f"label {labels.max()} in a palette of {len(palette)}")
        sh = np.concatenate([sh, palette[labels]], 1)
    sizes = _numbers(meta["scales"].get("codebook"), 256, path)[pixels("scales")[:, :3]]
    return Still(means, _rotations(pixels("quats"), path), sizes, logit(shades[:, 3] / 255), sh)


def _palette(
    bundle: zipfile.ZipFile, part: dict[str, Any], path: Path
) -> Float[np.ndarray, "P K1 3"]:
    """The harmonics of each entry."""
    count, degree = part.get("count"), part.get("bands")
    if type(count) is not int or not 0 < count <= 1 << 16 or degree not in (1, 2, 3):
        raise _broken(path, f"a palette of {count!r} with degree {degree!r}")
    width = COEFFICIENTS[degree]
    rows = math.ceil(count / PER_ROW)
    picture = _picture(bundle, part["files"][0], path, most=2 * PER_ROW * width * (rows + 64))
    if picture.shape[1] != PER_ROW * width or picture.shape[0] < rows:
        raise _broken(path, f"{picture.shape[:2]} pixels for a palette of {count}")
    entries = picture[:rows, :, :3].reshape(rows * PER_ROW, width, 3)[:count]
    palette: np.ndarray = _numbers(part.get("codebook"), 256, path)[entries]
    return palette


def _rotations(pixels: UInt8[np.ndarray, "N 4"], path: Path) -> Float[np.ndarray, "N 4"]:
    if pixels[:, 3].min() < FIRST_TAG:
        raise _broken(path, "quaternions without their largest component")
    largest = pixels[:, 3].astype(np.int64) - FIRST_TAG
    three = (pixels[:, :3] / 127.5 - 1) * math.sqrt(0.5)
    quats, rows = np.empty((len(pixels), 4)), np.arange(len(pixels))
    quats[rows[:, None], np.array(SMALLEST_THREE)[largest]] = three
    quats[rows, largest] = np.sqrt(np.maximum(0, 1 - np.square(three).sum(1)))
    return quats


def _picture(
    bundle: zipfile.ZipFile, name: str, path: Path, *, most: int
) -> UInt8[np.ndarray, "H W 4"]:
    """A picture of at most `most` pixels; its size is checked before it is decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(bundle.read(name)), formats=["WEBP"]) as opened_image:
            if opened_image.width * opened_image.height > most:
                raise _broken(path, f"{opened_image.size} pixels in {name}")
            return np.asarray(opened_image.convert("RGBA"))
    except (KeyError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _broken(path, f"{name}: {error}") from None


def _numbers(given: Any, count: int, path: Path) -> Float[np.ndarray, " C"]:
    if not isinstance(given, list) or len(given) != count:
        raise _broken(path, f"no {count} numbers where {META} must have them")
    if not all(type(x) in (int, float) and abs(x) < 1e30 for x in given):
        raise _broken(path, f"numbers in {META} that are not finite")
    return np.array(given, np.float64)


def _broken(path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path.name} got {what}; expected a whole .sog file of version 2. Get it again."
    )
