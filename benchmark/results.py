"""What a run of the benchmark found: frozen dataclasses, and the same as results.json.

The runner fills them and `clay4d.benchmark.report` shows them; neither knows more of the other.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from clay4d.config import from_dict, to_dict
from clay4d.files import written_whole

PARTIAL = "answers.jsonl"
"""What a run leaves of its answers until it has them all."""


@dataclass(frozen=True)
class Metric:
    """What a number means."""

    name: str
    unit: str
    """As it is printed: m, degrees, dB; empty for a plain number."""
    better: Literal["lower", "higher"]
    label: str = ""
    """In words; the name where it is left out."""

    def said(self) -> str:
        """The metric in words, with its unit."""
        words = self.label or self.name
        return f"{words} ({self.unit})" if self.unit else words


@dataclass(frozen=True)
class Measurement:
    """One number of one system on one scene, or the news that there is none.

    Raises:
        ValueError: neither a finite value nor a failure with its reason.
    """

    suite: str
    task: str
    system: str
    scene: str
    seed: int
    metric: str
    """The name of one of `Results.metrics`."""
    protocol: str
    """The id of one of `Results.protocols`."""
    value: float | None = None
    """Finite. PSNR of equal pictures is infinite, so cap it (100 dB)."""
    horizon: float | None = None
    """Seconds after the last moment the system saw, where the number is of one moment; else None."""
    time: float | None = None
    """Seconds of work that the system was allowed, where the task varies them; else None."""
    thoughts: int | None = None
    """Thoughts per segment, where the task varies them; else None."""
    status: Literal["ok", "failed"] = "ok"
    reason: str = ""
    """Why it failed, in one line."""
    seconds: float | None = None
    """Wall clock of the system's answer."""
    cpu_seconds: float | None = None
    """Processor time of it, which other work on the machine hardly changes."""
    peak_memory_mb: float | None = None

    def __post_init__(self) -> None:
        if self.status == "ok" and (self.value is None or not math.isfinite(self.value)):
            raise ValueError(
                f"{self.metric} of {self.system} on {self.scene} got {self.value}; expected a finite "
                "number. Where there is none, give status 'failed' and its reason."
            )
        if self.status == "failed" and (self.value is not None or not self.reason):
            raise ValueError(
                f"{self.system} on {self.scene} failed and got value {self.value}, reason "
                f"{self.reason!r}; expected no value and a reason."
            )


@dataclass(frozen=True)
class Hypothesis:
    """A claim that was written down before the run, and what became of it.

    `difference` is in the metric's unit, paired by scene, and positive where `system` does better
    than `rival`. The claim is that it is at least `margin`. Where the claim is `relative`, both are
    shares of the rival's mean instead.
    """

    id: str
    task: str
    metric: str
    system: str
    rival: str
    margin: float
    """In the metric's unit, or a share of the rival's mean where `relative` is set."""
    claim: str = ""
    """In plain words; the report makes a sentence from the fields beside it."""
    relative: bool = False
    verdict: Literal["holds", "fails", "undecided"] = "undecided"
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval of the difference; None where there was nothing to compare."""
    scenes: int = 0
    """How many scenes both have a number for."""


@dataclass(frozen=True)
class Pane:
    """One film of a comparison; paths are relative to results.json."""

    label: str
    video: str
    """An mp4 file."""
    scene: str = ""
    """A page of the 4D scene (an HTML player), if there is one."""

    def __post_init__(self) -> None:
        for path in (self.video, *([self.scene] if self.scene else [])):
            _check_inside(path, f"pane {self.label!r}")


@dataclass(frozen=True)
class Pair:
    """Two systems' answers as 4D scenes on one clock; the page's path is relative to results.json."""

    left: str
    right: str
    page: str
    """An HTML player."""

    def __post_init__(self) -> None:
        _check_inside(self.page, f"pair {self.left!r}, {self.right!r}")


def _check_inside(path: str, what: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise ValueError(
            f"{what} got {path!r}; expected a path relative to results.json, inside its folder. "
            "Put the file there."
        )


@dataclass(frozen=True)
class Shown:
    """A comparison to look at: films of one scene that run together."""

    title: str
    panes: tuple[Pane, ...]
    note: str = ""
    pairs: tuple[Pair, ...] = ()
    """Any two of them as 4D scenes."""


@dataclass(frozen=True)
class Results:
    """Everything that results.json holds."""

    suite: str
    config_hash: str
    """SHA-256 of `config`."""
    config: str
    """The suite's config as it was read: hypotheses, margins, seeds."""
    command: str
    date: str
    """As it was passed in; nothing here asks a clock."""
    machine: str
    versions: tuple[tuple[str, str], ...]
    """Packages and their versions."""
    metrics: tuple[Metric, ...]
    protocols: tuple[tuple[str, str], ...]
    """Ids and what they say, in words."""
    measurements: tuple[Measurement, ...]
    hypotheses: tuple[Hypothesis, ...] = ()
    shown: tuple[Shown, ...] = ()

    def __post_init__(self) -> None:
        known = {metric.name for metric in self.metrics}
        protocols = {name for name, _ in self.protocols}
        for m in self.measurements:
            if m.metric not in known or m.protocol not in protocols:
                raise ValueError(
                    f"measurement got metric {m.metric!r} under protocol {m.protocol!r}; expected "
                    f"one of {sorted(known)} under one of {sorted(protocols)}."
                )
        for h in self.hypotheses:
            if h.metric not in known:
                raise ValueError(
                    f"hypothesis {h.id} got metric {h.metric!r}; expected one of {sorted(known)}."
                )

    def metric(self, name: str) -> Metric:
        """The metric of a name."""
        return next(metric for metric in self.metrics if metric.name == name)


def save_results(path: str | Path, results: Results) -> None:
    """Write results.json, whole or not at all.

    Example:
        >>> import tempfile
        >>> one = Results("smoke", "0", "", "cmd", "today", "here", (), (), (), ())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_results(Path(folder, "results.json"), one)
        ...     load_results(Path(folder, "results.json")) == one
        True
    """
    text = json.dumps(to_dict(results), indent=1, ensure_ascii=False, allow_nan=False)
    with written_whole(Path(path)) as place:
        place.write_text(text + "\n", encoding="utf-8")


def load_results(path: str | Path) -> Results:
    """Read results.json.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON, or not what `Results` holds; the message names the place.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"results got {path}; expected a results.json there.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON ({error}); expected results.json.") from None
    return from_dict(Results, raw, path.name)


def _no_constant(name: str) -> Any:
    raise ValueError(f"results got {name}; expected finite numbers, as JSON has no other.")


def kept_lines(out: Path) -> list[str]:
    """The answers that a stopped run left, a line of JSON each; one that was cut is left out."""
    if not (out / PARTIAL).is_file():
        return []
    lines = (out / PARTIAL).read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]
