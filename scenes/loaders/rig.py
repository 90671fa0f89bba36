"""Cameras that stand still, each with its film or its folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.scenes.loaders.film import SUFFIXES as FILMS
from clay4d.scenes.loaders.film import Film, FilmReader, read_film
from clay4d.scenes.loaders.images import find, header, inside
from clay4d.scenes.loaders.lens import Lens
from clay4d.scenes.loaders.shots import Read, Shot

PICTURES = (".png", ".jpg", ".jpeg")
FPS = 30.0
"""Pictures a second of folders of pictures, where nothing says it."""
WIDE = 2000
"""Pixels beyond which films are read at half their size: N3DV's 2704 × 2028, trained on at 1352 × 1014."""


@dataclass(frozen=True)
class Track:
    """What one camera took: a film, or pictures in order."""

    camera: str
    film: Film | None
    pictures: tuple[str, ...]
    width: int
    height: int
    times: tuple[float, ...]
    """Seconds since its first picture."""


def tracks(
    root: Path, *, fps: float = FPS, factor: int | None = None, folder: str = ""
) -> dict[str, Track]:
    """The cameras of a folder by name, in order: films beside each other, or folders of pictures.

    A film is read `factor` times smaller, by default half its size where it is wider than 2000
    pixels. A folder counts as a camera if it holds pictures and no other folder of them.

    Raises:
        ValueError: films or pictures that are damaged or of several sizes.
    """
    base = inside(root, folder) if folder else root
    at = f"{folder}/" if folder else ""
    films = sorted(f.name for f in base.iterdir() if f.suffix.lower() in FILMS and f.is_file())
    if films:
        found = [_film_track(root, f"{at}{name}", factor) for name in films]
    else:
        folders = sorted(d.name for d in base.iterdir() if d.is_dir())
        lists = {name: _pictures(root, f"{at}{name}") for name in folders}
        found = [_picture_track(root, name, names, fps) for name, names in lists.items() if names]
    return {track.camera: track for track in found}


def _film_track(root: Path, name: str, factor: int | None) -> Track:
    film = read_film(root, name)
    chosen = (2 if film.width > WIDE else 1) if factor is None else factor
    film = film if chosen == 1 else read_film(root, name, factor=chosen)
    return Track(Path(name).stem, film, (), film.width, film.height, film.times)


def _pictures(root: Path, folder: str) -> tuple[str, ...]:
    base = inside(root, folder)
    for inner in (base, base / "images"):
        names = sorted(f.name for f in inner.glob("*") if f.suffix.lower() in PICTURES)
        if names:
            return tuple(f"{inner.relative_to(root.resolve())}/{n}" for n in names)
    return ()


def _picture_track(root: Path, camera: str, names: Sequence[str], fps: float) -> Track:
    sizes = {header(root, find(root, name, suffixes=("",)))[:2] for name in names}
    if len(sizes) > 1:
        told = ", ".join(f"{w}×{h}" for w, h in sorted(sizes)[:3])
        raise ValueError(
            f"{camera} got pictures of {told} pixels; expected one size a camera. Scale them."
        )
    width, height = sizes.pop()
    return Track(
        camera, None, tuple(names), width, height, tuple(i / fps for i in range(len(names)))
    )


def rig_shots(
    cameras: Mapping[str, tuple[Track, Lens, Float[np.ndarray, "4 4"]]],
) -> list[Shot]:
    """One shot for each picture of each camera, by frame and then by camera.

    The lens is scaled to the track's size. A film's shots are named FILM#FRAME.

    Raises:
        ValueError: pictures of another shape than their camera's.
    """
    shots = []
    for number, (track, lens, viewmat) in enumerate(cameras.values()):
        stretch = (track.width / lens.width) / (track.height / lens.height)
        if abs(stretch - 1) > max(0.01, 1.0 / min(track.width, track.height)):
            raise ValueError(
                f"camera {track.camera} got {track.width}×{track.height} pixels; expected "
                f"{lens.width}×{lens.height} as its pose file says, or the same shape scaled. "
                "Use the films that the poses belong to."
            )
        scaled = lens.scaled(track.width, track.height)
        for i, time in enumerate(track.times):
            name = f"{track.film.name}#{i:05d}" if track.film else track.pictures[i]
            shots.append((i, number, Shot(name, scaled, viewmat, time, camera=number)))
    return [shot for _, _, shot in sorted(shots, key=lambda entry: entry[:2])]


def rig_reader(root: Path, tracks: Mapping[str, Track]) -> Read | None:
    """Decodes the shots of films; None where there are pictures, which any loader can read."""
    films = {track.film.name: track.film for track in tracks.values() if track.film}
    if not films:
        return None
    reader = FilmReader(root)

    def read(shot: Shot) -> UInt8[np.ndarray, "H W 3"]:
        name, _, index = shot.name.rpartition("#")
        return reader.frame(films[name], int(index))

    return read


def held_out(shots: Sequence[Shot], camera: int) -> dict[str, list[Shot]]:
    """One camera's shots as "test"; none are held out where there is no other camera."""
    if len({shot.camera for shot in shots}) < 2:
        return {"train": list(shots)}
    return {
        "train": [shot for shot in shots if shot.camera != camera],
        "test": [shot for shot in shots if shot.camera == camera],
    }
