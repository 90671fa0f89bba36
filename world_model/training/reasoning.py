"""Reasoners on cached slots: what happens next, and what a prompt alone describes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clay4d.scenes.quaternions import multiply, rotate
from clay4d.world_model.model.birth import announced_loss, flow_loss
from clay4d.world_model.model.dynamics import Segment
from clay4d.world_model.model.heads import Futures, log_likelihoods
from clay4d.world_model.model.world_model import FPS, WorldModel
from clay4d.world_model.reasoners.thinker import Mind
from clay4d.world_model.script import mention_order
from clay4d.world_model.slots import Slots
from clay4d.world_model.training.cache import VARIANTS, CachedWorlds
from clay4d.world_model.training.config import ReasoningConfig
from clay4d.world_model.training.stage import generator

PLACE = 2
"""Of this stage's draws among all draws of a seed."""
FLOWS = 2
"""Moments of the flow that a beginning is asked about; each is a cheap answer to what was read once."""


@dataclass(frozen=True)
class Lesson:
    """A batch: what is read, what is asked, and the events between."""

    prompts: list[str]
    whole: Slots
    context: Segment
    looks: Tensor
    present: Tensor
    order: list[list[int]]
    """For each world, which of its objects is in which slot."""
    which: list[int]
    blind: bool
    thoughts: int
    latent: int
    seed: int
    """Of what reasoners draw."""


def set_scales(model: WorldModel, cached: CachedWorlds) -> None:
    """Median and spread of looks and stages over the training worlds, by quartiles."""
    looks = cached.whole.looks[cached.whole.present]
    low, middle, high = torch.quantile(looks, torch.tensor([0.25, 0.5, 0.75]), dim=0)
    model.dynamics.looks_mean.copy_(middle)
    model.dynamics.looks_scale.copy_(((high - low) / 1.35).clamp_min(1e-3))
    model.dynamics.stage_mean.copy_(cached.whole.stage.mean(0))


class ReasoningStage:
    """The stage that trains everything between slots and slots."""

    name = "reasoning"
    shards = 1

    def __init__(
        self,
        config: ReasoningConfig,
        model: WorldModel,
        cached: CachedWorlds,
        *,
        seed: int,
        held: CachedWorlds | None = None,
    ) -> None:
        self.config, self.model, self.cached, self.seed = config, model, cached, seed
        self.steps, self.lr, self.held = config.steps, config.lr, held
        self.modules: Mapping[str, nn.Module] = {"dynamics": model.dynamics}

    def losses(self, step: int) -> dict[str, Tensor]:
        """One batch: segments in turn, each after the model's own last one."""
        lesson = self.lesson(step)
        dynamics, size = self.model.dynamics, self.config.segment
        total, written, own = torch.zeros(()), torch.zeros(()), torch.zeros(())
        said: dict[str, Tensor] = {}
        mind = dynamics.begin(lesson.prompts, None if lesson.blind else lesson.whole.stage)
        if lesson.blind:
            mind, written, own = self._think(mind, lesson, 0)
            birth, parts = self.birth(mind, lesson, step)
            total, said = total + birth, said | parts
        segment = lesson.context
        mind = dynamics.read(mind, segment, lesson.looks, lesson.present, 0)
        moments = lesson.whole.positions.shape[1]
        off = []
        segments = moments // size - 1
        for index in range(segments):
            now = slice(size * (index + 1), size * (index + 2))
            mind, events, asked = self._think(mind, lesson, index + 1)
            futures = dynamics.next(mind, segment, lesson.looks, lesson.present, index)
            truth = lesson.whole.at(now)
            loss, segment, error = next_loss(futures, truth, lesson.present)
            total, written, own = total + loss, written + events, own + asked
            off.append(error)
            if index + 1 < segments:
                mind = dynamics.read(mind, segment, lesson.looks, lesson.present, index + 1)
        total = total / max(segments, 1) + self.config.event_weight * written / max(segments, 1)
        total = total + own / max(segments, 1)
        said["loss"] = total
        said["error"] = torch.stack(off).mean() if off else torch.zeros(())
        said["events"] = written.detach() / max(segments, 1)
        if own.requires_grad:
            said["own"] = own.detach() / max(segments, 1)
        return said

    def stage_of(self, step: int, draws: torch.Generator) -> int:
        """How many thoughts are latent: all where there is no curriculum, else ever more of them."""
        most = self.config.thoughts[1]
        if self.config.curriculum <= 0:
            return most
        stage = min(
            int(step // self.shards / (self.config.curriculum * self.steps) * (most + 1)), most
        )
        if float(torch.rand(1, generator=draws)) < self.config.mixed:
            stage = int(torch.randint(0, stage + 1, (1,), generator=draws))
        return stage

    def lesson(self, step: int) -> Lesson:
        """The batch of a step; all of it depends on seed and step alone."""
        config, draws = self.config, generator(self.seed, PLACE, step)
        which = [self._index(k) for k in range(step * config.batch, (step + 1) * config.batch)]
        blind = float(torch.rand(1, generator=draws)) < config.blind
        low, high = config.thoughts
        thoughts = int(torch.randint(low, high + 1, (1,), generator=draws))
        latent = self.stage_of(step, draws)
        prompts, order = [], []
        for i in which:
            words = self.cached.words[i]
            texts = [words["prompt"], *words["paraphrases"]]
            text = texts[int(torch.randint(0, len(texts), (1,), generator=draws))]
            objects = [(o["colour"], o["shape"]) for o in words["objects"]]
            shuffled = torch.randperm(len(objects), generator=draws).tolist()
            order.append(mention_order(text, objects) if blind else shuffled)
            mute = not blind and float(torch.rand(1, generator=draws)) < 0.5
            prompts.append("" if mute else text)
        index = torch.tensor(which)
        # A prompt is asked which slots there are. Frames are not: no slot is carried that no world fills.
        most = None if blind else max(map(len, order))
        whole = ordered(self.cached.whole.of(index), order, most)
        variant = int(torch.randint(-2, VARIANTS, (1,), generator=draws).clamp_min(0))
        early = ordered(self.cached.contexts[variant].of(index), order, most)
        # Worlds without words are turned about the vertical, for left and right mean nothing there.
        angle = torch.rand(len(which), generator=draws) * 2 * math.pi
        angle = angle * torch.tensor([p == "" for p in prompts])
        whole, early = turned(whole, angle), turned(early, angle)
        if blind:
            early = whole.at(slice(0, config.segment))
        shown = config.segment
        if not blind and float(torch.rand(1, generator=draws)) < 0.5:
            shown = int(torch.randint(1, config.segment + 1, (1,), generator=draws))
        known = early.seen & early.present[:, None]
        known[:, : config.segment - shown] = False
        context = Segment(early.positions, early.quats, known)
        return Lesson(
            prompts, whole, _hold(context, config.segment - shown), early.looks, early.present,
            order, which, blind, thoughts, latent,
            int(torch.randint(0, 1 << 40, (1,), generator=draws)),
        )  # fmt: skip

    def _index(self, k: int) -> int:
        count = len(self.cached)
        epoch, place = divmod(k, count)
        if getattr(self, "_epoch", None) != epoch:
            draws = generator(self.seed, PLACE, 1 << 20, epoch)
            self._epoch, self._order = epoch, torch.randperm(count, generator=draws).tolist()
        return int(self._order[place])

    def _think(self, mind: Mind, lesson: Lesson, segment: int) -> tuple[Mind, Tensor, Tensor]:
        """Thoughts before a segment; the loss of those that are written events, and the reasoner's own."""
        seconds = self.config.segment / FPS
        start, codec = segment * seconds, self.model.codec
        codes = []
        for n, i in enumerate(lesson.which):
            things = self.cached.things(i)
            words = [things[k] for k in lesson.order[n]]
            codes.append(
                codec.segment(
                    self.cached.events(i), words, start=start, end=start + seconds,
                    count=lesson.thoughts,
                )
            )  # fmt: skip
        written = torch.from_numpy(np.stack(codes))
        reasoner = self.model.dynamics.reasoner
        latent = min(lesson.latent, lesson.thoughts)
        if reasoner.writes:
            latent = lesson.thoughts
        thoughts, mind = reasoner.think(
            mind, lesson.thoughts, written=written, latent=latent, seed=lesson.seed + segment,
            following=self._concept(lesson, segment),
        )  # fmt: skip
        own = torch.zeros(()) if thoughts.loss is None else thoughts.loss
        if thoughts.logits is None:
            return mind, torch.zeros(()), own
        first = lesson.thoughts - thoughts.logits[0].shape[1]
        return mind, event_loss(thoughts.logits, written[:, first:]), own

    def _concept(self, lesson: Lesson, segment: int) -> Tensor | None:
        """What the thoughts before a segment should be, for reasoners that think in concepts."""
        coder, size = self.model.dynamics.coder, self.config.segment
        if coder is None:
            return None
        truth = lesson.whole.at(slice(segment * size, (segment + 1) * size))
        return coder.encode(truth.positions, truth.quats, truth.present).detach()

    def birth(self, mind: Mind, lesson: Lesson, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of what a prompt says of a scene's beginning, and its parts."""
        dynamics, whole = self.model.dynamics, lesson.whole.at(slice(0, self.config.segment))
        present = whole.present
        said = dynamics.announce(mind, present.shape[1])
        sure = announced_loss(said, dynamics.normal(whole.looks), present)
        state = dynamics.birth.pack(whole.positions, whole.quats)
        weight = dynamics.birth.weights((whole.seen & present[:, None]).float())
        flow = torch.zeros(())
        for k in range(FLOWS):
            draws = generator(self.seed, PLACE, step, 1 + k)
            flow = flow + flow_loss(
                lambda s, t: dynamics.velocity(mind, s, t, present), state, weight, draws
            )
        flow = flow / FLOWS
        right = ((said.present > 0) == present).all(1).float().mean()
        return sure + self.config.birth_weight * flow, {
            "birth": flow.detach(), "sure": sure.detach(), "count_right": right,
        }  # fmt: skip

    def preview(self, folder: Path, step: int) -> None:
        """Nothing to draw: slots are numbers; `score` says how far predictions are off."""


def next_loss(futures: Futures, truth: Slots, present: Tensor) -> tuple[Tensor, Segment, Tensor]:
    """Negative log-likelihood for each coordinate triple; the mode that fits best; the likeliest's error."""
    weight = (truth.seen & present[:, None]).float()
    scored = futures.chances + log_likelihoods(futures, truth.positions, weight)
    total = weight.sum().clamp_min(1)
    loss = -torch.logsumexp(scored, 1).sum() / total
    positions, quats = futures.choose(scored.argmax(1).detach())
    loss = loss + 0.3 * _rotation_loss(quats, truth.quats, weight)
    with torch.no_grad():
        likeliest, _ = futures.choose(futures.chances.argmax(1))
        error = ((likeliest - truth.positions).norm(dim=-1) * weight).sum() / total
    known = present[:, None].expand(positions.shape[:3])
    return loss, Segment(positions, quats, known), error


def event_loss(logits: Sequence[Tensor], written: Tensor) -> Tensor:
    """Cross entropy of written events; of those that say nothing, only the sentence counts."""
    happens = written[..., 0] > 0
    total = F.cross_entropy(logits[0].flatten(0, 1), written[..., 0].flatten())
    for field, scores in enumerate(logits[1:], 1):
        each = F.cross_entropy(
            scores.flatten(0, 1), written[..., field].flatten(), reduction="none"
        )
        total = total + (each * happens.flatten()).sum() / happens.numel()
    return total


def ordered(slots: Slots, order: Sequence[Sequence[int]], count: int | None = None) -> Slots:
    """The first `count` slots, all by default, in another order: for each world the objects' indices.

    What follows the objects stays where it is.
    """
    b = slots.looks.shape[1]
    index = torch.tensor([[*o, *range(len(o), b)][:count] for o in order])
    rows = torch.arange(len(index))[:, None]

    def moved(x: Tensor) -> Tensor:
        return x.transpose(1, 2)[rows, index].transpose(1, 2)

    return replace(
        slots, looks=slots.looks[rows, index], present=slots.present[rows, index],
        positions=moved(slots.positions), quats=moved(slots.quats), seen=moved(slots.seen),
    )  # fmt: skip


def turned(slots: Slots, angle: Tensor) -> Slots:
    """The same worlds, turned about the vertical by angles in radians."""
    vertical = torch.stack([torch.cos(angle / 2), 0 * angle, 0 * angle, torch.sin(angle / 2)], -1)
    turn = vertical[:, None, None].expand(*slots.positions.shape[:3], 4)
    return replace(
        slots, positions=rotate(turn, slots.positions), quats=multiply(turn, slots.quats)
    )


def _hold(segment: Segment, missing: int) -> Segment:
    """Missing frames at the start hold the pose of the first that is there."""
    if missing == 0:
        return segment
    positions, quats = segment.positions.clone(), segment.quats.clone()
    positions[:, :missing] = positions[:, missing : missing + 1]
    quats[:, :missing] = quats[:, missing : missing + 1]
    return Segment(positions, quats, segment.known)


def _rotation_loss(quats: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Sine of half the angle between rotations, with a square's foot.

    Its square has next to no slope at small angles: walls turned by a tenth of a turn in two seconds.
    """
    off = (1 - (quats * truth).sum(-1).square()).clamp_min(0)
    off = (off + 1e-4).sqrt() - 1e-2
    return (off * weight).sum() / weight.sum().clamp_min(1)
