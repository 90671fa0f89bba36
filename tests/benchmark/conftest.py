"""Worlds that several files of these tests look at and none changes."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def standard_worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four worlds of the standard preset."""
    from clay4d.world_model.worlds.make import make_worlds

    out = tmp_path_factory.mktemp("standard") / "worlds"
    make_worlds("standard", out, count=4, seed=1)
    return out
