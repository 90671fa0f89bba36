"""Gaussians to and from gsplat's own parameters, the dict that its trainers optimise and save.

Source: gsplat 1.5.3, examples/simple_trainer.py (Apache-2.0): `means` [N, 3], `quats` [N, 4] wxyz, `scales`
[N, 3] as logarithms, `opacities` [N] as logits, `sh0` [N, 1, 3] and `shN` [N, K−1, 3]. A checkpoint of its
trainer holds the dict under `splats`: `gsplat_checkpoint` reads and writes those.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.splat_scene import raw_from_gaussians

NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")


def to_gsplat(gaussians: Gaussians, *, sh_degree: int | None = None) -> dict[str, Tensor]:
    """gsplat's parameters of Gaussians: copies, not yet `torch.nn.Parameter`.

    Args:
        sh_degree: harmonics are padded with zeros to this degree, for a trainer that goes on.

    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> [list(v.shape) for v in to_gsplat(g).values()]
    [[2, 3], [2, 4], [2, 3], [2], [2, 1, 3], [2, 0, 3]]
    """
    raw = raw_from_gaussians(gaussians, sh_degree=sh_degree)
    sh = raw.pop("sh")
    return {**raw, "sh0": sh[:, :1].clone(), "shN": sh[:, 1:].clone()}


def from_gsplat(splats: Mapping[str, Tensor]) -> Gaussians:
    """The Gaussians of gsplat's parameters; differentiable. `shN` may be missing.

    Raises:
        ValueError: a parameter that is missing or of another shape.

    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> from_gsplat(to_gsplat(g)).sh_degree
    0
    """
    lacking = [name for name in NAMES[:-1] if name not in splats]
    if lacking:
        raise ValueError(f"splats got no {lacking[0]}; expected {', '.join(NAMES)}.")
    first, rest = splats["sh0"], splats.get("shN")
    if first.ndim != 3 or (rest is not None and rest.ndim != 3):
        raise ValueError(
            f"sh0 got shape {list(first.shape)}; expected [N, 1, 3], and shN [N, K, 3]."
        )
    sh = first if rest is None else torch.cat([first, rest.to(first)], 1)
    return Gaussians(
        splats["means"], splats["quats"], torch.exp(splats["scales"]),
        torch.sigmoid(splats["opacities"]), sh,
    )  # fmt: skip
