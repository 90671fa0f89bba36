"""The soak test in small, and that it would see what grows."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from soak import Sample, growth, training, viewer, watch

LEAK = """
import threading, time
kept = []
print('begun', flush=True)
while True:
    kept += [bytearray(1 << 20), open("/dev/null"), threading.Timer(60, print)]
    kept[-1].start()
    time.sleep(0.05)
"""


def test_a_leak_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", LEAK], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        samples = watch(process.pid, 5.0, lambda: process.poll() is None)
        process.kill()
    told, grown = growth(samples)
    text = " ".join(grown)
    assert "memory grew" in text and "threads grew" in text and "files grew" in text, told


@pytest.mark.parametrize("what", ["memory", "threads", "files", "children", "shared"])
def test_each_number_is_compared(what: str) -> None:
    flat = [Sample(float(k), 100 << 20, 20, 30, 0, 2) for k in range(40)]
    assert growth(flat)[1] == []
    grown = [replace(s, **{what: getattr(s, what) + k * (1 << 20 if what == "memory" else 1)}) for k, s in enumerate(flat)]  # fmt: skip
    assert len(growth(grown)[1]) == 1 and what in growth(grown)[1][0]


def test_a_viewer_lets_go_of_its_clients(tmp_path: Path) -> None:
    told = viewer(tmp_path, 8.0, 4)
    assert told["wrong"] == [], told
    assert told["sockets"] + told["pages"] > 0


def test_training_keeps_its_size(tmp_path: Path) -> None:
    told = training(tmp_path, 6.0)
    assert told["wrong"] == [], told
    assert told["steps"] >= 200
