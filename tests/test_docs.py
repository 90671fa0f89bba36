"""Every example in a docstring runs, and the pages name everything there is."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import clay4d

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FOREIGN = {
    f"clay4d.plugins.nerfstudio.{name}"
    for name in ("data", "data_spec", "method", "model", "pictures")
}
"""Modules that another program loads."""


def modules() -> list[str]:
    walked = pkgutil.walk_packages(clay4d.__path__, "clay4d.")
    names = ["clay4d", *(m.name for m in walked if not m.name.endswith("__main__"))]
    # In an editable install the packages beside src are found by a hook and not by walking.
    for folder in (
        "scenes",
        "renderers",
        "training",
        "benchmark",
        "physics_baseline",
        "world_model",
        "plugins",
    ):
        try:
            package = importlib.import_module(f"clay4d.{folder}")
        except ModuleNotFoundError:
            continue
        names += [package.__name__]
        names += [m.name for m in pkgutil.walk_packages(package.__path__, f"clay4d.{folder}.")]
    # Blender's Python runs this one; it has nothing of ours, and we have no bpy.
    others = {"engines.genesis_worker", "renderers.blender_worker"}  # Run by Pythons of their own.
    return sorted(set(names) - {f"clay4d.physics_baseline.{name}" for name in others})


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name: str) -> None:
    """`...` in what is expected stands for any text: errors go on with their remedy."""
    if name in FOREIGN:
        pytest.importorskip(
            "nerfstudio", reason="nerfstudio is only where `make nerfstudio` puts it"
        )
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    """Guards the tests above: a finder that finds nothing would pass them all."""
    finder = doctest.DocTestFinder()
    found = [
        t
        for n in modules()
        if n not in FOREIGN
        for t in finder.find(importlib.import_module(n))
        if t.examples
    ]
    assert len(found) > 40


def test_the_page_of_commands_has_every_command() -> None:
    from clay4d.cli import COMMANDS

    headings = re.findall(r"^## (\S+)$", (DOCS / "commands.md").read_text("utf-8"), re.MULTILINE)
    assert headings == list(COMMANDS)


def test_the_reference_has_every_public_name() -> None:
    listed = set(
        re.findall(r"^::: (\S+)$", (DOCS / "reference.md").read_text("utf-8"), re.MULTILINE)
    )
    for name in clay4d.__all__:
        value = getattr(clay4d, name)
        assert f"clay4d.{clay4d._HOMES[name]}" in listed or any(
            full.startswith("clay4d.") and full.endswith(f".{value.__name__}") for full in listed
        ), name


def test_every_page_is_in_the_navigation() -> None:
    import yaml

    nav = str(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    for page in DOCS.glob("*.md"):
        assert f"'{page.name}'" in nav, page.name
