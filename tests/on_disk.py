"""Data sets of the tests as folders that commands read."""

from __future__ import annotations

from pathlib import Path

from clay4d.scenes import Dataset
from clay4d.scenes.loaders import write_transforms


def written(dataset: Dataset, folder: Path) -> Path:
    """Write all splits, and give the folder."""
    splits = {
        name: (views.cameras, [views.pixels(i) for i in range(len(views))])
        for name, views in dataset.splits.items()
    }
    write_transforms(folder, splits, duration=dataset.duration, bounds=dataset.bounds)
    return folder
