"""All that a run needs to go on, in one file: a resumed run gives the bits of one that never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clay4d.scenes.store import read_tensors, scene_header, scene_tensors, write_tensors
from clay4d.scenes.store_checks import check_entries, check_indices, check_like, check_shapes
from clay4d.training.trainer import Trainer

FORMAT = "clay4d-checkpoint-1"
ENTRIES = {
    "motion": str, "adam_steps": dict, "step": int, "moving": bool, "seconds": int | float
}  # fmt: skip


def save_checkpoint(path: Path, trainer: Trainer, *, seconds: float) -> None:
    """Write the trainer's state, whole or not at all; `seconds` is the time spent so far."""
    tensors, header = trainer_state(trainer)
    write_tensors(path, tensors, header | {"seconds": seconds})


def trainer_state(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a trainer needs to go on: tensors by name, and the rest as JSON values."""
    tensors = scene_tensors(trainer.scene)
    steps: dict[str, int] = {}
    for name, optimiser in trainer.optimisers.all().items():
        state = next(iter(optimiser.state.values()), None)
        if state:
            steps[name] = int(state["step"])
            tensors[f"adam.{name}.exp_avg"] = state["exp_avg"]
            tensors[f"adam.{name}.exp_avg_sq"] = state["exp_avg_sq"]
    tensors |= {f"density.{k}": v for k, v in trainer.density_state().items()}
    if trainer.exposure is not None:
        tensors |= {f"exposure.{k}": v for k, v in trainer.exposure.named_parameters()}
    if trainer.poses is not None:
        tensors |= {f"poses.{k}": v for k, v in trainer.poses.named_parameters()}
    header = {
        "format": FORMAT, **scene_header(trainer.scene), "step": trainer.step_done,
        "moving": trainer.moving, "adam_steps": steps,
    }  # fmt: skip
    return tensors, header


def load_checkpoint(path: Path, trainer: Trainer) -> float:
    """Bring a new trainer of the same config to a checkpoint's state; gives the seconds spent.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: it is damaged, of another version, or of a run with another config.
    """
    tensors, header = read_tensors(path)
    set_trainer_state(trainer, tensors, header, where=str(path))
    return float(header["seconds"])


def set_trainer_state(
    trainer: Trainer, tensors: dict[str, Tensor], header: dict[str, Any], *, where: str
) -> None:
    """Bring a new trainer of the same config to what `trainer_state` gave; `where` is for errors.

    Raises:
        ValueError: the state is of another version, or of a run with another config.
    """
    if header.get("format") != FORMAT:
        raise ValueError(f"{where} got format {header.get('format')!r}; expected {FORMAT!r}.")
    check_entries(where, header, ENTRIES)
    if header["motion"] != trainer.scene.motion.kind:
        raise ValueError(
            f"{where} got motion {header['motion']!r}; expected {trainer.scene.motion.kind!r}. "
            "Resume with the config of the run."
        )
    raw = {k.removeprefix("raw."): v for k, v in tensors.items() if k.startswith("raw.")}
    shared = {f"motion.{k}": v for k, v in trainer.scene.motion.tensors().items()}
    if trainer.exposure is not None:
        shared |= {f"exposure.{k}": v for k, v in trainer.exposure.named_parameters()}
    if trainer.poses is not None:
        shared |= {f"poses.{k}": v for k, v in trainer.poses.named_parameters()}
    wanted = {f"raw.{k}" for k in trainer.scene.raw} | shared.keys()
    absent = sorted(wanted - tensors.keys())
    if absent:
        raise ValueError(f"{where} got no {absent[0]}; expected it. Resume with the run's config.")
    check_shapes(tensors, trainer.scene.motion)
    check_like(tensors, shared)
    check_indices(raw, trainer.scene.motion)
    trainer.replace_rows(raw)
    with torch.no_grad():
        for name, value in shared.items():
            value.copy_(tensors[name])
    _restore_adam(trainer, tensors, header["adam_steps"])
    density = _density(trainer, tensors)
    trainer.set_density_state(density)
    trainer.step_done, trainer.moving = header["step"], header["moving"]


def _restore_adam(trainer: Trainer, tensors: dict[str, Tensor], steps: dict[str, int]) -> None:
    for name, optimiser in trainer.optimisers.all().items():
        if name not in steps:
            continue
        parameter = optimiser.param_groups[0]["params"][0]
        kept = (f"adam.{name}.exp_avg", f"adam.{name}.exp_avg_sq")
        check_like(tensors, dict.fromkeys(kept, parameter))
        check_entries("adam_steps", steps, {name: int})
        state: dict[str, Any] = {
            k: tensors[f"adam.{name}.{k}"].clone() for k in ("exp_avg", "exp_avg_sq")
        }
        state["step"] = torch.tensor(float(steps[name]))
        optimiser.state[parameter] = state


def _density(trainer: Trainer, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What density control had gathered: a number for each Gaussian, under the names it knows."""
    had = {k.removeprefix("density."): v for k, v in tensors.items() if k.startswith("density.")}
    known = set(trainer.density_state()) or {"grad2d", "count", "radii"}
    lacking = [k for k in trainer.density_state() if k not in had]
    wrong = [k for k, v in had.items() if k not in known or v.shape != (len(trainer.scene),)]
    if lacking or wrong or not all(v.is_floating_point() for v in had.values()):
        raise ValueError(
            f"density got {', '.join([*lacking, *wrong])[:200] or 'whole numbers'} amiss; expected "
            "a number for each Gaussian. Resume from another checkpoint."
        )
    return had
