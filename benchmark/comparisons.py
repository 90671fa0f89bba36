"""Films of a few scenes with what each system foretold drawn over them, chosen by a rule that is said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from clay4d.benchmark.results import Pane, Shown
from clay4d.benchmark.scenes4d import write_pairs
from clay4d.renderers.video import write_video
from clay4d.world_model.worlds import World

SIZE = 224
"""Side of a film's picture, pixels."""
FPS = 6.0
"""Half the worlds' own rate: there is time to look."""
FIRST = 2
"""Scenes that are shown because they come first."""
RING = (255, 120, 0)
SLOW = 4.0
"""Frames a second of films that systems made themselves."""
RULE_MADE = (
    "Chosen by rule: the first {first} scenes, the one where {learned} loses most against {rival}, and the one "
    "where it gains most."
)
RULE = (
    "Chosen by rule: the first {first} scenes, the one where {learned} loses most against {rival}, and the one "
    "where it gains most. Rings are where a system says that movers are; the pictures are the truth. Frames with a "
    "grey border were given."
)


def chosen(
    ours: Mapping[str, float], theirs: Mapping[str, float], *, first: int = FIRST
) -> list[tuple[str, str]]:
    """Scenes to show and why: the first ones, the worst of ours against theirs, and the best.

    >>> chosen({"a": 1.0, "b": 5.0, "c": 0.0}, {"a": 1.0, "b": 1.0, "c": 4.0}, first=1)
    [('a', 'first of all'), ('b', 'where it loses most'), ('c', 'where it gains most')]
    """
    both = sorted(set(ours) & set(theirs))
    found = [(scene, "first of all") for scene in both[:first]]
    rest = [s for s in both[first:]]
    if rest:
        gain = {s: theirs[s] - ours[s] for s in rest}
        worst, best = min(rest, key=lambda s: (gain[s], s)), max(rest, key=lambda s: (gain[s], s))
        found.append((worst, "where it loses most"))
        if best != worst:
            found.append((best, "where it gains most"))
    return found


def film_name(scene: str, system: str) -> str:
    """Where a film of a scene is kept, relative to results.json; the truth's for no system.

    >>> film_name("test/000008", "")
    'films/test-000008.truth.mp4'
    """
    return f"films/{scene.replace('/', '-')}.{system or 'truth'}.mp4"


def keep_film(
    out: Path, scene: str, system: str, frames: UInt8[np.ndarray, "T H W 3"], *, size: int = SIZE
) -> None:
    """Keep a film that a system made, at the size of all films."""
    large = [
        np.asarray(Image.fromarray(f).resize((size, size), Image.Resampling.BICUBIC))
        for f in frames
    ]
    write_video(out / film_name(scene, system), large, fps=SLOW)


def kept_comparisons(
    out: Path,
    scenes: Sequence[tuple[str, str]],
    *,
    systems: Sequence[str],
    titles: Mapping[str, str],
    note: str,
) -> tuple[Shown, ...]:
    """What to look at, of films that were kept: for each scene and why it was chosen."""
    shown = []
    for scene, why in scenes:
        panes = [
            Pane(system or "truth", film_name(scene, system)) for system in ("", *systems)
            if (out / film_name(scene, system)).is_file()
        ]  # fmt: skip
        if panes:
            shown.append(
                Shown(f"{titles.get(scene, '')} ({scene}; {why})".strip(), tuple(panes), note)
            )
    return tuple(shown)


def film(
    world: World,
    path: Float[np.ndarray, "F B 3"] | None,
    *,
    seen: int,
    camera: int = 0,
    size: int = SIZE,
) -> Iterator[UInt8[np.ndarray, "S S 3"]]:
    """A world's frames from one camera; from frame `seen` on, rings where a path says that movers are.

    Args:
        path: centres at the frames after the first `seen`, metres; None for the truth alone.
    """
    K, view = world.Ks[camera], world.viewmats[camera]
    scale = size / world.images.shape[3]
    for k, image in enumerate(world.images[:, camera]):
        picture = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(picture)
        if k < seen:
            draw.rectangle((0, 0, size - 1, size - 1), outline=(90, 90, 90), width=3)
        elif path is not None and k - seen < len(path):
            for thing in range(min(world.movers, path.shape[1])):
                local = view[:3, :3] @ path[k - seen, thing] + view[:3, 3]
                if local[2] < 0.05:
                    continue
                x, y = (
                    K[0, 0] * local[0] / local[2] + K[0, 2],
                    K[1, 1] * local[1] / local[2] + K[1, 2],
                )
                radius = 0.5 * math.hypot(*world.objects[thing].size[:2]) * K[0, 0] / local[2]
                radius = float(np.clip(0.75 * radius, 2, 40))
                box = [scale * v for v in (x - radius, y - radius, x + radius, y + radius)]
                draw.ellipse(box, outline=(0, 0, 0), width=5)
                draw.ellipse(box, outline=RING, width=3)
        yield np.asarray(picture)


def write_comparisons(
    out: Path,
    worlds: Mapping[str, World],
    paths: Mapping[tuple[str, str], Float[np.ndarray, "F B 3"]],
    *,
    systems: Sequence[str],
    seen: int,
    titles: Mapping[str, str],
    note: str = "",
) -> tuple[Shown, ...]:
    """Write films of each scene into `out`/films, pages of any two as 4D scenes into `out`/scenes.

    Args:
        worlds: by scene. paths: by system and scene. titles: by scene, what each comparison is called.
    """
    shown = []
    for scene, world in worlds.items():
        panes = []
        for system in ("", *systems):
            if system and (system, scene) not in paths:
                continue
            name = film_name(scene, system)
            frames = film(world, paths.get((system, scene)) if system else None, seen=seen)
            write_video(out / name, frames, fps=FPS)
            panes.append(Pane(system or "truth", name))
        own = {s: paths[s, scene] for s in systems if (s, scene) in paths}
        pairs = write_pairs(out, world, own, scene=scene, seen=seen)
        shown.append(Shown(titles[scene], tuple(panes), note, pairs))
    return tuple(shown)
