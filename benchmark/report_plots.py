"""A report's plots as SVG text, drawn here: no library, no script, readable on a phone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from clay4d.benchmark.report_numbers import (
    effort_of,
    head_of,
    interval_of,
    shared,
    systems_of,
    tasks_of,
)
from clay4d.benchmark.results import Results
from clay4d.benchmark.run import AT
from clay4d.benchmark.statistics import Interval, bootstrap

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#a6761d", "#7570b3", "#66a61e", "#e7298a", "#8c564b")  # fmt: skip
"""The first seven are told apart by the colour-blind too (Okabe and Ito 2008); no suite has more than twelve."""
WIDTH = 440
"""Of a plot, in units of which text takes 13: a phone of 360 pixels shows that at ten."""
LEFT, RIGHT, ROW = 46, 14, 15


def colours_of(results: Results) -> dict[str, str]:
    """Each system's colour, the same in all plots."""
    return {s: COLOURS[k % len(COLOURS)] for k, s in enumerate(systems_of(results))}


def over_time(results: Results) -> str:
    """An SVG of the mean error at each horizon with its 95 % band, a line for each system; empty if there are none."""
    lines: dict[str, list[tuple[float, Interval]]] = {}
    for system in systems_of(results):
        at: dict[float, list[float]] = defaultdict(list)
        for m in results.measurements:
            if m.system == system and m.metric == AT and m.value is not None and m.horizon:
                at[m.horizon].append(m.value)
        if at:
            lines[system] = [(h, bootstrap(np.array(v))) for h, v in sorted(at.items())]
    if not lines:
        return ""
    colours = colours_of(results)
    drawn, top = _legend({s: colours[s] for s in lines})
    most_x = max(x for line in lines.values() for x, _ in line)
    most_y = 1.02 * max(y.high for line in lines.values() for _, y in line)
    bottom = top + 230

    def at_(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / most_x * (WIDTH - LEFT - RIGHT), bottom - y / most_y * (bottom - top)

    drawn += _rows(most_y, lambda y: at_(0, y)[1])
    for h in sorted({x for line in lines.values() for x, _ in line}):
        drawn.append(_text(at_(h, 0)[0], bottom + 17, f"{h:g}", "middle"))
    drawn.append(_text(LEFT, bottom + 36, "metres, by seconds after the last frame that was seen"))
    for name, line in lines.items():
        edge = [at_(x, y.low) for x, y in line] + [at_(x, y.high) for x, y in line[::-1]]
        drawn.append(f'<polygon points="{_points(edge)}" fill="{colours[name]}" opacity="0.13"/>')
    for name, line in lines.items():
        points = _points([at_(x, y.mean) for x, y in line])
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')  # fmt: skip
    return _svg("error in metres over time", bottom + 44, drawn)


def by_task(results: Results) -> str:
    """An SVG of each system's mean on each task with its interval; empty where there is but one task."""
    metric = head_of(results)
    tasks = tasks_of(results, metric)
    if len(tasks) < 2:
        return ""
    colours = colours_of(results)
    found = {
        (s, t): i for s in colours for t in tasks
        if (i := interval_of(results, s, t, metric)) is not None
    }  # fmt: skip
    if not found:
        return ""
    drawn, y = _legend({s: c for s, c in colours.items() if any(s == k for k, _ in found)})
    least = min(0.0, *(i.low for i in found.values()))
    scale = (WIDTH - LEFT - RIGHT) / (max(i.high for i in found.values()) * 1.02 - least or 1.0)

    def at_(value: float) -> float:
        return LEFT + (value - least) * scale

    rows, began = [], y
    for task in tasks:
        y += 20
        rows.append(_text(8, y, "nothing hidden" if task == "none" else task))
        for system, colour in colours.items():
            if (system, task) in found:
                y += ROW
                rows += _whisker(found[system, task], at_, y - 4, colour)
        y += 6
    step = _step((WIDTH - LEFT - RIGHT) / scale)
    marks = np.arange(math.ceil(least / step), (WIDTH - LEFT - RIGHT) / scale / step + least / step)
    for mark in marks * step:
        x = at_(mark)
        drawn.append(f'<line class="axis" x1="{x:.1f}" y1="{began:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>')  # fmt: skip
        drawn.append(_text(x, y + 16, f"{mark:.6g}", "middle"))
    unit = results.metric(metric).unit or results.metric(metric).name
    drawn += [*rows, _text(LEFT, y + 36, unit)]
    return _svg("means by task", y + 44, drawn)


def against_seconds(results: Results) -> str:
    """An SVG of means against the median seconds of an answer, on a log axis; empty without seconds.

    They are of processor time where all have it: other work on the machine hardly changes that.
    """
    metric = head_of(results)
    points, efforts = {}, effort_of(results)
    timed = [e for e in efforts.values() if e.seconds is not None]
    cpu = all(e.cpu_seconds is not None for e in timed)
    for system, effort in efforts.items():
        seconds = effort.cpu_seconds if cpu else effort.seconds
        mean = interval_of(results, system, "all", metric)
        if seconds and mean is not None:
            points[system] = (math.log10(seconds), mean)
    if len(points) < 2 or not shared(results, metric):
        return ""
    colours = colours_of(results)
    drawn, top = _legend({s: colours[s] for s in points})
    low = math.floor(min(x for x, _ in points.values()))
    high = max(math.ceil(max(x for x, _ in points.values())), low + 1)
    most = 1.02 * max(m.high for _, m in points.values())
    bottom = top + 200

    def at_(x: float, y: float) -> tuple[float, float]:
        across = (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        return LEFT + across, bottom - max(y, 0) / most * (bottom - top)

    drawn += _rows(most, lambda y: at_(low, y)[1])
    for k in range(low, high + 1):
        drawn.append(_text(at_(k, 0)[0], bottom + 17, f"{10.0**k:g}", "middle"))
    unit = results.metric(metric).unit or results.metric(metric).name
    drawn.append(
        _text(
            LEFT,
            bottom + 36,
            f"{unit}, by median {'processor ' if cpu else ''}seconds an answer takes (log)",
        )
    )
    for name, (x, mean) in points.items():
        (px, a), (_, b), (_, c) = (at_(x, y) for y in (mean.low, mean.mean, mean.high))
        drawn.append(f'<line x1="{px:.1f}" y1="{a:.1f}" x2="{px:.1f}" y2="{c:.1f}" stroke="{colours[name]}" stroke-width="2"/>')  # fmt: skip
        drawn.append(f'<circle cx="{px:.1f}" cy="{b:.1f}" r="5" fill="{colours[name]}"/>')
    return _svg("error against seconds", bottom + 44, drawn)


def against_thoughts(results: Results) -> str:
    """An SVG of means by how many thoughts there were before each segment; empty where that is not varied."""
    metric = head_of(results)
    counts = {m.thoughts: m.system for m in results.measurements if m.thoughts is not None}
    found = {
        n: i for n in sorted(counts)
        if (i := interval_of(results, counts[n], "all", metric)) is not None
    }  # fmt: skip
    if len(found) < 2:
        return ""
    most, top, bottom = 1.02 * max(i.high for i in found.values()), 14.0, 214.0
    wide = (WIDTH - LEFT - RIGHT - 40) / (len(found) - 1)

    def height(y: float) -> float:
        return bottom - y / most * (bottom - top)

    drawn = _rows(most, height)
    points = [(LEFT + 20 + k * wide, height(i.mean)) for k, i in enumerate(found.values())]
    drawn.append(f'<polyline points="{_points(points)}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>')  # fmt: skip
    for (x, y), (n, i) in zip(points, found.items()):
        drawn += [
            f'<line x1="{x:.1f}" y1="{height(i.low):.1f}" x2="{x:.1f}" y2="{height(i.high):.1f}" stroke="{COLOURS[0]}" stroke-width="2"/>',
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[0]}"/>',
            _text(x, bottom + 17, str(n), "middle"),
        ]  # fmt: skip
    unit = results.metric(metric).unit or results.metric(metric).name
    drawn.append(_text(LEFT, bottom + 36, f"{unit}, by thoughts before each segment"))
    return _svg("error against thoughts", bottom + 44, drawn)


def _legend(colours: Mapping[str, str]) -> tuple[list[str], float]:
    """Dots and names in rows, and the height below them."""
    drawn, x, y = [], 8.0, 16.0
    for name, colour in colours.items():
        wide = 24 + 7.3 * len(name)
        if x > 8 and x + wide > WIDTH:
            x, y = 8.0, y + 19
        drawn += [f'<circle cx="{x + 5:.1f}" cy="{y - 4:.1f}" r="5" fill="{colour}"/>', _text(x + 15, y, name)]  # fmt: skip
        x += wide
    return drawn, y + 14


def _rows(most: float, height: Callable[[float], float]) -> list[str]:
    """Lines across at round values, with their numbers."""
    drawn, step = [], _step(most)
    for k in range(int(most / step) + 1):
        y = height(k * step)
        drawn.append(f'<line class="axis" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')  # fmt: skip
        drawn.append(_text(LEFT - 6, y + 4, f"{k * step:g}", "end"))
    return drawn


def _whisker(found: Interval, at: Callable[[float], float], y: float, colour: str) -> list[str]:
    a, b, c = (at(v) for v in (found.low, found.mean, found.high))
    return [
        f'<line x1="{a:.1f}" y1="{y:.1f}" x2="{c:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{b:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>',
    ]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(label: str, height: float, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}" width="100%">'
        + "".join(drawn) + "</svg>"
    )  # fmt: skip


def _step(most: float) -> float:
    """A round number of which about five fit."""
    size: float = 10 ** np.floor(np.log10(most / 5))
    return next(size * k for k in (1, 2, 5, 10) if most / (size * k) <= 6)
