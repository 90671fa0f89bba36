"""What was seen, from files: tracks in CSV, simulated folders, posed pictures of a coloured or masked body."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from clay4d.physics_baseline.engines.trajectory_file import load_trajectory
from clay4d.physics_baseline.identify.ball import FPS as PANOPTIC_FPS
from clay4d.physics_baseline.identify.ball import load_ball
from clay4d.physics_baseline.identify.sightings import coloured, masked, track_from_views
from clay4d.physics_baseline.identify.tracks import Track
from clay4d.scenes.dataset import Views
from clay4d.scenes.loaders import load_dataset

TOLERANCES = (0.08, 0.12, 0.16, 0.2)
"""Of a colour, tried one after another; the one whose places lie best on a parabola is taken."""
PLACE, TURN = ("x", "y", "z"), ("qw", "qx", "qy", "qz")


def read_tracks(path: str | Path, *, body: str = "ball", noise: float = 1e-3) -> list[Track]:
    """Tracks from a CSV file with columns time, x, y, z and perhaps body, qw, qx, qy, qz.

    Seconds, metres, z up; an empty place was not seen. Times are moved so that the first is 0.

    Args:
        body: whose track it is where there is no column of that name.
        noise: standard deviation of each coordinate, metres.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such columns, or what is no number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"track got {path}, which is not there; expected a CSV file.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = set(rows[0]) if rows else set()
    missing = [n for n in ("time", *PLACE) if n not in names]
    if missing:
        raise ValueError(
            f"{path.name} got no column {', '.join(missing)}; expected time, x, y, z and perhaps "
            "body, qw, qx, qy, qz in its first line."
        )
    turns = set(TURN) <= names
    try:
        first = min(float(row["time"]) for row in rows)
        tracks = []
        for name in dict.fromkeys(row.get("body") or body for row in rows):
            own = [row for row in rows if (row.get("body") or body) == name]
            number = np.array(
                [
                    [float(row[c] or "nan") for c in ("time", *PLACE, *(TURN if turns else ()))]
                    for row in own
                ]
            )
            quats = number[:, 4:] if turns else None
            tracks.append(Track(name, number[:, 0] - first, number[:, 1:4], quats, noise))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path.name} got {error}; expected numbers. Check its columns."
        ) from error
    return tracks


def simulated_tracks(folder: str | Path, *, noise: float = 1e-3) -> list[Track]:
    """The tracks of all moving rigid bodies of a folder that `clay4d simulate` made, with rotations."""
    t = load_trajectory(Path(folder) / "trajectory.safetensors")
    moving = [n for n in t.names if np.ptp(t.path(n), axis=0).max() > 1e-6 and n not in t.vertices]
    return [Track(n, t.times, t.path(n), t.quats[:, t.index(n)], noise) for n in moving]


def given_ball(folder: str | Path, *, start: float, end: float | None) -> Track:
    """The ball's track that a Panoptic folder holds, between two moments, z up, from time 0."""
    whole = load_ball(folder, frames=(0, None))
    last = len(whole.times) if end is None else round(end * PANOPTIC_FPS) + 1
    chosen = slice(round(start * PANOPTIC_FPS), last)
    times = whole.times[chosen]
    if not len(times):
        raise ValueError(
            f"start, end got {start:g}, {end}; expected seconds within 0 to {whole.times[-1]:.4g}."
        )
    return Track("ball", times - times[0], whole.positions[chosen])


def pictured_track(
    folder: str | Path,
    body: str,
    *,
    colour: tuple[float, float, float] | None,
    start: float,
    end: float | None,
    count: int | None,
    progress: Callable[[float], None] | None = None,
) -> Track:
    """A body's track from posed pictures alone: spots of its colour, or of the mask, triangulated.

    Args:
        colour: sRGB, 0 to 1; None: the pictures' mask.
        start: seconds of the data set; `end` likewise, None: to the last.
        count: moments at the most, from the start.

    Raises:
        ValueError: fewer than three moments at which three cameras see the body.
    """
    views = load_dataset(folder).train
    moments = np.unique(np.round(views.cameras.times.double().numpy(), 4))
    last = moments[-1] if end is None else end
    chosen = moments[(moments >= start - 1e-3) & (moments <= last + 1e-3)][:count]
    if len(chosen) < 3:
        raise ValueError(
            f"start, end got {start:g}, {last:g}; expected three moments or more of those from "
            f"{moments[0]:g} to {moments[-1]:g} s. Widen them."
        )
    best, score = None, (0, np.inf)
    for k, tolerance in enumerate(TOLERANCES if colour is not None else (0.0,)):
        spots = masked() if colour is None else coloured(colour, tolerance=tolerance)
        track = _track(views, spots, body, chosen)
        found = int(track.seen.sum())
        here = (-found, _off_parabola(track))
        if found >= 3 and here < score:
            best, score = track, here
        if progress is not None:
            progress((k + 1) / len(TOLERANCES))
    if best is None:
        raise ValueError(
            f"pictures got no {body} that three cameras agree on at three moments; expected one. "
            "Name its colour with --colour, or other moments with --start and --end."
        )
    return best


def _track(views: Views, spots: Callable[..., np.ndarray], body: str, times: np.ndarray) -> Track:
    return track_from_views(views, spots, body, times=times.tolist(), start=float(times[0]))


def _off_parabola(track: Track) -> float:
    """How far a track is from the parabola nearest to it, root mean square, metres."""
    t, p = track.times[track.seen], track.positions[track.seen]
    if len(t) < 4:
        return 0.0
    design = np.stack([np.ones_like(t), t, t**2], 1)
    rest = p - design @ np.linalg.lstsq(design, p, rcond=None)[0]
    return float(np.sqrt((rest**2).sum() / (3 * (len(t) - 3))))
