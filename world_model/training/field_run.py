"""A run that gives a trained world model a radiance field of objects, and leaves the rest as it is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from clay4d import processes
from clay4d.config import load_config, save_config
from clay4d.files import written_whole
from clay4d.jit import one_torch_thread
from clay4d.scenes.store import read_tensors
from clay4d.training.memory import keep_freed_memory
from clay4d.world_model.model.world_model import WorldModel
from clay4d.world_model.training.config import FieldConfig, WorldModelConfig
from clay4d.world_model.training.field import FieldStage
from clay4d.world_model.training.run import MODEL, check_fit
from clay4d.world_model.training.score import field_scores
from clay4d.world_model.training.stage import run_stage
from clay4d.world_model.worlds import open_worlds


def train_field(
    config: WorldModelConfig,
    data: str | Path,
    out: str | Path,
    *,
    model: str | Path,
    resume: bool = False,
) -> WorldModel:
    """Train the field decoder of a trained model on worlds; all its other weights stay, to the bit.

    The field starts from what `config.seed` draws, as it does in a whole run, so with that run's seed and
    settings it comes out as the whole run would have made it. The folder `out` gets config.yaml, the
    stage's checkpoint, curves and previews, model.safetensors and metrics.json: PSNR of fields and of
    Gaussians on `val`.

    Args:
        config: its `fields`, `seed` and `checkpoint_every` count. model: a model's file or a run.
        resume: go on from the last checkpoint, with the run's config.

    Raises:
        ValueError: no steps, several processes, worlds that do not fit, a folder that holds a run already.
        FileNotFoundError: no worlds, or no model.
        FloatingPointError: the loss turned NaN; the last good checkpoint is kept.
    """
    out, begun = Path(out), Path(out) / "config.yaml"
    if processes.count() > 1:
        raise ValueError(f"processes got {processes.count()}; expected 1 for a field alone.")
    one_torch_thread()  # torch's sums depend on its threads
    keep_freed_memory()
    resume = resume and begun.is_file()
    if resume:
        config = load_config(WorldModelConfig, begun, but=("data", "field_of"))
        model = load_config(dict, begun)["field_of"]
    elif begun.exists():
        raise ValueError(f"{out} holds a run already; expected a new folder. Or use --resume.")
    if not config.fields.steps:
        raise ValueError("fields.steps got 0; expected at least 1. Give --fields.steps, say 4000.")
    path = Path(model) / MODEL if Path(model).is_dir() else Path(model)
    trained = WorldModel.load(path)
    worlds = open_worlds(data, split="train")
    check_fit(worlds, trained.config, data)
    if not resume:
        save_config(begun, config, data=Path(data), field_of=Path(model))
    made = with_new_field(trained, config.fields, seed=config.seed)
    stage = FieldStage(config.fields, made, worlds, seed=config.seed)
    run_stage(stage, out, every=config.checkpoint_every, resume=resume)
    notes = dict(read_tensors(path)[1].get("notes", {}))
    made.save(out / MODEL, **notes, field={"seed": config.seed, "worlds": len(worlds)})
    scores = {"field": field_scores(made, open_worlds(data, split="val"))}
    with written_whole(out / "metrics.json") as place:
        place.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    return made


def with_new_field(model: WorldModel, fields: FieldConfig, *, seed: int) -> WorldModel:
    """The same model with a field that was never trained, as a whole run of that seed starts with."""
    config = dataclasses.replace(model.config, fields=fields)
    torch.manual_seed(seed)
    made = WorldModel(config, model.codec, model.vocabulary)
    own = {k: v for k, v in made.state_dict().items() if k.startswith("field.")}
    made.load_state_dict(model.state_dict() | own)
    return made.eval()
