"""The same seed gives the same bits in two processes, and a killed run resumes to them."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from clay4d.training import run

Result = tuple[int, str, str]
Fingerprint = Callable[[Path], str]


def process(*args: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "clay4d", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_another_process_gives_the_same_bits(
    trained: Path, pictures: Path, tiny: str, tmp_path: Path, fingerprint: Fingerprint
) -> None:
    done = process("train", tiny, "--data", pictures, "--out", tmp_path / "run")
    _, err = done.communicate(timeout=400)
    assert done.returncode == 0, err
    assert fingerprint(tmp_path / "run/scene.safetensors") == fingerprint(
        trained / "scene.safetensors"
    )


def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(
    pictures: Path,
    tiny: str,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    fingerprint: Fingerprint,
) -> None:
    """Checkpoints at every second step, so that some kills fall into the writing of one."""
    common = [tiny, "--data", pictures, "--steps", 300, "--checkpoint-every", 2]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert clay4d("train", *common, "--out", whole)[0] == 0
    draws, kills = random.Random(time.time_ns()), 0
    waits = []
    for _ in range(2):
        running = process("train", *common, "--out", killed, "--resume")
        before = fingerprint(killed / run.CHECKPOINT) if (killed / run.CHECKPOINT).exists() else ""
        while running.poll() is None:
            time.sleep(0.01)
            path = killed / run.CHECKPOINT
            if path.exists() and fingerprint(path) != before:
                break
        waits.append(draws.uniform(0, 0.5))
        time.sleep(waits[-1])
        running.send_signal(signal.SIGKILL)
        running.communicate()
        kills += running.returncode == -signal.SIGKILL
    assert clay4d("train", *common, "--out", killed, "--resume")[0] == 0, waits
    assert kills > 0
    assert fingerprint(killed / "scene.safetensors") == fingerprint(whole / "scene.safetensors")


def test_a_run_that_has_not_begun_is_begun_by_resume(
    pictures: Path,
    tiny: str,
    trained: Path,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    fingerprint: Fingerprint,
) -> None:
    """A kill while the data is read leaves no folder, one before the first checkpoint a config."""
    out = tmp_path / "run"
    out.mkdir()
    shutil.copy(trained / "config.yaml", out)
    assert clay4d("train", tiny, "--data", pictures, "--out", out, "--resume")[0] == 0
    assert fingerprint(out / "scene.safetensors") == fingerprint(trained / "scene.safetensors")
