"""report.html from results.json: one file that asks nobody for anything, losses as plain as wins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from clay4d.benchmark.report_films import STYLE as FILM_STYLE
from clay4d.benchmark.report_films import films, policy
from clay4d.benchmark.results import Hypothesis, Results, load_results
from clay4d.benchmark.run import AT, ERROR, errors_of
from clay4d.benchmark.statistics import Interval, bootstrap
from clay4d.files import written_whole

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Told apart by the colour-blind too (Okabe and Ito 2008)."""
STYLE = """
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#666;--line:#ddd;--back:#fff;--best:#e8f3ea}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#aaa;--line:#444;--back:#161616;--best:#1f3324}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child,td.words{text-align:left;white-space:normal}
td.best{background:var(--best);font-weight:600}small,.soft{color:var(--soft)}svg text{fill:var(--ink);font:12px system-ui,sans-serif}
svg .axis{stroke:var(--line)}details{margin-top:2rem}summary{cursor:pointer;font-weight:600}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
"""


def write_report(results: str | Path | Results, out: str | Path) -> None:
    """Write report.html, whole or not at all.

    Raises:
        FileNotFoundError: no results.
        ValueError: no results.json of this version.
    """
    found = results if isinstance(results, Results) else load_results(results)
    parts = [
        f"<h1>clay4d benchmark: {escape(found.suite)}</h1>",
        f"<p>{escape(summary(found))}</p>",
        "<h2>Errors</h2>", *_tables(found)[:1], _curves(found),
        "<h2>What was claimed before the run</h2>", _claims(found),
        films(found.shown, Path(out).parent), *_more(found), _failures(found), _protocol(found),
    ]  # fmt: skip
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">'
        f"<title>clay4d benchmark: {escape(found.suite)}</title><style>{STYLE}{FILM_STYLE}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )
    with written_whole(Path(out)) as place:
        place.write_text(page, encoding="utf-8")


def summary(results: Results) -> str:
    """Who won what, in plain words, from the numbers alone."""
    metric = results.metrics[0].name if results.metrics else ERROR
    text, first = _said_of_all(results, metric)
    if not first:
        return "No system answered."
    for task in _tasks(results):
        own = next((m.name for m in results.metrics if _tasks(results, m.name, task)), metric)
        best = _ranked(results, task, own)
        if best and (best[0][1] != first or own != metric or not text):
            unit = results.metric(own).unit
            text += (
                f" Of the scenes {_named(task)}, {best[0][1]} is best ({best[0][0]:.3g} {unit})."
            )
    for verdict in ("holds", "fails", "undecided"):
        found = [h.claim or h.id for h in results.hypotheses if h.verdict == verdict]
        if found:
            text += f" {verdict.capitalize()}: " + " ".join(found)
    return text.strip()


def _said_of_all(results: Results, metric: str) -> tuple[str, str]:
    """A sentence on all scenes, where all tasks share the metric; and the best system of the first task."""
    shared = _tasks(results, metric) == _tasks(results)
    known = _ranked(results, "all", metric)
    if not known or not shared:
        return "", known[0][1] if known else next(iter(_systems(results)), "")
    unit = results.metric(metric).unit
    best = "scores most," if results.metric(metric).better == "higher" else "is off least, by"
    said = [
        f"Over all scenes {known[0][1]} {best} {known[0][0]:.3f} {unit} at the mean".replace(
            "  ", " "
        )
    ]
    said += [f"{name} by {mean:.3f} {unit}".rstrip() for mean, name in known[1:]]
    if best.startswith("scores"):
        said[1:] = [one.replace(" by ", " ", 1) for one in said[1:]]
    return ", ".join(said) + ".", known[0][1]


def _ranked(results: Results, task: str, metric: str) -> list[tuple[float, str]]:
    """Means of the systems, the best first."""
    means = {s: _interval(results, s, task, metric) for s in _systems(results)}
    known = sorted((m.mean, s) for s, m in means.items() if m is not None)
    return known[::-1] if results.metric(metric).better == "higher" else known


def _named(task: str) -> str:
    return "in which nothing is hidden" if task == "none" else f"of {task}"


def _systems(results: Results) -> list[str]:
    return list(dict.fromkeys(m.system for m in results.measurements))


def _tasks(results: Results, metric: str = "", task: str = "") -> list[str]:
    """Tasks with numbers of a metric (or any), perhaps only one of them."""
    return sorted(
        {m.task for m in results.measurements if metric in ("", m.metric) and task in ("", m.task)}
    )


def _interval(results: Results, system: str, task: str, metric: str = ERROR) -> Interval | None:
    values = errors_of(results.measurements, system, task, metric=metric)
    return bootstrap(np.array([values[k] for k in sorted(values)])) if values else None


def _tables(results: Results) -> list[str]:
    """One for each metric that is not of single moments, the one that decides first."""
    found = [m for m in results.metrics if not m.name.endswith("_at")]
    return [_table(results, m.name) for m in found if _tasks(results, m.name)]


def _more(results: Results) -> list[str]:
    """All tables but the first, folded away."""
    rest = _tables(results)[1:]
    head = f"<details><summary>{len(rest)} more measures</summary>"
    return [head, *rest, "</details>"] if rest else []


def _table(results: Results, metric: str) -> str:
    tasks = _tasks(results, metric)
    if len(tasks) > 1 and metric != "film_error":
        tasks = [*(["hidden"] if "none" in tasks else []), *tasks]
        tasks = ["all", *tasks] if _tasks(results) == _tasks(results, metric) else tasks
    higher = results.metric(metric).better == "higher"
    cells = {(s, t): _interval(results, s, t, metric) for s in _systems(results) for t in tasks}
    best: dict[str, float] = {}
    for (_, task), found in cells.items():
        if found is not None:
            best[task] = (max if higher else min)(best.get(task, found.mean), found.mean)
    rows = []
    for system in _systems(results):
        row = [f"<td>{escape(system)}</td>"]
        if all(cells[system, task] is None for task in tasks):
            continue
        for task in tasks:
            found = cells[system, task]
            if found is None:
                row.append("<td>–</td>")
                continue
            mark = ' class="best"' if found.mean == best[task] else ""
            row.append(
                f"<td{mark}>{found.mean:.3f}<br><small>{found.low:.3f}–{found.high:.3f}</small></td>"
            )
        rows.append("<tr>" + "".join(row) + "</tr>")
    counts = [
        max((c.count for s in _systems(results) if (c := cells[s, t])), default=0) for t in tasks
    ]
    head = "".join(
        f"<th>{escape(t)}<br><small>{n} scenes</small></th>" for t, n in zip(tasks, counts)
    )
    label = escape(results.metric(metric).said())
    return (
        f"<h3>{label[:1].upper()}{label[1:]}</h3>"
        f"<table><tr><th>system</th>{head}</tr>{''.join(rows)}</table>"
        '<p class="soft">Below each mean its 95 % bootstrap interval over scenes. '
        f"The {'most' if higher else 'least'} of each column is shaded.</p>"
    )


def over_time(results: Results) -> str:
    """An SVG of the mean error at each horizon, a line for each system; empty if there are none."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for system in _systems(results):
        at = defaultdict(list)
        for m in results.measurements:
            if m.system == system and m.metric == AT and m.value is not None and m.horizon:
                at[m.horizon].append(m.value)
        if at:
            lines[system] = [(h, float(np.mean(v))) for h, v in sorted(at.items())]
    if not lines:
        return ""
    width, height, left, bottom = 640, 300, 50, 40
    most_x = max(x for line in lines.values() for x, _ in line)
    most_y = 1.05 * max(y for line in lines.values() for _, y in line)

    def at_(x: float, y: float) -> tuple[float, float]:
        return left + x / most_x * (width - left - 170), height - bottom - y / most_y * (height - bottom - 10)  # fmt: skip

    drawn = []
    step = _step(most_y)
    for k in range(int(most_y / step) + 1):
        x0, y0 = at_(0, k * step)
        x1, _ = at_(most_x, 0)
        drawn.append(
            f'<line class="axis" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y0:.1f}"/>'
        )
        drawn.append(
            f'<text x="{x0 - 6:.1f}" y="{y0 + 4:.1f}" text-anchor="end">{k * step:g}</text>'
        )
    for h in sorted({x for line in lines.values() for x, _ in line}):
        x, y = at_(h, 0)
        drawn.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{h:g}</text>')
    drawn.append(
        f'<text x="{left}" y="{height - 4}">metres, by seconds after the last frame that was seen</text>'
    )
    ends = sorted((line[-1][1], name) for name, line in lines.items())
    places = _apart([at_(0, y)[1] for y, _ in ends])
    for k, (name, line) in enumerate(lines.items()):
        colour = COLOURS[k % len(COLOURS)]
        points = " ".join("{:.1f},{:.1f}".format(*at_(*p)) for p in line)
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        place = places[[n for _, n in ends].index(name)]
        x = at_(most_x, 0)[0] + 8
        drawn.append(
            f'<circle cx="{x:.1f}" cy="{place - 4:.1f}" r="4" fill="{colour}"/>'
            f'<text x="{x + 8:.1f}" y="{place:.1f}">{escape(name)}</text>'
        )
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="error in metres over time" width="100%">{"".join(drawn)}</svg>'  # fmt: skip


def _curves(results: Results) -> str:
    drawn = over_time(results)
    return f"<h2>Over time</h2>{drawn}" if drawn else ""


def _step(most: float) -> float:
    """A round number of which about five fit."""
    size: float = 10 ** np.floor(np.log10(most / 5))
    return next(size * k for k in (1, 2, 5, 10) if most / (size * k) <= 6)


def _apart(places: Sequence[float], least: float = 15) -> list[float]:
    """Heights of labels (from below) moved up where they would lie on each other."""
    out: list[float] = []
    for place in places:
        out.append(min(place, out[-1] - least) if out else place)
    return out


def _claims(results: Results) -> str:
    if not results.hypotheses:
        return "<p>Nothing.</p>"
    rows = "".join(
        f'<tr><td>{escape(h.claim or h.id)}</td><td>{h.verdict}</td><td class="words">{_difference(results, h)}</td></tr>'
        for h in results.hypotheses
    )
    return f"<table><tr><th>claim</th><th>verdict</th><th>difference</th></tr>{rows}</table>"


def _difference(results: Results, h: Hypothesis) -> str:
    if h.difference is None or h.low is None or h.high is None:
        return "no scene has both"
    unit = results.metric(h.metric).unit
    if h.relative:
        said = f"{h.difference:.1%} ({h.low:.1%} to {h.high:.1%}) less, at least {h.margin:.0%} claimed"
        return f"{said}, {h.scenes} scenes"
    return f"{h.difference:+.3f} ({h.low:+.3f} to {h.high:+.3f}) {escape(unit)}, {h.scenes} scenes"


def _failures(results: Results) -> str:
    failed: dict[tuple[str, str], int] = defaultdict(int)
    for m in results.measurements:
        if m.status == "failed":
            failed[m.system, m.reason] += 1
    if not failed:
        return "<h2>Failures</h2><p>None.</p>"
    rows = "".join(
        f'<tr><td>{escape(s)}</td><td>{n}</td><td class="words">{escape(r)}</td></tr>'
        for (s, r), n in sorted(failed.items())
    )
    return (
        f"<h2>Failures</h2><table><tr><th>system</th><th>scenes</th><th>why</th></tr>{rows}</table>"
    )


def _protocol(results: Results) -> str:
    heads = {"toss_position", "film_error", ERROR, *(m.name for m in results.metrics[:1])}
    seconds = defaultdict(list)
    memory: dict[str, float] = defaultdict(float)
    for m in results.measurements:
        if m.metric in heads and m.status == "ok" and m.seconds is not None:
            seconds[m.system].append(m.seconds)
            memory[m.system] = max(memory[m.system], m.peak_memory_mb or 0)
    rows = "".join(
        f"<tr><td>{escape(s)}</td><td>{np.median(v):.3f}</td><td>{memory[s]:.0f}</td></tr>"
        for s, v in seconds.items()
    )
    said = "".join(f"<li>{escape(text)}</li>" for _, text in results.protocols)
    versions = ", ".join(f"{escape(n)} {escape(v)}" for n, v in results.versions)
    return (
        "<h2>Time and memory</h2><table><tr><th>system</th><th>median seconds a scene</th><th>peak MB</th></tr>"
        f"{rows}</table><h2>Protocol</h2><ul>{said}</ul>"
        f'<p class="soft">{escape(results.date)} · {escape(results.machine)} · {versions}<br>'
        f"config {escape(results.config_hash[:16])} · <code>{escape(results.command)}</code></p>"
    )
