"""The commands of the world model: train-world and generate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from clay4d.config import load_config, preset_folder, presets


@dataclass(frozen=True)
class TrainWorldCommand:
    """Train the world model on worlds that make-worlds made."""

    data: Path
    """Folder of make-worlds."""
    out: Path
    """Folder of the run: config.yaml, checkpoints, curves, the model and its errors."""
    config: Annotated[Any, tyro.conf.arg(name="")]
    perception_run: Path | None = None
    """A run whose encoder, decoder and slots are taken over; only the reasoner is trained."""
    field_of: Path | None = None
    """A run or a model file whose radiance fields alone are trained, for --fields.steps; all else is taken over."""
    resume: bool = False
    """Go on from the last checkpoint of each stage, with the run's config."""
    shards: int | None = None
    """Batches of a step, dealt out among the processes that torchrun starts; one for each by default."""


def train_world() -> None:
    """Train the world model on worlds that make-worlds made."""


def generate(
    prompt: tyro.conf.Positional[str],
    *,
    out: Path,
    context: Path | None = None,
    thoughts: int = 4,
    seed: int = 0,
    weights: Path | None = None,
    allow_unknown: bool = False,
    temperature: float = 0.5,
    explain: bool = False,
    exit_below: float = 0.0,
    decoder: Literal["gaussians", "field"] = "gaussians",
) -> None:
    """Generate a dynamic scene from a prompt, and from posed frames if there are any.

    Args:
        prompt: what is in the scene and what happens, in English.
        out: a new folder for the scene; render, view and evaluate take it like any run.
        context: worlds (DIR or DIR/000012) or posed pictures with masks that the scene begins with.
        thoughts: latent thoughts before each half second, 0 to 16.
        seed: of the draw among the ways in which things can go.
        weights: a model file or a run of train-world; the released weights by default.
        allow_unknown: leave out words that training never saw.
        temperature: 0 for the likeliest future, 1 for a fair draw; most prompts come true at 0.5.
        explain: leave OUT/explain.html too: what the model believes after each thought.
        exit_below: of weights of kind depth: stop at the thought that changes the state by less than this
            share of its length, 0 for never.
        decoder: what the scene is made of: Gaussians, or a radiance field of each object.
    """
    from clay4d.cli import _announce_kernels
    from clay4d.world_model.generate import generate as make

    _announce_kernels(20)
    made = make(
        prompt, out, context=context, thoughts=thoughts, seed=seed, weights=weights,
        allow_unknown=allow_unknown, temperature=temperature, explain=explain,
        exit_below=exit_below, decoder=decoder,
    )  # fmt: skip
    count = int(made.slots.present.sum())
    page = out / ("explain.html" if explain else "sheet.png")
    print(f"{out}: {count} objects, {len(made.cameras)} pictures. Look at {page}.")


def train_world_command(args: list[str]) -> None:
    """Run `clay4d train-world` with its arguments.

    Raises:
        ValueError: a YAML file that does not hold a config of the world model.
        SystemExit: after help (0) and for arguments that cannot be parsed (2).
    """
    from clay4d.world_model.training.config import WorldModelConfig

    known = presets(WorldModelConfig, preset_folder(), prefix="train-world")
    if args and args[0].endswith((".yaml", ".yml")):
        own = load_config(
            WorldModelConfig, args[0], but=("data", "perception_run", "field_of", "shards")
        )
        known = {args[0]: ("", own)}
    command: Any = tyro.extras.subcommand_type_from_defaults(
        {
            name: TrainWorldCommand(tyro.MISSING, tyro.MISSING, config)
            for name, (_, config) in known.items()
        },
        {name: note for name, (note, _) in known.items()},
    )
    given: TrainWorldCommand = tyro.cli(
        command, prog="clay4d train-world", args=args, config=(tyro.conf.AvoidSubcommands,)
    )
    from clay4d.cli import _announce_kernels

    _announce_kernels(20)
    if given.field_of is not None:
        _train_field(given)
        return
    from clay4d.world_model.training.run import train_world

    train_world(
        given.config, given.data, given.out, perception=given.perception_run,
        resume=given.resume, shards=given.shards,
    )  # fmt: skip
    print(f"{given.out}: trained. Try: clay4d generate PROMPT --weights {given.out} --out RUN")


def _train_field(given: TrainWorldCommand) -> None:
    """Train the field decoder alone.

    Raises:
        ValueError: options of whole runs beside it.
    """
    from clay4d.world_model.training.field_run import train_field

    for name, value in (("perception-run", given.perception_run), ("shards", given.shards)):
        if value is not None:
            raise ValueError(f"{name} got {value} beside --field-of; expected one. Leave it out.")
    assert given.field_of is not None
    train_field(
        given.config, given.data, given.out, model=given.field_of, resume=given.resume
    )  # fmt: skip
    print(
        f"{given.out}: trained. Try: clay4d generate PROMPT --decoder field --weights {given.out} --out RUN"
    )
