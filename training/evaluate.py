"""How well a scene shows what it was not trained on: PSNR and SSIM, picture by picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.progress import track

from clay4d.files import written_whole
from clay4d.renderers import render
from clay4d.scenes import Views
from clay4d.scenes.fields import AnyScene
from clay4d.scenes.loaders import load_dataset
from clay4d.training.metrics import masked_psnr, masked_ssim, psnr, ssim
from clay4d.training.poses import with_poses
from clay4d.training.run import data_folder, load_run

EQUAL = 100.0
"""PSNR of pictures that are equal, dB: JSON has no infinity, and means should stay finite."""

METRICS = "metrics.json"

MEASURES = ("psnr", "ssim", "mpsnr", "mssim")
"""In the order of tables; the masked ones only where the data has covisible masks."""


def evaluate(
    scene: AnyScene, views: Views, *, name: str = "test", progress: bool = False
) -> dict[str, Any]:
    """Draw a scene from each view and compare the pictures, one in memory at a time.

    Drawings are clamped to 0–1 and not rounded to bytes. They have the views' background, or the
    scene's where the views have none; PSNR and SSIM are those of `clay4d.benchmark`, and the means
    are over pictures.

    Args:
        name: what the views are, for the record. progress: whether to show a bar.

    Returns:
        {"split", "images", "psnr", "ssim", "per_image": [{"name", "time", "psnr", "ssim"}, …]},
        psnr in dB (100 at the most), time in seconds; "mpsnr" and "mssim" too, where the views have
        covisible masks (DyCheck), with means over the pictures that have them.

    Raises:
        ValueError: no views, or pictures smaller than 11 × 11.
    """
    if not len(views):
        raise ValueError(f"views of {name} got none; expected at least one picture.")
    rows: list[dict[str, Any]] = []
    for i in track(range(len(views)), f"evaluating {name}", disable=not progress, transient=True):
        camera = views.cameras[i]
        drawn = render(scene, camera, depth=False, background=views.background).images[0]
        drawn, frame = drawn.clamp(0, 1), views[i]
        row = {
            "name": views.names[i],
            "time": float(camera.times[0]),
            "psnr": min(psnr(drawn, frame.image), EQUAL),
            "ssim": ssim(drawn, frame.image),
        }
        if frame.covisible is not None and bool(frame.covisible.any()):
            row["mpsnr"] = min(masked_psnr(drawn, frame.image, frame.covisible), EQUAL)
            row["mssim"] = masked_ssim(drawn, frame.image, frame.covisible)
        rows.append(row)
    means = {}
    for key in MEASURES:
        values = [row[key] for row in rows if key in row]
        if values:
            means[key] = sum(values) / len(values)
    return {"split": name, "images": len(rows), **means, "per_image": rows}


def evaluate_run(
    run: str | Path,
    *,
    split: str = "test",
    data: str | Path | None = None,
    background: tuple[float, float, float] | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Evaluate a training run on a split of its data and leave RUN/metrics.json.

    Training cameras are where the run has refined them to, if it has; others where the data says.

    Args:
        run: folder of a run, or a scene's file.
        data: where the data is now, if not where it was trained on.
        background: colour, 0 to 1, to lay pictures with alpha over; the data's own by default.

    Raises:
        FileNotFoundError: no run, or no data.
        ValueError: data without that split; a background for pictures without alpha, or no colour.
    """
    scene, _, trained_on = load_run(run)
    dataset = load_dataset(data_folder(data, trained_on), background=background)
    if background is not None and dataset.split(split).pixels(0).shape[2] < 4:
        raise ValueError(
            f"background got {background} for pictures without transparency; expected pictures "
            "with alpha. Leave it out."
        )
    views = with_poses(dataset, run).split(split)
    metrics = evaluate(scene, views, name=split, progress=progress)
    write_metrics(run, metrics)
    return metrics


def metrics_path(run: str | Path) -> Path:
    """RUN/metrics.json, or FILE.metrics.json beside a scene's file.

    >>> metrics_path("run").name
    'metrics.json'
    """
    run = Path(run)
    return run.with_name(f"{run.name}.{METRICS}") if run.is_file() else run / METRICS


def write_metrics(run: str | Path, metrics: dict[str, Any]) -> None:
    """Write the file of `metrics_path`, whole or not at all."""
    path = metrics_path(run)
    text = json.dumps(metrics, indent=1, allow_nan=False, ensure_ascii=False)
    with written_whole(path) as place:
        place.write_text(text + "\n", encoding="utf-8")
