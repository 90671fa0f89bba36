"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clay4d import files
from clay4d.files import folder_written_whole, written_whole


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "data"
    with folder_written_whole(target) as place:
        (place / "a").write_text("1")
        assert not target.exists() and place.parent == target.parent
    assert (target / "a").read_text() == "1"
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert [p.name for p in target.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_no_folder(
    tmp_path: Path, there: bool, error: type[BaseException]
) -> None:
    target = tmp_path / "data"
    if there:
        target.mkdir()
    with pytest.raises(error):
        with folder_written_whole(target) as place:
            (place / "a").write_text("1")
            raise error
    assert list(tmp_path.iterdir()) == ([target] if there else [])
    assert not there or list(target.iterdir()) == []


def test_what_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("full", "file"):
        with pytest.raises(ValueError, match="out got .*holds something; expected a new folder"):
            with folder_written_whole(tmp_path / name, name="out"):
                raise AssertionError("it must not begin")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"]


def test_a_failure_keeps_the_file_before(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(RuntimeError):
        with written_whole(tmp_path / "a.txt") as place:
            place.write_text("half")
            raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    """And nothing else: what runs, what is another computer's, what is another file's stays."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = files._host()
    gone = [f".a.txt.{host}.{dead.pid}.part", f".a.txt.{host}.{dead.pid}.abc_1.part"]
    stays = [f".a.txt.{host}.{os.getpid()}.part", f".a.txt.other.{dead.pid}.part", f".b.txt.{host}.{dead.pid}.part", ".a.txt.x.part"]  # fmt: skip
    for name in [gone[0], *stays]:
        (tmp_path / name).write_text("half")
    (tmp_path / gone[1]).mkdir()
    with written_whole(tmp_path / "a.txt") as place:
        place.write_text("whole")
    stays.remove(f".a.txt.{host}.{os.getpid()}.part")  # its own, written over and renamed
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*stays, "a.txt"])
