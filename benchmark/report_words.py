"""A run's outcome in plain words, from its numbers alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from clay4d.benchmark.report_numbers import head_of, lead, ranked, shared, systems_of, tasks_of
from clay4d.benchmark.results import Hypothesis, Results
from clay4d.benchmark.suites import CEILINGS

VERDICTS = {"holds": "Holds", "fails": "Refuted", "undecided": "Undecided"}


def summary(results: Results) -> str:
    """Who won what and what was lost: the ranking, the parts, the claims, the failures."""
    if not any(m.status == "ok" for m in results.measurements):
        return "No system answered."
    said = [_of_all(results), _of_parts(results), *_of_claims(results.hypotheses), _failed(results)]
    return " ".join(s for s in said if s)


def _of_all(results: Results) -> str:
    """The ranking over all scenes, where all tasks share a metric, and whether the first two differ."""
    metric = head_of(results)
    known = [k for k in ranked(results, "all", metric) if k[1] not in CEILINGS]
    if not known or not shared(results, metric):
        return ""
    unit = results.metric(metric).unit
    first = known[0][1]
    if len(known) == 1:
        verb = "scores" if results.metric(metric).better == "higher" else "is off by"
        said = f"{first}, which nothing was run beside, {verb} {_figure(known[0][0], unit)} at the mean"
        return f"{said} over all scenes.{_told(results, metric)}"
    if results.metric(metric).better == "higher":
        said = f"Over all scenes {first} scores most, {_figure(known[0][0], unit)} at the mean"
        rest = [f"{name} {_figure(mean, unit)}" for mean, name in known[1:]]
    else:
        said = f"Over all scenes {first} is off least, by {_figure(known[0][0], unit)} at the mean"
        rest = [f"{name} by {_figure(mean, unit)}" for mean, name in known[1:]]
    said = ", ".join([said, *rest]) + "." + _told(results, metric)
    found = lead(results, first, known[1][1], "all", metric)
    if found is None:
        return said
    ahead = f"{_figure(found.mean, unit)}, {found.low:+.2g} to {found.high:+.2g}"
    if found.low > 0:
        return f"{said} Its lead over {known[1][1]} is more than chance ({ahead})."
    return f"{said} Its lead over {known[1][1]} may be chance ({ahead})."


def _told(results: Results, metric: str) -> str:
    """What those reach that are told the truth."""
    unit = results.metric(metric).unit
    told = [
        f"{name}, told the truth, {_figure(mean, unit)}"
        for mean, name in ranked(results, "all", metric) if name in CEILINGS
    ]  # fmt: skip
    return f" (For scale: {'; '.join(told)}.)" if told else ""


def _of_parts(results: Results) -> str:
    """Which system is best on which part."""
    tasks = tasks_of(results)
    if len(tasks) < 2 or len([s for s in systems_of(results) if s not in CEILINGS]) < 2:
        return ""
    won: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        own = next((m.name for m in results.metrics if tasks_of(results, m.name, task)), "")
        best = [k for k in ranked(results, task, own) if k[1] not in CEILINGS] if own else []
        if best:
            won[best[0][1]].append(
                f"{named(task)} ({_figure(best[0][0], results.metric(own).unit)})"
            )
    said = [f"{system} is best {_listed(parts)}" for system, parts in won.items()]
    none = [s for s in systems_of(results) if s not in (*won, *CEILINGS)]
    if none:
        said.append(f"{_listed(none)} {'is' if len(none) == 1 else 'are'} best nowhere")
    text = "; ".join(said)
    return f"By parts: {text}." if text else ""


def _of_claims(claims: Sequence[Hypothesis]) -> list[str]:
    """Claims by what became of them."""
    judged = [h for h in claims if h.difference is not None]
    said = []
    for verdict in ("fails", "holds", "undecided"):
        found = [h.claim or h.id for h in judged if h.verdict == verdict]
        if found:
            said.append(f"{VERDICTS[verdict]}: " + " ".join(found))
    idle = len(claims) - len(judged)
    if idle:
        said.append(f"{idle} of {len(claims)} claims could not be judged, as a system was not run.")
    return said


def _failed(results: Results) -> str:
    counts: dict[str, int] = defaultdict(int)
    for m in results.measurements:
        counts[m.system] += m.status == "failed"
    said = [f"{name} on {n}" for name, n in counts.items() if n]
    return f"Failures, in scenes: {', '.join(said)}." if said else ""


def named(task: str) -> str:
    """A task as it stands in a sentence."""
    return "where nothing is hidden" if task == "none" else f"on {task}"


def difference(results: Results, h: Hypothesis) -> str:
    """By how much a claim's system was better, with the interval."""
    if h.difference is None or h.low is None or h.high is None:
        return "not run: no scene has both"
    if not h.rival:
        unit = results.metric(h.metric).unit
        return f"{-h.difference:.2g} ({-h.high:.2g} to {-h.low:.2g}) {unit}, {h.scenes} scenes".replace(
            " ,", ","
        )
    if h.relative:
        return f"{h.difference:.1%} ({h.low:.1%} to {h.high:.1%}) less, {h.scenes} scenes"
    unit = results.metric(h.metric).unit
    low, high = f"{h.low:+.3g}", f"{h.high:+.3g}"
    return f"{h.difference:+.3g} ({low} to {high}) {unit}, {h.scenes} scenes".replace(" ,", ",")


def margin(results: Results, h: Hypothesis) -> str:
    """What a claim asks for."""
    unit = results.metric(h.metric).unit
    if not h.rival:
        return f"at most {-h.margin:g} {unit}".strip()
    return f"at least {h.margin:.0%}" if h.relative else f"at least {h.margin:g} {unit}".strip()


def _figure(value: float, unit: str) -> str:
    return f"{f'{value:#.3g}'.rstrip('.')} {unit}".strip()


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
