"""A training run from data to scene: the folder, the clock, the progress bar."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from clay4d import processes
from clay4d.config import from_dict, load_config, save_config
from clay4d.jit import one_torch_thread
from clay4d.renderers.render import render
from clay4d.scenes import Dataset
from clay4d.scenes.exchange.sequence import SplatSequence, is_sequence
from clay4d.scenes.fields import AnyField, AnyScene, FieldScene
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.splat_scene import SplatScene
from clay4d.scenes.store import load_scene, save_scene
from clay4d.training.checkpoints import load_checkpoint, save_checkpoint
from clay4d.training.checks import check_config
from clay4d.training.config import TrainConfig
from clay4d.training.fields import FieldReport, FieldTrainer
from clay4d.training.fields.checkpoints import load_field_checkpoint, save_field_checkpoint
from clay4d.training.live import live_view
from clay4d.training.memory import keep_freed_memory
from clay4d.training.plan import plan_steps
from clay4d.training.poses import save_poses
from clay4d.training.progress import columns
from clay4d.training.start import with_points
from clay4d.training.trainer import Report, Trainer
from clay4d.training.warm import ensure_kernels

CHECKPOINT = "checkpoint.safetensors"
SCENE = "scene.safetensors"
BESIDE = ("data", "shards")
"""What a run's config.yaml holds beside the config."""

AnyTrainer = Trainer | FieldTrainer
AnyReport = Report | FieldReport


def train(
    config: TrainConfig,
    data: str | Path,
    out: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    resume: bool = False,
    view: int | None = None,
    shards: int | None = None,
) -> SplatScene | FieldScene:
    """Train a scene on a data set and leave it, and all that belongs to it, in a folder.

    Args:
        config: what to train. data: a folder that `load_dataset` knows. out: the run's folder.
        minutes: a time budget; the speed is measured and the steps are fixed by it.
        steps, seed: in the place of the config's.
        resume: go on from the run's last checkpoint, with the run's config. A run that was killed
            before its first checkpoint begins again. So does a process that torchrun has started again.
        view: port at which the scene is shown in the browser of this computer while it is trained; the
            bits stay the same.
        shards: pictures of a step, whose mean gradient is followed; one for each process by default.
            The bits depend on it and not on the processes, of which only the first writes.

    A run that fails before its first checkpoint leaves nothing behind.

    Raises:
        ValueError: settings, shards or data that cannot be used, or a folder that holds a run already.
        FileNotFoundError: no data.
        FloatingPointError: the loss turned NaN; the last good checkpoint is kept.
    """
    with processes.together():
        return _train(
            config, Path(data), Path(out), minutes=minutes, steps=steps, seed=seed, view=view,
            resume=resume or processes.restarted(), shards=shards,
        )  # fmt: skip


def _train(
    config: TrainConfig,
    data: Path,
    out: Path,
    *,
    minutes: float | None,
    steps: int | None,
    seed: int | None,
    resume: bool,
    view: int | None,
    shards: int | None,
) -> SplatScene | FieldScene:
    # Torch's sums depend on its threads, and its pool and Numba's would fight over the cores.
    one_torch_thread()
    keep_freed_memory()
    resume = resume and (out / "config.yaml").exists()
    if resume:
        config = load_config(TrainConfig, out / "config.yaml", but=BESIDE)
        shards = load_config(dict, out / "config.yaml").get("shards", 1)
    elif (out / "config.yaml").exists():
        raise ValueError(f"{out} holds a run already; expected a new folder. Or use --resume.")
    else:
        config = _chosen(config, steps=steps, seed=seed)
    shards = processes.count() if shards is None else shards
    _check(config, minutes, shards)
    with processes.first_then_others():
        ensure_kernels()
    began = time.monotonic()
    dataset = load_dataset(data)
    # A run killed before its first checkpoint begins again, and needs its points again.
    resuming = resume and (out / CHECKPOINT).exists()
    if not resuming:
        dataset = with_points(dataset, config.start)
    if minutes is not None and steps is None and not resume:
        seconds = 60 * minutes - (time.monotonic() - began)
        config = plan_steps(config, dataset, seconds=seconds / shards)
    processes.wait()  # all have looked for a run before there is one
    with _nothing_left_of_a_failure(out):
        if not resume and processes.is_first():
            more = {} if shards == 1 else {"shards": shards}
            save_config(out / "config.yaml", config, data=data, **more)
        trainer = _trainer(config, dataset, resuming=resuming, shards=shards)
        spent = _restore(out / CHECKPOINT, trainer) if resuming else 0.0
        _to_the_end(trainer, out, began - spent, view)
    return trainer.scene


def _to_the_end(trainer: AnyTrainer, out: Path, began: float, view: int | None) -> None:
    """All steps; of several processes the first writes, and the others only help."""
    if processes.is_first():
        with live_view(trainer, view) as after_step:
            _loop(trainer, out, began, after_step)
        save_scene(out / SCENE, trainer.scene)
    else:
        while trainer.step_done < trainer.config.steps:
            trainer.step()
    processes.wait()


def _chosen(config: TrainConfig, *, steps: int | None, seed: int | None) -> TrainConfig:
    """The config of a new run."""
    if steps is not None and steps < 1:
        raise ValueError(f"steps got {steps}; expected at least 1.")
    if seed is not None:
        config = dataclasses.replace(config, seed=seed)
    return config if steps is None else dataclasses.replace(config, steps=steps)


def _check(config: TrainConfig, minutes: float | None, shards: int) -> None:
    """Refuse what cannot be trained."""
    if minutes is not None and not minutes > 0:
        raise ValueError(f"minutes got {minutes}; expected more than 0.")
    if minutes is not None and processes.count() > 1:
        raise ValueError(
            f"minutes got {minutes} for {processes.count()} processes, each with a clock of its own; "
            "expected --steps."
        )
    processes.check_shards(shards)
    if shards > 1 and config.field is not None:
        raise ValueError(
            f"shards got {shards} for a radiance field; expected 1. Train it in one process."
        )
    check_config(config)


def _trainer(config: TrainConfig, dataset: Dataset, *, resuming: bool, shards: int) -> AnyTrainer:
    if config.field is not None:
        return FieldTrainer(config, dataset, resuming=resuming)
    return Trainer(config, dataset, resuming=resuming, shards=shards)


@contextmanager
def _nothing_left_of_a_failure(out: Path) -> Iterator[None]:
    """Remove what a new run has written and the folders it made, if it fails before a checkpoint."""
    made = next((p for p in reversed([out, *out.parents]) if not p.exists()), None)
    empty = out.is_dir() and not any(out.iterdir())
    try:
        yield
    except Exception:
        if processes.is_first() and (made or empty) and not (out / CHECKPOINT).exists():
            shutil.rmtree(made or out, ignore_errors=True)
            if empty:
                out.mkdir()
        raise


def load_run(
    run: str | Path,
) -> tuple[SplatScene | SplatSequence | AnyField, TrainConfig, Path | None]:
    """A run's scene, its config and the data it was trained on.

    A run of `generate` was not trained: its config is the default one, its data its own pictures; so is
    a folder of `simulate`. A scene's file, or a folder of numbered .ply files, in place of a run has the
    default config too, and no data.

    Raises:
        FileNotFoundError: no such run, or one that has not ended.
    """
    run = Path(run)
    if run.is_file() or (not (run / "config.yaml").exists() and is_sequence(run)):
        return load_scene(run), TrainConfig(), None
    if not (run / "config.yaml").exists() and (run / SCENE).is_file():
        return load_scene(run / SCENE), TrainConfig(), run
    raw = load_config(dict, run / "config.yaml")
    data = Path(raw.pop("data"))
    for name in ("generated", "shards"):
        raw.pop(name, None)
    return load_scene(run / SCENE), from_dict(TrainConfig, raw, where=str(run)), data


def data_folder(given: str | Path | None, trained_on: Path | None) -> Path:
    """Where the data is: as given, or where the run was trained.

    Raises:
        ValueError: neither is known.

    >>> data_folder("data", None).name
    'data'
    """
    folder = trained_on if given is None else Path(given)
    if folder is None:
        raise ValueError("data got none; a scene's file does not know its data. Give --data.")
    return folder


def _loop(trainer: AnyTrainer, out: Path, began: float, after_step: Callable[[], None]) -> None:
    from torch.utils.tensorboard import SummaryWriter  # drawing and measuring start without it

    config = trainer.config
    writer = SummaryWriter(str(out / "tensorboard"))
    watched, console = sys.stderr.isatty(), Console(stderr=True)
    with Progress(
        *columns(), refresh_per_second=2, console=console, disable=not watched
    ) as progress:
        task = progress.add_task("training", total=config.steps, state="")
        recent: list[float] = []
        while trainer.step_done < config.steps:
            report = trainer.step()
            after_step()
            recent = [*recent[-99:], report.psnr]
            state = f"{np.mean(recent):.2f} dB, {report.state}"
            progress.update(task, completed=report.step, state=state)
            if report.step % 100 == 0:
                _log(writer, report, float(np.mean(recent)))
            if report.step % config.checkpoint_every == 0 or report.step == config.steps:
                _save(out / CHECKPOINT, trainer, seconds=time.monotonic() - began)
                if trainer.poses is not None:
                    save_poses(out, trainer.poses, trainer.dataset.train)
                if not watched:  # a log has no use for a bar that moves
                    print(_line(config, report, state, time.monotonic() - began), file=sys.stderr)
                _preview(trainer.scene, trainer.dataset, out / "previews", report.step)
    writer.close()


def _save(path: Path, trainer: AnyTrainer, *, seconds: float) -> None:
    if isinstance(trainer, FieldTrainer):
        save_field_checkpoint(path, trainer, seconds=seconds)
    else:
        save_checkpoint(path, trainer, seconds=seconds)


def _restore(path: Path, trainer: AnyTrainer) -> float:
    if isinstance(trainer, FieldTrainer):
        return load_field_checkpoint(path, trainer)
    return load_checkpoint(path, trainer)


def _line(config: TrainConfig, report: AnyReport, state: str, seconds: float) -> str:
    """Progress for a log file."""
    left = seconds / report.step * (config.steps - report.step) / 60
    return (
        f"step {report.step}/{config.steps}, {state}, {seconds / 60:.1f} min, {left:.1f} min left"
    )


def _log(writer: Any, report: AnyReport, psnr: float) -> None:
    writer.add_scalar("loss", report.loss, report.step)
    writer.add_scalar("train/psnr", psnr, report.step)
    for name, value in report.counted.items():
        writer.add_scalar(name, value, report.step)


def _preview(scene: AnyScene, dataset: Dataset, folder: Path, step: int) -> None:
    """One training picture beside what the scene makes of it."""
    folder.mkdir(parents=True, exist_ok=True)
    index = (len(dataset.train) // 2) % len(dataset.train)
    drawn = render(scene, dataset.train.cameras[index]).images[0]
    pair = torch.cat([dataset.train[index].image, drawn], 1).clamp(0, 1)
    Image.fromarray((pair * 255 + 0.5).byte().numpy()).save(folder / f"step_{step:06d}.png")
