"""Trajectories on disk: one safetensors file of arrays, contacts in its JSON header."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clay4d.physics_baseline.engines.trajectory import Contact, Trajectory
from clay4d.scenes.store import read_tensors, write_tensors

FORMAT = "clay4d-trajectory-1"
_PLAIN = {"engine", "step", "names", "contacts", "vertices", "faces"}


def save_trajectory(path: str | Path, trajectory: Trajectory) -> None:
    """Write a trajectory to one file, whole or not at all."""
    arrays = {
        f.name: getattr(trajectory, f.name)
        for f in dataclasses.fields(trajectory)
        if f.name not in _PLAIN
    }
    arrays |= {f"vertices.{k}": v for k, v in trajectory.vertices.items()}
    arrays |= {f"faces.{k}": v for k, v in trajectory.faces.items()}
    header: dict[str, Any] = {
        "format": FORMAT, "engine": trajectory.engine, "step": trajectory.step,
        "names": list(trajectory.names),
        "contacts": [dataclasses.asdict(c) for c in trajectory.contacts],
    }  # fmt: skip
    tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()}
    write_tensors(Path(path), tensors, header)


def load_trajectory(path: str | Path) -> Trajectory:
    """Read a trajectory that `save_trajectory` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no trajectory, or of another version.
    """
    tensors, header = read_tensors(Path(path))
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} got format {header.get('format')!r}; expected {FORMAT!r}.")
    arrays = {k: v.numpy() for k, v in tensors.items()}
    grouped = {
        group: {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{group}.")}
        for group in ("vertices", "faces")
    }
    contacts = tuple(
        Contact(
            c["time"], c["end"], (c["bodies"][0], c["bodies"][1]), tuple(c["position"]),
            tuple(c["normal"]), c["speed"], c["impulse"],
        )
        for c in header["contacts"]
    )  # fmt: skip
    plain = {k: v for k, v in arrays.items() if "." not in k}
    return Trajectory(
        engine=header["engine"], step=header["step"], names=tuple(header["names"]),
        contacts=contacts, vertices=grouped["vertices"], faces=grouped["faces"], **plain,
    )  # fmt: skip
