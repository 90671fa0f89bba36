"""How fast the rasteriser, the loss and Adam are, each against a rival timed in turn with it.

    make bench                                    all figures, with all threads
    .venv/bin/python benchmarks/rasterizer.py --threads 1 --rounds 21

The rivals are the prototype's kernels alone (no projection, no harmonics, no autograd; skipped with a
line where its file is absent) and torch. Ours and the rival's runs alternate, so a busy machine slows
both, and the ratio is the median over the pairs.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import torch
import torch.nn.functional as F
from made import machine
from torch import Tensor

from clay4d.renderers import rasterization
from clay4d.training.adam import FusedAdam
from clay4d.training.losses import photometric_loss

ROOT = Path(__file__).resolve().parents[1]
PROTOTYPE = ROOT.parent / "shared" / "prototypes" / "numba_raster.py"


@dataclass(frozen=True)
class Case:
    """One line of the table: what is timed, against what."""

    name: str
    ours: Callable[[], object]
    rival_name: str
    rival: Callable[[], object] | None
    images: int = 0
    """Pictures in one run, for a rate; 0 gives none."""


@dataclass(frozen=True)
class Flat:
    """Gaussians as the prototype takes them: already on the picture."""

    means: np.ndarray
    angles: np.ndarray
    deviations: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray
    depths: np.ndarray

    @classmethod
    def random(cls, count: int, size: int, seed: int) -> Flat:
        """Gaussians of 0.8 to 3.5 pixels, crowded towards the middle of the picture."""
        rng = np.random.default_rng(seed)
        f32 = np.float32
        return cls(
            ((rng.normal(0, 0.22, (count, 2)) + 0.5) * size).astype(f32),
            rng.uniform(0, np.pi, count).astype(f32),
            rng.uniform(0.8, 3.5, (count, 2)).astype(f32),
            rng.uniform(0.1, 0.95, count).astype(f32),
            rng.uniform(0, 1, (count, 3)).astype(f32),
            rng.uniform(2, 6, count).astype(f32),
        )

    def conics_and_radii(self) -> tuple[np.ndarray, np.ndarray]:
        """Inverse covariances [N, 3] and 3-sigma radii [N], pixels."""
        c, s = np.cos(self.angles), np.sin(self.angles)
        u, v = self.deviations.T**2
        xx, yy, xy = c * c * u + s * s * v + 0.3, s * s * u + c * c * v + 0.3, c * s * (u - v)
        det = xx * yy - xy * xy
        largest = (xx + yy) / 2 + np.sqrt(np.maximum(0.1, (xx + yy) ** 2 / 4 - det))
        conics = np.stack([yy / det, -xy / det, xx / det], 1).astype(np.float32)
        return conics, np.ceil(3 * np.sqrt(largest)).astype(np.float32)

    def lifted(self, size: int, focal: float) -> list[Tensor]:
        """Means, quats, scales and opacities in space that project to about the same picture."""
        z = self.depths
        xy = (self.means - size / 2) * (z / focal)[:, None]
        half, none = self.angles / 2, np.zeros_like(z)
        quats = np.stack([np.cos(half), none, none, np.sin(half)], 1)
        scales = self.deviations[:, [0, 1, 0]] * (z / focal)[:, None]
        arrays = (np.column_stack([xy, z]), quats, scales, self.opacities)
        return [torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in arrays]


def load_prototype(path: Path) -> ModuleType | None:
    """The prototype as a module, or None (and a line) where there is none."""
    spec = importlib.util.spec_from_file_location("numba_raster", path) if path.exists() else None
    if spec is None or spec.loader is None:
        print(f"no prototype at {path}: its comparisons are skipped")
        return None
    module = importlib.util.module_from_spec(spec)
    # Numba's cache looks its modules up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def prototype_run(prototype: ModuleType, flat: Flat, size: int) -> Callable[[], object]:
    """Sort, bin, draw and differentiate one picture with the prototype's kernels."""
    conics, radii = flat.conics_and_radii()
    weight = np.random.default_rng(1).normal(size=(size, size, 3)).astype(np.float32)
    g_alpha = np.zeros((size, size), np.float32)
    shared = (flat.means, conics, flat.opacities, flat.colors)

    def run() -> object:
        order = np.argsort(flat.depths, kind="stable").astype(np.int32)
        start, ids, slot, offsets = prototype.binning(order, flat.means, radii, size, size)
        image, final, _ = prototype.fwd(*shared, start, ids, size, size)
        rows = prototype.bwd(*shared, start, ids, size, size, image, final, weight, g_alpha)
        return prototype.reduce(order, rows, slot, offsets)

    return run


def our_run(scenes: list[Flat], size: int, degree: int) -> Callable[[], object]:
    """Project, shade, draw and differentiate one picture of each scene, all in one call."""
    focal = float(size)
    lifted = [torch.stack(parts) for parts in zip(*(s.lifted(size, focal) for s in scenes))]
    count, batch = scenes[0].depths.size, len(scenes)
    generator = torch.Generator().manual_seed(0)
    sh = torch.randn(batch, count, (degree + 1) ** 2, 3, generator=generator) * 0.2
    leaves = [x.requires_grad_() for x in (*lifted, sh)]
    views = torch.eye(4).expand(batch, 1, 4, 4)
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    Ks = K.expand(batch, 1, 3, 3)
    weight = torch.randn(batch, 1, size, size, 3, generator=generator)

    def run() -> object:
        image, _, _ = rasterization(*leaves, views, Ks, size, size, sh_degree=degree, packed=False)
        return torch.autograd.grad(image, leaves, weight)

    return run


def raster_cases(prototype: ModuleType | None) -> list[Case]:
    """Large scenes one at a time, and many small ones at once."""
    cases = []
    for count in (20_000, 60_000):
        flat = Flat.random(count, 400, seed=0)
        rival = None if prototype is None else prototype_run(prototype, flat, 400)
        for degree in (0, 3):
            name = f"{count // 1000}k Gaussians, 400², SH {degree}, with gradients"
            cases.append(Case(name, our_run([flat], 400, degree), "prototype kernels", rival))
    scenes = [Flat.random(256, 64, seed) for seed in range(256)]
    each = [] if prototype is None else [prototype_run(prototype, s, 64) for s in scenes]
    cases.append(
        Case(
            "256 scenes × 256 Gaussians, 64², with gradients", our_run(scenes, 64, 0),
            "prototype, a loop", (lambda: [run() for run in each]) if each else None, images=256,
        )
    )  # fmt: skip
    return cases


def convolution_loss(image: Tensor, target: Tensor) -> Tensor:
    """The photometric loss by torch's convolutions, as trainers in plain torch have it."""
    x, t = image.permute(2, 0, 1)[None], target.permute(2, 0, 1)[None]
    taps = torch.exp(-0.5 * ((torch.arange(11) - 5) / 1.5) ** 2)
    taps = taps / taps.sum()

    def blur(v: Tensor) -> Tensor:
        rows = F.conv2d(v, taps.reshape(1, 1, 11, 1).expand(3, 1, 11, 1), padding=(5, 0), groups=3)
        return F.conv2d(
            rows, taps.reshape(1, 1, 1, 11).expand(3, 1, 1, 11), padding=(0, 5), groups=3
        )

    m, n = blur(x), blur(t)
    variances = blur(x * x) - m * m + blur(t * t) - n * n
    covariance = blur(x * t) - m * n
    top = (2 * m * n + 0.01**2) * (2 * covariance + 0.03**2)
    ssim = top / ((m * m + n * n + 0.01**2) * (variances + 0.03**2))
    return 0.8 * (x - t).abs().mean() + 0.2 * (1 - ssim).mean()


def training_cases() -> list[Case]:
    """The loss with its gradient, and Adam."""
    image, target = torch.rand(400, 400, 3, requires_grad=True), torch.rand(400, 400, 3)
    optimisers = []
    for kind in (FusedAdam, torch.optim.Adam):
        parameter = torch.randn(2_400_000).requires_grad_()
        parameter.grad = torch.randn_like(parameter)
        optimisers.append(kind([parameter], lr=1e-3))
    return [
        Case(
            "photometric loss, 400² × 3, with gradient",
            lambda: torch.autograd.grad(photometric_loss(image, target), image),
            "torch convolutions",
            lambda: torch.autograd.grad(convolution_loss(image, target), image),
        ),
        Case("Adam, 2.4 M floats", optimisers[0].step, "torch.optim.Adam", optimisers[1].step),
    ]


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def line(case: Case, rounds: int) -> str:
    """Time a case and its rival in turn; one row of the table."""
    for run in (case.ours, case.rival):
        if run is not None:
            seconds(run)
            seconds(run)
    pairs = [
        (seconds(case.ours), np.nan if case.rival is None else seconds(case.rival))
        for _ in range(rounds)
    ]
    ours, rival = np.array(pairs).T
    row = f"{case.name:<50} {np.median(ours) * 1e3:9.2f}"
    if case.rival is None:
        row += f"   {case.rival_name}: skipped"
    else:
        ratio = np.median(ours / rival)
        row += f" {np.median(rival) * 1e3:9.2f} {ratio:7.2f}   {case.rival_name}"
    if case.images:
        row += f"   ({case.images / np.median(ours):.0f} images/s)"
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=numba.config.NUMBA_NUM_THREADS)
    parser.add_argument("--rounds", type=int, default=11, help="pairs of runs for each median")
    parser.add_argument("--prototype", type=Path, default=PROTOTYPE)
    options = parser.parse_args()
    numba.set_num_threads(options.threads)
    print(f"{machine('numba')}; {options.threads} threads")
    prototype = load_prototype(options.prototype)
    print(f"{'milliseconds':<50} {'ours':>9} {'rival':>9} {'ratio':>7}   rival")
    # As in training: the kernels have the cores, and torch's pool would spin beside them.
    torch.set_num_threads(1)
    for case in raster_cases(prototype):
        print(line(case, options.rounds), flush=True)
    torch.set_num_threads(options.threads)
    for case in training_cases():
        print(line(case, options.rounds), flush=True)


if __name__ == "__main__":
    main()
