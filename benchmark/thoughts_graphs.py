"""Experiment (a) of the thoughts: reachability in graphs, arm by arm, seed by seed, hop by hop.

Trained on made graphs, tested on ProsQA's two files, on made ones, and on made ones whose ends are equally deep.
Each arm and seed leaves a file when it is done, so a run that was stopped goes on with the next.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.benchmark.graph_reasoners import ARMS, GraphTraining, answers, train_arm
from clay4d.benchmark.graphs import (
    FILES,
    MOST_HOPS,
    Puzzle,
    Puzzles,
    deeper_end,
    make_puzzle,
    read_puzzles,
)
from clay4d.benchmark.report import STYLE
from clay4d.benchmark.statistics import Interval, bootstrap, paired
from clay4d.config import to_dict
from clay4d.files import written_whole
from clay4d.jit import one_torch_thread
from clay4d.pages import html_page
from clay4d.world_model.reasoners import Size

DEEPER = "deeper end"
MADE, LEVEL = "made", "made-level"


@dataclass(frozen=True)
class GraphClaim:
    """A hypothesis about two arms' accuracies, written down before the run."""

    id: str
    better: str
    rival: str
    margin: float
    """By at least which share of the puzzles."""
    claim: str
    test: str = FILES[0]


CLAIMS = (
    GraphClaim("chain-beats-none", "written chain", "none", 0.05, "A written chain beats no thoughts by five points."),
    GraphClaim("curriculum-beats-none", "multi-pass pause", "none", 0.05, "Pauses taught by the curriculum beat no thoughts by five points."),
    GraphClaim("content-matters", "recycled", "multi-pass pause", 0.02, "Recycled states beat as many passes of a fixed embedding by two points."),
    GraphClaim("passes-matter", "multi-pass pause", "pause", 0.02, "Several passes beat one pass of as many pauses by two points."),
    GraphClaim("more-than-depth", "recycled", DEEPER, 0.02, "Recycled states beat the answer by depth alone by two points, where depth says nothing.", LEVEL),
)  # fmt: skip


@dataclass(frozen=True)
class GraphConfig:
    """The experiment; its text is hashed into the results before anything runs."""

    arms: tuple[str, ...] = tuple(ARMS)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    training: GraphTraining = field(default_factory=GraphTraining)
    held: int = 500
    """Made puzzles of each kind to test on."""
    claims: tuple[GraphClaim, ...] = CLAIMS

    def __post_init__(self) -> None:
        unknown = [a for a in self.arms if a not in ARMS]
        if unknown or not self.arms or not self.seeds:
            raise ValueError(
                f"arms got {unknown or self.arms}, {len(self.seeds)} seeds; expected some of "
                f"{', '.join(ARMS)}, and a seed."
            )


QUICK = GraphConfig(
    seeds=(0,), held=200, claims=(), training=GraphTraining(Size(64, 2, 4, 128), steps=300, batch=32, lr=2e-3, puzzles=4000)
)  # fmt: skip
"""Minutes in place of hours; its accuracies say that everything runs and no more, so it judges no claim."""


def run_graphs(
    out: Path, *, data: Path | None = None, config: GraphConfig | None = None,
    resume: bool = False, command: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Train and test every arm with every seed; leaves OUT/results.json and OUT/report.html.

    Args:
        data: folder of ProsQA's files; made puzzles alone where there is none.
        config: `GraphConfig()` by default, some hours on a core; `QUICK` takes minutes.
        resume: go on with what OUT holds.

    Raises:
        FileNotFoundError: a folder without the files.
        ValueError: a folder that holds something, or a run of another config.
    """
    one_torch_thread()
    config = config or GraphConfig()
    digest = hashlib.sha256(json.dumps(to_dict(config), sort_keys=True).encode()).hexdigest()
    _open(out, digest, resume=resume)
    tests = held_puzzles(data, config)
    made = Puzzles.of(_made(config.training.puzzles, seed=1))
    jobs = [(arm, seed) for seed in config.seeds for arm in config.arms]
    began, done = time.monotonic(), 0
    for number, (arm, seed) in enumerate(jobs):
        path = out / "arms" / f"{arm.replace(' ', '-')}-{seed}.json"
        if path.is_file():
            continue
        share = _Progress(
            f"{arm}, seed {seed}", config.training.steps, len(jobs) - number, began, done
        )
        start = time.process_time()
        model = train_arm(arm, made, config.training, seed=seed, tell=share)
        right = {
            name: "".join("01"[int(r)] for r in answers(model, Puzzles.of(puzzles)))
            for name, puzzles in tests.items()
        }
        row = {
            "arm": arm, "seed": seed, "right": right,
            "parameters": sum(p.numel() for p in model.parameters()),
            "cpu_seconds": round(time.process_time() - start, 1),
        }  # fmt: skip
        _write(path, row)
        done += 1
    results = summarise(out, tests, config, digest, command)
    _write(out / "results.json", results)
    with written_whole(out / "report.html") as place:
        place.write_text(page(results), encoding="utf-8")
    return results


class _Progress:
    """A line on stderr now and then, with the time that is left."""

    def __init__(self, what: str, steps: int, jobs: int, began: float, done: int) -> None:
        self.what, self.steps, self.jobs, self.began, self.done = what, steps, jobs, began, done

    def __call__(self, step: int) -> None:
        if step % max(self.steps // 4, 1):
            return
        passed = self.done + step / self.steps
        left = (time.monotonic() - self.began) / passed * (self.jobs - step / self.steps) / 60
        print(f"{self.what}: step {step}/{self.steps}, {left:.0f} min left", file=sys.stderr)


def _open(out: Path, digest: str, *, resume: bool) -> None:
    """A new folder, or one of the same config that goes on."""
    mark = out / "config.sha256"
    if out.exists() and (out.is_file() or any(out.iterdir())):
        if not resume:
            raise ValueError(f"out got {out}, which holds something; expected a new folder. Or use --resume.")  # fmt: skip
        if not mark.is_file() or mark.read_text().strip() != digest:
            raise ValueError(f"{out} holds a run of another config; expected this one's. Use a new folder.")  # fmt: skip
    with written_whole(mark) as place:
        place.write_text(digest + "\n")


def _made(count: int, *, seed: int, level: bool = False) -> list[Puzzle]:
    draws = np.random.default_rng(seed)
    return [make_puzzle(draws, level=level) for _ in range(count)]


def held_puzzles(data: Path | None, config: GraphConfig) -> dict[str, list[Puzzle]]:
    """What is tested on: ProsQA's files, made puzzles, and made ones with level ends."""
    files = {} if data is None else {f: read_puzzles(data / f"{f}.json") for f in FILES}
    made = {MADE: _made(config.held, seed=2), LEVEL: _made(config.held, seed=3, level=True)}
    return files | made


def summarise(
    out: Path, tests: dict[str, list[Puzzle]], config: GraphConfig, digest: str, command: str
) -> dict[str, Any]:
    """Accuracies with 95 % intervals over puzzles, by test and by hops, and the claims' verdicts."""
    rows = [json.loads(p.read_text()) for p in sorted((out / "arms").glob("*.json"))]
    scores: dict[str, dict[str, np.ndarray]] = {}
    for name, puzzles in tests.items():
        scores[name] = {DEEPER: np.array([deeper_end(p) for p in puzzles])}
        for arm in config.arms:
            own = [r["right"][name] for r in rows if r["arm"] == arm]
            scores[name][arm] = np.array([[float(c) for c in text] for text in own]).mean(0)
    table = {
        name: {
            arm: {"all": _told(bootstrap(value))}
            | {
                str(h): _told(bootstrap(value[at]))
                for h in range(3, MOST_HOPS + 1)
                if (at := np.array([p.hops == h for p in tests[name]])).any()
            }
            for arm, value in arms.items()
        }
        for name, arms in scores.items()
    }
    return {
        "format": "clay4d-graphs-1", "command": command, "config": to_dict(config), "sha256": digest,
        "cpu_seconds": {f"{r['arm']}, seed {r['seed']}": r["cpu_seconds"] for r in rows},
        "parameters": {r["arm"]: r["parameters"] for r in rows},
        "accuracy": table, "claims": [_verdict(c, scores) for c in config.claims if _has(c, scores)],
    }  # fmt: skip


def _has(claim: GraphClaim, scores: dict[str, dict[str, np.ndarray]]) -> bool:
    return claim.test in scores and {claim.better, claim.rival} <= scores[claim.test].keys()


def _verdict(claim: GraphClaim, scores: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Supported if the whole interval is above the margin, refuted if all of it is below, else open."""
    ours, theirs = (
        {str(i): float(v) for i, v in enumerate(scores[claim.test][arm])}
        for arm in (claim.better, claim.rival)
    )
    found = paired(ours, theirs, higher=True)
    assert found is not None
    supported, refuted = found.low >= claim.margin, found.high < claim.margin
    said = "supported" if supported else "refuted" if refuted else "open"
    return {**to_dict(claim), "difference": _told(found), "verdict": said}


def _told(found: Interval) -> dict[str, float]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "puzzles": found.count}


def _write(path: Path, value: Any) -> None:
    with written_whole(path) as place:
        text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
        place.write_text(text + "\n", encoding="utf-8")


def lines(results: dict[str, Any]) -> list[str]:
    """The table as text: per cent right on each test, arm by arm."""
    tests = results["accuracy"]
    arms: Sequence[str] = list(next(iter(tests.values())))
    wide = max(map(len, arms)) + 2
    rows = [" " * wide + "".join(f"{name:>15}" for name in tests)]
    for arm in arms:
        told = "".join(f"{100 * t[arm]['all']['mean']:>13.1f} %" for t in tests.values())
        rows.append(f"{arm:<{wide}}{told}")
    rows += [f"{c['verdict']}: {c['claim']}" for c in results["claims"]]
    return rows


def page(results: dict[str, Any]) -> str:
    """The report: claims first, then a table for each test; no scripts, no requests."""
    parts = ["<main><h1>Thoughts about graphs</h1><ul>"]
    for c in results["claims"]:
        d = c["difference"]
        parts.append(
            f"<li><b>{c['verdict']}</b>: {escape(c['claim'])} Difference {100 * d['mean']:.1f} points "
            f"({100 * d['low']:.1f} to {100 * d['high']:.1f}); margin {100 * c['margin']:.0f}.</li>"
        )
    parts.append("</ul>")
    for name, arms in results["accuracy"].items():
        hops = list(arms[DEEPER])
        head = "".join(f"<th>{'all' if h == 'all' else h + ' hops'}</th>" for h in hops)
        parts.append(f"<h2>{escape(name)}</h2><table><tr><th>right, per cent</th>{head}</tr>")
        for arm, cells in arms.items():
            told = "".join(
                f"<td>{100 * cells[h]['mean']:.1f} ({100 * cells[h]['low']:.0f}–{100 * cells[h]['high']:.0f})</td>"
                for h in hops
            )
            parts.append(f"<tr><td>{escape(arm)}</td>{told}</tr>")
        parts.append("</table>")
    parts.append(f"<p>{escape(results['command'])}</p></main>")
    return html_page(title="Thoughts about graphs", body="\n".join(parts), style=STYLE)


def chosen(arms: Sequence[str], *, quick: bool) -> GraphConfig:
    """The full experiment or the quick one, on all arms or on some."""
    config = QUICK if quick else GraphConfig()
    return replace(config, arms=tuple(arms)) if arms else config
