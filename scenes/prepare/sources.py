"""What `prepare` is given: a film, a folder of films, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from clay4d.scenes.loaders.film import SUFFIXES as FILMS
from clay4d.scenes.loaders.film import Film, FilmReader, read_film
from clay4d.scenes.loaders.images import BROKEN, inside
from clay4d.scenes.loaders.rig import PICTURES

FOCAL_35MM = 0xA405
"""EXIF's FocalLengthIn35mmFilm: millimetres on a film 36 mm wide."""


@dataclass(frozen=True)
class Source:
    """Pictures of one camera, in order."""

    root: Path
    name: str
    """Of the camera: the film's or the folder's."""
    pictures: tuple[str, ...] = ()
    film: Film | None = None
    _reader: list[FilmReader] = field(default_factory=list, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.film) if self.film else len(self.pictures)

    @property
    def times(self) -> tuple[float, ...] | None:
        """Seconds since the first picture; None for pictures, of which nobody knows."""
        return self.film.times if self.film else None

    def frame(self, index: int, *, longest: int) -> UInt8[np.ndarray, "H W 3"]:
        """Picture `index`, upright, its longer side at most `longest` pixels.

        Raises:
            ValueError: a frame or a picture that does not decode.
        """
        if self.film:
            if not self._reader:
                self._reader.append(FilmReader(self.root))
            return fitted(self._reader[0].frame(self.film, index), longest)
        return fitted(_upright(self.root, self.pictures[index]), longest)

    def focal(self, longest: int) -> float | None:
        """Focal length in pixels at that size, from the first picture's EXIF; None without."""
        if self.film or not self.pictures:
            return None
        try:
            with Image.open(inside(self.root, self.pictures[0])) as picture:
                value = picture.getexif().get_ifd(0x8769).get(FOCAL_35MM)
                size = max(picture.size)
        except BROKEN:
            return None
        if not isinstance(value, (int, float)) or not 5 <= float(value) <= 1000:
            return None
        return float(value) / 36 * min(size, longest)


def fitted(pixels: UInt8[np.ndarray, "H W 3"], longest: int) -> UInt8[np.ndarray, "H W 3"]:
    """A picture made smaller, where it is larger than `longest` on its longer side.

    >>> fitted(np.zeros((30, 60, 3), np.uint8), 20).shape
    (10, 20, 3)
    """
    height, width = pixels.shape[:2]
    if max(width, height) <= longest:
        return pixels
    scale = longest / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def grey(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W"]:
    """The picture's brightness."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def find_sources(path: Path) -> list[Source]:
    """The cameras in a film or a folder, by name.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a folder without films or pictures, or a film that does not play.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"input got {str(path)!r}, which is not there; expected a film or a folder. "
            "Correct the path."
        )
    if path.is_file():
        if path.suffix.lower() not in FILMS:
            raise ValueError(
                f"input got {path.name}; expected a film ({', '.join(FILMS)}) or a folder. "
                "Convert it to mp4."
            )
        root = path.resolve().parent
        return [Source(root, path.stem, film=read_film(root, path.name))]
    root = path.resolve()
    films = sorted(f.name for f in root.iterdir() if f.suffix.lower() in FILMS and f.is_file())
    if films:
        return [Source(root, Path(f).stem, film=read_film(root, f)) for f in films]
    for folder in ("", "images", "input"):
        names = _listed(root, folder)
        if names:
            return [Source(root, "images", pictures=tuple(names))]
    found = ", ".join(sorted(f.name for f in root.iterdir())[:5]) or "nothing"
    raise ValueError(
        f"input folder {root.name} got {found}; expected films ({', '.join(FILMS)}), or pictures "
        f"({', '.join(PICTURES)}) in it or in its folder images. Put them there."
    )


def _listed(root: Path, folder: str) -> list[str]:
    base = inside(root, folder) if folder else root
    if not base.is_dir():
        return []
    at = f"{folder}/" if folder else ""
    return sorted(f"{at}{f.name}" for f in base.iterdir() if f.suffix.lower() in PICTURES)


def _upright(root: Path, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """A photograph turned as EXIF says, since its poses are still to be found."""
    path = inside(root, name)
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"), np.uint8)
    except BROKEN as error:
        why = " ".join(str(error).replace(str(path), path.name).split())
        raise ValueError(
            f"{name} got a picture that does not decode ({why}); expected a whole PNG or JPEG. "
            "Remove it or copy it again."
        ) from None


def spread(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, evenly spread from the first to the last.

    >>> spread(10, 4)
    [0, 3, 6, 9]
    """
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)] if most > 1 else [0]


def walk(source: Source, chosen: list[int], *, longest: int) -> Iterator[tuple[int, Any]]:
    """The chosen pictures in order, one in memory at a time."""
    for index in chosen:
        yield index, source.frame(index, longest=longest)
