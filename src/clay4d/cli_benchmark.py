"""The benchmark's command."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro


def benchmark(
    suite: tyro.conf.Positional[str],
    *,
    out: Path,
    data: Path | None = None,
    systems: tuple[str, ...] = (),
    weights: Path | None = None,
    limit: int | None = None,
    resume: bool = False,
    distributed: str | None = None,
) -> None:
    """Compare systems that foretell on equal terms; leaves results.json and report.html.

    Args:
        suite: predict, ood, hidden-physics, real, thoughts, thoughts-ood or smoke.
        out: a new folder.
        data: worlds of make-worlds, or the folder of real data sets; smoke makes its own.
        systems: a choice of the suite's, such as static, engine-nominal or world-model; all of them by default.
        weights: of the world model, a file or a run; the released ones by default.
        limit: scenes of each split, the first ones.
        resume: go on with a run that was stopped.
        distributed: a Ray cluster's address (HOST:PORT, auto), or nothing more: one on this computer.
    """
    from clay4d.benchmark.report import summary, write_report
    from clay4d.benchmark.run import run_suite

    results = run_suite(
        suite, out, data=data, systems=systems, weights=weights, limit=limit, resume=resume,
        command=" ".join(["clay4d", *sys.argv[1:]]), distributed=distributed,
    )  # fmt: skip
    write_report(results, out / "report.html")
    print(f"{summary(results)}\n{out}: see {out / 'report.html'}")
