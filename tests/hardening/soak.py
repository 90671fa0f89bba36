"""Long runs that must not grow: `python tests/hardening/soak.py --minutes 60`.

The viewer has 20 clients for 5 minutes, who come and go: pages, websockets that turn their camera and move
the time, pictures of the plain page, and connections that break off. Then a training run goes on for the
minutes given. Of each process, memory, threads, open files, children and shared memory are noted; each is
compared between two quarters of the time, and once the clients have gone with what it was before they came.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import logging
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from websockets.exceptions import WebSocketException

PAGE = os.sysconf("SC_PAGE_SIZE")
EXTRA = 8 << 20
"""Bytes of memory that may be added between the quarters, beside a twentieth: allocators keep some."""
TINY = {
    "motion": {"kind": "control-nodes", "nodes": 40, "width": 32, "depth": 2, "start": 0.0},
    "start": {"count": 1000}, "density": {"kind": "mcmc-density", "cap": 2000, "begin": 20, "every": 20},
    "schedule": {"coarse": [[0.0, 1.0]], "sh_degree": 1, "sh_every": 0.000001},
    "steps": 10_000_000, "checkpoint_every": 200,
}  # fmt: skip
CORES = os.cpu_count() or 1
POOLS = 32 + min(32, CORES + 4) + 2 * CORES + 8
"""Threads of a viewer: viser's pool, asyncio's, Numba's and OpenMP's workers (one a core each), and a few."""
COUNTS = ("threads", "files", "children", "shared")


@dataclass(frozen=True)
class Sample:
    """A process at a moment."""

    seconds: float
    memory: int
    """Resident, bytes."""
    threads: int
    files: int
    children: int
    shared: int
    """Pieces of shared memory that it holds, or that bear its number."""


def sample(pid: int, began: float) -> Sample:
    """A process now, by /proc.

    Raises:
        OSError: it is no more.
    """
    place = Path(f"/proc/{pid}")
    resident = int((place / "statm").read_text().split()[1]) * PAGE
    tasks = list((place / "task").iterdir())
    files = [_link(p) for p in (place / "fd").iterdir()]
    children = [c for task in tasks for c in _text(task / "children").split()]
    mapped = [line.split(maxsplit=5)[-1] for line in _text(place / "maps").splitlines()]
    shared = {name for name in (*files, *mapped) if name.startswith(("/dev/shm", "/memfd:"))}
    shared |= {str(p) for p in Path("/dev/shm").glob(f"*{pid}*")}
    return Sample(
        time.monotonic() - began, resident, len(tasks), len(files), len(children), len(shared)
    )


def _link(path: Path) -> str:
    """Where a link leads, if it is still there."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _text(path: Path) -> str:
    """A file of /proc, if it is still there."""
    try:
        return path.read_text()
    except OSError:
        return ""


def median(values: list[int]) -> int:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def growth(samples: list[Sample], *, pools: int = 0) -> tuple[dict[str, Any], list[str]]:
    """The second and the last quarter of the time side by side, and what has grown between them.

    Args:
        pools: threads up to which there are pools that fill as they are used.
    """
    quarter = max(len(samples) // 4, 1)
    early, late = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]
    memory = [median([s.memory for s in part]) for part in (early, late)]
    told: dict[str, Any] = {"samples": len(samples), "memory_mb": [round(m / 1e6, 1) for m in memory]}  # fmt: skip
    grown = []
    if memory[1] > 1.05 * memory[0] + EXTRA:
        grown.append(f"memory grew from {memory[0]} to {memory[1]} bytes")
    for name in COUNTS:
        most = [max(getattr(s, name) for s in part) for part in (early, late)]
        told[name] = most
        # Clients come and go, so that threads and files go up and down by a few.
        room = most[0] + (0 if name in ("children", "shared") else max(5, most[0] // 5))
        if most[1] > max(room, pools if name == "threads" else 0):
            grown.append(f"{name} grew from {most[0]} to {most[1]}")
    return told, grown


def watch(pid: int, seconds: float, alive: Callable[[], bool]) -> list[Sample]:
    """Samples of a process for a while, about 500 of them."""
    began, samples = time.monotonic(), []
    every = min(max(seconds / 500, 0.1), 10.0)
    while time.monotonic() - began < seconds:
        if not alive():
            raise RuntimeError(f"process {pid} ended after {time.monotonic() - began:.0f} s")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            samples.append(sample(pid, began))
        time.sleep(every)
    return samples


class Client(threading.Thread):
    """One who looks at a scene in ways of its own, until the time is over."""

    def __init__(self, url: str, seed: int, end: float) -> None:
        super().__init__(daemon=True)
        self.url, self.draws, self.end = url, random.Random(seed), end
        self.pages, self.sockets = 0, 0
        self.late, self.errors = list[str](), list[str]()

    def run(self) -> None:
        """Visits, one after another."""
        while time.monotonic() < self.end:
            visit = self.draws.choice((self._page, self._pictures, self._socket, self._socket))
            try:
                visit()
            except (OSError, http.client.HTTPException, WebSocketException) as error:
                # A server that has no time within 10 seconds hangs up; an answer with an error is one.
                late = not isinstance(error, urllib.error.HTTPError)
                (self.late if late else self.errors).append(f"{type(error).__name__}: {error}")
                time.sleep(0.5)
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}"[:200])

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            self.pages += 1
            return bytes(answer.read())

    def _page(self) -> None:
        assert b"<html" in self._get(self.draws.choice(("/", "/frames"))).lower()

    def _pictures(self) -> None:
        for _ in range(self.draws.randint(1, 5)):
            turn, rise, moment = (self.draws.uniform(0, k) for k in (6.28, 1.0, 1.0))
            show = self.draws.choice(("color", "depth", "alpha", "motion"))
            asked = f"/frame.jpg?azimuth={turn}&elevation={rise}&zoom=1&time={moment}&show={show}"
            assert self._get(asked)[:2] == b"\xff\xd8"
            time.sleep(self.draws.uniform(0, 0.5))

    def _socket(self) -> None:
        """A page's websocket for some seconds: it hears all, turns its camera, moves the time."""
        import msgspec
        import viser
        import viser._messages as messages
        from websockets.sync.client import connect

        said: Any = [f"viser-v{viser.__version__}"]
        stays = min(self.draws.uniform(1, 15), max(self.end - time.monotonic(), 0.1))
        with connect(self.url.replace("http", "ws"), subprotocols=said, max_size=None) as socket:
            self.sockets += 1
            leaves, slider, angle = time.monotonic() + stays, "", self.draws.uniform(0, 6.28)
            while time.monotonic() < leaves:
                # As a browser does: it reads all that comes, and speaks twenty times a second.
                speaks = time.monotonic() + 0.05
                with contextlib.suppress(TimeoutError):
                    while (left := speaks - time.monotonic()) > 0:
                        message = bytes(socket.recv(timeout=left))
                        slider = slider or _slider(message)
                angle += 0.1
                eye = (3 * math.cos(angle), 3 * math.sin(angle), 1.0)
                sent: list[Any] = [
                    messages.ViewerCameraMessage((1.0, 0.0, 0.0, 0.0), eye, 0.8, 0.01, 100.0, 300, 400, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
                ]  # fmt: skip
                if slider and self.draws.random() < 0.2:
                    moment = round(self.draws.uniform(0, 1), 3)
                    sent.append(messages.GuiUpdateMessage(slider, {"value": moment}))
                for message in sent:
                    socket.send(msgspec.msgpack.encode(message.as_serializable_dict()))
            if self.draws.random() < 0.3:  # as a browser that is killed
                socket.socket.shutdown(SHUT_RDWR)


def _slider(message: bytes) -> str:
    """The id of the slider of time, if a message of viser's tells of it."""
    import msgspec
    import zstandard

    size = int.from_bytes(message[8:16], "little")
    told = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(message[16 : 16 + size]))
    found = [told]
    for value in found:
        if isinstance(value, dict):
            if "Slider" in str(value.get("type")) and "Seconds" in str(value.get("props")):
                return str(value.get("uuid", ""))
            found += value.values()
        elif isinstance(value, list | tuple):
            found += value
    return ""


def ended(process: subprocess.Popen[str], wanted: tuple[int, ...]) -> list[str]:
    """Interrupt a process as Ctrl-C does; gives what is wrong with how it ends."""
    process.send_signal(signal.SIGINT)
    try:
        code = process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # which leaves the stacks of its threads in the log
        process.wait()
        return ["it did not end within 120 s of Ctrl-C"]
    return [] if code in wanted else [f"it ended with {code}; expected {wanted}"]


def start(log: Path, *command: str) -> subprocess.Popen[str]:
    """`clay4d …` in a process of its own, which has its own group."""
    with log.open("w") as out:
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "clay4d", *command], stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True, text=True, preexec_fn=_heed_ctrl_c,
        )  # fmt: skip


def _heed_ctrl_c() -> None:
    """A shell's background job ignores it, and so would those that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def viewer(folder: Path, seconds: float, clients: int) -> dict[str, Any]:
    """The viewer under clients who come and go."""
    from formats import still

    from clay4d.scenes.motion import Polynomial
    from clay4d.scenes.store import save_scene

    save_scene(folder / "scene.safetensors", still(Polynomial(), 1, 3000))
    log = folder / "viewer.txt"
    process = start(log, "view", str(folder / "scene.safetensors"), "--port", "0")
    try:
        url = _address(process, log)
        first = Client(url, 999, time.monotonic() + 1)
        first.start(), first.join()  # what the first client lets it load is no growth
        before = sample(process.pid, time.monotonic())
        end = time.monotonic() + seconds
        crowd = [Client(url, k, end) for k in range(clients)]
        for client in crowd:
            client.start()
        samples = watch(process.pid, seconds, lambda: process.poll() is None)
        for client in crowd:
            client.join(timeout=180)
        told, wrong = growth(samples, pools=POOLS)
        after = _settled(process.pid, before)
    finally:
        alive = process.poll() is None
        wrong_end = ended(process, (0, 130)) if alive else ["it died"]
    errors = [e for c in crowd for e in c.errors]
    for name in COUNTS:
        was, now = getattr(before, name), getattr(after, name)
        told[f"{name}_before_and_after"] = [was, now]
        most = POOLS if name == "threads" else was
        if now > most:
            wrong.append(f"{name} were {most} before the clients and {now} after them")
    told |= {"clients": clients, "seconds": round(seconds), "errors": errors[:3]}
    told["hung_up"] = sum(len(c.late) for c in crowd)
    told |= {"pages": sum(c.pages for c in crowd), "sockets": sum(c.sockets for c in crowd)}
    if errors or not told["pages"] + told["sockets"]:
        wrong.append(f"{len(errors)} visits failed, and {told['pages'] + told['sockets']} did not")
    if "Traceback" in log.read_text() or "most recent call first" in log.read_text():
        wrong.append(f"it said {log.read_text()[-3000:]}")
    return {**told, "wrong": wrong + wrong_end}


def _address(process: subprocess.Popen[str], log: Path) -> str:
    """What the viewer says where it is."""
    end = time.monotonic() + 600
    while time.monotonic() < end and process.poll() is None:
        words = log.read_text().split()
        found = [w for w in words if w.startswith("http://")]
        if found:
            return found[0]
        time.sleep(0.1)
    raise RuntimeError(f"the viewer did not start: {log.read_text()[-500:]}")


def _settled(pid: int, before: Sample) -> Sample:
    """A process once it has let go of its clients, or after half a minute."""
    end = time.monotonic() + 30
    while True:
        now = sample(pid, time.monotonic())
        settled = now.files <= before.files and now.threads <= max(before.threads, POOLS)
        if settled or time.monotonic() > end:
            return now
        time.sleep(0.5)


def training(folder: Path, seconds: float) -> dict[str, Any]:
    """A training run that checkpoints every 200 steps."""
    import yaml
    from formats import borrowed

    data = borrowed("conftest").swinging_dataset(24, size=64)
    borrowed("on_disk").written(data, folder / "data")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    log, out = folder / "training.txt", folder / "run"
    command = ("train", str(folder / "tiny.yaml"), "--data", str(folder / "data"), "--out", str(out))  # fmt: skip
    process = start(log, *command)
    try:
        end = time.monotonic() + 600
        while not (out / "checkpoint.safetensors").exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"training did not start: {log.read_text()[-500:]}")
            time.sleep(0.1)
        samples = watch(process.pid, seconds, lambda: process.poll() is None)
    finally:
        wrong_end = ended(process, (130,)) if process.poll() is None else ["it died"]
    told, wrong = growth(samples)
    told |= {"seconds": round(seconds), "steps": _steps(out / "checkpoint.safetensors")}
    left = [p.name for p in out.rglob("*") if p.name.endswith((".part", ".lock"))]
    wrong += [f"it left {', '.join(left)}"] * bool(left)
    return {**told, "wrong": wrong + wrong_end}


def _steps(path: Path) -> int:
    from clay4d.scenes.store import read_tensors

    return int(read_tensors(path)[1]["step"])


def main() -> int:
    """The command."""
    sys.path.insert(0, str(Path(__file__).parent))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["viewer", "training"])
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--viewer-minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=20)
    given = parser.parse_args()
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # of connections that break off
    wrong = False
    for what in given.what:
        with tempfile.TemporaryDirectory() as folder:
            if what == "viewer":
                told = viewer(Path(folder), 60 * given.viewer_minutes, given.clients)
            else:
                told = training(Path(folder), 60 * given.minutes)
        print(json.dumps({what: told}), flush=True)
        wrong = wrong or bool(told["wrong"])
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
