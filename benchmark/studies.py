"""What the experiments on thoughts share: a frozen config, parts that a stopped run keeps, arms, the results' form.

Each experiment is a file of its own (`thoughts_bits`, `thoughts_fuzz`, `thoughts_monitor`, `thoughts_transfer`) that
yields measurements part by part. Margins stand in the config, whose text is hashed before anything runs.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from clay4d.benchmark.report import write_report
from clay4d.benchmark.results import Hypothesis, Measurement, Metric, Results, save_results
from clay4d.benchmark.run import errors_of
from clay4d.benchmark.statistics import paired
from clay4d.benchmark.suites import Claim
from clay4d.config import from_dict, to_dict
from clay4d.files import written_whole
from clay4d.jit import one_torch_thread
from clay4d.world_model.generate import load_weights
from clay4d.world_model.model import WorldModel
from clay4d.world_model.training.cache import CachedWorlds, cached_worlds
from clay4d.world_model.training.reasoning import ReasoningStage
from clay4d.world_model.training.score import Episodes, episodes
from clay4d.world_model.worlds import WorldSet, open_worlds

Rows = list[Measurement]


@dataclass(frozen=True)
class StudyConfig:
    """An experiment: sizes, seeds, what is measured and what is claimed.

    Raises:
        ValueError: no seeds, or counts below 1.
    """

    name: str
    protocol: str
    """What was done, in words."""
    metrics: tuple[Metric, ...]
    claims: tuple[Claim, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    train: int = 1000
    """Worlds to learn on, the first of their split."""
    held: str = "test"
    """The split to measure on; nothing is chosen there."""
    worlds: int = 200
    """Worlds of it."""
    steps: int = 150
    """Of training where an arm is trained."""
    batch: int = 32
    thoughts: int = 4
    """Before each half second."""
    levels: tuple[float, ...] = ()
    """What the experiment sweeps over."""

    def __post_init__(self) -> None:
        if (
            not self.seeds
            or min(self.train, self.worlds, self.steps, self.batch, self.thoughts) < 1
        ):
            raise ValueError(f"{self.name} got {self}; expected a seed and counts of at least 1.")


@dataclass(frozen=True)
class Material:
    """What an experiment works on."""

    model: WorldModel
    given: Episodes
    """Of the held-out worlds."""
    cached: CachedWorlds
    """Training worlds."""
    hidden: tuple[str, ...]
    """Which force each training world hides: for probes alone."""
    held: CachedWorlds | None = None
    """The held-out worlds at all moments, with their words."""


Study = Callable[["Run", Material], None]


class Run:
    """Measurements part by part; parts that a stopped run had measured are read and not measured again."""

    def __init__(self, config: StudyConfig, out: Path, *, resume: bool = False) -> None:
        self.config, self.out, self.rows = config, out, Rows()
        self.text = json.dumps(to_dict(config), indent=1, sort_keys=True, ensure_ascii=False)
        self.digest = hashlib.sha256(self.text.encode()).hexdigest()
        self._began, self._done, self._fresh = time.monotonic(), 0, 0
        mark = out / "config.json"
        if out.exists() and (out.is_file() or any(out.iterdir())):
            if not resume:
                raise ValueError(f"out got {out}, which holds something; expected a new folder. Or use --resume.")  # fmt: skip
            if mark.is_file() and mark.read_text(encoding="utf-8") != self.text:
                raise ValueError(f"{out} holds a run of another config; expected this one's. Use a new folder.")  # fmt: skip
        _write(mark, self.text)

    def part(self, name: str, measure: Callable[[], Rows], *, of: int) -> None:
        """Measure a part, one of `of`, or read it."""
        path = self.out / "parts" / f"{name}.json"
        if not path.is_file():
            _write(path, json.dumps([to_dict(m) for m in measure()], allow_nan=False))
            self._fresh += 1
        rows = json.loads(path.read_text(encoding="utf-8"))
        self.rows += [from_dict(Measurement, row, path.name) for row in rows]
        self._done += 1
        if self._fresh:
            left = (time.monotonic() - self._began) / self._fresh * (of - self._done) / 60
            print(f"{self.config.name}: {name}, {left:.1f} min left", file=sys.stderr, flush=True)

    def number(
        self, task: str, system: str, scene: str, metric: str, value: float, **more: Any
    ) -> Measurement:
        """A measurement of this experiment."""
        return Measurement(
            self.config.name, task, system, scene, more.pop("seed", 0), metric, "study",
            float(value), **more,
        )  # fmt: skip

    def numbers(
        self, task: str, system: str, metric: str, values: Sequence[float] | np.ndarray, **more: Any
    ) -> Rows:
        """One for each held-out world."""
        return [
            self.number(task, system, f"{self.config.held}-{k:03d}", metric, v, **more)
            for k, v in enumerate(values)
        ]

    def results(self, command: str) -> Results:
        """All that was measured, with the claims' verdicts."""
        c = self.config
        return Results(
            c.name, self.digest, self.text, command, datetime.date.today().isoformat(),
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            tuple((n, importlib.metadata.version(n)) for n in ("torch", "numpy")),
            c.metrics, (("study", c.protocol),), tuple(self.rows),
            tuple(judged(claim, self.rows, c.metrics) for claim in c.claims),
        )  # fmt: skip


def judged(claim: Claim, rows: Rows, metrics: Sequence[Metric]) -> Hypothesis:
    """A claim's verdict: held if its whole interval is at the margin or above, refuted if all of it is below."""
    metric = next(m for m in metrics if m.name == (claim.metric or metrics[0].name))
    ours, theirs = (
        errors_of(rows, system, claim.task, metric=metric.name)
        for system in (claim.system, claim.rival)
    )
    if not claim.rival:
        theirs = dict.fromkeys(ours, 0.0)
    found = paired(ours, theirs, relative=claim.relative, higher=metric.better == "higher")
    said = Hypothesis(
        claim.id, claim.task, metric.name, claim.system, claim.rival, claim.margin, claim.claim, claim.relative
    )  # fmt: skip
    if found is None:
        return said
    verdict: Literal["holds", "fails", "undecided"] = "undecided"
    if found.low >= claim.margin:
        verdict = "holds"
    elif found.high < claim.margin:
        verdict = "fails"
    return replace(
        said, verdict=verdict, difference=found.mean, low=found.low, high=found.high, scenes=found.count
    )  # fmt: skip


def run_study(
    study: Study,
    config: StudyConfig,
    out: str | Path,
    *,
    data: str | Path,
    weights: str | Path | None = None,
    model: WorldModel | None = None,
    resume: bool = False,
    command: str = "",
) -> Results:
    """Run one experiment; leaves OUT/results.json and OUT/report.html.

    Args:
        data: worlds of `make_worlds`, of splits `train` and the config's held-out one.
        model: in the place of `weights`, which are the released ones by default.

    Raises:
        FileNotFoundError: no worlds there.
        ValueError: a folder that holds something, or a run of another config.
    """
    one_torch_thread()
    run = Run(config, Path(out), resume=resume)
    model = model or load_weights(None if weights is None else Path(weights))
    study(run, material(config, model, Path(data), Path(out)))
    results = run.results(command)
    save_results(Path(out) / "results.json", results)
    write_report(results, Path(out) / "report.html")
    return results


def material(config: StudyConfig, model: WorldModel, data: Path, out: Path) -> Material:
    """Worlds as slots, cached in OUT."""
    train: WorldSet = open_worlds(data, split="train")[: config.train]
    held: WorldSet = open_worlds(data, split=config.held)[: config.worlds]
    if not len(train) or not len(held):
        raise FileNotFoundError(
            f"data got {data}; expected worlds of the splits train and {config.held}. Make some with: clay4d "
            "make-worlds standard --out WORLDS --count 500"
        )
    segment = model.config.reasoning.segment
    path = out / "slots.safetensors"
    cached = cached_worlds(train, model.encoder, path, context=segment, seed=0)
    hidden = tuple(train.words(k)["hidden"]["kind"] for k in range(len(train)))
    whole = cached_worlds(held, model.encoder, out / "held.safetensors", context=segment, seed=0)
    return Material(model, episodes(held, model, context=segment), cached, hidden, whole)


def of_train(made: Material) -> Episodes:
    """The training worlds as what is predicted, from contexts that all cameras saw; nobody's truth is in it."""
    cached = made.cached
    return Episodes(
        tuple(w["prompt"] for w in cached.words), cached.contexts[0], cached.whole.positions,
        cached.whole.present, made.hidden,
    )  # fmt: skip


def fresh(
    model: WorldModel, kind: str, *, seed: int, keep: bool = True, **changes: Any
) -> WorldModel:
    """A model with another reasoner: what both have in common is copied, the rest is drawn.

    Args:
        keep: False for one that has only the encoder and the scales of slots in common.
        changes: of the reasoning's config.
    """
    torch.manual_seed(seed)
    reasoning = replace(model.config.reasoning, kind=kind, **changes)  # type: ignore[arg-type]
    config = replace(model.config, reasoning=reasoning)
    new = WorldModel(config, model.codec, model.vocabulary)
    own, old = new.state_dict(), model.state_dict()
    scales = ("looks_mean", "looks_scale", "stage_mean")
    for name, value in own.items():
        wanted = keep or not name.startswith("dynamics.") or name.endswith(scales)
        if wanted and name in old and old[name].shape == value.shape:
            value.copy_(old[name])
    return new


def train(
    model: WorldModel, cached: CachedWorlds, *, steps: int, seed: int, batch: int,
    loss: Callable[[ReasoningStage, int], Tensor] | None = None, **changes: Any,
) -> WorldModel:  # fmt: skip
    """Adam on cached slots, its rate falling along a half cosine; gives the model back, in evaluation.

    Args:
        loss: of a step; the reasoning stage's own by default.
        changes: of the reasoning's config, such as `curriculum` or `blind`.
    """
    config = replace(model.config.reasoning, steps=steps, batch=batch, **changes)
    stage = ReasoningStage(config, model, cached, seed=seed)
    adam = torch.optim.AdamW(model.dynamics.parameters(), lr=config.lr, weight_decay=0.01)
    model.train()
    for step in range(steps):
        adam.param_groups[0]["lr"] = config.lr * 0.5 * (1 + np.cos(np.pi * step / steps))
        asked = stage.losses(step)["loss"] if loss is None else loss(stage, step)
        adam.zero_grad(set_to_none=True)
        asked.backward()
        torch.nn.utils.clip_grad_norm_(model.dynamics.parameters(), 1.0)
        adam.step()
    return model.eval()


def world_errors(positions: Tensor, given: Episodes, *, shown: int) -> np.ndarray:
    """Mean distance of each world's movers' centres from the truth after the context, metres."""
    truth = given.truth[:, shown : positions.shape[1]]
    off = (positions[:, shown:] - truth).norm(dim=-1)
    weight = (given.movers & given.context.present).float()[:, None].expand_as(off)
    found = (off * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1)
    errors: np.ndarray = found.double().numpy()
    return errors


@torch.no_grad()
def foretold(
    model: WorldModel, given: Episodes, *, thoughts: int, disturbance: Any = None
) -> tuple[Tensor, Any]:
    """The likeliest future of each world, [N, T, B, 3], metres, and what was thought on the way."""
    slots, had = model.imagine(
        given.prompts, context=given.context, frames=given.truth.shape[1], thoughts=thoughts,
        temperature=0.0, disturbance=disturbance,
    )  # fmt: skip
    return slots.positions, had


def means(rows: Sequence[Measurement], metric: str) -> dict[tuple[str, str], float]:
    """Mean over worlds and seeds by task and system."""
    found: dict[tuple[str, str], list[float]] = {}
    for m in rows:
        if m.metric == metric and m.value is not None:
            found.setdefault((m.task, m.system), []).append(m.value)
    return {k: float(np.mean(v)) for k, v in found.items()}


def _write(path: Path, text: str) -> None:
    with written_whole(path) as place:
        place.write_text(text, encoding="utf-8")
