"""Prompt and early slots → thoughts → slots of the next frames, segment after segment.

One sequence a world: the prompt's patches, the stage, a token for each object and segment; before each
answer the reasoner thinks, and what it answers is read again. In training, too, each segment follows
the model's own last one (SlotFormer, Wu et al. 2023, found teacher forcing worse).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.world_model.model.birth import Announced, BirthHead, draw_state
from clay4d.world_model.model.concepts import SegmentCoder
from clay4d.world_model.model.heads import FutureHead, Futures
from clay4d.world_model.model.text import Patcher, TextEncoder, whitespace_patches
from clay4d.world_model.reasoners import EventSizes, Size, Thinker, build_reasoner
from clay4d.world_model.reasoners.thinker import Mind
from clay4d.world_model.reasoners.transformer import positions as places


@dataclass(frozen=True)
class Segment:
    """Poses of N worlds' objects in the k frames of a segment."""

    positions: Float[Tensor, "N k B 3"]
    quats: Float[Tensor, "N k B 4"]
    known: Bool[Tensor, "N k B"]
    """False where a frame is missing: its pose is then that of the nearest known one."""


@dataclass(frozen=True)
class DynamicsSize:
    """Dimensions of the model behind the encoder."""

    reasoner: Size = Size()
    looks: int = 32
    stage: int = 16
    objects: int = 8
    segment: int = 6
    modes: int = 6


class Dynamics(nn.Module):
    """Everything between slots and slots."""

    looks_mean: Tensor
    looks_scale: Tensor
    stage_mean: Tensor

    def __init__(
        self,
        size: DynamicsSize,
        kind: str,
        events: EventSizes,
        *,
        patcher: Patcher = whitespace_patches,
    ) -> None:
        super().__init__()
        self.size = size
        width, k = size.reasoner.width, size.segment
        self.text = TextEncoder(width, patcher)
        self.reasoner: Thinker = build_reasoner(kind, size.reasoner, events)
        self.coder: SegmentCoder | None = None
        if self.reasoner.concept:
            self.coder = SegmentCoder(
                objects=size.objects, segment=k, numbers=self.reasoner.concept
            )
        self.state = nn.Sequential(
            nn.Linear(size.looks + k * 11, width), nn.GELU(), nn.Linear(width, width)
        )
        self.stage = nn.Linear(size.stage, width)
        self.ask = nn.Linear(width, width)
        self.slot = nn.Embedding(size.objects, width)
        self.kinds = nn.Embedding(4, width)
        for table in (self.slot, self.kinds):
            nn.init.normal_(table.weight, std=0.5)
        self.future = FutureHead(width, segment=k, modes=size.modes)
        self.birth = BirthHead(width, segment=k, looks=size.looks)
        # What looks and stages are like over all worlds; set from the cached slots.
        self.register_buffer("looks_mean", torch.zeros(size.looks))
        self.register_buffer("looks_scale", torch.ones(size.looks))
        self.register_buffer("stage_mean", torch.zeros(size.stage))

    def normal(self, looks: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Looks with mean 0 and scale 1 over the training worlds."""
        return (looks - self.looks_mean) / self.looks_scale

    def looks_of(self, normal: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Looks from normalised ones."""
        return normal * self.looks_scale + self.looks_mean

    def begin(self, prompts: Sequence[str], stage: Float[Tensor, "N S"] | None = None) -> Mind:
        """Read prompts, which may be empty, and the stage, the mean one by default."""
        tokens, real = self.text(prompts)
        given = self.stage_mean.expand(len(prompts), -1) if stage is None else stage
        ground = self.stage(given - self.stage_mean) + self.kinds.weight[0]
        real = torch.cat([real, torch.ones(len(prompts), 1, dtype=torch.bool)], 1)
        return self.reasoner.read(torch.cat([tokens, ground[:, None]], 1), real)

    def tokens(
        self, segment: Segment, looks: Float[Tensor, "N B A"], index: int
    ) -> Float[Tensor, "N B D"]:
        """One token an object: looks, and where it was in each frame of the segment."""
        known = segment.known.float()[..., None]
        places_, turns = segment.positions, segment.quats
        turns = turns * torch.where(turns[..., :1] < 0, -1.0, 1.0)
        steps = F.pad(places_[:, 1:] - places_[:, :-1], (0, 0, 0, 0, 1, 0)) * 5
        told = torch.cat([places_ * 0.7, steps, turns, known], -1).transpose(1, 2).flatten(2)
        state: Tensor = self.state(torch.cat([self.normal(looks), told], -1))
        when = places(1, self.size.reasoner.width, first=index)
        return state + self.slot.weight[: state.shape[1]] + when

    def read(
        self,
        mind: Mind | None,
        segment: Segment,
        looks: Float[Tensor, "N B A"],
        present: Bool[Tensor, "N B"],
        index: int,
    ) -> Mind:
        """Take in a segment's objects."""
        tokens = self.tokens(segment, looks, index) + self.kinds.weight[1]
        return self.reasoner.read(tokens, present, mind)

    def next(
        self,
        mind: Mind,
        segment: Segment,
        looks: Float[Tensor, "N B A"],
        present: Bool[Tensor, "N B"],
        index: int,
    ) -> Futures:
        """Ways in which the segment after `segment`, number `index`, can go."""
        queries = self.ask(self.tokens(segment, looks, index)) + self.kinds.weight[2]
        found = self.reasoner.answer(mind, queries, present)
        return self.future(  # type: ignore[no-any-return]
            found, present, straight_on(segment, self.size.segment), segment.quats[:, -1]
        )

    def announce(self, mind: Mind, count: int) -> Announced:
        """Which of `count` slots a scene begins with, and their looks, from what was read and thought."""
        n = len(mind.cache.real)
        every = torch.ones(n, count, dtype=torch.bool)
        found = self.reasoner.answer(mind, self._births(count).expand(n, -1, -1), every)
        return self.birth(found)  # type: ignore[no-any-return]

    def velocity(
        self,
        mind: Mind,
        state: Float[Tensor, "N B S"],
        time: Float[Tensor, " N"],
        present: Bool[Tensor, "N B"],
    ) -> Float[Tensor, "N B S"]:
        """Whither a half-drawn beginning goes, at a moment of the flow."""
        queries = self._births(state.shape[1]) + self.birth.query(state, time)
        found: Tensor = self.birth.give(self.reasoner.answer(mind, queries, present))
        return found

    def begin_somehow(
        self, mind: Mind, present: Bool[Tensor, "N B"], draws: torch.Generator, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Draw the first frames of what is there: positions [N, k, B, 3] and quats [N, k, B, 4]."""
        state = draw_state(
            lambda s, t: self.velocity(mind, s, t, present),
            (*present.shape, self.birth.size), draws, temperature=temperature,
        )  # fmt: skip
        places, turns = self.birth.unpack(state)
        return places, turns

    def _births(self, count: int) -> Float[Tensor, "count D"]:
        return self.slot.weight[:count] + self.kinds.weight[3]


def straight_on(segment: Segment, count: int) -> Float[Tensor, "N count B 3"]:
    """Where objects go with the speed of their last two known frames: what the answer corrects."""
    last = segment.positions[:, -1]
    both = segment.known[:, -1:] & segment.known[:, -2:-1]
    speed = last - segment.positions[:, -2] if segment.positions.shape[1] > 1 else 0 * last
    speed = speed * both[:, 0, :, None] if segment.positions.shape[1] > 1 else speed
    ahead = torch.arange(1, count + 1, dtype=last.dtype)[:, None, None]
    return last[:, None] + ahead * speed[:, None]
