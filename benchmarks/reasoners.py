"""Table and curves of reasoners from their finished runs: `python benchmarks/reasoners.py RUN... --plot FILE`.

Runs are folders of `clay4d train-world`; those of one kind are its seeds. Nothing is trained here.
The plot needs matplotlib (pip install matplotlib).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

SPLITS = ("val", "ood-speed", "ood-size", "ood-count", "ood-combination")
SHOWN = "4"
"""Thoughts of the table's errors."""


def main() -> None:
    """Read runs, print the tables as Markdown, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    arms: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in given.runs:
        found = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        arms[found["kind"]].append(found)
    print(forecasts(arms), made(arms), concepts(arms), exits(arms), sep="\n")
    if given.plot:
        draw(arms, given.plot)


def forecasts(arms: dict[str, list[dict[str, Any]]]) -> str:
    """Errors in metres with four thoughts, beside constant velocity."""
    rows = ["| reasoner | seeds | " + " | ".join(SPLITS) + " |", "|---" * (len(SPLITS) + 2) + "|"]
    straight = [f"{_straight_on(arms, s):.3f}" for s in SPLITS]
    rows.append("| constant velocity | | " + " | ".join(straight) + " |")
    for kind, found in arms.items():
        cells = [_cell([f["forecast"][s]["thoughts"][SHOWN] for f in found]) for s in SPLITS]
        rows.append(f"| {kind} | {len(found)} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def made(arms: dict[str, list[dict[str, Any]]]) -> str:
    """Shares of held-out prompts (`val`) whose generated scene is right."""
    names = ("count", "things", "looks", "clauses", "acts")
    rows = ["| reasoner | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for kind, found in arms.items():
        shares = [f["prompts"]["val"]["generated"] for f in found if f["prompts"].get("val")]
        if shares:
            cells = [_cell([100 * s[n] for s in shares], digits=1) for n in names]
            rows.append(f"| {kind} | " + " | ".join(cells) + " |")
    true = next((f["prompts"]["val"]["true"] for a in arms.values() for f in a if f["prompts"]), {})
    if true:
        rows.append("| true worlds | " + " | ".join(f"{100 * true[n]:.1f}" for n in names) + " |")
    return "\n".join(rows) + "\n"


def concepts(arms: dict[str, list[dict[str, Any]]]) -> str:
    """How good concepts are: see `clay4d.world_model.training.concepts.ConceptScores`."""
    names = ("coding_error", "distance", "round_trip", "contrast")
    rows = ["| reasoner | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for kind, found in arms.items():
        scores = [f["concepts"] for f in found if "concepts" in f]
        if scores:
            rows.append(
                f"| {kind} | " + " | ".join(_cell([s[n] for s in scores]) for n in names) + " |"
            )
    return "\n".join(rows) + "\n" if len(rows) > 2 else ""


def exits(arms: dict[str, list[dict[str, Any]]]) -> str:
    """Recurrent depth: thoughts before it holds still, of 16, and errors on `val`."""
    rows = ["| exit | thoughts | error, m |", "|---|---|---|"]
    scores = [f["exits"] for found in arms.values() for f in found if "exits" in f]
    for name in scores[0] if scores else ():
        told = [[s[name][k] for s in scores] for k in ("thoughts", "error")]
        rows.append(f"| {name} | {_cell(told[0], digits=1)} | {_cell(told[1], digits=4)} |")
    return "\n".join(rows) + "\n" if scores else ""


def draw(arms: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Error against thoughts, a panel for each split, a line for each reasoner and its seeds' spread."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "clay4d"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(SPLITS), figsize=(3.1 * len(SPLITS), 3.0))
    for panel, split in zip(panels, SPLITS):
        for kind, found in arms.items():
            counts = sorted(int(k) for k in found[0]["forecast"][split]["thoughts"])
            lines = [[f["forecast"][split]["thoughts"][str(c)] for c in counts] for f in found]
            middle = [mean(values) for values in zip(*lines)]
            (drawn,) = panel.plot(counts, middle, marker=".", label=kind)
            if len(lines) > 1:
                low, high = ([f(v) for v in zip(*lines)] for f in (min, max))
                panel.fill_between(counts, low, high, alpha=0.2, color=drawn.get_color())
        # From nothing to constant velocity, or differences of millimetres would look like cliffs.
        straight = _straight_on(arms, split)
        panel.axhline(straight, color="0.5", linestyle=":", label="constant velocity")
        panel.set_ylim(0, 1.1 * straight)
        panel.set_title(split)
        panel.set_xlabel("thoughts before each segment")
        panel.axvspan(1, 6, color="0.94", zorder=0)
    panels[0].set_ylabel("centre error, metres")
    panels[-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _straight_on(arms: dict[str, list[dict[str, Any]]], split: str) -> float:
    """Constant velocity's error: the same in every run, since their worlds are."""
    return float(next(iter(arms.values()))[0]["forecast"][split]["constant_velocity"])


def _cell(values: list[float], *, digits: int = 3) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"


if __name__ == "__main__":
    main()
