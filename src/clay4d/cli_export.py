"""The command of exports: a run, or several side by side, for other programs and for the browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from clay4d.scenes import Cameras

FILMS = (".mp4", ".mov", ".mkv")


def export(
    paths: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...] OUT")
    ],
    *,
    time: float | None = None,
    frames: int | None = None,
    mesh: bool = False,
    title: str = "",
    up: Literal["x", "y", "z", "-x", "-y", "-z"] = "z",
) -> None:
    """Write a run as a web page that plays it, as one small .clay4d file, or as Gaussians for other programs.

    OUT.html plays in any browser, and shows several runs side by side. Other formats, of one run: .clay4d,
    .ply, .compressed.ply, .splat, .spz, .v4.spz, .sog, .glb, .gltf, .usdc, .usda and .usdz.

    Args:
        paths: RUN is the folder of a training run, of generate or simulate, a scene's file (.ply, .spz …),
            or a folder of .ply files. OUT is the file, whose suffix says the format, or a folder for numbered
            .ply files, one a moment. .mp4 is an orbit; `render` has its settings. USD needs the extra `export`.
        time: seconds after the start; the start by default.
        frames: this many moments from the start to the end, in the place of one: for USD, folders, and
            glTF of rigid parts; for .html 25 a second, within 50 to 300, by default.
        mesh: the surface as triangles instead, from our depth: OUT is .glb, .ply, .obj, or with --frames
            a folder for numbered .ply files. Needs the extra `mesh`.
        title: what stands above the scene, for .html.
        up: axis that points up, for .html, .mp4 and --mesh of files without data; -y in most scenes of 3DGS.
    """
    from clay4d.cli import _check_run, render

    if len(paths) < 2:
        raise ValueError(f"export got {' '.join(map(str, paths))}; expected RUN and OUT. Add OUT.")
    *runs, out = paths
    page = out.suffix.lower() in (".html", ".htm")
    if len(runs) > 1 and not page:
        raise ValueError(
            f"runs got {len(runs)} for {out.name}; expected one, but for .html. Leave the others out."
        )
    for run in runs:
        _check_run(run)
    if time is not None and frames is not None:
        raise ValueError("time and frames got both; expected one of them. Leave one out.")
    if frames is not None and frames < 2:
        raise ValueError(f"frames got {frames}; expected at least 2. Or use --time.")
    if mesh:
        _export_meshes(runs[0], out, time=time or 0.0, frames=frames, up=up)
        return
    if page:
        _export_page(runs, out, time=time or 0.0, frames=frames, title=title, up=up)
        return
    if out.suffix.lower() in FILMS:
        render(runs[0], out=out, frames=frames or 120, up=up)
        return
    from clay4d.scenes.exchange import write_ply_sequence, writer_for
    from clay4d.scenes.exchange.parts import refuse_fields
    from clay4d.scenes.fields import AnyField
    from clay4d.training.run import load_run

    write = writer_for(out) if out.suffix else write_ply_sequence
    scene, _, _ = load_run(runs[0])
    if isinstance(scene, AnyField):
        refuse_fields(scene)
    else:
        write(scene, out, times=_times(scene.duration, time or 0.0, frames))
        print(f"{out}: {len(scene)} Gaussians")


def _times(duration: float, time: float, frames: int | None) -> list[float]:
    if frames is None:
        return [time]
    return [duration * k / (frames - 1) for k in range(frames)]


def _export_meshes(run: Path, out: Path, *, time: float, frames: int | None, up: Any) -> None:
    from clay4d.renderers.mesh import write_meshes
    from clay4d.scenes.exchange.parts import refuse_fields
    from clay4d.scenes.fields import AnyField
    from clay4d.training.run import load_run

    scene, _, data = load_run(run)
    if isinstance(scene, AnyField):
        refuse_fields(scene)
        return
    times, cameras = _times(scene.duration, time, frames), data_cameras(run, data)
    count = write_meshes(scene, out, times=times, cameras=cameras, up=up, progress=_bar("meshes"))
    print(f"{out}: {count} meshes")


def _bar(what: str) -> Any:
    """A progress bar with the time that is left, where a person watches."""
    import sys

    from rich.console import Console
    from rich.progress import track

    said = Console(stderr=True)
    return lambda rows: track(rows, what, console=said, disable=not sys.stderr.isatty())


def _export_page(
    runs: Sequence[Path], out: Path, *, time: float, frames: int | None, title: str, up: Any
) -> None:
    from clay4d.renderers.player import write_player
    from clay4d.scenes.exchange.parts import refuse_fields
    from clay4d.scenes.fields import AnyField
    from clay4d.training.run import load_run

    scenes: dict[str, Any] = {}
    cameras: Cameras | None = None
    for run in runs:
        scene, _, data = load_run(run)
        if isinstance(scene, AnyField):
            refuse_fields(scene)
        name = run.resolve().stem if run.is_file() else run.resolve().name
        scenes[name if name not in scenes else f"{name} ({len(scenes) + 1})"] = scene
        cameras = cameras if cameras is not None else data_cameras(run, data)
    write_player(
        out,
        scenes,
        cameras=cameras,
        frames=frames,
        title=title,
        time=time,
        up=up,
        progress=_bar("moments"),
    )
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB. Open it in a browser.")


def data_cameras(run: Path, data: Path | None) -> Cameras | None:
    """The training cameras of a run's data, with the poses that the run found; None if they are not there."""
    from clay4d.scenes.loaders import load_dataset
    from clay4d.training.poses import with_poses

    if data is None or not data.exists():
        return None
    try:
        return with_poses(load_dataset(data), run).train.cameras
    except (ValueError, FileNotFoundError):  # a simulation without a rig has no posed pictures
        return None
