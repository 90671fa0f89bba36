"""The suite `renderer`: rasterisers draw the same Gaussians, held to a float64 brute force, and against the clock.

A question is a scene of random Gaussians and a camera; an answer the picture, the gradients of one fixed loss,
and how long both took. The judge draws the same in float64 with the dense reference. Large scenes, of which that
would take minutes, are for the clock alone and for the fast rasteriser alone.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.benchmark.cases import Case, Measured, Place
from clay4d.benchmark.suites import SuiteConfig
from clay4d.jit import one_torch_thread
from clay4d.renderers import rasterization
from clay4d.renderers.torch_reference import rasterization_reference

SIZES = {"50": (50, 48), "150": (150, 64), "300": (300, 64), "20000": (20_000, 400)}
"""Gaussians and the picture's side in pixels, by task."""
LARGE = 1000
"""Gaussians above which nothing is held to the brute force."""
SCENES = 4
"""Of each task."""
LEAVES = ("means", "quats", "scales", "opacities", "colors")
DEGREE = 3


@dataclass(frozen=True)
class Splats:
    """Random Gaussians before a camera: what a rasteriser is asked to draw."""

    count: int
    side: int
    seed: int

    @property
    def key(self) -> str:
        """SHA-256 of what is drawn."""
        digest = hashlib.sha256(f"{self.side}".encode())
        for leaf in self.tensors():
            digest.update(leaf.numpy().tobytes())
        return digest.hexdigest()

    def tensors(self) -> list[Tensor]:
        """Means, quats, scales, opacities and harmonics up to degree 3; smaller where there are more."""
        g = torch.Generator().manual_seed(self.seed)
        n, small = self.count, 4.0 * self.count**-0.5
        return [
            torch.randn(n, 3, generator=g) * 0.7, torch.randn(n, 4, generator=g),
            (torch.rand(n, 3, generator=g) * 0.4 + 0.1) * small, torch.rand(n, generator=g) * 0.9 + 0.05,
            torch.randn(n, (DEGREE + 1) ** 2, 3, generator=g) * 0.3,
        ]  # fmt: skip

    def camera(self) -> tuple[Tensor, Tensor]:
        """A view from 3.5 m and its intrinsics, [1, 4, 4] and [1, 3, 3]."""
        view = torch.eye(4)[None].clone()
        view[0, 2, 3] = 3.5
        f, c = 1.1 * self.side, self.side / 2
        return view, torch.tensor([[[f, 0, c], [0, f, c], [0, 0, 1.0]]])

    def weights(self) -> Float[Tensor, "1 S S 3"]:
        """What each pixel weighs in the loss whose gradients are compared."""
        g = torch.Generator().manual_seed(self.seed + 1)
        return torch.randn(1, self.side, self.side, 3, generator=g)


@dataclass(frozen=True)
class Drawn:
    """A rasteriser's answer."""

    image: Float[np.ndarray, "S S 3"]
    gradients: tuple[np.ndarray, ...]
    """Of the weighted sum of the picture, in the order of `LEAVES`."""
    seconds: float
    """Median of a picture and its gradients, after one run that does not count."""


def draw_splats(
    splats: Splats, draw: Any, *, dtype: torch.dtype = torch.float32, rounds: int = 1
) -> Drawn:
    """A picture and its gradients by a function with gsplat's arguments.

    >>> found = draw_splats(Splats(5, 8, 0), rasterization_reference)
    >>> found.image.shape, len(found.gradients)
    ((8, 8, 3), 5)
    """
    one_torch_thread()
    leaves = [x.to(dtype).requires_grad_() for x in splats.tensors()]
    view, K = (x.to(dtype) for x in splats.camera())
    weights = splats.weights().to(dtype)
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        image, _, _ = draw(*leaves, view, K, splats.side, splats.side, sh_degree=DEGREE)
        gradients = torch.autograd.grad((image * weights).sum(), leaves)
        took.append(time.perf_counter() - began)
    seconds = float(np.median(took[1:] or took))
    return Drawn(image[0].detach().numpy(), tuple(g.numpy() for g in gradients), seconds)


class CpuRasteriser:
    """Our Numba kernels."""

    name = "cpu"

    def predict(self, splats: Splats, _times: Any) -> Drawn:
        """The picture by `clay4d.rasterization` on the CPU."""

        def draw(*given: Any, **options: Any) -> Any:
            return rasterization(*given, **options, backend="cpu")

        return draw_splats(splats, draw, rounds=9)


class TorchReference:
    """The dense loop in plain torch that every pixel meets every Gaussian in, float32."""

    name = "torch-reference"

    def predict(self, splats: Splats, _times: Any) -> Drawn:
        """The picture by `rasterization_reference`."""
        return draw_splats(splats, rasterization_reference, rounds=1)


class RendererCases:
    """Random scenes, drawn from the suite's own seeds; no folder is read."""

    protocols: tuple[tuple[str, str], ...] = (
        (
            "*",
            "random Gaussians with harmonics of degree 3 and a camera in; a picture, the gradients of a fixed loss "
            "and their wall clock out, one thread; held to a dense float64 reference",
        ),
    )

    def __init__(self, config: SuiteConfig, _folder: Path) -> None:
        self._config = config

    def places(self) -> list[Place]:
        """The first `limit` scenes of each task, four by default."""
        count = self._config.limit or SCENES
        return [
            Place(f"{task}/{k}", task, task, k, ("cpu",) if SIZES[task][0] > LARGE else ())
            for task in self._config.splits for k in range(count)
        ]  # fmt: skip

    def read(self, place: Place) -> Case:
        """One scene."""
        splats = Splats(*SIZES[place.task], seed=1000 * place.index + SIZES[place.task][0])
        return Case(splats, np.zeros(0), _Judge(splats))


@dataclass(frozen=True)
class _Judge:
    splats: Splats

    def __call__(self, found: Drawn) -> Measured:
        # A number of its own: the reference has none, and a mean over all scenes would compare unlike ones.
        values = {"large_seconds" if self.splats.count > LARGE else "draw_seconds": found.seconds}
        if self.splats.count <= LARGE:
            true = draw_splats(self.splats, rasterization_reference, dtype=torch.float64, rounds=0)
            values["image_error"] = float(np.abs(found.image - true.image).max())
            values["gradient_error"] = max(
                float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-12)
                for a, b in zip(found.gradients, true.gradients)
            )
        return Measured(values)
