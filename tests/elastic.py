"""Runs under torchrun, and what becomes of them when a worker is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 400
"""Seconds: processes are slow to begin on a busy machine."""


def torchrun(command: str, config: Path, data: Path, out: Path, *more: str) -> list[str]:
    """`clay4d COMMAND` in two processes; `more` is torchrun's."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *more,
        "-m", "clay4d", command, str(config), "--data", str(data), "--out", str(out),
    ]  # fmt: skip


def finish(command: list[str]) -> None:
    """Run to a good end."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]


def finish_without_a_worker(command: list[str], until: Path) -> None:
    """Run, kill the second worker when a file is there, and see that the group comes to a good end."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as group:
        try:
            end = time.monotonic() + PATIENCE
            while not until.exists():
                assert time.monotonic() < end and group.poll() is None
                time.sleep(0.002)
            workers = [c for c in _children(group.pid) if b"clay4d" in _command(c)]
            assert len(workers) == 2
            os.kill(workers[1], signal.SIGKILL)
            _, said = group.communicate(timeout=PATIENCE)
        finally:
            # Leaving the block waits for the group, which must not be for ever.
            for process in (*_children(group.pid), group.pid) if group.poll() is None else ():
                os.kill(process, signal.SIGKILL)
    assert group.returncode == 0, said[-3000:].decode()
    assert b"SIGKILL" in said or b"Signal 9" in said or b"exitcode: -9" in said


def _children(process: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _command(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()
