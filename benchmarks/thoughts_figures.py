"""Pictures and tables of the experiments on thoughts in docs/thoughts.md, from docs/results; see benchmarks/report.py.

docs/results/thoughts-NAME.json.gz are results.json of `clay4d benchmark thoughts-NAME`, their commands inside.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from clay4d.benchmark.results import Hypothesis, Results
from clay4d.benchmark.studies import means
from clay4d.config import from_dict
from clay4d.files import written_whole

ROOT = Path(__file__).parents[1]
STUDIES = ("bits", "fuzz", "monitor", "transfer")
PAGE = ROOT / "docs/thoughts.md"
WORDS = {"holds": "holds", "fails": "refuted", "undecided": "undecided"}
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7a5195", "#8a8a8a", "#d69a00")
Series = dict[str, list[float | None]]
WIDTH, HEIGHT, LEFT, BOTTOM, KEY = 600, 280, 68, 52, 215


def kept(name: str) -> Path:
    """Where the results of an experiment are kept."""
    return ROOT / f"docs/results/thoughts-{name}.json.gz"


def remake() -> None:
    """Write the pictures, and the claims' tables between the page's marks."""
    text = PAGE.read_text(encoding="utf-8")
    for name in STUDIES:
        if not kept(name).is_file():
            continue
        results = from_dict(Results, json.loads(gzip.decompress(kept(name).read_bytes())), name)
        drawn = DRAWN[name](results)
        with written_whole(ROOT / f"docs/thoughts_{name}.svg") as place:
            place.write_text(drawn, encoding="utf-8")
        before, rest = text.split(f"<!-- {name}:start -->\n")
        _, after = rest.split(f"<!-- {name}:end -->")
        text = f"{before}<!-- {name}:start -->\n{table(results)}<!-- {name}:end -->{after}"
    with written_whole(PAGE) as place:
        place.write_text(text, encoding="utf-8")


def table(results: Results) -> str:
    """The claims, their margins and what was found."""
    rows = ["| claim | margin | found, 95 % interval | verdict |", "|---|---|---|---|"]
    for h in results.hypotheses:
        unit = results.metric(h.metric).unit
        rows.append(
            f"| {h.claim} | {_said(h.margin, h, unit)} | {_found(h, unit)} | {WORDS[h.verdict]} |"
        )
    return "\n".join(rows) + "\n"


def _said(value: float, h: Hypothesis, unit: str) -> str:
    """A number as it is printed: a share in per cent."""
    if h.relative:
        return f"{100 * value:.1f} %"
    return f"{value:.3g}{' ' + unit if unit else ''}"


def _found(h: Hypothesis, unit: str) -> str:
    if h.difference is None or h.low is None or h.high is None:
        return "not measured"
    ends = [_said(v, h, "") for v in (h.low, h.high)]
    return f"{_said(h.difference, h, unit)} ({ends[0]} to {ends[1]})"


def chart(
    ticks: Sequence[str], series: Series, *, x: str, y: str, top: float | None = None, low: float = 0.0,
    joined: bool = True,
) -> str:  # fmt: skip
    """Lines, or dots that are not `joined`, over ticks that are equally far apart; what is missing is left out."""
    values = [v for line in series.values() for v in line if v is not None]
    high = top or 1.08 * max(values)

    def at(k: int, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - 10) * (k + 0.5) / len(ticks)
        return across, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 12) * (value - low) / (high - low)

    parts = []
    for k in range(5):
        value = low + (high - low) * k / 4
        up = at(0, value)[1]
        parts.append(
            f'<line class="axis" x1="{LEFT}" y1="{up:.1f}" x2="{WIDTH - 10}" y2="{up:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for k, tick in enumerate(ticks):
        parts.append(f'<text x="{at(k, low)[0]:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(tick)}</text>')  # fmt: skip
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        dots = [at(k, v) for k, v in enumerate(line) if v is not None]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in dots)
        if joined:
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in dots]
        place = 20 + 18 * number
        parts.append(f'<circle cx="{WIDTH + 8}" cy="{place - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH + 18}" y="{place}">{escape(name)}</text>')
    middle = (LEFT + WIDTH) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x)}</text>')
    parts.append(f'<text x="14" y="{HEIGHT / 2 - 20}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2 - 20})">{escape(y)}</text>')  # fmt: skip
    style = "text{fill:#1a1a1a;font:12px system-ui,sans-serif}.axis{stroke:#ddd}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + KEY}" viewBox="0 0 {WIDTH + KEY} {HEIGHT}" '
        f'style="background:#fff"><style>{style}</style>{"".join(parts)}</svg>\n'
    )


def _rates(results: Results) -> str:
    """Error against the bits of a thought."""
    errors, bits = (means(results.measurements, m) for m in ("centre_error", "bits"))
    names = sorted((s for _, s in bits if ("all", s) in errors), key=lambda s: bits["all", s])
    ticks = [f"{bits['all', s]:.0f}" for s in names]
    own = errors["all", "own thoughts"]
    lines: Series = {
        "rounded thoughts": [errors["all", s] for s in names],
        "5 % more than its own": [1.05 * own] * len(names),
    }  # fmt: skip
    return chart(ticks, lines, x="bits of a thought", y="error, m")


def _noise(results: Results) -> str:
    """How far forecasts move under noise, by arm."""
    shifts = means(results.measurements, "shift")
    tasks = list(dict.fromkeys(t for t, _ in shifts))
    arms = list(dict.fromkeys(s for _, s in shifts))
    lines: Series = {a: [100 * shifts[t, a] for t in tasks] for a in arms}
    ticks = [t.removeprefix("noise ") for t in tasks]
    return chart(ticks, lines, x="noise, as a share of the state", y="forecasts move, cm")


def _monitors(results: Results) -> str:
    """AUROC by kind and monitor, where the kind was never seen."""
    found = means(results.measurements, "auroc")
    kinds = [t for t in dict.fromkeys(t for t, _ in found) if t != "other weights"]
    lines: Series = {
        d: [found[k, f"{d}, unseen kind"] for k in kinds] for d in ("thoughts", "output", "lengths")
    }
    return chart(
        kinds, lines, x="kind that the monitor never saw", y="AUROC", top=1.0, joined=False
    )


def _shares(results: Results) -> str:
    """Both tasks' numbers by share of the data, as shares of starting from nothing."""
    lines: Series = {}
    for task, metric in (("understanding", "centre_error"), ("generation", "birth_loss")):
        found = means(results.measurements, metric)
        shares = list(dict.fromkeys(t.split(", ")[1] for t, _ in found))
        for start in dict.fromkeys(s for _, s in found):
            if start != "nothing":
                lines[f"{task}: {START.get(start, start)}"] = [
                    found[f"{task}, {s}", start] / found[f"{task}, {s}", "nothing"] for s in shares
                ]
    return chart(shares, lines, x="share of the data", y="of what starting from nothing has")


START = {
    "the other task": "other task", "nothing, as many steps": "more steps", "shuffled answers": "shuffled",
}  # fmt: skip
DRAWN = {"bits": _rates, "fuzz": _noise, "monitor": _monitors, "transfer": _shares}
