"""Random `kill -9` of clay4d's long commands: `python tests/hardening/kills.py --kills 50`.

Each command is run whole, once. Then a process of it is killed at a moment that is drawn by a seed, and
run again as a user would (with --resume where there is one). What it leaves must be, byte for byte, what
the whole run left, and nothing else: no half-written file, no lock. Processes are forked from this one,
which has imported clay4d and nothing else, so that kills fall into the work and not into the imports.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TINY = {
    "motion": {"kind": "control-nodes", "nodes": 20, "width": 16, "depth": 2, "start": 0.1},
    "start": {"count": 150}, "density": {"kind": "mcmc-density", "cap": 200, "begin": 10, "every": 10},
    "schedule": {"coarse": [[0.0, 0.5], [0.3, 1.0]], "sh_degree": 1}, "steps": 60, "checkpoint_every": 4,
}  # fmt: skip
WORLDS = {"size": 32, "frames": 12, "supersample": 1, "step": 1 / 240, "shard": 1, "cameras": 1}
CLOCKED = {"trace.json", "metrics.json", "checkpoint.safetensors", "command.txt"}
"""Files that say how long something took."""


@dataclass(frozen=True)
class Job:
    """A command that is killed and run again."""

    name: str
    command: tuple[str, ...]
    """`OUT` in it stands for the output."""
    again: tuple[str, ...] = ()
    """What a rerun adds."""


def make_inputs(folder: Path) -> None:
    """What the commands are given."""
    import yaml
    from formats import borrowed, still

    from clay4d.scenes.motion import Polynomial
    from clay4d.scenes.store import save_scene

    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (folder / "worlds.yaml").write_text(yaml.safe_dump(WORLDS))
    data = borrowed("conftest").swinging_dataset(12, size=32)
    borrowed("on_disk").written(data, folder / "data")
    save_scene(folder / "scene.safetensors", still(Polynomial(), 1, 3000))
    room = borrowed("prepare/conftest")
    room.film(folder / "walk.mp4", [room.draw(view, None) for view in room.walk(24)])


def jobs(folder: Path) -> list[Job]:
    """Small versions of the long commands."""
    scene, film = str(folder / "scene.safetensors"), str(folder / "walk.mp4")
    return [
        Job("train", ("train", str(folder / "tiny.yaml"), "--data", str(folder / "data"), "--out", "OUT"), ("--resume",)),
        Job("make-worlds", ("make-worlds", str(folder / "worlds.yaml"), "--out", "OUT", "--count", "4")),
        Job("simulate", ("simulate", "a red ball falls onto a blue box for 0.3 seconds at 10 fps", "--out", "OUT")),
        Job("export clay4d", ("export", scene, "OUT/a.clay4d")),
        Job("export sog", ("export", scene, "OUT/a.sog")),
        Job("generate", ("generate", "A red ball rolls into a blue cube.", "--out", "OUT")),
        Job("prepare", ("prepare", film, "--out", "OUT", "--frames", "8")),
    ]  # fmt: skip


def start(work: Callable[[], int | None], log: Path) -> int:
    """A process, forked from this one; gives its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1), os.dup2(target, 2)
        code = work() or 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def run(job: Job, out: Path, log: Path, *, again: bool = False, kill_after: float | None = None) -> tuple[int, float]:  # fmt: skip
    """Run a job to its end, or to its kill; gives the exit code, −9 for a kill, and seconds."""
    given = [str(out) if a == "OUT" else a.replace("OUT/", f"{out}/") for a in job.command]
    from clay4d.cli import main

    began = time.monotonic()
    pid = start(lambda: main([*given, *(job.again if again else ())]), log)
    if kill_after is not None:
        end = began + kill_after
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), time.monotonic() - began
            time.sleep(0.0005)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - began


def listing(folder: Path) -> dict[str, str]:
    """Digest of each file of a run, without those that tell the time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and "tensorboard" not in name:
            clocked = path.name in CLOCKED
            found[name] = "" if clocked else hashlib.sha256(_content(path, folder)).hexdigest()
    return found


def _content(path: Path, folder: Path) -> bytes:
    """A file's bytes, with the output's own name taken out: a config may hold it."""
    return path.read_bytes().replace(str(folder).encode(), b"OUT")


def strays(folder: Path) -> list[str]:
    """Temporary names beside or inside the output."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.name.endswith((".part", ".lock"))]  # fmt: skip


def check(job: Job, place: Path, whole: dict[str, str], share: float, seconds: float) -> str:
    """One kill and its rerun; gives what is wrong, or nothing."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    out = place / "out"
    code, _ = run(job, out, place / "log.txt", kill_after=share * seconds)
    if code not in (0, -signal.SIGKILL):
        return f"ended with {code} before it was killed: {(place / 'log.txt').read_text()[-300:]}"
    if code:
        again, _ = run(job, out, place / "log.txt", again=True)
        text = (place / "log.txt").read_text()
        if again and not (listing(out) == whole and "holds something" in text):
            return f"the rerun ended with {again}: {text[-300:]}"
    found = listing(out)
    other = sorted(k for k in found.keys() | whole.keys() if found.get(k) != whole.get(k))
    left = strays(place)
    return f"{len(other)} files differ ({', '.join(other[:3])}) " * bool(other) + f"left {left[:3]}" * bool(left)  # fmt: skip


def series(kills: int, seed: int, folder: Path, names: list[str] | None = None, *, slow: bool = True) -> dict[str, object]:  # fmt: skip
    """Many kills of all jobs in turn; gives how many there were and what went wrong."""
    import torch

    import clay4d.cli  # noqa: F401

    torch.set_num_threads(1)
    _, status = os.waitpid(start(lambda: make_inputs(folder / "inputs"), folder / "log.txt"), 0)
    if status:
        return {"kills": {}, "wrong": [(folder / "log.txt").read_text()[-2000:]]}
    todo = [j for j in jobs(folder / "inputs") if (j.name in names if names else slow or j.name != "prepare")]  # fmt: skip
    draws, wrong, killed = random.Random(seed), [], {j.name: 0 for j in todo}
    known = {}
    for job in todo:
        spans = []
        for k in range(2):  # the first compiles kernels, the second is timed
            out = folder / f"whole-{job.name}-{k}" / "out"
            code, seconds = run(job, out, folder / "log.txt")
            if code:
                return {"kills": killed, "wrong": [f"{job.name} ended with {code}: {(folder / 'log.txt').read_text()[-500:]}"]}  # fmt: skip
            spans.append(seconds)
        known[job.name] = listing(out), spans[1]
        print(f"{job.name}: {spans[1]:.1f} s, {len(known[job.name][0])} files", file=sys.stderr, flush=True)  # fmt: skip
    began = time.monotonic()
    for k in range(kills):
        job = todo[k % len(todo)]
        whole, seconds = known[job.name]
        share = draws.uniform(0.02, 1.0)
        said = check(job, folder / "killed", whole, share, seconds)
        killed[job.name] += 1
        if said:
            wrong.append(f"{job.name} killed at {share:.3f}: {said}")
        left = (time.monotonic() - began) / (k + 1) * (kills - k - 1) / 60
        print(f"{k + 1}/{kills} {job.name} at {share:.2f}: {said or 'same bits'}, {left:.1f} min left", file=sys.stderr, flush=True)  # fmt: skip
    return {"kills": killed, "wrong": wrong}


def main() -> int:
    """The command."""
    sys.path.insert(0, str(Path(__file__).parent))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="JOB")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="without prepare")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        result = series(given.kills, given.seed, Path(folder), given.jobs, slow=not given.fast)
    print(json.dumps(result))
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
