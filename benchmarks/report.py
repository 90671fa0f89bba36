"""README's table and picture of the benchmark from kept results: `python benchmarks/report.py` (or make report).

docs/results/predict.json.gz and generate.json.gz are results.json of `clay4d benchmark predict` and `generate`, their
commands inside; thoughts-*.json.gz are those of the experiments on thoughts, whose pictures and tables of claims in
docs/thoughts.md are remade, too. With --from DIR the one of a new run of one of these suites is taken and kept in its place.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import thoughts_figures

from clay4d.benchmark.report import over_time
from clay4d.benchmark.results import Results, load_results
from clay4d.benchmark.run import ERROR, errors_of
from clay4d.benchmark.statistics import bootstrap
from clay4d.benchmark.suites import CEILINGS
from clay4d.config import from_dict, to_dict
from clay4d.files import written_whole

ROOT = Path(__file__).parents[1]
KEPT = {
    name: ROOT / f"docs/results/{name}.json.gz"
    for name in ("predict", "generate", *(f"thoughts-{s}" for s in thoughts_figures.STUDIES))
}
START, END = "<!-- report:start -->", "<!-- report:end -->"
COLUMNS = {"all": "all", "hidden": "a force is hidden", "none": "none is"}
WORDS = {"holds": "Holds", "fails": "Refuted", "undecided": "Undecided"}


def main() -> None:
    """Write the table between README's marks, and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", type=Path, dest="run", help="folder of a new run to keep")
    given = parser.parse_args()
    if given.run is not None:
        keep(load_results(given.run / "results.json"))
    results, prompted = kept("predict"), kept("generate")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    with written_whole(readme) as place:
        place.write_text(
            before + START + "\n" + screen(results) + said_of(prompted) + END + after,
            encoding="utf-8",
        )
    with written_whole(ROOT / "docs/predict.svg") as place:
        place.write_text(picture(results), encoding="utf-8")
    thoughts_figures.remake()


def kept(suite: str) -> Results:
    """The kept results of a suite."""
    return from_dict(Results, json.loads(gzip.decompress(KEPT[suite].read_bytes())), suite)


def keep(results: Results) -> None:
    """Keep a run's results in the repository, without its films."""
    if results.suite not in KEPT:
        raise SystemExit(f"suite got {results.suite!r}; expected one of {', '.join(KEPT)}.")
    whole = to_dict(dataclasses.replace(results, shown=()))
    data = json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
    with written_whole(KEPT[results.suite]) as place:
        place.write_bytes(gzip.compress(data, 9, mtime=0))


def screen(results: Results) -> str:
    """The summary table in Markdown and what became of the claims."""
    systems = list(dict.fromkeys(m.system for m in results.measurements))
    found = {
        (s, t): errors_of(results.measurements, s, t, metric=ERROR)
        for s in systems
        for t in COLUMNS
    }
    # One that failed on a world is not made better by it: that world counts for nobody.
    shared = set.intersection(*(set(found[s, "all"]) for s in systems))
    found = {k: {n: e for n, e in v.items() if n in shared} for k, v in found.items()}
    cells = {k: bootstrap(np.array([v[n] for n in sorted(v)])) for k, v in found.items() if v}
    best = {t: min(c.mean for (_, u), c in cells.items() if u == t) for t in COLUMNS}
    rows = ["| metres | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for system in sorted(systems, key=lambda s: cells[s, "all"].mean):
        row = []
        for task in COLUMNS:
            c = cells[system, task]
            mean = f"**{c.mean:.3f}**" if c.mean == best[task] else f"{c.mean:.3f}"
            row.append(f"{mean} ({c.low:.3f}–{c.high:.3f})")
        rows.append(f"| {system} | " + " | ".join(row) + " |")
    known = {s for s in systems}
    claims = [h for h in results.hypotheses if {h.system, h.rival} <= known]
    lines = [f"- {WORDS[h.verdict]}: {h.claim}" for h in claims]
    n = cells[systems[0], "all"].count
    said = (
        f"{n} worlds that no model was trained or chosen on, six frames in, 18 foretold: mean distance of movers' "
        f"centres from the truth, with 95 % intervals over worlds. {results.date}, 2 cores, no GPU."
    )
    return "\n".join([said, "", *rows, "", *lines, ""])


def said_of(prompted: Results) -> str:
    """A line on scenes from prompts alone, and what became of its claims."""
    metric, shares = prompted.metrics[0].name, {}
    for system in dict.fromkeys(m.system for m in prompted.measurements):
        found = errors_of(prompted.measurements, system, "all", metric=metric)
        if found:
            shares[system] = bootstrap(np.array([found[k] for k in sorted(found)]))
    each = {n: f"{c.mean:.0%} ({c.low:.0%}–{c.high:.0%})" for n, c in shares.items()}
    order = sorted((n for n in shares if n not in CEILINGS), key=lambda n: -shares[n].mean)
    asked = ", ".join(f"{name} {each[name]}" for name in order)
    true = "; ".join(
        f"of {name.replace('-', ' ')}s it finds {each[name]} right"
        for name in shares
        if name in CEILINGS
    )
    count = max(c.count for c in shares.values())
    lines = [f"- {WORDS[h.verdict]}: {h.claim}" for h in prompted.hypotheses]
    said = (
        f"From a prompt alone, {count} of them held out, scenes that are right in count, shapes, colours and "
        f"what happens, as a judge sees them: {asked}; {true}. {prompted.date}, `clay4d benchmark generate`."
    )
    return "\n".join(["", said, "", *lines, ""])


def picture(results: Results) -> str:
    """The errors over time as a picture of its own."""
    style = "text{fill:#1a1a1a;font:13px system-ui,sans-serif}.axis{stroke:#ddd}"
    drawn = over_time(results)
    head = '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff" '
    # A size of its own: a picture that fills a wide page has letters like headlines.
    drawn = drawn.replace('width="100%"', 'width="600"', 1)
    return drawn.replace("<svg ", head, 1).replace(">", f"><style>{style}</style>", 1)


if __name__ == "__main__":
    main()
