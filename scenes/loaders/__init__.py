"""Loaders of posed pictures, and the writer of clay4d's own layout."""

from clay4d.scenes.loaders.load import load_dataset
from clay4d.scenes.loaders.write import write_transforms

__all__ = ["load_dataset", "write_transforms"]
