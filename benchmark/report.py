"""report.html from results.json: one file that asks nobody for anything, losses as plain as wins."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from pathlib import Path

from clay4d.benchmark.report_films import SCRIPT, films
from clay4d.benchmark.report_films import STYLE as FILM_STYLE
from clay4d.benchmark.report_numbers import (
    effort_of,
    head_of,
    interval_of,
    shared,
    systems_of,
    tasks_of,
)
from clay4d.benchmark.report_plots import against_seconds, against_thoughts, by_task, over_time
from clay4d.benchmark.report_words import VERDICTS, difference, margin, summary
from clay4d.benchmark.results import Results, load_results
from clay4d.files import written_whole
from clay4d.pages import html_page

__all__ = ["over_time", "summary", "write_report"]

STYLE = """\
:root{--best:#e8f3ea;--good:#cfe8d5;--bad:#f6d0c8;--open:#e6e6e6}
@media(prefers-color-scheme:dark){:root{--best:#1f3324;--good:#23492f;--bad:#5e2a20;--open:#3a3a3a}}
main{max-width:64rem;margin:1.5rem auto;padding:0 1rem;overflow-wrap:break-word}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}
th,td{padding:.3rem .45rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;vertical-align:top}
th:first-child,td:first-child,td.words{text-align:left;white-space:normal}th{white-space:normal}td:first-child{min-width:8rem}
td.best{background:var(--best);font-weight:600}small,.soft{color:var(--soft)}svg text{fill:var(--text);font:13px system-ui,sans-serif}
svg{display:block;max-width:36rem}svg .axis{stroke:var(--line)}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:1rem 2rem}
.plots h3{margin:.6rem 0 .2rem}details{margin-top:1rem}summary{cursor:pointer;font-weight:600}h2{font-size:1.15rem;margin-top:2rem}
.claims{list-style:none;padding:0}.claims li{border-left:.4rem solid var(--open);padding:.1rem .8rem;margin:.8rem 0}
.claims b{padding:.05rem .5rem;border-radius:.3rem;background:var(--open)}.claims li.holds,.claims li.holds b{border-color:var(--good)}
.holds b{background:var(--good)!important}.claims li.fails{border-color:var(--bad)}.fails b{background:var(--bad)!important}
pre{overflow-x:auto;font-size:.8rem}code{overflow-wrap:anywhere}.lead{font-size:1.05rem}
"""


def write_report(results: str | Path | Results, out: str | Path) -> None:
    """Write report.html, whole or not at all.

    Raises:
        FileNotFoundError: no results.
        ValueError: no results.json of this version.
    """
    found = results if isinstance(results, Results) else load_results(results)
    title = f"clay4d benchmark: {found.suite}"
    shown = films(found.shown, Path(out).parent)
    parts = [
        f"<main><h1>{escape(title)}</h1>", f'<p class="lead">{escape(summary(found))}</p>',
        "<h2>What was claimed before the run</h2>", _claims(found),
        "<h2>Results</h2>", *_tables(found)[:1], _plots(found),
        shown, *_more(found), _failures(found), _effort(found), _protocol(found), "</main>",
    ]  # fmt: skip
    style, script = STYLE + FILM_STYLE, SCRIPT if shown else ""
    page = html_page(title=title, body="\n".join(parts), style=style, script=script)
    with written_whole(Path(out)) as place:
        place.write_text(page, encoding="utf-8")


def _claims(results: Results) -> str:
    """All claims in the order they were written in, each with its margin and what became of it."""
    if not results.hypotheses:
        return "<p>Nothing.</p>"
    rows = []
    for h in results.hypotheses:
        word = VERDICTS[h.verdict] if h.difference is not None else "Not run"
        against = f" against {escape(h.rival)}" if h.rival else ""
        rows.append(
            f'<li class="{h.verdict}"><b>{word}</b> {escape(h.claim or h.id)}<br><span class="soft">'
            f"{escape(h.system)}{against}, {escape(h.task)}: "
            f"{escape(difference(results, h))}; claimed: {escape(margin(results, h))}</span></li>"
        )
    return f'<ul class="claims">{"".join(rows)}</ul>'


def _plots(results: Results) -> str:
    kind = "hidden force" if "none" in tasks_of(results) else "part"
    drawn = {
        "Over time": over_time(results), f"By {kind}": by_task(results),
        "Against time spent": against_seconds(results),
        "Against thoughts": against_thoughts(results),
    }  # fmt: skip
    shown = "".join(f"<div><h3>{name}</h3>{svg}</div>" for name, svg in drawn.items() if svg)
    note = '<p class="soft">Bands and bars are 95 % intervals.</p>'
    return f'<div class="plots">{shown}</div>{note}' if shown else ""


def _tables(results: Results) -> list[str]:
    """One for each metric that is not of single moments, the one that decides first."""
    found = [m for m in results.metrics if not m.name.endswith("_at")]
    return [_table(results, m.name) for m in found if tasks_of(results, m.name)]


def _more(results: Results) -> list[str]:
    """All tables but the first: folded away where they say the same of the same scenes in other units."""
    rest = _tables(results)[1:]
    if not shared(results, head_of(results)):
        return rest
    head = f"<details><summary>{len(rest)} more measures</summary>"
    return [head, *rest, "</details>"] if rest else []


def _table(results: Results, metric: str) -> str:
    tasks, systems = tasks_of(results, metric), systems_of(results)
    if len(tasks) > 1 and metric != "film_error":
        tasks = [*(["hidden"] if "none" in tasks else []), *tasks]
        tasks = ["all", *tasks] if shared(results, metric) else tasks
    best_of = max if results.metric(metric).better == "higher" else min
    cells = {(s, t): interval_of(results, s, t, metric) for s in systems for t in tasks}
    best = {
        task: best_of((c.mean for (_, t), c in cells.items() if t == task and c), default=0.0)
        for task in tasks
    }
    rows = []
    means = {s: c.mean for s in systems if (c := cells[s, tasks[0]])}
    sign = -1 if best_of is max else 1
    for system in sorted(systems, key=lambda s: sign * means.get(s, sign * float("inf"))):
        if all(cells[system, task] is None for task in tasks):
            continue
        row = [f"<td>{escape(system)}</td>"]
        for task in tasks:
            found = cells[system, task]
            if found is None:
                row.append("<td>–</td>")
                continue
            mark = ' class="best"' if len(systems) > 1 and found.mean == best[task] else ""
            ends = f"{_short(found.low)}–{_short(found.high)}"
            row.append(f"<td{mark}>{_short(found.mean)}<br><small>{ends}</small></td>")
        rows.append("<tr>" + "".join(row) + "</tr>")
    counts = [max((c.count for s in systems if (c := cells[s, t])), default=0) for t in tasks]
    head = "".join(
        f"<th>{escape(t).replace(' %', '&nbsp;%')}<br><small>{n} scenes</small></th>"
        for t, n in zip(tasks, counts)
    )
    label = escape(results.metric(metric).said())
    most = "most" if best_of is max else "least"
    shaded = f" The {most} of each column is shaded." if len(systems) > 1 else ""
    return (
        f"<h3>{label[:1].upper()}{label[1:]}</h3>"
        f"<table><tr><th>system</th>{head}</tr>{''.join(rows)}</table>"
        f'<p class="soft">Below each mean its 95 % bootstrap interval over scenes.{shaded}</p>'
    )


def _short(value: float) -> str:
    """Three decimals; three digits of what would be lost in them."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"


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


def _effort(results: Results) -> str:
    rows = ""
    for system, effort in effort_of(results).items():
        took, spent = (
            "–" if v is None else f"{v:.3f}" for v in (effort.seconds, effort.cpu_seconds)
        )
        most = "–" if effort.memory is None else f"{effort.memory:.0f}"
        rows += f"<tr><td>{escape(system)}</td><td>{took}</td><td>{spent}</td><td>{most}</td></tr>"
    return (
        "<h2>Time and memory</h2><table><tr><th>system</th><th>median seconds an answer</th>"
        f"<th>of processor time</th><th>peak MB</th></tr>{rows}</table>"
    )


def _protocol(results: Results) -> str:
    said = "".join(f"<li>{escape(text)}</li>" for _, text in results.protocols)
    versions = ", ".join(f"{escape(n)} {escape(v)}" for n, v in results.versions)
    seeds = ", ".join(str(s) for s in sorted({m.seed for m in results.measurements}))
    facts = {
        "date": results.date, "machine": results.machine, "versions": versions, "seeds": seeds,
        "config": results.config_hash,
    }  # fmt: skip
    rows = "".join(f"<li>{name}: {escape(value)}</li>" for name, value in facts.items() if value)
    return (
        f"<h2>Protocol</h2><ul>{said}</ul><ul>{rows}<li>command: <code>{escape(results.command)}</code></li></ul>"
        f"<details><summary>The config that was hashed</summary><pre>{escape(results.config)}</pre></details>"
    )
