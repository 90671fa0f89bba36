"""Videos of any outside model, scored beside our own systems: a folder of mp4 files is all it takes.

`write_questions` leaves for each world what a video model is given: the first half second as a film and as
pictures, and the prompt. `run_outside` scores what it made of them against the truth, drawn at a size that
Physics-IQ's scores (arXiv 2501.09038) are made for, with a second take, whose start differs by a hair, as the
measure of what chance alone does.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from clay4d.benchmark import physics_iq
from clay4d.benchmark.metrics import psnr, ssim
from clay4d.benchmark.results import Measurement, Metric, Pane, Results, Shown, save_results
from clay4d.files import check_new_folder, written_whole
from clay4d.physics_baseline.engines.bullet_engine import BulletEngine
from clay4d.physics_baseline.engines.trajectory import SimulationError
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.renderers.video import write_video
from clay4d.world_model.worlds import World, open_worlds
from clay4d.world_model.worlds.pictures import draw_scene

Video = UInt8[np.ndarray, "T H W 3"]

SIDE = 256
"""Of the pictures, pixels: Physics-IQ works on a quarter of it."""
RATE = 12.0
SEEN = 6
PLACE, PACE = 0.002, 0.01
"""By how much the second take starts elsewhere, metres, and faster or slower, as a share."""
STEP = 1 / 480
SHOWN = 3
"""Worlds whose films are in the report, the first ones."""
LIMIT = 20
"""Worlds of a run that says nothing else."""
METRICS = (
    Metric("physics_iq", "", "higher", "Physics-IQ score, 100 for what a second take has in common"),
    Metric("spatiotemporal_iou", "", "higher", "overlap of what moves, place by place and frame by frame"),
    Metric("spatial_iou", "", "higher", "overlap of where anything moved"),
    Metric("weighted_spatial_iou", "", "higher", "the same, weighed by how often"),
    Metric("psnr", "dB", "higher", "likeness of the pictures, PSNR"),
    Metric("ssim", "", "higher", "likeness of the pictures, SSIM"),
)  # fmt: skip
PROTOCOL = (
    f"{SEEN} frames of one camera ({SIDE} × {SIDE}, {RATE:g} a second) and the prompt in; the frames after them "
    "out, resampled to that rate and size, compared with the truth and a second take."
)


@dataclass(frozen=True)
class Question:
    """A world as a video model meets it, and what is kept from it."""

    name: str
    prompt: str
    given: Video
    truth: Video
    second: Video


def questions(data: str | Path, *, split: str = "test", limit: int = LIMIT) -> Iterator[Question]:
    """The first worlds of a split whose second take can be simulated, drawn anew and larger.

    Raises:
        FileNotFoundError, ValueError: no worlds.
        ImportError: PyBullet is not installed.
    """
    worlds = open_worlds(data, split=split)
    for k in range(min(limit, len(worlds))):
        world = worlds.read(k, cameras=[0])
        scene = _larger(SceneSpec.from_json(world.scene))
        try:
            first, second = (_drawn(s) for s in (scene, _jittered(scene, world)))
        except SimulationError:
            continue
        yield Question(
            f"{split}-{world.name}", world.prompt, first[:SEEN], first[SEEN:], second[SEEN:]
        )


def _larger(scene: SceneSpec) -> SceneSpec:
    camera = dataclasses.replace(scene.cameras[0], width=SIDE, height=SIDE)
    return dataclasses.replace(scene, cameras=(camera,))


def _jittered(scene: SceneSpec, world: World) -> SceneSpec:
    """The same world, started a hair elsewhere; only free bodies, never into the floor."""
    draws = np.random.default_rng([int(world.name), 77])
    bodies = []
    for body in scene.bodies:
        off, pace = PLACE * draws.normal(size=3), 1 + PACE * draws.normal()
        if body.motion == "free":
            x, y, z = np.array(body.position) + off * (1, 1, 0)
            u, v, w = (float(pace * component) for component in body.velocity)
            body = dataclasses.replace(
                body, position=(float(x), float(y), float(z)),
                velocity=(u, v, w),
            )  # fmt: skip
        bodies.append(body)
    return dataclasses.replace(scene, bodies=tuple(bodies))


def _drawn(scene: SceneSpec) -> Video:
    images, _ = draw_scene(scene, BulletEngine(step=STEP).run(scene), supersample=1)
    return images[:, 0]


def write_questions(
    data: str | Path, out: str | Path, *, split: str = "test", limit: int = LIMIT
) -> list[str]:
    """Write OUT/NAME/prompt.txt, given.mp4 and given_00.png …: all that a video model may see of a world.

    Returns:
        The names; answers are looked for under them, as SYSTEM/NAME.mp4.

    Raises:
        FileNotFoundError, ValueError: no worlds, or a folder that holds something.
    """
    from PIL import Image

    out = Path(out)
    check_new_folder(out, name="out")
    names = []
    for question in questions(data, split=split, limit=limit):
        place = out / question.name
        place.mkdir(parents=True)
        with written_whole(place / "prompt.txt") as path:
            path.write_text(question.prompt + "\n", encoding="utf-8")
        write_video(place / "given.mp4", question.given, fps=RATE)
        for k, image in enumerate(question.given):
            Image.fromarray(image).save(place / f"given_{k:02d}.png")
        names.append(question.name)
    return names


def run_outside(
    data: str | Path,
    videos: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    limit: int = LIMIT,
    command: str = "",
) -> Results:
    """Score folders of videos, VIDEOS/SYSTEM/NAME.mp4, each of which goes on where the given frames end.

    Two more systems stand beside them: `frozen` shows the last given frame for ever, `second-take` is the world
    simulated again from a start that differs by a hair. A video that is missing, too short or broken has
    failed on its world, and the run goes on.

    Raises:
        FileNotFoundError: no worlds, or no folder of videos with a system in it.
        ValueError: a folder that holds something.
    """
    videos, out = Path(videos), Path(out)
    systems = sorted(p.name for p in videos.iterdir() if p.is_dir()) if videos.is_dir() else []
    if not systems:
        raise FileNotFoundError(
            f"videos got {videos}; expected a folder with a folder of mp4 files for each model. See "
            "docs/benchmark.md"
        )
    check_new_folder(out, name="out")
    rows: list[Measurement] = []
    shown: list[Shown] = []
    for question in questions(data, split=split, limit=limit):
        still = np.repeat(question.given[-1:], len(question.truth), 0)
        rows += _scored("frozen", question, still)
        rows += _scored("second-take", question, question.second)
        watched = {"truth": question.truth, "second-take": question.second}
        for system in systems:
            try:
                found = read_answer(videos / system / f"{question.name}.mp4", len(question.truth))
            except (FileNotFoundError, ValueError) as error:
                rows.append(_failed(system, question, str(error)))
                continue
            rows += _scored(system, question, found)
            watched[system] = found
        if len(shown) < SHOWN:
            shown.append(_films(out, question, watched))
    config = json.dumps({"suite": "outside", "split": split, "limit": limit, "side": SIDE, "rate": RATE, "seen": SEEN, "place": PLACE, "pace": PACE})  # fmt: skip
    results = Results(
        "outside", hashlib.sha256(config.encode()).hexdigest(), config, command,
        datetime.date.today().isoformat(),
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}", (), METRICS,
        (("videos", PROTOCOL),), tuple(sorted(rows, key=lambda m: (m.system, m.scene, m.metric))), (),
        tuple(shown),
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    save_results(out / "results.json", results)
    return results


def _films(out: Path, question: Question, watched: dict[str, Video]) -> Shown:
    panes = []
    for name, video in watched.items():
        place = f"films/{question.name}.{name}.mp4"
        write_video(out / place, np.concatenate([question.given, video]), fps=RATE / 2)
        panes.append(Pane(name, place))
    title = f"{question.prompt} ({question.name})"
    return Shown(title, tuple(panes), f"The first {SHOWN} worlds; {SEEN} frames were given.")


def read_answer(path: Path, frames: int) -> Video:
    """A video at the benchmark's rate and size, its first `frames`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be decoded, or is too short.
    """
    import av
    import cv2

    if not path.is_file():
        raise FileNotFoundError(f"video got {path.name}, which is not there; expected it.")
    most = 4 * SIDE * frames
    try:
        with av.open(str(path)) as film:
            stream = film.streams.video[0]
            rate = float(stream.average_rate or 0)
            pictures = []
            for frame in film.decode(stream):
                small = cv2.resize(
                    frame.to_ndarray(format="rgb24"), (SIDE, SIDE), interpolation=cv2.INTER_AREA
                )
                pictures.append(small)
                if len(pictures) >= min(most, frames * rate / RATE + 2):
                    break
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise ValueError(f"{path.name} got {error}; expected a video. Make it again.") from None
    if not pictures:
        raise ValueError(f"{path.name} got no frames; expected a video. Make it again.")
    return physics_iq.resample(np.stack(pictures), rate, to=RATE, frames=frames)


def _scored(system: str, question: Question, video: Video) -> list[Measurement]:
    """All measures of one video; how long its model took, nobody here knows."""
    try:
        found = physics_iq.scores(video, question.truth, question.second)
    except ValueError as error:
        return [_failed(system, question, str(error))]
    pairs = [(a / 255.0, b / 255.0) for a, b in zip(video, question.truth)]
    values = {
        "physics_iq": found["score"],
        **{k: found[k] for k in ("spatiotemporal_iou", "spatial_iou", "weighted_spatial_iou")},
        "psnr": float(np.mean([min(float(psnr(a, b)), 100.0) for a, b in pairs])),
        "ssim": float(np.mean([float(ssim(a, b)) for a, b in pairs])),
    }
    return [
        Measurement("outside", "all-worlds", system, question.name, 0, k, "videos", value=v)
        for k, v in values.items()
    ]  # fmt: skip


def _failed(system: str, question: Question, reason: str) -> Measurement:
    return Measurement(
        "outside", "all-worlds", system, question.name, 0, METRICS[0].name, "videos", status="failed",
        reason=reason,
    )  # fmt: skip
