"""The whole model, its file, and how a scene comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clay4d.config import from_dict, to_dict
from clay4d.scenes.claimed import only_sizes
from clay4d.scenes.fields.objects import ObjectField
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.scenes.store_checks import check_entries
from clay4d.world_model.decoders import GaussianDecoder
from clay4d.world_model.encoder import Encoder
from clay4d.world_model.encoder.segmenter import Segmenter
from clay4d.world_model.model.dynamics import Dynamics, DynamicsSize, Segment
from clay4d.world_model.model.text import PATCHERS
from clay4d.world_model.reasoners import Disturbance, Thoughts
from clay4d.world_model.reasoners.thinker import Mind
from clay4d.world_model.script import EventCodec
from clay4d.world_model.slots import Slots
from clay4d.world_model.training.config import WorldModelConfig
from clay4d.world_model.training.stage import generator

LARGEST = 4096
"""Most ways into the future that a file may claim."""
FORMAT = "clay4d-world-model-2"
FPS = 12.0
"""Frames a second of the worlds that the model learns from."""


Believed = tuple[Slots, Tensor | None]
"""The next half second as a mind would have it, and the logarithm of that future's chance, [N]."""
Believe = Callable[[Mind], Believed]
Watch = Callable[[Mind, float, Believe, int], None]
"""Called with the mind before it thinks, the second from which on it foretells, its beliefs, and the seed
of this stretch's thoughts."""


@dataclass(frozen=True)
class Thinking:
    """What the model thought on the way to a scene: before each segment, in order."""

    thoughts: tuple[Thoughts, ...]
    starts: tuple[float, ...]
    """Seconds at which the segment after each stretch of thinking starts."""


class WorldModel(nn.Module):
    """Encoder, dynamics and decoder with what they were trained on."""

    def __init__(
        self, config: WorldModelConfig, codec: EventCodec, vocabulary: Sequence[str]
    ) -> None:
        super().__init__()
        self.config, self.codec, self.vocabulary = config, codec, tuple(vocabulary)
        self.encoder = Encoder(config.encoder)
        sizes = {"looks": config.encoder.looks, "stage": config.encoder.stage}
        self.decoder = GaussianDecoder(config.decoder, **sizes)
        self.segmenter = Segmenter()
        self.field = ObjectField(config.fields.size, looks=config.encoder.looks)
        size = DynamicsSize(
            config.reasoning.size, objects=config.encoder.objects, modes=config.reasoning.modes,
            segment=config.reasoning.segment, **sizes,
        )  # fmt: skip
        self.dynamics = Dynamics(
            size, config.reasoning.kind, codec.sizes(config.encoder.objects),
            patcher=PATCHERS[config.reasoning.patches],
        )  # fmt: skip

    def save(self, path: Path, **notes: Any) -> None:
        """Write the model to one safetensors file, with its config and `notes` in the header."""
        header = {
            "format": FORMAT, "config": to_dict(self.config), "templates": list(self.codec.templates),
            "vocabulary": list(self.vocabulary), "notes": notes,
        }  # fmt: skip
        write_tensors(path, self.state_dict(), header)

    @classmethod
    def load(cls, path: str | Path) -> WorldModel:
        """Read a model that `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: damaged, no world model, or one of another version.
        """
        tensors, header = read_tensors(path)
        if header.get("format") != FORMAT:
            raise ValueError(
                f"{path} got format {header.get('format')!r}; expected {FORMAT!r}. Use weights of this "
                "version, or train them with: clay4d train-world"
            )
        model = _claimed(cls, path, header, tensors)
        for name, value in tensors.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"{path}: {name} got NaN or infinity; expected finite values.")
        model.load_state_dict(tensors)
        return model.eval()

    @torch.no_grad()
    def imagine(
        self,
        prompts: Sequence[str],
        *,
        context: Slots | None = None,
        frames: int = 24,
        thoughts: int = 4,
        seed: int = 0,
        temperature: float = 1.0,
        disturbance: Disturbance | None = None,
        watch: Watch | None = None,
    ) -> tuple[Slots, Thinking]:
        """Slots of whole scenes: those of the context, if any, and what comes after them.

        Args:
            context: slots at 1 to `segment` moments, 1/12 s apart; a scene begins with them.
            thoughts: before each segment. temperature: 0 for the likeliest future, 1 for a fair draw.
            watch: told before each stretch of thinking; it changes nothing.

        Raises:
            ValueError: a context of too many moments, thoughts outside 0 to 16.
        """
        k = self.dynamics.size.segment
        story = _Story(self, thoughts, seed, temperature, disturbance, watch)
        mind, slots, first, shown = story.begin(prompts, context)
        mind = self.dynamics.read(mind, first, slots.looks, slots.present, 0)
        places, turns = [first.positions[:, k - shown :]], [first.quats[:, k - shown :]]
        index = 0
        while shown < frames:

            def ahead(mind: Mind, now: Segment = first, index: int = index) -> Believed:
                return story.ahead(mind, now, slots, index)

            mind = story.think(mind, shown / FPS, ahead)
            believed, _ = ahead(mind)
            index += 1
            first = Segment(believed.positions, believed.quats, believed.seen)
            mind = self.dynamics.read(mind, first, slots.looks, slots.present, index)
            places.append(first.positions)
            turns.append(first.quats)
            shown += k
        positions, quats = torch.cat(places, 1)[:, :frames], torch.cat(turns, 1)[:, :frames]
        return _posed(slots, positions, quats), Thinking(tuple(story.minds), tuple(story.starts))


class _Story:
    """One call of `imagine`: its draws, and what was thought on the way."""

    def __init__(
        self,
        model: WorldModel,
        thoughts: int,
        seed: int,
        temperature: float,
        disturbance: Disturbance | None,
        watch: Watch | None,
    ) -> None:
        self.model, self.thoughts, self.seed = model, thoughts, seed
        self.temperature, self.disturbance, self.watch = temperature, disturbance, watch
        self.draws = generator(seed, 11)
        self.minds: list[Thoughts] = []
        self.starts: list[float] = []

    def begin(
        self, prompts: Sequence[str], context: Slots | None
    ) -> tuple[Mind, Slots, Segment, int]:
        """The mind, the first slots, the segment that ends with them, and how many moments they are."""
        dynamics = self.model.dynamics
        k = dynamics.size.segment
        if context is None:
            mind = self.think(dynamics.begin(prompts), 0.0, self.born)
            slots, _ = self.born(mind)
            return mind, slots, whole_segment(slots, k), k
        shown = context.positions.shape[1]
        if not 1 <= shown <= k:
            raise ValueError(f"context got {shown} moments; expected 1 to {k}.")
        return dynamics.begin(prompts, context.stage), context, whole_segment(context, k), shown

    def think(self, mind: Mind, start: float, believe: Believe) -> Mind:
        """A stretch of thinking; what watches it changes no draw."""
        seed = 1009 * self.seed + len(self.minds)
        if self.watch is not None:
            state = self.draws.get_state()

            def again(other: Mind) -> Believed:
                self.draws.set_state(state)
                return believe(other)

            self.watch(mind, start, again, seed)
            self.draws.set_state(state)
        had, mind = self.model.dynamics.reasoner.think(
            mind, self.thoughts, disturbance=self.disturbance, seed=seed
        )
        self.minds.append(had)
        self.starts.append(start)
        return mind

    def born(self, mind: Mind) -> Believed:
        """A drawn beginning."""
        dynamics = self.model.dynamics
        said = dynamics.announce(mind, self.model.config.encoder.objects)
        present = said.present > 0
        present[:, 0] |= ~present.any(1)
        positions, quats = dynamics.begin_somehow(mind, present, self.draws, self.temperature)
        stage = dynamics.stage_mean.expand(len(present), -1)
        seen = present[:, None].expand(positions.shape[:3])
        times = torch.arange(positions.shape[1]).expand(len(present), -1) / FPS
        looks = dynamics.looks_of(said.looks)
        return Slots(looks, stage, positions, quats, seen, present, times), None

    def ahead(self, mind: Mind, now: Segment, slots: Slots, index: int) -> Believed:
        """A drawn future after segment `index`, `now`, and its chance."""
        dynamics = self.model.dynamics
        futures = dynamics.next(mind, now, slots.looks, slots.present, index)
        mode = draw_modes(futures.chances, self.draws, self.temperature)
        chance = futures.chances.gather(1, mode[:, None])[:, 0]
        first = (index + 1) * dynamics.size.segment
        return _posed(slots, *futures.choose(mode), first=first), chance


def _posed(slots: Slots, positions: Tensor, quats: Tensor, *, first: int = 0) -> Slots:
    """The same things in poses that begin with frame `first`."""
    times = (first + torch.arange(positions.shape[1])).expand(len(positions), -1) / FPS
    seen = slots.present[:, None].expand(positions.shape[:3])
    return replace(slots, positions=positions, quats=quats, seen=seen, times=times)


def _claimed(
    cls: type[WorldModel], path: str | Path, header: dict[str, Any], tensors: dict[str, Tensor]
) -> WorldModel:
    """The model that a file's header describes, with random weights.

    Sizes that are only claimed take no memory: it is put up on the meta device first, and only if the
    file's tensors are its own is it made.
    """
    check_entries(str(path), header, {"config": dict, "templates": list, "vocabulary": list})
    words = [*header["templates"], *header["vocabulary"]]
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path} got words that are no text; expected text. Make the file again.")
    config = from_dict(WorldModelConfig, header["config"], str(path))
    codec = EventCodec(tuple(header["templates"]))
    if config.reasoning.size.layers > len(tensors) or config.reasoning.modes > LARGEST:
        raise ValueError(f"{path} got fewer tensors than layers; expected some for each.")
    try:
        with only_sizes():
            own = cls(config, codec, header["vocabulary"]).state_dict()
        for name in [*own, *tensors]:
            if name not in tensors or name not in own or own[name].shape != tensors[name].shape:
                raise ValueError(f"{name} does not fit its config")
        return cls(config, codec, header["vocabulary"])
    except (RuntimeError, TypeError, ValueError, ArithmeticError, AssertionError) as error:
        why = "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split()))[:200]
        raise ValueError(
            f"{path} got a config that its tensors do not fit ({why}); expected a world model's. "
            "Make the file again."
        ) from None


def draw_modes(chances: Float[Tensor, "N M"], draws: torch.Generator, temperature: float) -> Tensor:
    """One mode for each world: the likeliest at temperature 0, else a draw.

    >>> draw_modes(torch.tensor([[0.0, -9.0]]), generator(0), 0.0).tolist()
    [0]
    """
    if temperature <= 0:
        return chances.argmax(1)
    noise = -torch.log(-torch.log(torch.rand(chances.shape, generator=draws).clamp(1e-9, 1 - 1e-7)))
    return (chances / temperature + noise).argmax(1)


def whole_segment(slots: Slots, count: int) -> Segment:
    """A segment of `count` frames that ends with the slots' last; missing ones are marked."""
    shown = slots.positions.shape[1]
    lead = count - shown
    known = slots.seen & slots.present[:, None]

    def extend(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1].expand(-1, lead, *x.shape[2:]), x], 1)

    blank: Bool[Tensor, "N lead B"] = torch.zeros_like(known[:, :1]).expand(-1, lead, -1)
    return Segment(extend(slots.positions), extend(slots.quats), torch.cat([blank, known], 1))
