"""gsplat's own way to train, on a CPU: the loop of its simple_trainer.py with one import changed.

    python examples/gsplat_trainer.py --data DATA --out splats.pt --steps 2000

DATA is any still data set that clay4d reads. Parameters, optimisers, strategy and checkpoint are gsplat's:
what is written here opens in gsplat's viewer, and what gsplat's trainer wrote goes on here with --start.
"""

from __future__ import annotations

from pathlib import Path

import torch
import tyro
from gsplat.strategy import DefaultStrategy

from clay4d import Gaussians, load_dataset, rasterization  # was: from gsplat import rasterization
from clay4d.scenes import Dataset
from clay4d.scenes.exchange import read_gsplat, to_gsplat, write_gsplat
from clay4d.scenes.initialise import random_points
from clay4d.training.losses import photometric_loss
from clay4d.training.metrics import psnr

RATES = {"scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3, "shN": 2.5e-3 / 20}
Splats = torch.nn.ParameterDict


def first_splats(dataset: Dataset, *, start: Path | None, count: int) -> Splats:
    """Parameters to begin with: a checkpoint's, the data's points, or random ones."""
    if start is not None:
        gaussians = read_gsplat(start)
    else:
        points = dataset.points
        if points is None:
            points = random_points(dataset.bounds, count, seed=0)
        gaussians = Gaussians.from_points(points[:, :3].contiguous(), points[:, 3:].contiguous())
    return Splats({k: torch.nn.Parameter(v) for k, v in to_gsplat(gaussians, sh_degree=3).items()})


def train(dataset: Dataset, splats: Splats, *, steps: int, seed: int) -> None:
    """gsplat's loop: draw one picture, let the strategy look, step, let the strategy act."""
    rates = {"means": 1.6e-4 * dataset.extent, **RATES}
    optimizers = {k: torch.optim.Adam([splats[k]], lr=lr, eps=1e-15) for k, lr in rates.items()}
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizers["means"], gamma=0.01 ** (1 / steps))
    strategy = DefaultStrategy(
        refine_start_iter=min(500, steps // 10), refine_stop_iter=steps // 2,
        reset_every=max(steps // 4, 100),
    )  # fmt: skip
    strategy.check_sanity(splats, optimizers)
    state = strategy.initialize_state(scene_scale=dataset.extent)
    order = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # the strategy draws where the halves of a split go
    views, shade = dataset.train, dataset.background
    background = None if shade is None else torch.tensor([shade])
    for step in range(steps):
        i = int(torch.randint(len(views), (1,), generator=order))
        camera = views.cameras[i]
        colors, _, info = rasterization(
            splats["means"], splats["quats"], splats["scales"].exp(),
            splats["opacities"].sigmoid(), torch.cat([splats["sh0"], splats["shN"]], 1),
            camera.viewmats, camera.Ks, camera.width, camera.height,
            sh_degree=min(step * 8 // steps, 3), packed=False, backgrounds=background,
        )  # fmt: skip
        strategy.step_pre_backward(splats, optimizers, state, step, info)
        loss = photometric_loss(colors[0], views[i].image, ssim_weight=0.2)
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay.step()
        strategy.step_post_backward(splats, optimizers, state, step, info, packed=False)
        if step % 100 == 99:
            print(
                f"step {step + 1}/{steps}: loss {float(loss):.4f}, {len(splats['means'])} Gaussians"
            )


@torch.no_grad()
def measure(dataset: Dataset, splats: Splats) -> float:
    """Mean PSNR of the test views, or of the training views where there are none, dB."""
    views = dataset.splits.get("test", dataset.train)
    shade = None if dataset.background is None else torch.tensor([dataset.background])
    values = []
    for i in range(len(views)):
        camera = views.cameras[i]
        colors, _, _ = rasterization(
            splats["means"], splats["quats"], splats["scales"].exp(),
            splats["opacities"].sigmoid(), torch.cat([splats["sh0"], splats["shN"]], 1),
            camera.viewmats, camera.Ks, camera.width, camera.height, sh_degree=3,
            backgrounds=shade,
        )  # fmt: skip
        values.append(psnr(colors[0].clamp(0, 1), views[i].image))
    return sum(values) / len(values)


def main(
    data: Path, out: Path, steps: int = 2000, seed: int = 0, start: Path | None = None,
    count: int = 10_000,
) -> None:  # fmt: skip
    """Train still Gaussians as gsplat does and leave its checkpoint.

    Args:
        data: folder with posed pictures. out: checkpoint, as gsplat's trainer writes it.
        steps: optimiser steps. seed: of all draws. start: checkpoint to begin with.
        count: random points, where the data has none.
    """
    torch.set_num_threads(1)
    dataset = load_dataset(data)
    splats = first_splats(dataset, start=start, count=count)
    train(dataset, splats, steps=steps, seed=seed)
    write_gsplat(out, splats, step=steps - 1)
    print(f"{out}: {len(splats['means'])} Gaussians, {measure(dataset, splats):.2f} dB")


if __name__ == "__main__":
    tyro.cli(main)
