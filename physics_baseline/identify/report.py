"""`clay4d identify`: from a source of what was seen to fitted numbers, a forecast and a report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from clay4d.files import check_new_folder, folder_written_whole
from clay4d.physics_baseline.engines import make_engine
from clay4d.physics_baseline.identify.fit import Experiment, Identified, identify
from clay4d.physics_baseline.identify.forecast import Forecast, forecast
from clay4d.physics_baseline.identify.plots import chart
from clay4d.physics_baseline.identify.sources import (
    given_ball,
    pictured_track,
    read_tracks,
    simulated_tracks,
)
from clay4d.physics_baseline.identify.tosses import load_tosses
from clay4d.physics_baseline.identify.tracks import Track
from clay4d.physics_baseline.identify.unknowns import Unknown, start_unknowns
from clay4d.physics_baseline.spec import Buoyancy, Drag, Gravity, SceneSpec, Sphere

REACH, SPEED = 0.2, 4.0
"""Metres and metres per second by which a start may differ from where the search begins."""
EVALUATIONS = 1800
"""Candidates for the tosses."""
TRIES, GOOD = 6, 3.0
"""Fits from other guesses while the residuals are more than so many standard deviations."""
Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Report:
    """What was found, in words and as JSON."""

    text: str
    """Markdown."""
    values: dict[str, Any]


def identify_source(
    source: str | Path,
    out: str | Path,
    *,
    scene: str | Path | None = None,
    unknowns: Sequence[str] = (),
    body: str = "ball",
    colour: tuple[float, float, float] | None = None,
    masks: bool = False,
    start: float = 0.0,
    end: float | None = None,
    seen: int | None = None,
    radius: float = 0.12,
    mass: float = 0.62,
    engine: Literal["mujoco", "bullet"] = "mujoco",
    progress: Say | None = None,
) -> Report:
    """Fit a scene's numbers to what was seen, and roll it forward; leaves a folder with the report.

    The folder holds report.md, identified.json, scene.json (the scene as found), forecast.csv (places
    and their 95 % band) and errors.png; for tosses the report, identified.json and errors.png.

    Args:
        source: a CSV file of tracks; a folder that `simulate` made; a folder with tosses.npz or with
            ball_track.npz; or posed pictures, with `colour` or `masks`.
        out: a new folder.
        scene: JSON of the scene with the bodies that the tracks name; a ball in still air by default.
        unknowns: PATH=LOW:HIGH or PATH=LOW:HIGH:GUESS each, or "start": where the bodies begin and how fast. By
            default the start, and the drag of the default ball.
        body: whose track it is, where the source does not say.
        colour: of the body in the pictures, sRGB, 0 to 1.
        masks: the pictures' fourth channel shows the body.
        start: seconds of the data from which on it is looked at; `end` likewise.
        seen: moments that are fitted; what follows is foretold and compared. None: all.
        radius: of the default ball, metres; `mass` in kilograms.
        engine: which simulates.
        progress: told what is going on and the share done.

    Raises:
        FileNotFoundError: no such source or scene.
        ValueError: a source of no known kind, unknowns of no number of the scene, too little seen.
    """
    target, source = Path(out), Path(source)
    check_new_folder(target, name="out")
    if not source.exists():
        raise FileNotFoundError(
            f"source got {source}, which is not there; expected tracks or data."
        )
    if (source / "tosses.npz").is_file():
        from clay4d.physics_baseline.identify.toss_report import report_tosses

        with folder_written_whole(target, name="out") as folder:
            return report_tosses(load_tosses(source), folder, evaluations=EVALUATIONS, say=progress)
    fitted, truth = _tracks_of(
        source, body, colour=colour, masks=masks, start=start, end=end, seen=seen, progress=progress
    )
    spec = _scene(source, scene, fitted, radius, mass)
    chosen = _unknowns(spec, fitted, unknowns, default=scene is None and not _own(source).is_file())
    last = max(float(t.times[-1]) for t in [*fitted, *truth])
    spec = _lasting(spec, last)
    made = make_engine(engine)
    data = [Experiment(spec, tuple(fitted))]
    found = _fit(data, chosen, made, _of_runs(progress, len(chosen)))
    ahead = forecast(found, spec, engine=made)
    with folder_written_whole(target, name="out") as folder:
        return _write(folder, source, spec, found, ahead, fitted, truth, made)


def _tracks_of(
    source: Path,
    body: str,
    *,
    colour: tuple[float, float, float] | None,
    masks: bool,
    start: float,
    end: float | None,
    seen: int | None,
    progress: Say | None,
) -> tuple[list[Track], list[Track]]:
    """The tracks to fit, and those to compare with what is foretold."""
    pictures = colour is not None or masks
    count = seen if pictures else None
    tell = None if progress is None else lambda share: progress("look", share)
    if pictures:
        tracks = [pictured_track(source, body, colour=colour, start=start, end=end, count=count, progress=tell)]  # fmt: skip
        if seen is not None and (source / "ball_track.npz").is_file():
            tracks.append(given_ball(source, start=start, end=end))
    else:
        tracks = _tracks(source, body, start, end)
    truth = tracks[1:] if pictures else tracks
    fitted = [t if seen is None else t.first(seen) for t in (tracks[:1] if pictures else tracks)]
    return fitted, truth


def _fit(
    data: list[Experiment],
    unknowns: list[Unknown],
    engine: Any,
    progress: Callable[[int], None] | None,
) -> Identified:
    """The best of a few fits: where contacts decide, a search may end in a valley beside the right one."""
    best = identify(data, unknowns, engine=engine, progress=progress)
    generator = np.random.default_rng(0)
    for _ in range(TRIES):
        if best.rms < GOOD:
            break
        elsewhere = [
            u if ".position." in u.path or ".velocity." in u.path
            else dataclasses.replace(u, guess=float(generator.uniform(u.low, u.high)))
            for u in unknowns
        ]  # fmt: skip
        found = identify(data, elsewhere, engine=engine, progress=progress)
        best = min(best, found, key=lambda f: f.rms)
    return best


def _of_runs(say: Say | None, unknowns: int) -> Callable[[int], None] | None:
    """Progress by the number of simulations; a fit takes some twelve for each unknown."""
    if say is None:
        return None
    return lambda runs: say("fit", min(0.95, runs / (12 * unknowns)))


def _own(source: Path) -> Path:
    """The scene of a simulated folder."""
    return source / "scene.json"


def _tracks(source: Path, body: str, start: float, end: float | None) -> list[Track]:
    if source.suffix.lower() == ".csv":
        tracks = read_tracks(source, body=body)
    elif (source / "trajectory.safetensors").is_file():
        tracks = simulated_tracks(source)
    elif (source / "ball_track.npz").is_file():
        return [given_ball(source, start=start, end=end)]
    else:
        raise ValueError(
            f"source got {str(source)!r}; expected a CSV file of tracks, a folder of simulate, one "
            "with tosses.npz or ball_track.npz, or pictures. For pictures add --colour or --masks."
        )
    if start > 0 or end is not None:
        tracks = [_between(t, start, end) for t in tracks]
    return tracks


def _between(track: Track, start: float, end: float | None) -> Track:
    last = np.inf if end is None else end
    chosen = (track.times >= start - 1e-9) & (track.times <= last + 1e-9)
    if not chosen.any():
        raise ValueError(
            f"start, end got {start:g}, {end}; expected seconds within the track of {track.body}, "
            f"{track.times[0]:g} to {track.times[-1]:g}."
        )
    quats = None if track.quats is None else track.quats[chosen]
    return Track(
        track.body, track.times[chosen] - start, track.positions[chosen], quats,
        track.position_noise, track.angle_noise,
    )  # fmt: skip


def _scene(source: Path, given: str | Path | None, tracks: list[Track], radius: float, mass: float) -> SceneSpec:  # fmt: skip
    """The scene that is asked for, a simulated folder's own, or a ball where the track begins."""
    if given is not None or _own(source).is_file():
        return SceneSpec.load(_own(source) if given is None else given)
    track = tracks[0]
    t, p = track.times[track.seen], track.positions[track.seen]
    if len(t) < 2:
        raise ValueError(f"track of {track.body} got {len(t)} places; expected 2 or more.")
    early = min(len(t), 6)
    # A parabola's slope at its start, or a line's where there are too few places.
    slope = np.polyfit(t[:early], p[:early], 1)[0]
    x, y, z = (float(v) for v in p[0])
    u, v, w = (float(v) for v in slope)
    rate = 1 / float(np.median(np.diff(track.times)))
    # Files round their times.
    rate = round(rate) if abs(rate - round(rate)) < 1e-3 * rate else rate
    ball = Sphere(name=track.body, radius=radius, mass=mass, position=(x, y, z), velocity=(u, v, w))
    fields = (Gravity(), Drag(), Buoyancy(added_mass=0.5))
    return SceneSpec(bodies=(ball,), fields=fields, floor=None, fps=rate, duration=1.0)


def _lasting(scene: SceneSpec, last: float) -> SceneSpec:
    """The scene with its last frame at a moment, or the first one after it."""
    frames = round(last * scene.fps) + 1
    if (frames - 1) / scene.fps < last - 1e-6:
        frames += 1
    return dataclasses.replace(scene, duration=frames / scene.fps)


def _unknowns(
    scene: SceneSpec, tracks: list[Track], words: Sequence[str], *, default: bool
) -> list[Unknown]:
    """The unknowns that words name."""
    given = list(words) or ["start"]
    found: list[Unknown] = []
    for word in given:
        if word == "start":
            for track in tracks:
                found += start_unknowns(scene, track.body, reach=REACH, speed=SPEED)
            continue
        found.append(parse_unknown(word))
    if default and not words:
        found.append(Unknown("fields.drag.coefficient", 0.0, 2.0, 0.47, prior=(0.5, 0.1)))
    return found


def parse_unknown(word: str) -> Unknown:
    """An unknown from PATH=LOW:HIGH or PATH=LOW:HIGH:GUESS.

    Raises:
        ValueError: it is written otherwise.

    >>> parse_unknown("bodies.ball.mass=0.1:2").high
    2.0
    """
    path, _, numbers = word.partition("=")
    parts = numbers.split(":")
    try:
        values = [float(p) for p in parts]
    except ValueError:
        values = []
    if not path or len(values) not in (2, 3):
        raise ValueError(
            f"unknown got {word!r}; expected PATH=LOW:HIGH, PATH=LOW:HIGH:GUESS or start, such as "
            "bodies.ball.material.restitution=0:1."
        )
    return Unknown(path, values[0], values[1], values[2] if len(values) == 3 else None)


def _errors(track: Track, ahead: Forecast) -> Float[np.ndarray, " N"]:
    """Distance of the forecast from what was seen at each moment, metres; NaN where nothing was."""
    rows = track.residuals(ahead.trajectory)[:, :3] * track.position_noise
    errors: Float[np.ndarray, " N"] = np.linalg.norm(rows, axis=1)
    errors[~track.seen] = np.nan
    return errors


def _write(
    folder: Path, source: Path, scene: SceneSpec, found: Identified, ahead: Forecast,
    fitted: list[Track], truth: list[Track], engine: Any,
) -> Report:  # fmt: skip
    found.apply(scene, engine).save(folder / "scene.json")
    _write_forecast(folder / "forecast.csv", ahead, [t.body for t in fitted])
    lines = [f"# What {source.name} says", "", found.table(), ""]
    noise = fitted[0].position_noise
    lines.append(f"The fit misses the places by {1e3 * found.rms * noise:.2f} mm in the mean (root of the squares).")  # fmt: skip
    if found.rms > GOOD:
        lines.append(
            f"That is {found.rms:.0f} times what the tracks are uncertain: the scene lacks something, or the "
            "search began too far away. Name other unknowns or closer bounds."
        )
    values: dict[str, Any] = {"unknowns": _values(found), "rms": found.rms, "bodies": {}}
    drawn = {}
    for track in truth or fitted:
        own = next(t for t in fitted if t.body == track.body)
        errors = _errors(track, ahead)
        words, values["bodies"][track.body] = _foretold(track, own, errors)
        lines += words
        drawn[track.body] = track.times[track.seen], 100 * errors[track.seen]
    text = "\n".join(lines) + "\n"
    _finish(folder, text, values)
    top = max(float(e.max()) for _, e in drawn.values())
    width = max(float(t[-1]) for t, _ in drawn.values())
    chart(
        folder / "errors.png", drawn, title=f"Distance of the forecast from what was seen: {source.name}",
        across="seconds", up="error, cm", ends=(0, width, 0, max(1.15 * top, 1e-3)),
    )  # fmt: skip
    return Report(text, values)


def _values(found: Identified) -> dict[str, Any]:
    """What was found of each unknown, for identified.json."""
    return {
        u.path: {
            "value": float(found.values[k]), "deviation": float(found.deviations[k]),
            "interval": list(found.interval(u.path)), "at_bound": bool(found.at_bound[k]),
        }
        for k, u in enumerate(found.unknowns)
    }  # fmt: skip


def _foretold(
    track: Track, own: Track, errors: Float[np.ndarray, " T"]
) -> tuple[list[str], dict[str, Any]]:
    """How far the forecast was from what was seen after the fitted moments: in words, and as numbers."""
    later = (track.times > own.times[-1] + 1e-6) & track.seen
    seen = int(own.seen.sum())
    if not later.any():
        return [], {"fitted_moments": seen}
    mean, last = float(errors[later].mean()), float(errors[later][-1])
    words = (
        f"\n{track.body}: of {seen} moments seen, {int(later.sum())} foretold: mean error {100 * mean:.2f} cm, "
        f"last {100 * last:.2f} cm."
    )
    return [words], {
        "fitted_moments": seen, "foretold_moments": int(later.sum()), "mean_error": mean,
        "last_error": last,
    }  # fmt: skip


def _finish(folder: Path, text: str, values: dict[str, Any]) -> None:
    (folder / "report.md").write_text(text, encoding="utf-8")
    whole = json.dumps(values, indent=1, allow_nan=False) + "\n"
    (folder / "identified.json").write_text(whole, encoding="utf-8")


def _write_forecast(path: Path, ahead: Forecast, bodies: list[str]) -> None:
    """Places and their 95 % band, a line a frame and body."""
    axes = ("x", "y", "z")
    lines = [",".join(["body", "time", *axes, *(f"{a}_low,{a}_high" for a in axes)])]
    for name in bodies:
        path_ = ahead.trajectory.path(name)
        band = ahead.band(name) if len(ahead.draws) else np.stack([path_, path_])
        for k, time in enumerate(ahead.trajectory.times):
            numbers = [time, *path_[k], *(band[end, k, a] for a in range(3) for end in (0, 1))]
            lines.append(",".join([name, *(f"{v:.6f}" for v in numbers)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
