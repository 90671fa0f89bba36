"""The frozen space of concepts: its autoencoder, its scales and its codes, before any reasoner; and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clay4d.world_model.model.concepts import SegmentCoder
from clay4d.world_model.model.world_model import WorldModel, whole_segment
from clay4d.world_model.reasoners.concept_quantised import ConceptQuantised, fit_books
from clay4d.world_model.slots import Slots
from clay4d.world_model.training.cache import CachedWorlds, encode_worlds
from clay4d.world_model.training.config import ConceptConfig
from clay4d.world_model.training.reasoning import ordered, turned
from clay4d.world_model.training.stage import generator
from clay4d.world_model.worlds import WorldSet

PLACE = 6
"""Of this stage's draws among all draws of a seed."""
CODED = 16_000
"""Concepts that the books of codes are fitted to, at the most."""


class ConceptStage:
    """The stage that trains the autoencoder of segments on cached slots."""

    name = "concepts"
    shards = 1

    def __init__(
        self, config: ConceptConfig, coder: SegmentCoder, cached: CachedWorlds, *, seed: int
    ) -> None:
        self.config, self.coder, self.cached, self.seed = config, coder, cached, seed
        self.steps, self.lr = config.steps, config.lr
        self.modules: Mapping[str, nn.Module] = {"coder": coder}

    def losses(self, step: int) -> dict[str, Tensor]:
        """Squared error of segments that went there and back, objects in any slots, turned anyhow."""
        draws, size = generator(self.seed, PLACE, step), self.coder.segment
        which = torch.randint(0, len(self.cached), (self.config.batch,), generator=draws)
        slots = self.cached.whole.of(which)
        order = [
            torch.randperm(int(count), generator=draws).tolist() for count in slots.present.sum(1)
        ]
        begin = int(torch.randint(0, slots.positions.shape[1] - size + 1, (1,), generator=draws))
        slots = ordered(slots.at(slice(begin, begin + size)), order)
        slots = turned(slots, torch.rand(len(which), generator=draws) * 2 * math.pi)
        off, turn = there_and_back(self.coder, slots)
        return {
            "loss": off.square().sum(-1).mean() + 0.1 * turn.mean(),
            "error": off.norm(dim=-1).mean(),
        }

    def preview(self, folder: Path, step: int) -> None:
        """Nothing to draw: slots are numbers."""


def there_and_back(coder: SegmentCoder, slots: Slots) -> tuple[Tensor, Tensor]:
    """How far poses of what is there are off after coding: metres [M, 3], and 1 − cos² of half angles [M]."""
    concept = coder.encode(slots.positions, slots.quats, slots.present)
    positions, quats = coder.decode(concept)
    there = slots.present[:, None].expand(slots.seen.shape)
    count = slots.present.shape[1]
    off = (positions[:, :, :count] - slots.positions)[there]
    turn = 1 - (quats[:, :, :count] * slots.quats).sum(-1).square()
    return off, turn[there]


@torch.no_grad()
def freeze_concepts(model: WorldModel, cached: CachedWorlds) -> None:
    """Set scales, and codes where thoughts are codes, over the training worlds' segments, and freeze."""
    coder = model.dynamics.coder
    assert coder is not None
    coder.requires_grad_(False)
    raw = torch.cat([_raw(coder, s) for s in segments(cached.whole, coder.segment)])
    coder.set_scales(raw)
    reasoner = model.dynamics.reasoner
    if isinstance(reasoner, ConceptQuantised):
        every = max(len(raw) // CODED, 1)
        reasoner.books.copy_(fit_books(((raw - coder.middle) / coder.spread)[::every]))


def segments(slots: Slots, size: int) -> list[Slots]:
    """The whole segments of some worlds, one after the other."""
    count = slots.positions.shape[1] // size
    return [slots.at(slice(k * size, (k + 1) * size)) for k in range(count)]


@dataclass(frozen=True)
class ConceptScores:
    """How good a space of concepts is, and predictions in it; distances are root mean squares of a
    scaled concept's numbers."""

    coding_error: float
    """Metres, mean over objects and frames of segments that went there and back."""
    distance: float
    """Between the last thought before the segment after the context, and its concept."""
    round_trip: float
    """Between that thought and itself decoded and encoded again: whether it is any segment's concept."""
    contrast: float
    """Share of other worlds whose concept is farther from the thought than the right one."""


@torch.no_grad()
def concept_scores(
    model: WorldModel, worlds: WorldSet, *, thoughts: int = 4, seed: int = 0
) -> dict[str, Any]:
    """The scores that the Large Concept Model is measured by, on held-out worlds.

    Raises:
        ValueError: a reasoner whose thoughts are no concepts.
    """
    coder = model.dynamics.coder
    if coder is None:
        raise ValueError(
            f"concept scores got reasoner {model.config.reasoning.kind}; expected a concept one."
        )
    whole, _ = encode_worlds(worlds, model.encoder, context=coder.segment, seed=seed)
    parts = segments(whole, coder.segment)
    off = torch.cat([there_and_back(coder, s)[0] for s in parts])
    context = whole_segment(parts[0], coder.segment)
    dynamics, prompts = model.dynamics, [str(worlds.words(i)["prompt"]) for i in range(len(worlds))]
    mind = dynamics.begin(prompts, whole.stage)
    mind = dynamics.read(mind, context, whole.looks, whole.present, 0)
    had, _ = dynamics.reasoner.think(mind, thoughts, seed=seed)
    assert had.concepts is not None
    told, right = had.concepts[:, -1], _code(coder, parts[1])
    positions, quats = coder.decode(told)
    again = coder.encode(positions, quats, _padded(whole.present, coder.objects))
    apart = torch.cdist(told, right)
    own = apart.diagonal()[:, None]
    others = ~torch.eye(len(told), dtype=torch.bool)
    return vars(
        ConceptScores(
            float(off.norm(dim=-1).mean()), _rms(told - right), _rms(told - again),
            float((apart > own)[others].float().mean()),
        )
    )  # fmt: skip


def _rms(off: Tensor) -> float:
    return float(off.square().mean(1).sqrt().mean())


def _padded(present: Tensor, objects: int) -> Tensor:
    return torch.nn.functional.pad(present, (0, objects - present.shape[1]))


def _code(coder: SegmentCoder, slots: Slots) -> Tensor:
    return coder.encode(slots.positions, slots.quats, slots.present)


def _raw(coder: SegmentCoder, slots: Slots) -> Tensor:
    return coder.raw(slots.positions, slots.quats, slots.present)
