"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary place beside `path`, which takes its name once it is written and on the disk.

    Folders are made; what fails on the way leaves no file, and what a killed process of this computer
    left is swept away by the next that writes the same file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder) / "a.txt") as place:
    ...         _ = place.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path, *, name: str = "path") -> Iterator[Path]:
    """A temporary folder beside `path`, which takes its name once everything is written into it.

    What fails on the way leaves no folder; an empty one that was there before stays.

    Args:
        path: a new or empty folder.
        name: what the error calls it.

    Raises:
        ValueError: `path` holds something.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with folder_written_whole(Path(folder) / "data") as place:
    ...         _ = (place / "a.txt").write_text("whole")
    ...     os.listdir(Path(folder) / "data")
    ['a.txt']
    """
    check_new_folder(path, name=name)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    mark = f".{path.name}.{_host()}.{os.getpid()}."
    work = Path(tempfile.mkdtemp(prefix=mark, suffix=".part", dir=path.parent))
    try:
        yield work
        work.chmod(0o755)  # mkdtemp's folders are for their owner alone
        if path.exists():
            path.rmdir()
        os.replace(work, path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def sweep(path: Path) -> None:
    """Remove what processes of this computer that are no more had begun to write in the place of `path`.

    >>> sweep(Path("no/such/file"))
    """
    mine = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(_host())}\.([0-9]+)\.(\w+\.)?part")
    for left in path.parent.glob(f".{_literal(path.name)}.*.part"):
        found = mine.fullmatch(left.name)
        if found is None or _runs(int(found[1])):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _host() -> str:
    """This computer's name, as far as a file's name can hold it: others may write to the same disk."""
    return re.sub("[^A-Za-z0-9-]", "-", platform.node())[:40] or "here"


def _literal(name: str) -> str:
    """A name as a pattern that fits it alone."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _runs(pid: int) -> bool:
    if os.name == "nt":  # There is no asking without ending it.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def check_new_folder(path: Path, *, name: str = "path") -> None:
    """Refuse a folder that holds something, before any work is done for it.

    Raises:
        ValueError: `path` holds something or is a file; the message calls it `name`.

    >>> check_new_folder(Path("no/such/folder"))
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(
            f"{name} got {str(path)!r}, which holds something; expected a new folder. "
            "Choose another name or remove it."
        )
