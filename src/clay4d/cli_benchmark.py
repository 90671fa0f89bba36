"""The benchmark's command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tyro

STUDIES = ("thoughts-bits", "thoughts-fuzz", "thoughts-monitor", "thoughts-transfer")
"""Each is the module of its name."""


def benchmark(
    suite: tyro.conf.Positional[str],
    *,
    out: Path,
    data: Path | None = None,
    real: Path | None = None,
    systems: tuple[str, ...] = (),
    weights: Path | None = None,
    arms: dict[str, Path] | None = None,
    videos: Path | None = None,
    limit: int | None = None,
    seeds: int | None = None,
    resume: bool = False,
    quick: bool = False,
    plan: bool = False,
    distributed: str | None = None,
) -> None:
    """Compare systems that foretell on equal terms; leaves results.json and report.html.

    Args:
        suite: predict, ood, hidden-physics, generate, reconstruct, renderer, real, thoughts, thoughts-ood, outside
            or smoke; all runs every one but the last two; thoughts-graphs trains small reasoners on puzzles of
            reachability; thoughts-bits, thoughts-fuzz, thoughts-monitor and thoughts-transfer are experiments on the
            world model's thoughts, on worlds.
        out: a new folder.
        data: worlds of make-worlds, or the folder of real data sets or of ProsQA's files; smoke and renderer
            need none, reconstruct takes a data set of pictures, too.
        real: the folder of real data sets, for the suite `all`, whose `data` are worlds.
        systems: a choice of the suite's, such as static, engine-nominal or world-model; all of them by default.
        weights: of the world model, a file or a run; the released ones by default.
        arms: more world models, each a name and a file or run: `--arms discrete runs/discrete` adds the system
            world-model@discrete.
        videos: of outside models, a folder for each, for the suite `outside`; without it that suite writes
            what those models are given.
        limit: scenes of each split, the first ones.
        seeds: how many times systems that draw are asked, once by default; of the four experiments: the first
            so many of their seeds.
        resume: go on with a run that was stopped.
        quick: of thoughts-graphs and the four experiments: minutes in place of hours.
        plan: of all: only say which suites would run, and how long they take.
        distributed: a Ray cluster's address (HOST:PORT, auto), or nothing more: one on this computer.
    """
    command = " ".join(["clay4d", *sys.argv[1:]])
    if suite == "thoughts-graphs":
        _graphs(out, data, systems, command, resume=resume, quick=quick)
        return
    if suite in STUDIES:
        _study(suite, out, data, weights, command, seeds=seeds, resume=resume, quick=quick)
        return
    if suite == "outside":
        _outside(data, videos, out, limit, command)
        return
    common: dict[str, Any] = {
        "data": data, "weights": weights, "limit": limit, "seeds": seeds, "resume": resume,
        "command": command, "distributed": distributed,
    }  # fmt: skip
    if suite == "all":
        _all(out, real, common, plan=plan)
        return
    from clay4d.benchmark.run import run_suite

    _report(run_suite(suite, out, systems=systems, arms=arms, **common), out)


def _report(results: Any, out: Path) -> None:
    """A suite's page, and its figures in the terminal."""
    from clay4d.benchmark.report import summary, write_report

    write_report(results, out / "report.html")
    print(f"{summary(results)}\n{out}: see {out / 'report.html'}")


def _all(out: Path, real: Path | None, common: dict[str, Any], *, plan: bool) -> None:
    """Every suite, or what that would take."""
    from clay4d.benchmark.everything import run_all
    from clay4d.benchmark.plan import plan as make_plan
    from clay4d.benchmark.plan import say_plan

    if plan:
        say_plan(make_plan(out, real=real, **{k: common[k] for k in ("data", "limit", "seeds")}))
        return
    run_all(out, real=real, **common)
    print(f"{out}: see {out / 'report.html'}")


def _worlds(data: Path | None) -> Path:
    """The folder of worlds, without which there is nothing to ask."""
    if data is None:
        raise FileNotFoundError(
            "data got nothing; expected worlds. Make some with: clay4d make-worlds standard --out WORLDS "
            "--count 500, and give them with --data"
        )
    return data


def _graphs(
    out: Path,
    data: Path | None,
    systems: tuple[str, ...],
    command: str,
    *,
    resume: bool,
    quick: bool,
) -> None:
    """The suite that trains its systems itself."""
    from clay4d.benchmark.thoughts_graphs import chosen, lines, run_graphs

    config = chosen(systems, quick=quick)
    results = run_graphs(out, data=data, config=config, resume=resume, command=command)
    print("\n".join(lines(results)))
    print(f"{out}: see {out / 'report.html'}")


def _study(
    suite: str,
    out: Path,
    data: Path | None,
    weights: Path | None,
    command: str,
    *,
    seeds: int | None,
    resume: bool,
    quick: bool,
) -> None:
    """An experiment on thoughts that works on worlds."""
    from dataclasses import replace
    from importlib import import_module

    from clay4d.benchmark.report import summary
    from clay4d.benchmark.studies import run_study

    data = _worlds(data)
    module = import_module("clay4d.benchmark." + suite.replace("-", "_"))
    config = module.QUICK if quick else module.CONFIG
    config = replace(config, seeds=config.seeds[:seeds])
    results = run_study(
        module.study, config, out, data=data, weights=weights, resume=resume, command=command
    )
    print(f"{summary(results)}\n{out}: see {out / 'report.html'}")


def _outside(
    data: Path | None, videos: Path | None, out: Path, limit: int | None, command: str
) -> None:
    """The suite whose systems are folders of videos."""
    from clay4d.benchmark.outside import LIMIT, run_outside, write_questions

    data = _worlds(data)
    if videos is None:
        names = write_questions(data, out, limit=limit or LIMIT)
        print(
            f"{out}: {len(names)} questions. Put each model's answers into a folder, VIDEOS/MODEL/{names[0]}.mp4 "
            f"and so on, and score them with: clay4d benchmark outside --data {data} --videos VIDEOS --out DIR"
        )
        return
    results = run_outside(data, videos, out, limit=limit or LIMIT, command=command)
    _report(results, out)
