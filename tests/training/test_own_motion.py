"""docs/motion_models.md as it stands: a motion model of one's own trains, is stored and read again."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from on_disk import written

import clay4d
from clay4d.scenes import Dataset
from clay4d.scenes.store import MOTIONS
from clay4d.training.config import OwnMotion

PAGE = Path(__file__).resolve().parents[2] / "docs" / "motion_models.md"


@pytest.fixture
def blocks() -> list[str]:
    """The page's Python, block by block."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def data(swinging: Dataset, tmp_path: Path) -> Path:
    return written(swinging, tmp_path / "data")


def test_the_page_runs_and_the_model_learns(
    blocks: list[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, *uses = blocks
    monkeypatch.setattr("clay4d.scenes.store.MOTIONS", MOTIONS.copy())
    (tmp_path / "breathe.py").write_text(model, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("breathe", tmp_path / "breathe.py")
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    names = {"DATA": data, "RUN": tmp_path / "run", "FIELD": tmp_path / "field"}
    for block in uses:
        exec(block, names)  # noqa: S102
    scene, picture = names["scene"], names["picture"]
    assert scene.motion.kind == "breathe" and picture.shape == (48, 48, 3)
    assert scene.raw["swing"].abs().max() > 1e-2
    assert scene.motion.phase.abs() > 1e-3
    views = clay4d.load_dataset(data).train
    moved = clay4d.evaluate(scene, views)["psnr"]
    scene.raw["swing"].zero_()
    assert moved > clay4d.evaluate(scene, views)["psnr"]


def test_a_name_that_nobody_gave_is_refused(data: Path, tmp_path: Path) -> None:
    config = clay4d.TrainConfig(motion=OwnMotion(model="breathes"))
    with pytest.raises(ValueError, match="motion got 'breathes'; expected one of static, "):
        clay4d.train(config, data, tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


def test_rates_of_what_it_adds_are_its_own() -> None:
    from clay4d.training.config import Rates
    from clay4d.training.rates import motion_rates, row_rates

    motion = OwnMotion(model="static", lr=0.25)
    rows = row_rates(Rates(), motion, 2.0)
    assert rows["anything"].at(0.0) == 0.25 and rows["means"].at(0.0) == 2 * Rates().means
    assert motion_rates(Rates(), motion)[""].at(0.0) == 0.25
    assert torch.isclose(torch.tensor(rows["anything"].at(1.0)), torch.tensor(0.25 * Rates().final))
