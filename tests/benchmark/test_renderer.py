"""The suite renderer: a rasteriser that is off is seen to be off, by as much as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clay4d.benchmark.cases import Place
from clay4d.benchmark.registry import arm_system, make_system
from clay4d.benchmark.renderer import (
    LEAVES,
    CpuRasteriser,
    Drawn,
    RendererCases,
    Splats,
    draw_splats,
)
from clay4d.benchmark.run import run_suite
from clay4d.benchmark.suites import SUITES, SuiteConfig
from clay4d.renderers.torch_reference import rasterization_reference


def test_the_same_question_is_drawn_by_all_and_large_ones_by_one(tmp_path: Any) -> None:
    cases = RendererCases(SUITES["renderer"], tmp_path)
    places = cases.places()
    assert len(places) == 16 and {p.task for p in places} == {"50", "150", "300", "20000"}
    assert all((p.systems == ("cpu",)) == (p.task == "20000") for p in places)
    keys = [cases.read(p).question.key for p in places[:8]]
    assert len(set(keys)) == 8 and keys[0] == cases.read(places[0]).question.key


def test_what_is_off_is_measured(tmp_path: Any) -> None:
    cases = RendererCases(SUITES["renderer"], tmp_path)
    case = cases.read(Place("50/0", "50", "50", 0))
    true = draw_splats(case.question, rasterization_reference, dtype=torch.float64, rounds=0)
    exact = case.measure(true).values
    assert exact["image_error"] == 0 == exact["gradient_error"] and exact["draw_seconds"] > 0
    image = true.image.copy()
    image[3, 4, 1] += 0.25
    gradients = [g.copy() for g in true.gradients]
    gradients[LEAVES.index("scales")] *= 1.5
    off = case.measure(Drawn(image, tuple(gradients), 2.0)).values
    assert off["image_error"] == pytest.approx(0.25)
    assert off["gradient_error"] == pytest.approx(0.5) and off["draw_seconds"] == 2.0


def test_ours_is_within_what_is_claimed() -> None:
    splats = Splats(40, 32, 3)
    ours = CpuRasteriser().predict(splats, None)
    true = draw_splats(splats, rasterization_reference, dtype=torch.float64, rounds=0)
    claimed = {c.metric: -c.margin for c in SUITES["renderer"].claims if not c.rival}
    assert np.abs(ours.image - true.image).max() < claimed["image_error"]
    for a, b in zip(ours.gradients, true.gradients):
        assert np.linalg.norm(a - b) < claimed["gradient_error"] * np.linalg.norm(b)
    assert true.image.std() > 0.1  # there is something to see


def test_seeds_reach_systems_that_draw_and_no_others() -> None:
    made = make_system("world-model", weights={"": "w"}, seed=3)
    assert made[0].keywords == {"seed": 3} and made[1:] == ("w",)
    assert make_system("static", weights={"": "w"}, seed=3)[1:] == ()
    with pytest.raises(ValueError, match="system got 'oracle'"):
        make_system("oracle")


def test_arms_of_the_world_model_are_systems_with_weights_of_their_own(tmp_path: Path) -> None:
    weights = {"": None, "discrete": tmp_path / "run"}
    assert make_system(arm_system("discrete"), weights=weights)[1:] == (tmp_path / "run",)
    assert make_system("world-model", weights=weights)[1:] == (None,)
    for bad, said in (
        ("world-model@soft", "arm got 'soft'"),
        ("static@discrete", "system got 'static@"),
    ):
        with pytest.raises(ValueError, match=said):
            make_system(bad, weights=weights)
    with pytest.raises(ValueError, match="expected letters"):
        arm_system("a/b c")
    config = SuiteConfig(
        "renderer", ("50",), (), limit=1, source="renderer", metrics=("draw_seconds",)
    )
    found = run_suite(config, tmp_path / "out", arms={"lost": tmp_path / "no.safetensors"})
    assert [(m.system, m.status) for m in found.measurements] == [("world-model@lost", "failed")]
    assert "no.safetensors" in found.measurements[0].reason
