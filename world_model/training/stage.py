"""A stage of training and the loop around it: progress, TensorBoard, checkpoints, resuming.

A stage is some parameters and a step whose draws depend on the seed and the step's number alone, so
that a run that was stopped at any checkpoint goes on to the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

from clay4d import processes
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.scenes.store_checks import check_entries, check_like
from clay4d.training.progress import columns

FORMAT = "clay4d-world-checkpoint-1"
LOG_EVERY = 20
"""Steps between points of TensorBoard's curves."""


class Stage(Protocol):
    """What the loop trains."""

    name: str
    """Of its files and curves."""
    steps: int
    lr: float
    modules: Mapping[str, nn.Module]
    """What is trained, by name."""
    shards: int
    """Batches of a step of the run; shares of the whole go by `step // shards`."""

    def losses(self, step: int) -> dict[str, Tensor]:
        """The loss under "loss", differentiable, and other numbers to show."""
        ...

    def preview(self, folder: Path, step: int) -> None:
        """Leave a picture of how far it is."""
        ...


def generator(seed: int, *place: int) -> torch.Generator:
    """Draws that depend on a seed and a place, such as a stage and a step.

    >>> torch.rand(1, generator=generator(1, 2)).equal(torch.rand(1, generator=generator(1, 2)))
    True
    """
    state = np.random.SeedSequence([seed, *place]).generate_state(2)
    return torch.Generator().manual_seed(int(state[0]) << 31 ^ int(state[1]))


def rate(stage: Stage, step: int) -> float:
    """The learning rate: up over the first 100 steps, then down a half cosine to a hundredth."""
    rise = min(1.0, (step + 1) / min(100, max(stage.steps // 10, 1)))
    fall = 0.5 * (1 + math.cos(math.pi * step / stage.steps))
    return stage.lr * rise * (0.01 + 0.99 * fall)


class Run:
    """A stage, its optimiser and how many steps are done."""

    def __init__(self, stage: Stage, *, shards: int = 1) -> None:
        """A run at its first step.

        Args:
            shards: batches of a step, whose mean gradient moves the parameters; dealt out among the
                processes under torchrun. Step k has the batches that steps k·shards and following of
                a run with one shard have.
        """
        self.stage, self.done, self.seconds, self.shards = stage, 0, 0.0, shards
        stage.shards = shards
        self.parameters = {
            f"{name}.{key}": value
            for name, module in stage.modules.items()
            for key, value in module.named_parameters()
        }
        # What changes by other rules than gradients, such as a codebook of moving averages.
        self.buffers = {
            f"{name}.{key}": value
            for name, module in stage.modules.items()
            for key, value in module.named_buffers()
        }
        self.adam = torch.optim.Adam(self.parameters.values(), lr=stage.lr, betas=(0.9, 0.99))

    def step(self) -> dict[str, float]:
        """One step; gives what it said.

        Raises:
            FloatingPointError: the loss is not a number.
        """
        for group in self.adam.param_groups:
            group["lr"] = rate(self.stage, self.done)
        said = self._gradients() if self.shards == 1 else self._mean_gradients()
        value = said["loss"]
        if not math.isfinite(value):
            raise FloatingPointError(
                f"loss got {value} at step {self.done} of {self.stage.name}; expected "
                "a number. Resume from the last checkpoint with a lower rate."
            )
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.adam.step()
        self.done += 1
        return said

    def _gradients(self, shard: int = 0) -> dict[str, float]:
        """Leave the gradients of one batch; gives what was said of it."""
        self.adam.zero_grad()
        said = self.stage.losses(self.done * self.shards + shard)
        if math.isfinite(said["loss"].item()):
            said["loss"].backward()
        return {k: v.item() for k, v in said.items()}

    @torch.no_grad()
    def _mean_gradients(self) -> dict[str, float]:
        """Leave the mean gradient of all shards, and the mean of what they made of the buffers."""
        before = {k: v.clone() for k, v in self.buffers.items()}
        rows, told = [], []
        for shard in processes.own_shards(self.shards):
            for name, value in before.items():
                self.buffers[name].copy_(value)
            with torch.enable_grad():
                told.append(self._gradients(shard))
            rows.append(self._packed(told[-1]["loss"]))
        mean = processes.summed(rows) / self.shards
        self._unpack(mean)
        return _means(told) | {"loss": float(mean[-1])}

    def _packed(self, loss: float) -> Tensor:
        """Gradients, whether there are any, buffers and the loss as one row of numbers."""
        moved = [v.float() for v in self.buffers.values() if v.is_floating_point()]
        return processes.packed(self.parameters.values(), *moved, torch.tensor([loss]))

    def _unpack(self, mean: Tensor) -> None:
        rest = processes.unpack(mean, self.parameters.values())
        start = 0
        for value in self.buffers.values():
            if value.is_floating_point():
                value.copy_(rest[start : start + value.numel()].view_as(value))
                start += value.numel()

    def save(self, path: Path) -> None:
        """Write parameters, buffers, Adam's averages and the step, whole or not at all."""
        tensors: dict[str, Tensor] = {f"parameter.{k}": v for k, v in self.parameters.items()}
        tensors |= {f"buffer.{k}": v for k, v in self.buffers.items()}
        for name, parameter in self.parameters.items():
            state = self.adam.state.get(parameter)
            if state:
                tensors[f"mean.{name}"] = state["exp_avg"]
                tensors[f"square.{name}"] = state["exp_avg_sq"]
                # Not the run's: a curriculum leaves some parameters alone at first.
                tensors[f"touched.{name}"] = state["step"]
        header = {
            "format": FORMAT, "stage": self.stage.name, "step": self.done, "seconds": self.seconds
        }  # fmt: skip
        write_tensors(path, tensors, header)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it is of another version or does not fit the config.
        """
        tensors, header = read_tensors(path)
        if header.get("format") != FORMAT:
            raise ValueError(f"{path} got format {header.get('format')!r}; expected {FORMAT!r}.")
        check_entries(str(path), header, {"step": int, "seconds": int | float})
        for name, parameter in self.parameters.items():
            value = tensors.get(f"parameter.{name}")
            if value is None or value.shape != parameter.shape:
                got = "nothing" if value is None else f"shape {list(value.shape)}"
                raise ValueError(
                    f"{path}: {name} got {got}; expected shape {list(parameter.shape)}. Resume with "
                    "the run's own config."
                )
            parameter.data.copy_(value)
            if f"mean.{name}" in tensors:
                # A parameter that no step has touched yet has no averages.
                kept = (f"mean.{name}", f"square.{name}")
                check_like(tensors, dict.fromkeys(kept, parameter))
                if f"touched.{name}" in tensors:
                    check_like(tensors, {f"touched.{name}": torch.tensor(0.0)})
                self.adam.state[parameter] = {
                    "step": tensors.get(f"touched.{name}", torch.tensor(float(header["step"]))),
                    "exp_avg": tensors[f"mean.{name}"], "exp_avg_sq": tensors[f"square.{name}"],
                }  # fmt: skip
        for name, value in self.buffers.items():
            held = tensors.get(f"buffer.{name}")
            if held is not None and held.shape == value.shape:
                value.copy_(held)
        self.done, self.seconds = int(header["step"]), float(header["seconds"])


def run_stage(
    stage: Stage,
    out: Path,
    *,
    every: int,
    resume: bool = False,
    keep: bool = False,
    shards: int = 1,
) -> None:
    """Train a stage to its end, leaving `NAME.checkpoint.safetensors`, curves and previews in `out`.

    Args:
        keep: leave every checkpoint, and the beginning, as `steps/NAME.STEP.safetensors` too.
        shards: batches of a step, dealt out among the processes, of which only the first writes.
    """
    if stage.steps == 0:
        return
    from torch.utils.tensorboard import SummaryWriter

    run, checkpoint = Run(stage, shards=shards), out / f"{stage.name}.checkpoint.safetensors"
    if resume and checkpoint.is_file():
        run.load(checkpoint)
    if run.done >= stage.steps:
        return
    if not processes.is_first():
        while run.done < stage.steps:
            run.step()
        return
    if keep and run.done == 0:
        run.save(_kept(out, stage, 0))
    writer = SummaryWriter(str(out / "tensorboard"), purge_step=run.done)
    began = time.monotonic() - run.seconds
    with Progress(*columns(), refresh_per_second=2) as progress:
        task = progress.add_task(stage.name, total=stage.steps, state="", completed=run.done)
        recent: list[dict[str, float]] = []
        while run.done < stage.steps:
            recent.append(run.step())
            saves = run.done % every == 0 or run.done == stage.steps
            if run.done % LOG_EVERY == 0 or saves:
                said = _log(writer, run, recent)
                recent = []
                progress.update(task, completed=run.done, state=said)
            if saves:
                run.seconds = time.monotonic() - began
                _checkpoint(run, out, checkpoint, keep=keep)
                if not progress.console.is_terminal:
                    at = f"{stage.name} {run.done}/{stage.steps}, {run.seconds:.0f} s"
                    print(f"{at}: {said}", flush=True)
    writer.close()


def _log(writer: Any, run: Run, recent: list[dict[str, float]]) -> str:
    """Add the means of the last steps to the curves; gives them as a line."""
    means = _means(recent)
    for name, value in means.items():
        writer.add_scalar(f"{run.stage.name}/{name}", value, run.done)
    return ", ".join(f"{k} {v:.3g}" for k, v in means.items())


def _checkpoint(run: Run, out: Path, checkpoint: Path, *, keep: bool) -> None:
    """Write the checkpoint, and a picture of how far it is."""
    run.save(checkpoint)
    if keep:
        run.save(_kept(out, run.stage, run.done))
    run.stage.preview(out / "previews", run.done)


def _kept(out: Path, stage: Stage, step: int) -> Path:
    return out / "steps" / f"{stage.name}.{step:05d}.safetensors"


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    names = {k: None for row in rows for k in row}
    return {k: float(np.mean([r[k] for r in rows if k in r])) for k in names}
