"""Every format that clay4d reads survives a few hundred damaged inputs, and past finds stay mended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fuzz
import pytest

CASES = 20
"""Of each format; `make fuzz` runs 10,000."""
NAMES = sorted(fuzz.formats())


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """All formats in one process of limited memory, which dies in our stead."""
    out = tmp_path_factory.mktemp("fuzz")
    command = [sys.executable, fuzz.__file__, *NAMES, "--chunk", "0", "--cases", str(CASES)]
    done = subprocess.run([*command, "--out", out], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(NAMES, map(json.loads, done.stdout.splitlines())))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_input_is_refused_in_one_line(
    outcome: dict[str, dict[str, object]], name: str
) -> None:
    found = outcome[name]
    assert found["finds"] == {}
    assert isinstance(found["cases"], int) and found["cases"] >= CASES // 2
    assert isinstance(found["refused"], int) and found["refused"] > 0 or name == "mcp"


@pytest.mark.parametrize(
    ("error", "fine"),
    [
        (ValueError("a.ply got 3; expected 4. Write it again."), True),
        (FileNotFoundError("a.ply is not there; expected a file. Check the path."), True),
        (ValueError("a.ply got 3\nexpected 4"), False), (ValueError("cannot reshape array"), False),
        (KeyError("a; expected b"), False), (IsADirectoryError("a; expected a file"), False),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "expected"), False),
    ],
)  # fmt: skip
def test_what_counts_as_a_find(error: Exception, fine: bool) -> None:
    assert fuzz.house_style(error) is fine


def test_a_case_that_hangs_is_a_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from formats import Format

    def hang(folder: Path) -> None:
        if (folder / "a").read_bytes() != b"12345678":
            while True:
                pass

    monkeypatch.setattr(fuzz, "formats", lambda: {"x": Format("x", lambda _: [{"a": b"12345678"}], hang)})  # fmt: skip
    monkeypatch.setattr(fuzz, "_allow", lambda more: None)
    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    found = fuzz.hunt("x", 3, 0, tmp_path)
    assert any(key.startswith("TooLong") for key in found["finds"])
    assert list((tmp_path / "x").iterdir())
