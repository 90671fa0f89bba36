"""`load_dataset`: one door for every layout of posed pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset
from clay4d.scenes.loaders.colmap import colmap_folders, load_colmap
from clay4d.scenes.loaders.film import SUFFIXES as FILMS
from clay4d.scenes.loaders.llff import load_llff
from clay4d.scenes.loaders.multiview import is_multiview, load_multiview
from clay4d.scenes.loaders.nerfies import load_nerfies
from clay4d.scenes.loaders.panoptic import load_panoptic
from clay4d.scenes.loaders.transforms import SPLITS, load_transforms

LAYOUTS: Mapping[str, tuple[Callable[[Path], bool], Callable[..., Dataset]]] = {
    "transforms.json (Blender, D-NeRF, instant-ngp, nerfstudio)": (
        lambda root: _any(root, "transforms.json", *(f"transforms_{s}.json" for s in SPLITS)),
        load_transforms,
    ),
    "train_meta.json (Panoptic)": (lambda root: _any(root, "train_meta.json"), load_panoptic),
    "Nerfies, HyperNeRF or DyCheck (dataset.json, metadata.json, camera, rgb)": (
        lambda root: _any(root, "dataset.json", "metadata.json"),
        load_nerfies,
    ),
    "N3DV (poses_bounds.npy, cam00.mp4, …)": (
        lambda root: _any(root, "poses_bounds.npy") and any(map(_is_film, root.iterdir())),
        load_llff,
    ),
    "multi-view (a film or folder a camera, cameras.json or sparse_)": (
        is_multiview,
        load_multiview,
    ),
    "COLMAP (sparse/0, images)": (
        lambda root: _any(root, "sparse", "colmap/sparse") or bool(colmap_folders(root)),
        load_colmap,
    ),
    "LLFF (poses_bounds.npy, images)": (
        lambda root: _any(root, "poses_bounds.npy"),
        load_llff,
    ),
}
"""What is known, in the order in which it is looked for: its name, how it is told, its loader."""


def load_dataset(
    path: str | Path,
    *,
    background: tuple[float, float, float] | None = None,
    test_every: int = 8,
    memory_budget: int = MEMORY_BUDGET,
    factor: int | None = None,
) -> Dataset:
    """The data set in the folder `path`, whatever its layout.

    Known are the layouts in `LAYOUTS`, looked for in that order. `background` is sRGB, 0 to 1;
    `test_every` holds views out where the data has no splits; `memory_budget` is bytes of decoded
    pictures kept per split; `factor` chooses pictures that many times smaller where a layout has
    them or films are scaled as they are read (its loader says what it takes by default).

    Raises:
        FileNotFoundError: no such folder, or a file that it speaks of is missing.
        ValueError: an unknown layout, or contents that cannot be right.

    >>> load_dataset("no/such/folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: data got 'no/such/folder', which is not there; expected a folder. ...
    """
    root = _folder(path)
    if test_every < 2:
        raise ValueError(
            f"test_every got {test_every}; expected at least 2. Use 8 to hold out every 8th view."
        )
    if memory_budget < 0:
        raise ValueError(f"memory_budget got {memory_budget}; expected bytes, 0 or more.")
    if factor is not None and factor < 1:
        raise ValueError(f"factor got {factor}; expected 1 or more. Use 2 for half the size.")
    options: dict[str, Any] = {
        "background": _color(background), "test_every": test_every,
        "memory_budget": memory_budget, "factor": factor,
    }  # fmt: skip
    for layout, (fits, load) in LAYOUTS.items():
        if fits(root):
            return _load(root, layout, load, options)
    raise _unknown(root)


def _load(
    root: Path, layout: str, load: Callable[..., Dataset], options: dict[str, Any]
) -> Dataset:
    """The folder read by one loader, with the options that it has; errors name the layout."""
    known = signature(load).parameters
    if options["factor"] not in (None, 1) and "factor" not in known:
        raise ValueError(
            f"factor got {options['factor']}; expected none, since {root.name} is {layout}. "
            "Scale the pictures and the intrinsics."
        )
    try:
        return load(root, **{k: v for k, v in options.items() if k in known})
    except (ValueError, FileNotFoundError) as error:
        # Names come from the files: they must not control the terminal.
        said = "".join(c if c.isprintable() else "?" for c in str(error))
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{said} The folder was read as {layout}.") from None


def _is_film(path: Path) -> bool:
    return path.suffix.lower() in FILMS


def _any(root: Path, *names: str) -> bool:
    return any((root / name).exists() for name in names)


def _folder(path: str | Path) -> Path:
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(
            f"data got {str(path)!r}, which is not there; expected a folder. Correct the path."
        )
    if not root.is_dir():
        raise ValueError(f"data got the file {str(path)!r}; expected a folder. Give its folder.")
    return root.resolve()


def _unknown(root: Path) -> ValueError:
    entries = sorted(entry.name + "/" * entry.is_dir() for entry in root.iterdir())
    found = ", ".join(entries[:8]) + (f" and {len(entries) - 8} more" if len(entries) > 8 else "")
    return ValueError(
        f"data folder {root.name} got {found or 'nothing'}; expected {', '.join(LAYOUTS)}. "
        "Run `clay4d prepare` on a video or on pictures without poses."
    )


def _color(value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
    if value is None:
        return None
    if len(value) != 3 or not all(math.isfinite(v) and 0 <= v <= 1 for v in value):
        raise ValueError(
            f"background got {value}; expected three numbers in 0–1. Divide by 255 if need be."
        )
    return (float(value[0]), float(value[1]), float(value[2]))
