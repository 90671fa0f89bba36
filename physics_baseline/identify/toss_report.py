"""`clay4d identify` for recorded tosses: half of them fitted, the other half foretold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.physics_baseline.identify.report import Report
from clay4d.physics_baseline.identify.toss_models import (
    HEAD,
    SHELL,
    SMOOTH_UNKNOWNS,
    Row,
    draw,
    fit_smooth,
    smooth_of,
    smooth_poses,
)
from clay4d.physics_baseline.identify.tosses import Tosses


def report_tosses(
    tosses: Tosses, folder: Path, *, evaluations: int, say: Callable[[str, float], None] | None = None
) -> Report:  # fmt: skip
    """Fit a smooth contact to the tosses with even places, foretell the others, and write the report.

    Each toss held out is rolled forward from its first frame alone. Files: report.md, identified.json,
    errors.png, and predicted.npz with the poses foretold (position, quaternion wxyz) and their lengths.
    """
    fitting, held = tosses.split()

    def progress(count: int, best: float) -> None:
        if say is not None:
            say("fit", min(1.0, count / evaluations))

    found = fit_smooth(fitting, SMOOTH_UNKNOWNS, evaluations=evaluations, progress=progress)
    plain = smooth_of([0.18, SHELL * fitting.width**2 / 6], ["friction", "gyration"])
    poses = smooth_poses(held, smooth_of(found.values.tolist()))
    rows = [
        Row("smooth contact, untouched", held.errors(smooth_poses(held, plain))),
        Row("smooth contact, fitted", held.errors(poses)),
    ]
    lines = [
        f"# {len(fitting)} tosses fitted, {len(held)} foretold from their first frames", "",
        found.table(), "", HEAD, *(r.line() for r in rows), "",
        "Errors are means over the tosses held out, with 95 % bootstrap intervals.",
    ]  # fmt: skip
    mean = rows[1].errors.mean(0)
    values: dict[str, Any] = {
        "unknowns": {
            u.path: {"value": float(v), "interval": list(found.interval(u.path))}
            for u, v in zip(found.unknowns, found.values)
        },
        "held_out": {
            "tosses": len(held), "position_percent": float(mean[0]), "rotation_degrees": float(mean[1]),
        },
    }  # fmt: skip
    text = "\n".join(lines) + "\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    whole = json.dumps(values, indent=1, allow_nan=False) + "\n"
    (folder / "identified.json").write_text(whole, encoding="utf-8")
    np.savez_compressed(folder / "predicted.npz", poses=poses, lengths=held.lengths)
    draw(folder / "errors.png", rows)
    return Report(text, values)
