"""A training run of the world model: its folder, its stages, and going on where it stopped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from clay4d import processes
from clay4d.config import load_config, save_config
from clay4d.files import written_whole
from clay4d.jit import one_torch_thread
from clay4d.training.memory import keep_freed_memory
from clay4d.world_model.judge import LooksJudge, prompt_scores
from clay4d.world_model.model.text import vocabulary
from clay4d.world_model.model.world_model import WorldModel
from clay4d.world_model.reasoners import Depth, Exit
from clay4d.world_model.script import EventCodec
from clay4d.world_model.training.beginnings import BeginningsStage, take_over
from clay4d.world_model.training.cache import CachedWorlds, cached_worlds
from clay4d.world_model.training.concepts import ConceptStage, concept_scores, freeze_concepts
from clay4d.world_model.training.config import WorldModelConfig
from clay4d.world_model.training.field import FieldStage
from clay4d.world_model.training.judge import JudgeStage
from clay4d.world_model.training.perception import PerceptionStage
from clay4d.world_model.training.reasoning import ReasoningStage, set_scales
from clay4d.world_model.training.score import (
    episodes,
    exit_scores,
    field_scores,
    forecast_errors,
)
from clay4d.world_model.training.segment import SegmentStage
from clay4d.world_model.training.stage import Stage, run_stage
from clay4d.world_model.training.warm import ensure_world_kernels
from clay4d.world_model.worlds import WorldEvent, WorldSet, open_worlds
from clay4d.world_model.worlds.store import read_index

PERCEPTION = "perception.safetensors"
BEGINNINGS = "beginnings.safetensors"
MODEL = "model.safetensors"
SLOTS = "slots.safetensors"
JUDGE = "judge.safetensors"
SCORED = ("val", "ood-speed", "ood-size", "ood-count", "ood-combination")
COUNTS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
"""Thoughts that the finished model is scored with."""
EXITS = tuple(Exit("change", below) for below in (0.3, 0.1, 0.03)) + (Exit("kl", 1e-3),)
"""That a finished model of recurrent depth is scored with."""


def train_world(
    config: WorldModelConfig,
    data: str | Path,
    out: str | Path,
    *,
    perception: str | Path | None = None,
    resume: bool = False,
    shards: int | None = None,
) -> WorldModel:
    """Train a world model on worlds, in stages: pixels to slots, reasoning on slots, through pixels.

    The folder `out` gets config.yaml, a checkpoint for each stage, TensorBoard's curves, previews,
    model.safetensors and metrics.json (errors by number of thoughts, for `val` and what is out of
    distribution; `test` is left for the benchmark).

    Args:
        data: a folder of `make_worlds`.
        perception: a run whose encoder, decoder and cached slots are taken over, so that reasoners are
            compared on the same slots.
        resume: go on from the last checkpoint of each stage, with the run's config. So does a process
            that torchrun has started again.
        shards: batches of a step, whose mean gradient is followed; one for each process by default.
            The bits depend on it and not on the processes, of which only the first writes.

    Raises:
        ValueError: shards that the processes cannot share out, worlds that do not fit the config, or a folder that holds a run already.
        FileNotFoundError: no worlds, or no run to take perception from.
        FloatingPointError: the loss turned NaN; the last good checkpoint is kept.
    """
    with processes.together():
        return _train(
            config, data, Path(out), perception=perception, shards=shards,
            resume=resume or processes.restarted(),
        )  # fmt: skip


def _train(
    config: WorldModelConfig,
    data: str | Path,
    out: Path,
    *,
    perception: str | Path | None,
    resume: bool,
    shards: int | None,
) -> WorldModel:
    one_torch_thread()  # torch's sums depend on its threads
    keep_freed_memory()
    with processes.first_then_others():
        ensure_world_kernels()
    resume = resume and (out / "config.yaml").is_file()
    if resume:
        config, perception, shards = _begun(out, perception)
    elif (out / "config.yaml").exists():
        raise ValueError(f"{out} holds a run already; expected a new folder. Or use --resume.")
    shards = processes.count() if shards is None else shards
    processes.check_shards(shards)
    shared = None if perception is None else _perception_of(Path(perception))
    worlds = open_worlds(data, split="train")
    check_fit(worlds, config, data)
    if shared is not None:
        config = _perceiving_as(config, shared.config)
    processes.wait()  # all have looked for a run before there is one
    if not resume and processes.is_first():
        where = None if perception is None else Path(perception)
        more = {} if shards == 1 else {"shards": shards}
        save_config(out / "config.yaml", config, data=Path(data), perception_run=where, **more)
    how = How(resume, shards)
    folder = out if perception is None else Path(perception)
    model = _trained(new_model(config, worlds), shared, worlds, out, how, folder=folder)
    if processes.is_first():
        model.save(out / MODEL, **_notes(config, data, worlds))
        judge = folder / JUDGE
        known = LooksJudge.load(judge) if judge.is_file() else None
        write_scores(out / "metrics.json", model, data, judge=known)
    processes.wait()
    return model


def _begun(
    out: Path, perception: str | Path | None
) -> tuple[WorldModelConfig, str | Path | None, int]:
    """Config, perception and shards of a run that goes on."""
    beside = ("data", "perception_run", "shards")
    kept = load_config(dict, out / "config.yaml")
    config = load_config(WorldModelConfig, out / "config.yaml", but=beside)
    perception = kept.get("perception_run") if perception is None else perception
    return config, perception, kept.get("shards", 1)


def _trained(
    model: WorldModel, shared: WorldModel | None, worlds: WorldSet, out: Path, how: How, *, folder: Path
) -> WorldModel:  # fmt: skip
    """The model after all its stages; `folder` is where its perception is from."""
    config = model.config
    _perceive(model, shared, worlds, out, how)
    with processes.first_then_others():
        cached = cached_worlds(
            worlds, model.encoder, folder / SLOTS, context=config.reasoning.segment, seed=0
        )
    set_scales(model, cached)
    _begin(model, cached, out, how, shared=folder)
    _conceive(model, cached, out, how)
    stage = ReasoningStage(config.reasoning, model, cached, seed=config.seed)
    how.run(stage, out, every=config.checkpoint_every, keep=config.keep_checkpoints)
    _tune(model, worlds, out, how)
    return model


@dataclasses.dataclass(frozen=True)
class How:
    """How all stages of a run are trained."""

    resume: bool
    shards: int

    def run(self, stage: Stage, out: Path, *, every: int, keep: bool = False) -> None:
        """Train a stage to its end."""
        run_stage(stage, out, every=every, resume=self.resume, keep=keep, shards=self.shards)


def _perceiving_as(config: WorldModelConfig, other: WorldModelConfig) -> WorldModelConfig:
    """A config with what another run's slots depend on."""
    names = ("encoder", "decoder", "fields", "beginnings")
    return dataclasses.replace(config, **{name: getattr(other, name) for name in names})


def new_model(config: WorldModelConfig, worlds: WorldSet) -> WorldModel:
    """A model with random weights that knows the words of some worlds."""
    words = [worlds.words(i) for i in range(len(worlds))]
    scripts = (
        (
            [WorldEvent(e["time"], e["words"]) for e in w["events"]],
            [o["words"] for o in w["objects"]],
        )
        for w in words
    )
    codec = EventCodec.learn(scripts)
    torch.manual_seed(config.seed)
    return WorldModel(
        config, codec, vocabulary(p for w in words for p in (w["prompt"], *w["paraphrases"]))
    )


def write_scores(
    path: Path, model: WorldModel, data: str | Path, *, judge: LooksJudge | None = None
) -> dict[str, Any]:
    """Errors of forecasts on the splits that are not for training or for the benchmark; with a judge,
    also how often scenes made from prompts alone are as they were said."""
    scores, made = {}, {}
    own: dict[str, Any] = {}
    model.eval()
    for split in SCORED:
        held = open_worlds(data, split=split)
        if len(held):
            given = episodes(held, model, context=model.config.reasoning.segment)
            scores[split] = forecast_errors(model, given, thoughts=COUNTS)
            if split == "val" and model.dynamics.coder is not None:
                own["concepts"] = concept_scores(model, held)
            if split == "val" and model.config.fields.steps:
                own["field"] = field_scores(model, held)
            if split == "val" and isinstance(model.dynamics.reasoner, Depth):
                own["exits"] = exit_scores(model, given, exits=EXITS)
            if judge is not None:
                made[split] = prompt_scores(model, judge, held)
    result = {
        "kind": model.config.reasoning.kind, "seed": model.config.seed, "forecast": scores,
        "prompts": made,
    } | own  # fmt: skip
    with written_whole(path) as place:
        place.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _perceive(
    model: WorldModel, shared: WorldModel | None, worlds: WorldSet, out: Path, how: How
) -> None:
    """Give the model an encoder and a decoder: those of another run, or newly trained ones."""
    if shared is not None:
        model.encoder.load_state_dict(shared.encoder.state_dict())
        model.decoder.load_state_dict(shared.decoder.state_dict())
        model.field.load_state_dict(shared.field.state_dict())
        model.segmenter.load_state_dict(shared.segmenter.state_dict())
        return
    config = model.config
    stage = PerceptionStage(
        config.perception, worlds, model.encoder, model.decoder, seed=config.seed
    )
    how.run(stage, out, every=config.checkpoint_every)
    segment = SegmentStage(config.segment, model.segmenter, worlds, seed=config.seed)
    how.run(segment, out, every=config.checkpoint_every)
    if config.judge.steps:
        judge = LooksJudge()
        learns = JudgeStage(config.judge, judge, worlds, seed=config.seed)
        how.run(learns, out, every=config.checkpoint_every)
        if processes.is_first():
            judge.save(out / JUDGE)
    if config.fields.steps:
        fields = FieldStage(config.fields, model, worlds, seed=config.seed)
        how.run(fields, out, every=config.checkpoint_every)
    if processes.is_first():
        model.save(out / PERCEPTION, stage="perception")


def _begin(model: WorldModel, cached: CachedWorlds, out: Path, how: How, *, shared: Path) -> None:
    """Give the model its first words: those of the run that perception is from, or newly learned ones."""
    if shared != out and (shared / BEGINNINGS).is_file():
        take_over(model.dynamics, WorldModel.load(shared / BEGINNINGS).dynamics)
        return
    stage = BeginningsStage(model, cached, seed=model.config.seed)
    how.run(stage, out, every=model.config.checkpoint_every)
    if processes.is_first():
        model.save(out / BEGINNINGS, stage="beginnings")


def _conceive(model: WorldModel, cached: CachedWorlds, out: Path, how: How) -> None:
    """Make the space that concept reasoners think in, the same for every seed."""
    if model.dynamics.coder is None:
        return
    stage = ConceptStage(model.config.concepts, model.dynamics.coder, cached, seed=0)
    how.run(stage, out, every=model.config.checkpoint_every)
    freeze_concepts(model, cached)


def _tune(model: WorldModel, worlds: WorldSet, out: Path, how: How) -> None:
    if not model.config.tune.steps:
        return
    from clay4d.world_model.training.tune import TuneStage

    stage = TuneStage(model.config.tune, model, worlds, seed=model.config.seed)
    how.run(stage, out, every=model.config.checkpoint_every)


def _perception_of(run: Path) -> WorldModel:
    for name in (PERCEPTION, MODEL):
        if (run / name).is_file():
            return WorldModel.load(run / name)
    raise FileNotFoundError(
        f"perception got {run}; expected a run of `clay4d train-world` that has perceived. Let it "
        "finish its first stage."
    )


def check_fit(worlds: WorldSet, config: WorldModelConfig, data: str | Path) -> None:
    """Refuse worlds that a model of this config cannot learn from.

    Raises:
        ValueError: none at all, other pictures, too few frames, or too many objects.
    """
    if not len(worlds):
        raise ValueError(
            f"data got {data} without worlds of split train; expected some. Make more."
        )
    world = worlds.read(0, cameras=[0])
    height, width = world.masks.shape[2:]
    if height % 8 or width % 8:
        raise ValueError(
            f"data got pictures of {width}×{height}; expected multiples of 8. Make other worlds."
        )
    if len(world.times) < 2 * config.reasoning.segment:
        raise ValueError(
            f"data got worlds of {len(world.times)} frames; expected at least "
            f"{2 * config.reasoning.segment}, two segments."
        )
    most = max(len(worlds.words(i)["objects"]) for i in range(len(worlds)))
    if most > config.encoder.objects:
        raise ValueError(
            f"data got a world of {most} objects; expected at most {config.encoder.objects}. Raise "
            "encoder.objects."
        )


def _notes(config: WorldModelConfig, data: str | Path, worlds: WorldSet) -> dict[str, Any]:
    recipe = read_index(data)["recipe"]
    return {"recipe": recipe, "worlds": len(worlds), "seed": config.seed}


def arms(config: WorldModelConfig, kinds: Sequence[str]) -> list[WorldModelConfig]:
    """The same run with other reasoners, for tables that compare them.

    >>> [c.reasoning.kind for c in arms(WorldModelConfig(), ["none", "pause"])]
    ['none', 'pause']
    """
    return [
        dataclasses.replace(config, reasoning=dataclasses.replace(config.reasoning, kind=kind))  # type: ignore[arg-type]
        for kind in kinds
    ]
