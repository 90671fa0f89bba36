"""Bytes to patches: a small causal byte model whose entropies say where a new patch starts (BLT)."""

from clay4d.world_model.patcher.byte_model import ByteModel, load_byte_model
from clay4d.world_model.patcher.rules import (
    FixedSize,
    GlobalThreshold,
    Monotonic,
    Rule,
    SingleBytes,
    Whitespace,
    patch_starts,
    split_patches,
)

__all__ = [
    "ByteModel", "FixedSize", "GlobalThreshold", "Monotonic", "Rule", "SingleBytes", "Whitespace",
    "load_byte_model", "patch_starts", "split_patches",
]  # fmt: skip
