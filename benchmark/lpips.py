"""LPIPS (Zhang et al. 2018) for those who have its weights: none come with clay4d."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

LAYERS = ((1, 0, 4, 2), (2, 3, 1, 2), (3, 6, 1, 1), (4, 8, 1, 1), (5, 10, 1, 1))
"""Of AlexNet: slice, index in it, stride, padding; the second and third begin with a pool of 3 by 2."""
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""Of pictures from −1 to 1."""


def lpips(
    a: Float[np.ndarray, "H W 3"], b: Float[np.ndarray, "H W 3"], *, weights: str | Path
) -> float:
    """Learned perceptual distance of two pictures by AlexNet's features, version 0.1; 0 if equal.

    Args:
        a: sRGB, 0 to 1, 32 pixels a side or more. b: the same shape.
        weights: a safetensors file with the names of the package `lpips`. Who has it makes one by
            `safetensors.torch.save_model(lpips.LPIPS(net="alex"), "lpips.safetensors")`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file without those weights, or pictures of other shapes.
    """
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or min(a.shape[:2]) < 32:
        raise ValueError(
            f"pictures got {list(a.shape)} and {list(b.shape)}; expected the same [H, W, 3], 32 pixels a "
            "side or more."
        )
    w = _read(Path(weights))
    x = torch.from_numpy(np.stack([a, b])).float().permute(0, 3, 1, 2) * 2 - 1
    x = (x - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
    total = 0.0
    with torch.no_grad():
        for k, (part, index, stride, padding) in enumerate(LAYERS):
            if part in (2, 3):
                x = F.max_pool2d(x, 3, 2)
            name = f"net.slice{part}.{index}"
            x = F.relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding))
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
            apart = (unit[0] - unit[1]).square()
            total += float((apart * w[f"lin{k}.model.1.weight"][0]).sum(0).mean())
    return total


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"weights got {path}; expected a safetensors file of LPIPS's weights, which clay4d does not bring."
        )
    try:
        found: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"weights got {path}: {error}; expected a safetensors file.") from None
    for k in range(5):  # The package holds these under two names, of which a file keeps one.
        other = f"lins.{k}.model.1.weight"
        if other in found:
            found.setdefault(f"lin{k}.model.1.weight", found[other])
    wanted = [f"net.slice{p}.{i}.{x}" for p, i, _, _ in LAYERS for x in ("weight", "bias")]
    wanted += [f"lin{k}.model.1.weight" for k in range(5)]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"weights got {path} without {missing[0]}; expected those of lpips.LPIPS(net='alex').")  # fmt: skip
    return found
