"""Imports go one way, files stay short, and what is public says what it does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FACADE = {"config", "distributed", "files", "jit", "kernel_maths", "lists", "pages", "processes"}
"""Modules of clay4d itself that every layer may use: they import none of the layers."""
LAYERS = {
    "scenes": 0,
    "renderers": 1,
    "training": 2,
    "physics_baseline": 3,
    "world_model": 4,
    "benchmark": 5,
    "plugins": 6,
}
"""The world model comes after the physics baseline because its worlds are `SceneSpec`s, simulated by
an engine; models and generation use neither."""
ENTRIES = {
    "cli",
    "cli_benchmark",
    "cli_export",
    "cli_physics",
    "cli_plugins",
    "cli_sweep",
    "cli_view",
    "cli_world",
    "demo",
    "demo_page",
    "demo_scene",
    "__init__",
    "__main__",
}
"""The top: they may use everything."""
LINES = 400
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def modules() -> list[Path]:
    found = [p for layer in LAYERS if (ROOT / layer).is_dir() for p in (ROOT / layer).rglob("*.py")]
    return sorted([*found, *(ROOT / "src" / "clay4d").rglob("*.py")])


@cache
def parsed(path: Path) -> ast.Module:
    """A file's tree, read once for all tests; they do not change it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def layer_of(path: Path) -> str:
    """The layer of a module's file, or the module's own name in clay4d itself."""
    parts = path.relative_to(ROOT).parts
    return path.stem if parts[0] == "src" else parts[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported anywhere in a file, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def allowed(layer: str, target: str) -> bool:
    """Whether a module of `layer` may import `clay4d.TARGET`."""
    if layer in ENTRIES or target in FACADE or target == layer:
        return True
    if layer not in LAYERS or target not in LAYERS:
        return False
    return LAYERS[target] < LAYERS[layer]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    layer = layer_of(path)
    for name in imported(parsed(path)):
        parts = name.split(".")
        if parts[0] == "clay4d" and len(parts) > 1:
            # `configs` holds data and no code.
            assert parts[1] == "configs" or allowed(layer, parts[1]), f"{layer} imports {name}"


@pytest.mark.parametrize(
    ("layer", "target", "may"),
    [
        ("training", "scenes", True), ("scenes", "renderers", False), ("renderers", "cli", False),
        ("physics_baseline", "world_model", False), ("world_model", "physics_baseline", True), ("config", "scenes", False), ("cli", "benchmark", True),
    ],
)  # fmt: skip
def test_the_rule_itself(layer: str, target: str, may: bool) -> None:
    assert allowed(layer, target) is may


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_what_is_public_says_what_it_does(path: Path) -> None:
    tree = parsed(path)
    lacking = [] if ast.get_docstring(tree) or not tree.body else ["the module"]
    lacking += [
        node.name
        for node in tree.body
        if isinstance(node, Documented)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not lacking
