"""Writing `.sog`: Gaussians in lossless WebP pictures, as `sog` reads them; the format is told there.

Tables of 256 numbers and the palette of harmonics are found by k-means (Lloyd 1982), begun the same
way each time, so that the same scene gives the same bytes.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from clay4d.files import written_whole
from clay4d.scenes.exchange.clay4d_file import morton_order
from clay4d.scenes.exchange.compressed_ply import SMALLEST_THREE
from clay4d.scenes.exchange.sog import COEFFICIENTS, FIRST_TAG, META, PER_ROW
from clay4d.scenes.exchange.still import Still, frozen, sigmoid
from clay4d.scenes.scene import Scene

ENTRIES = 8192
"""Entries of a palette at the most; one for eight Gaussians where they are fewer."""
ROUNDS = 8
BLOCK = 4096
"""Gaussians whose distances to all entries are held at once."""
PALETTE = "shN_centroids.webp"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every part of the zip: the first that it can hold."""


def write_sog(scene: Scene, path: str | Path, *, times: Sequence[float] | None = None) -> None:
    """Write the Gaussians of one time to a .sog file of version 2, whole or not at all.

    Args:
        times: the one time, seconds; the scene's start by default.

    Raises:
        ValueError: several times, or numbers that are not finite.

    >>> import tempfile
    >>> from clay4d.scenes.exchange.sog import read_sog
    >>> from clay4d.scenes.gaussians import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_sog(SplatScene(raw_from_gaussians(g), Static()), Path(folder) / "a.sog")
    ...     len(read_sog(Path(folder) / "a.sog"))
    2
    """
    path = Path(path)
    still = frozen(scene, path, times)
    still = still.taken(morton_order(torch.from_numpy(still.means)).numpy())
    pictures, meta = _parts(still)
    meta["antialias"] = bool(getattr(scene, "antialiased", False))
    with written_whole(path) as place, zipfile.ZipFile(place, "w") as bundle:
        text = json.dumps(meta, separators=(",", ":"))
        bundle.writestr(zipfile.ZipInfo(META, EPOCH), text)
        for name, pixels in pictures.items():
            row = PER_ROW * (still.sh.shape[1] - 1) if name == PALETTE else None
            bundle.writestr(zipfile.ZipInfo(name, EPOCH), _webp(pixels, row))


def _parts(still: Still) -> tuple[dict[str, UInt8[np.ndarray, "N C"]], dict[str, Any]]:
    """The pictures' pixels, one after the other, and what meta.json says."""
    logs = np.sign(still.means) * np.log1p(np.abs(still.means))
    low, high = logs.min(0), logs.max(0)
    steps = np.rint((logs - low) / np.maximum(high - low, 1e-12) * 65535).astype(np.uint16)
    sizes, sizes_at = _table(still.log_scales)
    shades, shades_at = _table(still.sh[:, 0])
    alpha = np.rint(255 * sigmoid(still.logits)).astype(np.uint8)
    pictures = {
        "means_l.webp": (steps & 255).astype(np.uint8), "means_u.webp": (steps >> 8).astype(np.uint8),
        "scales.webp": sizes_at, "quats.webp": _turns(still.quats),
        "sh0.webp": np.concatenate([shades_at, alpha[:, None]], 1),
    }  # fmt: skip
    meta: dict[str, Any] = {
        "version": 2, "count": len(still),
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": sizes, "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": shades, "files": ["sh0.webp"]},
    }  # fmt: skip
    if still.sh.shape[1] > 1:
        entries, labels = _palette(still.sh[:, 1:].reshape(len(still), -1))
        values, entries_at = _table(entries)
        width = still.sh.shape[1] - 1
        pictures[PALETTE] = entries_at.reshape(-1, 3)
        pair = np.stack([labels & 255, labels >> 8, 0 * labels], 1)
        pictures["shN_labels.webp"] = pair.astype(np.uint8)
        meta["shN"] = {
            "count": len(entries), "bands": COEFFICIENTS.index(width), "codebook": values,
            "files": [PALETTE, "shN_labels.webp"],
        }  # fmt: skip
    return pictures, meta


def _table(values: Float[np.ndarray, "N C"]) -> tuple[list[float], UInt8[np.ndarray, "N C"]]:
    """256 numbers in order, and the nearest of them to each value; exact where there are no more."""
    flat = np.sort(values, axis=None)
    some = np.unique(flat)
    if len(some) <= 256:
        table = np.pad(some, (0, 256 - len(some)), mode="edge")
    else:
        table = np.quantile(flat, (np.arange(256) + 0.5) / 256)
        sums = np.concatenate([[0.0], flat.cumsum()])
        for _ in range(4 * ROUNDS):
            ends = np.searchsorted(flat, (table[1:] + table[:-1]) / 2)
            ends = np.concatenate([[0], ends, [len(flat)]])
            counts = np.diff(ends)
            table = np.where(counts > 0, np.diff(sums[ends]) / np.maximum(counts, 1), table)
    at = np.searchsorted((table[1:] + table[:-1]) / 2, values).astype(np.uint8)
    return table.tolist(), at


def _palette(
    rows: Float[np.ndarray, "N C"],
) -> tuple[Float[np.ndarray, "P C"], Int[np.ndarray, " N"]]:
    """Entries that stand for many rows, and which stands for each."""
    points = torch.from_numpy(rows).float()
    count = max(1, min(ENTRIES, 1 << max(0, int(math.log2(max(1, len(rows) // 8))))))
    draws = torch.Generator().manual_seed(0)
    entries = points[torch.randperm(len(points), generator=draws)[:count]]
    labels = torch.zeros(len(points), dtype=torch.long)
    for round_ in range(ROUNDS + 1):
        half = entries.square().sum(1) / 2
        for start in range(0, len(points), BLOCK):
            block = points[start : start + BLOCK]
            labels[start : start + BLOCK] = (half - block @ entries.T).argmin(1)
        if round_ < ROUNDS:
            sums = torch.zeros_like(entries).index_add_(0, labels, points)
            counts = torch.bincount(labels, minlength=count)[:, None]
            entries = torch.where(counts > 0, sums / counts.clamp_min(1), entries)
    return entries.double().numpy(), labels.numpy()


def _turns(quats: Float[np.ndarray, "N 4"]) -> UInt8[np.ndarray, "N 4"]:
    """Three smallest components as bytes over ±√½, and a tag that says which is left out."""
    largest = np.abs(quats).argmax(1)
    at = np.arange(len(quats))[:, None]
    signed = quats * np.where(quats[at[:, 0], largest] < 0, -1.0, 1.0)[:, None]
    three = signed[at, np.array(SMALLEST_THREE)[largest]]
    pixels = np.rint((three * math.sqrt(2) + 1) * 127.5).clip(0, 255)
    return np.concatenate([pixels, FIRST_TAG + largest[:, None]], 1).astype(np.uint8)


def _webp(pixels: UInt8[np.ndarray, "N C"], row: int | None = None) -> bytes:
    """A lossless picture with rows of `row` pixels; nearly a square by default."""
    from PIL import Image

    width = 4 * math.ceil(math.sqrt(len(pixels)) / 4) if row is None else row
    height = math.ceil(len(pixels) / width)
    canvas = np.full((width * height, 4), 255, np.uint8)
    canvas[: len(pixels), : pixels.shape[1]] = pixels
    out = io.BytesIO()
    image = Image.fromarray(canvas.reshape(height, width, 4))
    image.save(out, "WEBP", lossless=True, exact=True, quality=100, method=4)
    return out.getvalue()
