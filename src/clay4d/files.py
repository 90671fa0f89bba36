"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary place beside `path`, which takes its name once it is written and on the disk.

    Folders are made; what fails on the way leaves no file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder) / "a.txt") as place:
    ...         _ = place.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
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
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield work
        work.chmod(0o755)  # mkdtemp's folders are for their owner alone
        if path.exists():
            path.rmdir()
        os.replace(work, path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


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
