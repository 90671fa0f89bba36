"""Worlds from a preset, a count and a seed: drawn, simulated by PyBullet, pictured, written in shards.

A world depends on the settings, the seed and its number alone, so any number of workers writes the same
bytes, a set that was stopped goes on, and a larger count adds worlds to those that are there.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.config import load_config, preset_folder, presets, to_dict
from clay4d.distributed import run_tasks
from clay4d.physics_baseline.engines.bullet_engine import BulletEngine
from clay4d.physics_baseline.engines.trajectory import SimulationError, Trajectory
from clay4d.training.progress import counted
from clay4d.world_model.worlds.format import SPLITS, Tracks, World
from clay4d.world_model.worlds.layout import Crowded
from clay4d.world_model.worlds.pictures import camera_matrices, draw_scene
from clay4d.world_model.worlds.sample import Story, draw_story
from clay4d.world_model.worlds.script import ask_questions, write_script
from clay4d.world_model.worlds.settings import WorldsConfig, hidden_of, split_of
from clay4d.world_model.worlds.store import INDEX, read_index, read_shard, write_index, write_shard
from clay4d.world_model.worlds.words import write_paraphrases, write_prompt

GENERATOR = 1
"""Raised whenever the same seed gives other worlds than before."""
TRIES = 200


def world_presets() -> dict[str, tuple[str, WorldsConfig]]:
    """The presets that come with clay4d, each with what it is for."""
    return presets(WorldsConfig, preset_folder(), prefix="worlds")


def make_world(config: WorldsConfig, seed: int, index: int) -> World:
    """One world by its number.

    Raises:
        ImportError: PyBullet is not installed.
        ValueError: nothing that could be drawn fits, which settings far from the presets can cause.
    """
    story, path, tries = _simulated(config, seed, index)
    images, masks = draw_scene(story.scene, path, supersample=config.supersample)
    rng = np.random.default_rng([seed, index, tries, 1])
    cameras = [camera_matrices(camera) for camera in story.scene.cameras]  # type: ignore[arg-type]
    return World(
        name=f"{index:06d}",
        split=story.split,
        times=np.ascontiguousarray(path.times),
        images=images,
        masks=masks,
        viewmats=np.stack([V for V, _ in cameras]).astype(np.float32),
        Ks=np.stack([K for _, K in cameras]).astype(np.float32),
        prompt=write_prompt(story.placed),
        paraphrases=write_paraphrases(story.placed, config.paraphrases, rng),
        events=write_script(path, story.objects),
        questions=ask_questions(path, story.objects, story.hidden, rng),
        objects=story.objects,
        hidden=story.hidden,
        tracks=Tracks(path.positions, path.quats, path.velocities, path.angular_velocities),
        scene=story.scene.to_json(),
    )


def _simulated(config: WorldsConfig, seed: int, index: int) -> tuple[Story, Trajectory, int]:
    split = split_of(index, config.splits)
    rank = sum(split_of(k, config.splits) == split for k in range(index))
    hidden = hidden_of(rank, config.hidden)
    engine = BulletEngine(step=config.step)
    for tries in range(TRIES):
        try:
            story = draw_story(np.random.default_rng([seed, index, tries]), config, split, hidden)
            return story, engine.run(story.scene), tries
        except (Crowded, SimulationError):
            continue
    raise ValueError(
        f"settings got no world {index} in {TRIES} tries; expected room for all things. Lower movers."
    )


def make_worlds(
    config: str | WorldsConfig,
    out: str | Path,
    *,
    count: int,
    seed: int = 0,
    workers: int = 1,
    distributed: str | None = None,
    progress: bool = False,
) -> None:
    """Make a set of worlds, or what is missing of it.

    Args:
        config: settings, the name of a preset, or a YAML file.
        out: folder of the set.
        count: how many worlds, of all splits together.
        seed: 0 or more.
        workers: processes that work side by side; they change nothing but the time.
        distributed: the address of a Ray cluster whose workers make the shards instead, or "local".
        progress: show a bar with the time that is left.

    Raises:
        ValueError: a wrong number, or a folder with worlds of other settings or another seed.
        ImportError: PyBullet, or Ray where it is asked for, is not installed.
        OSError: no room, no rights.
    """
    if isinstance(config, str):
        config = _preset(config)
    for name, value, least in (("count", count, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise ValueError(f"{name} got {value}; expected {least} or more.")
    if count > 10**6:
        raise ValueError(f"count got {count}; expected at most 1000000.")
    out = Path(out)
    recipe = {"generator": GENERATOR, "seed": seed, "settings": to_dict(config)}
    _begin(out, recipe, count)
    shards = range((count + config.shard - 1) // config.shard)
    spans = [range(k * config.shard, min(count, (k + 1) * config.shard)) for k in shards]
    entries: list[Any] = [_whole(out, k, spans[k]) for k in shards]
    missing = [k for k in shards if entries[k] is None]
    done = count - sum(len(spans[k]) for k in missing)
    with counted(count, "worlds", done=done, shown=progress) as tell:
        tasks = {k: (config, seed, out.resolve(), k, spans[k]) for k in missing}
        made = (
            _made(config, seed, out, missing, spans, workers)
            if distributed is None
            else run_tasks(_make_shard, tasks, address=distributed)
        )
        for k, entry in made:
            entries[k] = entry
            tell(len(spans[k]), None)
    write_index(out, recipe | {"count": count}, entries)


def _preset(name: str) -> WorldsConfig:
    if name.endswith((".yaml", ".yml")):
        return load_config(WorldsConfig, name)
    known = world_presets()
    if name not in known:
        raise ValueError(
            f"preset got {name!r}; expected one of {', '.join(known)}, or a YAML file's path."
        )
    return known[name][1]


def _begin(out: Path, recipe: dict[str, Any], count: int) -> None:
    """Note the recipe before the first world, and refuse to mix it with another's worlds."""
    if (out / INDEX).is_file():
        had = read_index(out)["recipe"]
        for key, value in recipe.items():
            if had.get(key) != value:
                raise ValueError(
                    f"out got {out}, which has worlds of another {key}; expected a new folder, or the "
                    "same preset and seed."
                )
        if had["count"] > count:
            raise ValueError(f"count got {count}; expected at least {had['count']}, which are there.")  # fmt: skip
    write_index(out, recipe | {"count": count}, [])


def _whole(out: Path, shard: int, span: range) -> dict[str, Any] | None:
    entry = read_shard(out, shard)
    return entry if entry and entry["worlds"] == [f"{k:06d}" for k in span] else None


def _make_shard(config: WorldsConfig, seed: int, out: Path, shard: int, span: range) -> Any:
    return write_shard(out, shard, [make_world(config, seed, k) for k in span])


def _made(
    config: WorldsConfig, seed: int, out: Path, missing: list[int], spans: list[range], workers: int
) -> Iterator[tuple[int, Any]]:
    """Shards as they are done, with their entries of the index."""
    workers = min(workers, len(missing))
    if workers <= 1:
        for k in missing:
            yield k, _make_shard(config, seed, out, k, spans[k])
        return
    # One thread each: the processes are what runs side by side. Read when a worker loads OpenMP.
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            jobs = {pool.submit(_make_shard, config, seed, out, k, spans[k]): k for k in missing}
            try:
                for job in as_completed(jobs):
                    yield jobs[job], job.result()
            except BrokenProcessPool as error:
                raise OSError(
                    "workers got one that died, perhaps for want of memory; expected all to live. Run "
                    "the same again: it goes on where it stopped."
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def count_splits(out: str | Path) -> dict[str, int]:
    """How many worlds of each split a set has."""
    names = [s for shard in read_index(out)["shards"] for s in shard["splits"]]
    return {split: names.count(split) for split in SPLITS}
