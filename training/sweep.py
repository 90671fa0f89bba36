"""`clay4d sweep`: a training run for each line of a list, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clay4d.distributed import do_tasks
from clay4d.lists import begin_list, told_with
from clay4d.training.config import TrainConfig
from clay4d.training.evaluate import evaluate_run
from clay4d.training.run import SCENE, train


@dataclass(frozen=True)
class Job:
    """What one run is trained on, and how."""

    line: str
    """What names it in the list."""
    config: TrainConfig
    data: Path
    shards: int = 1


def sweep(
    jobs: Sequence[Job],
    out: str | Path,
    *,
    split: str | None = None,
    distributed: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> list[dict[str, Any] | None]:
    """Train all runs, or what is missing of them: OUT/0000 and so on; gives their metrics in order.

    A run that was stopped goes on from its last checkpoint. The bits are those of `train`.

    Args:
        split: views to measure each finished run on, as `evaluate_run` does; none by default.
        distributed: the address of a Ray cluster that trains, a core for each run, or "local".
        progress: told the share that is done.

    Raises:
        ValueError: a run that cannot be trained, named; a folder of another list.
        FileNotFoundError: no data.
        ImportError: Ray is asked for and not installed.
    """
    folders = begin_list(Path(out), [job.line for job in jobs], split=split)
    tasks = {
        k: (job, folder.resolve(), split)
        for k, (job, folder) in enumerate(zip(jobs, folders, strict=True))
    }
    found: dict[int, dict[str, Any] | None] = {}
    for k, metrics in do_tasks(train_one, tasks, address=distributed):
        found[k] = metrics
        if progress is not None:
            progress("runs", len(found) / len(jobs))
    return [found[k] for k in range(len(jobs))]


def train_one(job: Job, out: Path, split: str | None) -> dict[str, Any] | None:
    """One run, or the rest of it; the task that is given to a worker."""
    with told_with(job.line):
        if not (out / SCENE).is_file():
            train(job.config, job.data, out, resume=True, shards=job.shards)
        return None if split is None else evaluate_run(out, split=split)
