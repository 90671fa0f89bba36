"""Concepts: segments go there and back, codes fit, draws follow what is known, scores can fail."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clay4d.benchmark.abstractions import load_step
from clay4d.world_model.model.concepts import SegmentCoder
from clay4d.world_model.reasoners import EventSizes, Size, build_reasoner
from clay4d.world_model.reasoners.concept import NUMBERS
from clay4d.world_model.reasoners.concept_diffusion import ConceptDiffusion
from clay4d.world_model.reasoners.concept_quantised import fit_books, residual_codes
from clay4d.world_model.training.cache import cached_worlds
from clay4d.world_model.training.concepts import (
    ConceptStage,
    concept_scores,
    freeze_concepts,
    segments,
)
from clay4d.world_model.training.config import ConceptConfig, WorldModelConfig
from clay4d.world_model.training.reasoning import set_scales
from clay4d.world_model.training.run import new_model, train_world
from clay4d.world_model.training.stage import Run
from clay4d.world_model.worlds import open_worlds


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conceptual(config: WorldModelConfig, kind: str) -> WorldModelConfig:
    return dataclasses.replace(
        config,
        reasoning=dataclasses.replace(config.reasoning, kind=kind),  # type: ignore[arg-type]
    )


def test_absent_things_are_no_part_of_a_concept() -> None:
    coder = SegmentCoder(objects=3, segment=6, numbers=8)
    present = torch.tensor([[True, True, False]])
    places, turns = draw(1, 6, 3, 3), draw(1, 6, 3, 4, seed=1)
    concept = coder.encode(places, turns, present)
    places[:, :, 2] += 5
    turns[:, :, 1] *= -1  # the same rotation
    torch.testing.assert_close(coder.encode(places, turns, present), concept)
    places[:, 3, 1] += 0.5
    assert not torch.allclose(coder.encode(places, turns, present), concept)


def test_scales_are_robust() -> None:
    coder = SegmentCoder(objects=2, segment=6, numbers=4)
    raw = 3 + 2 * draw(4001, 4)
    raw[0] = 1e6
    coder.set_scales(raw)
    torch.testing.assert_close(coder.middle, torch.full((4,), 3.0), atol=0.15, rtol=0)
    torch.testing.assert_close(coder.spread, torch.full((4,), 2.0), atol=0.15, rtol=0)


def test_the_stage_learns_to_go_there_and_back(
    small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    train = open_worlds(small_worlds, split="train")
    model = new_model(conceptual(small_config, "concept-quantised"), train)
    cached = cached_worlds(train, model.encoder, tmp_path / "slots", context=6, seed=0)
    set_scales(model, cached)
    assert model.dynamics.coder is not None
    config = ConceptConfig(steps=300, batch=16, lr=3e-3)
    run = Run(ConceptStage(config, model.dynamics.coder, cached, seed=0))
    said = [run.step()["error"] for _ in range(300)]
    assert sum(said[-10:]) < 0.6 * sum(said[:10])


def test_books_of_codes_fit_better_the_more_there_are() -> None:
    concepts = draw(3000, 6)
    books = fit_books(concepts, books=3, units=16)
    left = concepts
    off = [left.square().sum(1).mean()]
    codes = residual_codes(concepts, books)
    for q, book in enumerate(books):
        assert torch.equal(codes[:, q], torch.cdist(left, book).argmin(1))
        left = left - book[codes[:, q]]
        off.append(left.square().sum(1).mean())
        assert len(codes[:, q].unique()) == 16
    assert off[1] < 0.8 * off[0] and off[2] < 0.85 * off[1] and off[3] < 0.9 * off[2]
    assert torch.equal(fit_books(concepts, books=3, units=16), books)
    with pytest.raises(ValueError, match="concepts got 1; expected at least 2."):
        fit_books(concepts[:1], units=16)


def test_draws_come_from_both_futures_where_a_mean_would_be_neither() -> None:
    torch.manual_seed(0)
    r = build_reasoner("concept-diffusion", Size(16, 1, 2, 32), EventSizes(4, 3, 3))
    assert isinstance(r, ConceptDiffusion)
    adam, hidden = torch.optim.Adam(r.parameters(), lr=5e-3), torch.zeros(64, 16)
    draws = torch.Generator().manual_seed(1)
    for _ in range(400):
        sign = torch.where(torch.rand(64, 1, generator=draws) < 0.5, -1.0, 1.0)
        time = torch.rand(64, generator=draws)
        noise = torch.randn(64, NUMBERS, generator=draws)
        angle = time[:, None] * torch.pi / 2
        truth = sign.expand(64, NUMBERS)
        found = r.clean(torch.cos(angle) * truth + torch.sin(angle) * noise, time, hidden)
        adam.zero_grad()
        (found - truth).square().mean().backward()
        adam.step()
    drawn = r.draw(hidden, torch.Generator().manual_seed(2)).mean(1)
    assert drawn.abs().mean() > 0.6  # a mean would have 0
    assert 0.3 < (drawn > 0).float().mean() < 0.7


@pytest.mark.parametrize("kind", ["concept", "concept-diffusion", "concept-quantised"])
def test_concepts_are_trained_frozen_scored_and_resumed(
    kind: str, small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(conceptual(small_config, kind), keep_checkpoints=True)
    model = train_world(config, small_worlds, tmp_path / "run")
    coder = model.dynamics.coder
    assert coder is not None and not any(p.requires_grad for p in coder.parameters())
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())["concepts"]
    assert set(scores) == {"coding_error", "distance", "round_trip", "contrast"}
    assert 0 <= scores["contrast"] <= 1 and scores["coding_error"] > 0
    kept = sorted((tmp_path / "run" / "steps").iterdir())
    assert [p.name.split(".")[1] for p in kept] == ["00000", "00003", "00006"]
    early = new_model(config, open_worlds(small_worlds, split="train"))
    assert load_step(early, kept[0]) == 0 and load_step(early, kept[-1]) == 6
    for name, value in model.dynamics.state_dict().items():
        assert torch.equal(value, early.dynamics.state_dict()[name]), name
    # Frozen: what reasoning trained has the autoencoder that the stage before it left.
    (tmp_path / "run" / "reasoning.checkpoint.safetensors").unlink()
    again = train_world(config, small_worlds, tmp_path / "run", resume=True)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_scores_tell_the_right_concept_from_others(
    small_config: WorldModelConfig, small_worlds: Path, tmp_path: Path
) -> None:
    train = open_worlds(small_worlds, split="train")
    model = new_model(conceptual(small_config, "concept"), train).eval()
    cached = cached_worlds(train, model.encoder, tmp_path / "slots", context=6, seed=0)
    set_scales(model, cached)
    freeze_concepts(model, cached)
    coder, reasoner = model.dynamics.coder, model.dynamics.reasoner
    assert coder is not None
    parts = segments(cached.whole, 6)
    right = coder.encode(parts[1].positions, parts[1].quats, parts[1].present)
    guessed = concept_scores(model, train)
    think = reasoner.think

    def know(*given: object, **asked: object) -> object:
        had, mind = think(*given, **asked)  # type: ignore[arg-type]
        return dataclasses.replace(had, concepts=right[:, None]), mind

    reasoner.think = know  # type: ignore[assignment]
    known = concept_scores(model, train)
    assert known["distance"] < 1e-5 and known["contrast"] == 1.0
    assert guessed["distance"] > 0.1 and guessed["contrast"] < 1
    with pytest.raises(
        ValueError, match="concept scores got reasoner pause; expected a concept one"
    ):
        concept_scores(new_model(conceptual(small_config, "pause"), train), train)
