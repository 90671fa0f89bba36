"""`load_dataset`: one door for every layout of posed pictures."""

from __future__ import annotations

import math
from pathlib import Path

from clay4d.scenes.dataset import MEMORY_BUDGET, Dataset
from clay4d.scenes.loaders.panoptic import load_panoptic
from clay4d.scenes.loaders.transforms import SPLITS, load_transforms


def load_dataset(
    path: str | Path,
    *,
    background: tuple[float, float, float] | None = None,
    test_every: int = 8,
    memory_budget: int = MEMORY_BUDGET,
) -> Dataset:
    """The data set in the folder `path`, whatever its layout.

    Known are, in this order, transforms_{train,val,test}.json (Blender, D-NeRF, clay4d's own),
    transforms.json (instant-ngp, nerfstudio) and train_meta.json (Panoptic as Dynamic 3D Gaussians
    has it). `background` is sRGB, 0 to 1; `test_every` holds views out where the data has no
    splits; `memory_budget` is bytes of decoded pictures kept per split.

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
    background = _color(background)
    if any((root / f"transforms{s}.json").exists() for s in ("", *(f"_{s}" for s in SPLITS))):
        return load_transforms(
            root, background=background, test_every=test_every, memory_budget=memory_budget
        )
    if (root / "train_meta.json").exists():
        return load_panoptic(root, background=background, memory_budget=memory_budget)
    raise _unknown(root)


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
        f"data folder {root.name} got {found or 'nothing'}; expected transforms_train.json "
        "(Blender, D-NeRF), transforms.json (instant-ngp, nerfstudio) or train_meta.json "
        "(Panoptic). Run `clay4d prepare` on a video or on pictures without poses."
    )


def _color(value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
    if value is None:
        return None
    if len(value) != 3 or not all(math.isfinite(v) and 0 <= v <= 1 for v in value):
        raise ValueError(
            f"background got {value}; expected three numbers in 0–1. Divide by 255 if need be."
        )
    return (float(value[0]), float(value[1]), float(value[2]))
