"""A small data set on disk, a config that trains in a second, a finished run, and the command itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from on_disk import written

from clay4d.cli import main
from clay4d.scenes import Dataset

TINY = {
    "motion": {"kind": "control-nodes", "nodes": 20, "width": 16, "depth": 2, "start": 0.1},
    "start": {"count": 150},
    "density": {"kind": "mcmc-density", "cap": 200, "begin": 10, "every": 10},
    "schedule": {"coarse": [[0.0, 0.5], [0.3, 1.0]], "sh_degree": 1},
    "steps": 60,
    "checkpoint_every": 20,
}
Result = tuple[int, str, str]


@pytest.fixture(scope="session")
def pictures(swinging: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small moving data set on disk; tests that spoil it copy it first."""
    return written(swinging, tmp_path_factory.mktemp("pictures") / "data")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A config of one's own that trains in a second."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text("# Tiny.\n" + yaml.safe_dump(TINY))
    return str(path)


@pytest.fixture(scope="session")
def trained(pictures: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests do not change it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", tiny, "--data", str(pictures), "--out", str(out)]) == 0
    return out


@pytest.fixture
def clay4d(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Calls the command in this process: exit code, stdout, stderr."""

    def call(*args: object) -> Result:
        capsys.readouterr()
        try:
            code = main([str(a) for a in args])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="session")
def listing() -> Callable[[Path], list[str]]:
    """Gives all names below a folder; a fixture, since test files cannot import each other here."""
    return lambda folder: sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.fixture(scope="session")
def fingerprint() -> Callable[[Path], str]:
    """Gives a file's SHA-256."""
    return lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
