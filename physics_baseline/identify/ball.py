"""The thrown basketball of CMU Panoptic Studio: six frames in, twelve foretold.

`python -m clay4d.physics_baseline.identify.ball FOLDER --out OUT` prints the table of
docs/identification.md; the folder has ball_track.npz and the pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines import make_engine
from clay4d.physics_baseline.identify.fit import Experiment, Identified, identify, profile_interval
from clay4d.physics_baseline.identify.forecast import Forecast, forecast
from clay4d.physics_baseline.identify.plots import chart
from clay4d.physics_baseline.identify.sightings import coloured, track_from_views
from clay4d.physics_baseline.identify.tracks import Track
from clay4d.physics_baseline.identify.unknowns import Unknown, start_unknowns
from clay4d.physics_baseline.spec import Buoyancy, Drag, Gravity, SceneSpec, Sphere
from clay4d.physics_baseline.spec.fields import ForceField
from clay4d.scenes.loaders.images import read_npz
from clay4d.scenes.loaders.panoptic import WORLD_FROM_FILE, load_panoptic

FPS = 30.0
FREE = (51, 69)
"""Frames of free flight: the hand has let go before and catches after."""
SEEN = 6
RED = (0.63, 0.17, 0.17)
TOLERANCE = 0.2
"""Of 0.08 to 0.2 the one whose six frames lie best on a flight; the frames foretold had no say."""
RADIUS, MASS = 0.12, 0.62
"""Of a basketball (FIBA: 75 to 77 cm around, 580 to 620 g), metres and kilograms."""


@dataclass(frozen=True)
class Thrown:
    """A forecast and its errors in the 12 frames that were not seen."""

    found: Identified
    forecast: Forecast
    errors: Float[np.ndarray, " 12"]
    """Metres."""


def load_ball(
    folder: str | Path, *, noise: float = 1e-3, frames: tuple[int, int | None] = FREE
) -> Track:
    """The given track's free flight (or other frames), z up, from time 0.

    Raises:
        FileNotFoundError: the folder has no ball_track.npz.
    """
    path = Path(folder) / "ball_track.npz"
    if not path.is_file():
        raise FileNotFoundError(f"folder got {str(folder)!r}; expected one with ball_track.npz.")
    xyz = read_npz(path, "xyz")[0][slice(*frames)].astype(np.float64)
    return Track("ball", np.arange(len(xyz)) / FPS, xyz @ WORLD_FROM_FILE[:3, :3].T, position_noise=noise)  # fmt: skip


def ball_from_pictures(folder: str | Path, *, frames: int = SEEN) -> Track:
    """The first frames of free flight from the training cameras' pictures alone."""
    views = load_panoptic(Path(folder)).splits["train"]
    times = np.arange(FREE[0], FREE[0] + frames) / FPS
    return track_from_views(
        views, coloured(RED, tolerance=TOLERANCE), "ball", times=times.tolist(), start=times[0]
    )


def ball_scene(*, air: bool) -> SceneSpec:
    """A basketball in still air, or without any."""
    fields: list[ForceField] = [Gravity(), Drag(), Buoyancy(added_mass=0.5)] if air else [Gravity()]  # fmt: skip
    ball = Sphere(name="ball", radius=RADIUS, mass=MASS)
    return SceneSpec(bodies=(ball,), fields=tuple(fields), floor=None, fps=FPS, duration=(FREE[1] - FREE[0]) / FPS)  # fmt: skip


def throw(track: Track, truth: Track, *, air: bool = True, extra: Sequence[Unknown] = ()) -> Thrown:
    """Fit the start (and `extra` unknowns) to the first frames of a track and foretell the rest."""
    scene = _started(ball_scene(air=air), track)
    unknowns = [*start_unknowns(scene, "ball", reach=0.2, speed=4.0), *extra]
    engine = make_engine(step=1 / FPS / 8)
    found = identify([Experiment(scene, (track.first(SEEN),))], unknowns, engine=engine)
    ahead = forecast(found, scene, engine=engine)
    errors = np.linalg.norm(ahead.trajectory.path("ball") - truth.positions, axis=1)[SEEN:]
    return Thrown(found, ahead, errors)


def _started(scene: SceneSpec, track: Track) -> SceneSpec:
    """With the ball at the track's first place and its mean speed of the first frames."""
    slope = np.polyfit(track.times[:SEEN], track.positions[:SEEN], 1)[0]
    x, y, z = (float(p) for p in track.positions[0])
    u, v, w = (float(p) for p in slope)
    ball = dataclasses.replace(scene.bodies[0], position=(x, y, z), velocity=(u, v, w))
    return dataclasses.replace(scene, bodies=(ball,))


def drag_of_flight(truth: Track) -> tuple[Identified, tuple[float, float]]:
    """Drag coefficient (with the start) by all frames of the flight, and its 95 % profile interval."""
    scene = _started(ball_scene(air=True), truth)
    drag = Unknown("fields.drag.coefficient", 0.0, 2.0, 0.47)
    unknowns = [*start_unknowns(scene, "ball", reach=0.2, speed=4.0), drag]
    engine, data = make_engine(step=1 / FPS / 8), [Experiment(scene, (truth,))]
    found = identify(data, unknowns, engine=engine)
    return found, profile_interval(found, data, drag.path, engine=engine)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--out", type=Path, default=Path("runs/ball"))
    given = parser.parse_args(arguments)
    truth = load_ball(given.folder)
    pictures = ball_from_pictures(given.folder)
    off = np.linalg.norm(pictures.positions - truth.positions[:SEEN], axis=1)
    print(f"pictures against the given track: {1e3 * off.mean():.1f} mm, at most {1e3 * off.max():.1f} mm", file=sys.stderr)  # fmt: skip
    drag = Unknown("fields.drag.coefficient", 0.0, 2.0, 0.47, prior=(0.5, 0.1))
    cases = {
        "track, gravity alone": (truth, False, ()),
        "track, with drag, buoyancy and added mass": (truth, True, ()),
        "track, drag found too (prior 0.5 ± 0.1)": (truth, True, (drag,)),
        "pictures, gravity alone": (pictures, False, ()),
        "pictures, with drag, buoyancy and added mass": (pictures, True, ()),
    }
    print("| input and model | mean error, cm | after 12 frames, cm | rms of the fit |\n|---|---|---|---|")  # fmt: skip
    lines = {}
    for name, (track, air, extra) in cases.items():
        made = throw(track, truth, air=air, extra=extra)
        e = made.errors * 100
        rms = made.found.rms * track.position_noise * 1e3
        print(f"| {name} | {e.mean():.2f} | {e[-1]:.2f} | {rms:.1f} mm |", flush=True)
        lines[name] = np.arange(1, len(e) + 1), e
    chart(
        given.out / "ball.png", lines, title="A thrown basketball, foretold from its first 6 frames",
        across="frames after the last one seen (30 a second)", up="error, cm", ends=(1, 12, 0, 5),
    )  # fmt: skip
    found, (low, high) = drag_of_flight(truth)
    drag, off = found.values[-1], found.deviations[-1]
    print(
        f"\ndrag coefficient by all 18 frames: {drag:.2f} ± {off:.2f}, profile {low:.2f} to {high:.2f}; "
        f"rms {found.rms * truth.position_noise * 1e3:.1f} mm"
    )


if __name__ == "__main__":
    main()
