"""The wheel holds one top-level name, every package folder is declared, versions are pinned."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

tomllib = pytest.importorskip("tomllib")  # Python 3.11 on

ROOT = Path(__file__).resolve().parents[1]


def project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return loaded


def test_every_package_folder_is_declared() -> None:
    tool = project()["tool"]["setuptools"]
    on_disk = {"clay4d"}
    for name, folder in tool["package-dir"].items():
        inits = (ROOT / folder).rglob("__init__.py")
        on_disk |= {".".join([name, *p.parent.relative_to(ROOT / folder).parts]) for p in inits}
    assert set(tool["packages"]) == on_disk


def test_every_top_level_folder_with_modules_is_a_package() -> None:
    """A new folder that nobody declared would work from a checkout and be missing in the wheel."""
    tool = project()["tool"]["setuptools"]
    known = set(tool["package-dir"].values()) | {
        "tests",
        "benchmarks",
        "examples",
        "src",
        "build",
        "dist",
    }
    found = {
        p.relative_to(ROOT).parts[0] for p in ROOT.glob("*/*.py") if not p.parts[-2].startswith(".")
    }
    assert found <= known


def test_the_folders_are_no_names_of_their_own() -> None:
    """`import scenes` would give every class a twin, and isinstance would fail between them."""
    banned = project()["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    folders = set(project()["tool"]["setuptools"]["package-dir"].values()) - {"src/clay4d"}
    assert folders <= banned.keys()


def test_every_dependency_is_pinned_and_explained() -> None:
    pinned = {
        normal(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for requirement in project()["project"]["dependencies"]:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name and normal(name[0]) in pinned, requirement
        assert f"| {name[0]} |" in readme, f"{requirement} has no reason in the README"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("code", "seconds_to_spare"),
    [
        ("import clay4d", ["torch", "numba", "numpy"]),
        ("import clay4d.cli", ["torch", "numba", "numpy"]),
    ],
)
def test_starting_loads_nothing_heavy(code: str, seconds_to_spare: list[str]) -> None:
    """`clay4d --help` answers in 0.3 s, which torch alone would take several times over."""
    check = f"{code}; import sys; print([m for m in {seconds_to_spare} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_public_names_exist() -> None:
    import clay4d

    for name in clay4d.__all__:
        assert getattr(clay4d, name) is not None
    assert set(clay4d.__all__) == set(clay4d._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        _ = clay4d.fly
