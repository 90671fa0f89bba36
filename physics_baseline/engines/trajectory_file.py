"""Trajectories on disk: one safetensors file of arrays, contacts in its JSON header."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clay4d.physics_baseline.engines.trajectory import Contact, Trajectory
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.scenes.store_checks import check_entries

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
    write_tensors(path, tensors, header)


def load_trajectory(path: str | Path) -> Trajectory:
    """Read a trajectory that `save_trajectory` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no trajectory, or of another version.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} got format {header.get('format')!r}; expected {FORMAT!r}.")
    arrays = {k: v.numpy() for k, v in tensors.items()}
    _check(str(path), arrays, header)
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


def _check(path: str, arrays: dict[str, Any], header: dict[str, Any]) -> None:
    """Refuse what is no trajectory: entries of other types, arrays of other shapes.

    Raises:
        ValueError: naming what is wrong.
    """
    wanted = {"engine": str, "step": int | float, "names": list, "contacts": list}
    check_entries(path, header, wanted)
    frames = len(arrays["times"]) if "times" in arrays and arrays["times"].ndim == 1 else 0
    bodies = len(header["names"])
    shapes = {
        "times": (), "positions": (bodies, 3), "quats": (bodies, 4), "velocities": (bodies, 3),
        "angular_velocities": (bodies, 3), "kinetic": (bodies,), "potential": (bodies,),
        "work": (), "momentum": (3,), "angular_momentum": (3,),
    }  # fmt: skip
    plain = {k: v.shape for k, v in arrays.items() if "." not in k}
    known = all(isinstance(name, str) for name in header["names"])
    if not known or plain != {k: (frames, *tail) for k, tail in shapes.items()}:
        raise ValueError(
            f"{path} got names and arrays that do not fit; expected a trajectory's. Make it again."
        )
    if not all(_is_contact(c) for c in header["contacts"]):
        raise ValueError(f"{path} got contacts; expected those of a trajectory. Make it again.")


def _is_contact(raw: Any) -> bool:
    if not isinstance(raw, dict):
        return False
    numbers = [raw.get(k) for k in ("time", "end", "speed", "impulse")]
    lists = [raw.get(k) for k in ("bodies", "position", "normal")]
    if not all(isinstance(v, list) for v in lists) or [len(v) for v in lists] != [2, 3, 3]:  # type: ignore[arg-type]
        return False
    numbers += [*lists[1], *lists[2]]  # type: ignore[misc]
    return all(isinstance(n, int | float) for n in numbers) and all(
        isinstance(b, str)
        for b in lists[0]  # type: ignore[union-attr]
    )
