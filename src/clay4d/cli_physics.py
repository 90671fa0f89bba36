"""The commands of the physics baseline: simulate, identify and tools."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro


def simulate(
    what: tyro.conf.Positional[str],
    *,
    out: Path,
    engine: Literal["mujoco", "bullet", "genesis"] = "mujoco",
    renderer: Literal["auto", "raycast", "mujoco-gl", "blender", "mitsuba"] = "auto",
    rig: int = 6,
    every: int = 2,
    seed: int = 0,
    sound: bool = True,
    distributed: str | None = None,
) -> None:
    """Simulate a prompt or a scene file into videos, truth and data to train on.

    Args:
        what: a prompt, such as "a red ball rolls down a ramp and hits two blue cubes", SPEC.json, or
            LIST.txt with one of them a line.
        out: a new folder; of a list, the folder of 0000, 0001 and so on, which goes on where it stopped.
        engine: what simulates; bullet needs the extra bullet, genesis `make genesis`.
        renderer: what draws; auto is raycast, which needs no OpenGL.
        rig: fixed cameras around the scene, for training; 0 for none.
        every: frames between two pictures of a rig camera.
        seed: of what a prompt leaves open.
        sound: the video has the sound of what strikes, rolls and slides.
        distributed: of a list: a Ray cluster's address (HOST:PORT, auto), or nothing more: one on this
            computer.
    """
    from clay4d.cli import _announce_kernels

    _announce_kernels(60)
    from clay4d.physics_baseline.progress import progress_bar
    from clay4d.physics_baseline.simulate import simulate as run

    if what.endswith(".txt"):
        from clay4d.physics_baseline.suite import simulate_suite

        with progress_bar() as progress:
            folders = simulate_suite(
                what, out, engine=engine, renderer=renderer, rig=rig, every=every, seed=seed,
                sound=sound, distributed=distributed, progress=progress,
            )  # fmt: skip
        print(f"{out}: {len(folders)} scenes, {folders[0].name} to {folders[-1].name}.")
        return
    if distributed is not None:
        raise ValueError(
            f"distributed got {distributed!r} for one scene; expected a list. Write prompts into a .txt "
            "file, one a line."
        )

    with progress_bar() as progress:
        session = run(
            what, out, engine=engine, renderer=renderer, rig=rig, every=every, seed=seed,
            sound=sound, progress=progress,
        )  # fmt: skip
    for said, became in session.calls[0]["result"]["understood"]:
        print(f"{said}  →  {became}")
    print(f"{out}: see {out / 'video.mp4'}; train on it with: clay4d train dnerf --data {out}")


def tools(*, serve: bool = False, replay: Path | None = None, out: Path | None = None) -> None:
    """List the physics baseline's tools, serve them over MCP, or replay a trace.

    Args:
        serve: speak MCP on standard input and output; needs the extra mcp.
        replay: a trace.json, or a folder with one, whose calls are made again.
        out: the folder for what the tools write; required by serve and replay.
    """
    from clay4d.physics_baseline.progress import print_tools, progress_bar

    if (serve or replay is not None) and out is None:
        raise ValueError(
            "out got nothing; expected a folder for what the tools write. Add --out DIR."
        )
    if serve and out is not None:
        from clay4d.physics_baseline.tools.server import serve as run

        run(out)
    elif replay is not None and out is not None:
        from clay4d.physics_baseline.tools import read_trace
        from clay4d.physics_baseline.tools import replay as again

        with progress_bar() as progress:
            differences = again(read_trace(replay), out, progress=progress)
        print("\n".join(differences) or f"{out}: every call came out the same.")
    else:
        print_tools()


def identify(
    source: tyro.conf.Positional[Path],
    *,
    out: Path,
    scene: Path | None = None,
    unknown: tuple[str, ...] = (),
    body: str = "ball",
    colour: tuple[float, float, float] | None = None,
    masks: bool = False,
    start: float = 0.0,
    end: float | None = None,
    seen: int | None = None,
    radius: float = 0.12,
    mass: float = 0.62,
    engine: Literal["mujoco", "bullet"] = "mujoco",
) -> None:
    """Fit a scene's numbers to tracks or pictures of what moves, and roll it forward.

    Args:
        source: a CSV of tracks (time, x, y, z), a folder of simulate, one with tosses.npz or
            ball_track.npz, or posed pictures with --colour or --masks.
        out: a new folder for the report.
        scene: the scene's JSON; a ball in still air by default, or the folder's own.
        unknown: PATH=LOW:HIGH[:GUESS] each, or start; the start by default, and the default ball's drag.
        body: whose track it is.
        colour: of the body in the pictures: red, green, blue, 0 to 1.
        masks: the pictures' fourth channel shows the body.
        start: seconds of the data from which on it is looked at.
        end: seconds up to which; to the last by default.
        seen: moments that are fitted; the others are foretold and compared.
        radius: of the default ball, metres.
        mass: of the default ball, kilograms.
        engine: what simulates; bullet needs the extra bullet.
    """
    from clay4d.cli import _announce_kernels

    _announce_kernels(60)
    from clay4d.physics_baseline.identify.report import identify_source
    from clay4d.physics_baseline.progress import progress_bar

    with progress_bar() as progress:
        report = identify_source(
            source, out, scene=scene, unknowns=unknown, body=body, colour=colour, masks=masks,
            start=start, end=end, seen=seen, radius=radius, mass=mass, engine=engine,
            progress=progress,
        )  # fmt: skip
    print(report.text)
    print(f"{out}: see {out / 'report.md'} and {out / 'errors.png'}.")
