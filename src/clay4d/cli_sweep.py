"""The command of training sweeps: sweep."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

if TYPE_CHECKING:
    from clay4d.training.sweep import Job


def sweep(
    runs: tyro.conf.Positional[Path],
    *,
    out: Path,
    split: str | None = None,
    distributed: str | None = None,
) -> None:
    """Train a run for each line of a text file, and go on where it stopped.

    Args:
        runs: a text file; a line has what `clay4d train` is given, without --out, such as
            dnerf --data DATA --seed 1.
        out: folder of the runs 0000, 0001 and so on.
        split: views to measure each run on, such as val.
        distributed: a Ray cluster's address (HOST:PORT, auto), or nothing more: one on this computer.
    """
    from clay4d.lists import folder_of, read_list

    jobs = [job_of(line, folder_of(out, k)) for k, line in enumerate(read_list(runs))]
    from clay4d.physics_baseline.progress import progress_bar
    from clay4d.training.sweep import sweep as run

    with progress_bar() as progress:
        found = run(jobs, out, split=split, distributed=distributed, progress=progress)
    for k, (job, metrics) in enumerate(zip(jobs, found, strict=True)):
        print(f"{folder_of(out, k)}  {_said(metrics)}{job.line}")


def job_of(line: str, out: Path) -> Job:
    """A line's run.

    Raises:
        ValueError: quotes that do not close, or options that a sweep cannot have.
        SystemExit: as in `clay4d train`, which says what is wrong.
    """
    from clay4d.cli import parse_train
    from clay4d.training.sweep import Job

    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{line!r} got {error}; expected quotes that close.") from None
    try:
        given = parse_train([*words, "--out", str(out)])
    except SystemExit:
        print(f"in the line {line!r}", file=sys.stderr)
        raise
    for name, value in (("minutes", given.minutes), ("view", given.view)):
        if value:
            raise ValueError(f"{name} got {value} in {line!r}; expected none. Use --steps.")
    return Job(line, given.config, given.data.resolve(), given.shards or 1)


def _said(metrics: dict[str, Any] | None) -> str:
    if metrics is None:
        return ""
    return f"{metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.4f} on {metrics['split']}  "
