"""A field's run in one file: a resumed run gives the bits of one that never stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from clay4d.scenes.fields.store import field_header, field_tensors
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.training.fields.trainer import FieldTrainer

FORMAT = "clay4d-field-checkpoint-1"


def save_field_checkpoint(path: Path, trainer: FieldTrainer, *, seconds: float) -> None:
    """Write the trainer's state, whole or not at all; `seconds` is the time spent so far."""
    tensors = field_tensors(trainer.scene)
    tensors["grid"] = torch.from_numpy(trainer.occupancy.grid)
    for name, optimiser in trainer.optimisers.items():
        for state in optimiser.state.values():
            tensors[f"adam.{name}.exp_avg"] = state["exp_avg"]
            tensors[f"adam.{name}.exp_avg_sq"] = state["exp_avg_sq"]
    header = {
        "format": FORMAT, **field_header(trainer.scene), "step": trainer.step_done,
        "rays": trainer.rays, "seconds": seconds,
    }  # fmt: skip
    write_tensors(path, tensors, header)


def load_field_checkpoint(path: Path, trainer: FieldTrainer) -> float:
    """Bring a new trainer of the same config to a checkpoint's state; gives the seconds spent.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: it is damaged, of another version, or of a run with another config.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} got format {header.get('format')!r}; expected {FORMAT!r}.")
    wanted = {f"field.{k}": v for k, v in trainer.scene.field.tensors().items()}
    wanted["bounds"] = trainer.scene.bounds
    wanted["grid"] = torch.from_numpy(trainer.occupancy.grid)
    for name, optimiser in trainer.optimisers.items():
        value = optimiser.param_groups[0]["params"][0]
        optimiser.state[value] = {
            "step": torch.tensor(float(header["step"])),
            "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value),
        }  # fmt: skip
        for key in ("exp_avg", "exp_avg_sq"):
            wanted[f"adam.{name}.{key}"] = optimiser.state[value][key]
    with torch.no_grad():
        for name, target in wanted.items():
            given = tensors.get(name)
            if given is None or given.shape != target.shape:
                got = "nothing" if given is None else list(given.shape)
                raise ValueError(
                    f"{path} got {name} {got}; expected {list(target.shape)}. Resume with the run's "
                    "config."
                )
            target.copy_(given)
    shape = trainer.scene.occupied.shape
    bits = np.unpackbits(tensors["occupied"].numpy())[: trainer.scene.occupied.size]
    trainer.scene.occupied[...] = bits.reshape(shape)
    trainer.rays, trainer.step_done = int(header["rays"]), int(header["step"])
    return float(header["seconds"])
