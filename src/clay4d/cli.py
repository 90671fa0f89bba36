"""The command line: each command is one function of the public API, imported when it is run.

A mistake of the user's (ValueError, FileNotFoundError and their like, NotImplementedError) is one line
on stderr and exit code 2. Set CLAY4D_TRACEBACK=1 to see where an error came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from clay4d.cli_benchmark import benchmark
from clay4d.cli_export import export
from clay4d.cli_physics import identify, simulate, tools
from clay4d.cli_plugins import ns_eval, ns_export, ns_train, ns_viewer, run_nerfstudio
from clay4d.cli_sweep import sweep
from clay4d.cli_view import view
from clay4d.cli_world import generate, train_world, train_world_command
from clay4d.config import load_config, preset_folder, presets
from clay4d.distributed import with_address
from clay4d.training.config import TrainConfig

MISTAKES = (ValueError, OSError, NotImplementedError, ArithmeticError, ImportError)
"""What users can cause and put right; anything else is a bug and shows its traceback."""

Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class TrainCommand:
    """Train a scene from posed pictures."""

    data: Path
    """Folder with posed pictures."""
    out: Path
    """Folder of the run: config.yaml, checkpoint, previews and the scene."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    minutes: float | None = None
    """Time budget; the speed is measured and the steps are fixed by it."""
    resume: bool = False
    """Go on from the run's last checkpoint, with its config."""
    view: bool = False
    """Show the scene in the browser while it is trained; the run stays the same, to the bit."""
    port: int = 8080
    """Port for --view; the next free one if it is taken."""
    shards: int | None = None
    """Pictures of a step, dealt out among the processes of torchrun; one for each by default."""


def train() -> None:
    """Train a scene from posed pictures."""


def evaluate(
    run: Run,
    *,
    split: str = "test",
    data: Path | None = None,
    background: tuple[float, float, float] | None = None,
) -> None:
    """Measure a run on views it was not trained on, and leave RUN/metrics.json.

    Args:
        run: folder of a training run, a scene's file (.ply, .spz …), or a folder of .ply files.
        split: views to measure on.
        data: where the data is, if not where the run was trained on it.
        background: red, green and blue, 0 to 1, behind pictures with alpha; white is usual.
    """
    _check_run(run)
    _announce_kernels(20)
    from clay4d.training.evaluate import evaluate_run, metrics_path

    metrics = evaluate_run(
        run, split=split, data=data, background=background, progress=sys.stderr.isatty()
    )
    _print_metrics(metrics, metrics_path(run))


def render(
    run: Run,
    *,
    path: str = "orbit",
    out: Path | None = None,
    frames: int = 120,
    fps: float | None = None,
    scale: float = 1.0,
    show: Literal["color", "depth", "both"] = "color",
    data: Path | None = None,
    up: Literal["x", "y", "z", "-x", "-y", "-z"] = "z",
) -> None:
    """Render a video of a run along a camera path.

    Args:
        run: folder of a training run, a scene's file (.ply, .spz …), or a folder of .ply files.
        path: orbit, spiral, test or train (through those views), or a path file in JSON
            (docs/viewer.md).
        out: video file, or a folder for numbered .png files; RUN/PATH.mp4 by default.
        frames: frames of the video; a path file has its own.
        fps: frames a second; 30, or the path file's.
        scale: size of the pictures as a share of the data's.
        show: colours, depth, or both side by side.
        data: where the data is, if not where the run was trained on it.
        up: axis that points up, for an orbit round a file without data; -y in most scenes of 3DGS.
    """
    _check_run(run)
    _announce_kernels(20)
    from clay4d.renderers.around import around_scene
    from clay4d.renderers.paths import PATHS, camera_path, read_path
    from clay4d.renderers.video import render_pictures, render_video
    from clay4d.scenes.loaders import load_dataset
    from clay4d.training.poses import with_poses
    from clay4d.training.run import data_folder, load_run

    scene, _, trained_on = load_run(run)
    if path == "orbit" and data is None and trained_on is None:
        cameras, rate = around_scene(scene, frames=frames, up=up), 30.0
    elif path in PATHS:
        dataset = with_poses(load_dataset(data_folder(data, trained_on)), run)
        cameras, rate = camera_path(path, dataset, frames=frames), 30.0
    else:
        cameras, rate = read_path(path)
    beside = run.parent if run.is_file() else run
    target = beside / f"{Path(path).stem}.mp4" if out is None else out
    cameras = cameras.resized(scale)
    if target.suffix:
        written = render_video(target, scene, cameras, fps=fps or rate, show=show)
    else:
        written = render_pictures(target, scene, cameras, show=show)
    print(f"{target}: {written} frames")


def prepare(
    source: tyro.conf.Positional[Path], *, out: Path, frames: int = 150, size: int = 1280,
    depths: Path | None = None, tracks: Path | None = None,
) -> None:  # fmt: skip
    """Turn a film, a folder of films or of pictures into a data set with camera poses.

    Args:
        source: a film, a folder of films (one a camera), or a folder of pictures.
        out: a new folder for the data.
        frames: the most that are kept of a film.
        size: longer side of the written pictures, in pixels.
        depths: a folder of depth from another tool, 16-bit PNG or npy named as the pictures, or for films
            by the frame's number (00000.png); trained on with --losses.depth.
        tracks: points that another tool has followed, an npz file with tracks [P, T, 2] in pixels over all
            frames, visible [P, T] and size [2] of those frames; trained on with --losses.tracks.
    """
    from time import monotonic

    from clay4d.scenes.prepare import prepare as run

    start = monotonic()

    def say(text: str) -> None:
        print(f"{monotonic() - start:5.0f} s  {text}", file=sys.stderr, flush=True)

    done = run(source, out, frames=frames, size=size, depths=depths, tracks=tracks, say=say)
    print(done.report.text())
    print(
        f"{out}: see contact_sheet.png. Train on it with: clay4d train quick --data {out} --out RUN"
    )


def demo(*, out: Path = Path("demo"), minutes: float | None = None, seed: int = 0) -> None:
    """Make a small moving scene, train on its pictures, and show the result; nothing to download.

    Args:
        out: a new folder for the data, the run, the videos and the page.
        minutes: time budget of the training; about two minutes by default.
        seed: seed of the training.
    """
    from clay4d.demo import run_demo

    run_demo(out, minutes=minutes, seed=seed)


def make_worlds(
    preset: tyro.conf.Positional[str],
    *,
    out: Path,
    count: int,
    seed: int = 0,
    workers: int = 1,
    distributed: str | None = None,
) -> None:
    """Make worlds to train on: small simulated scenes with pictures, words and hidden physics.

    Args:
        preset: standard, medium (96×96), sharp (128×128), plain (nothing hidden), or a YAML file.
        out: folder of the set; a set that was stopped goes on.
        count: how many worlds, of all splits together.
        seed: the same seed gives the same worlds.
        workers: processes side by side; they change nothing but the time.
        distributed: a Ray cluster's address (HOST:PORT, auto), or nothing more: one on this computer.
    """
    from clay4d.world_model.worlds import make, open_worlds

    progress = sys.stderr.isatty()
    make.make_worlds(
        preset, out, count=count, seed=seed, workers=workers, distributed=distributed,
        progress=progress,
    )  # fmt: skip
    from clay4d.world_model.worlds.sheet import write_sheet

    write_sheet(out / "sheet.png", open_worlds(out)[:12])
    shares = ", ".join(f"{n} {split}" for split, n in make.count_splits(out).items() if n)
    print(f"{out}: {count} worlds ({shares}). Look at {out / 'sheet.png'}.")


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "prepare": prepare,
    "train": train,
    "sweep": sweep,
    "train-world": train_world,
    "evaluate": evaluate,
    "render": render,
    "view": view,
    "make-worlds": make_worlds,
    "generate": generate,
    "export": export,
    "simulate": simulate,
    "identify": identify,
    "tools": tools,
    "benchmark": benchmark,
    "ns-train": ns_train,
    "ns-eval": ns_eval,
    "ns-export": ns_export,
    "ns-viewer": ns_viewer,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, `sys.argv` by default; gives the exit code.

    Raises:
        SystemExit: after help (0) and for arguments that cannot be parsed (2).
    """
    args = with_address(list(sys.argv[1:] if argv is None else argv))
    try:
        if args[:1] == ["train"]:
            _train(args[1:])
        elif args[:1] == ["train-world"]:
            train_world_command(args[1:])
        elif args and args[0].startswith("ns-") and args[0] in COMMANDS:
            return run_nerfstudio(args[0].removeprefix("ns-"), args[1:])
        else:
            tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="clay4d",
                description="4D scenes from video on any computer.",
                args=args or ["--help"],
            )
    except BrokenPipeError:
        # The reader (`| head`) has enough; what is still buffered must not raise again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MISTAKES as error:
        if os.environ.get("CLAY4D_TRACEBACK"):
            raise
        print(f"clay4d: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemError) as error:
        if not _interrupted(error):
            raise
        print("clay4d: stopped; a training run goes on with --resume.", file=sys.stderr)
        return 130
    return 0


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what an error comes of: within Numba's C code it turns into a SystemError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _train(args: list[str]) -> None:
    given = parse_train(args)
    from clay4d.training.run import train

    port = given.port if given.view else None
    train(
        given.config, given.data, given.out, minutes=given.minutes, resume=given.resume, view=port,
        shards=given.shards,
    )  # fmt: skip
    print(f"{given.out}: trained. See it with: clay4d render {given.out}")


def parse_train(args: Sequence[str]) -> TrainCommand:
    """The arguments of `clay4d train`: PRESET is a sub-command, or a YAML file of one's own.

    Raises:
        ValueError: a YAML file that does not hold a training config.
        SystemExit: as in `main`.
    """
    known = presets(TrainConfig, preset_folder())
    if args and args[0].endswith((".yaml", ".yml")):
        own = load_config(TrainConfig, args[0], but=("data", "shards"))
        known = {args[0]: ("", own)}
    command: Any = tyro.extras.subcommand_type_from_defaults(
        {
            # tyro.MISSING makes --data and --out required.
            name: TrainCommand(tyro.MISSING, tyro.MISSING, config)
            for name, (_, config) in known.items()
        },
        {name: note for name, (note, _) in known.items()},
    )
    # Unions stay what the preset made them: their fields are options, not further sub-commands.
    parsed: TrainCommand = tyro.cli(
        command, prog="clay4d train", args=list(args), config=(tyro.conf.AvoidSubcommands,)
    )
    return parsed


def _check_run(run: Path) -> None:
    # Before torch is loaded, since a wrong name is the commonest mistake.
    if run.is_file() or any(
        (run / name).is_file() for name in ("config.yaml", "scene.safetensors")
    ):
        return
    if not run.is_dir() or not any(p.suffix.lower() == ".ply" for p in run.iterdir()):
        raise FileNotFoundError(
            f"run got {run}; expected a folder that `clay4d train` wrote, a scene's file, or a "
            "folder of numbered .ply files."
        )


def _announce_kernels(seconds: int) -> None:
    """Say so where the first call will compile: a silent minute looks like a hang."""
    from clay4d.jit import cache_folder

    if next(cache_folder().rglob("*.nbi"), None) is None:
        print(f"compiling kernels once, about {seconds} s", file=sys.stderr, flush=True)


def _print_metrics(metrics: dict[str, Any], path: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    rows = sorted(metrics["per_image"], key=lambda row: float(row["psnr"]))
    table = Table(title=f"{metrics['split']}: {metrics['images']} pictures")
    measures = {"PSNR": "psnr", "SSIM": "ssim", "mPSNR": "mpsnr", "mSSIM": "mssim"}
    shown = {title: key for title, key in measures.items() if key in metrics}
    for name in ("", *shown):
        table.add_column(name, justify="left" if not name else "right")
    named = {"mean": metrics, f"worst ({rows[0]['name']})": rows[0]}
    named[f"best ({rows[-1]['name']})"] = rows[-1]
    for label, row in named.items():
        digits = {key: 2 if key.endswith("psnr") else 4 for key in shown.values()}
        table.add_row(label, *(f"{row[k]:.{d}f}" if k in row else "" for k, d in digits.items()))
    Console().print(table)
    print(path)
