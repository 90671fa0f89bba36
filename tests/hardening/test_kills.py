"""A few of the kills of `make kills`, at moments that a seed draws; the same bits come of a rerun."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import kills
import pytest


def test_killed_commands_are_run_again_to_the_same_bits() -> None:
    """In a process of its own, since forks must come before any thread."""
    pytest.importorskip("pybullet")
    jobs = ["export sog", "make-worlds", "export clay4d"]
    command = [sys.executable, kills.__file__, *jobs, "--kills", "3", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.stdout, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["kills"] == dict.fromkeys(("make-worlds", "export clay4d", "export sog"), 1)


def test_what_a_kill_may_leave_is_seen(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.bin").write_bytes(b"whole")
    before = kills.listing(tmp_path / "out")
    (tmp_path / "out/a.bin").write_bytes(b"who")
    assert kills.listing(tmp_path / "out") != before
    (tmp_path / "out/.a.bin.host.3.part").write_bytes(b"wh")
    assert kills.strays(tmp_path) == ["out/.a.bin.host.3.part"]
