"""Slots of all worlds, encoded once: what reasoners train on in place of pictures."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.world_model.encoder import Encoder
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.training.stage import generator
from clay4d.world_model.worlds import WorldEvent, WorldSet, stack_worlds

FORMAT = "clay4d-slots-1"
VARIANTS = 3
"""Ways in which each context was seen: by all cameras, by two of them, by one."""
AT_ONCE = 8


@dataclass(frozen=True)
class CachedWorlds:
    """Slots of N worlds at all moments, and of their first moments as seen by fewer cameras."""

    whole: Slots
    contexts: tuple[Slots, ...]
    """One for each variant."""
    words: tuple[dict[str, Any], ...]
    """What the worlds' files say: prompts, events, objects; and no truth of their motion."""

    def __len__(self) -> int:
        return len(self.whole)

    def events(self, index: int) -> list[WorldEvent]:
        """The script of a world."""
        return [WorldEvent(e["time"], e["words"]) for e in self.words[index]["events"]]

    def things(self, index: int) -> list[str]:
        """The words of a world's objects, in the order of its slots."""
        return [o["words"] for o in self.words[index]["objects"]]


@torch.no_grad()
def encode_worlds(
    worlds: WorldSet, encoder: Encoder, *, context: int, seed: int, title: str = "encoding"
) -> tuple[Slots, tuple[Slots, ...]]:
    """Slots of all worlds; contexts are their first `context` moments."""
    parts: list[list[Slots]] = [[] for _ in range(1 + VARIANTS)]
    starts = range(0, len(worlds), AT_ONCE)
    for start in track(starts, title, transient=True):
        chosen = range(start, min(start + AT_ONCE, len(worlds)))
        batch = stack_worlds([worlds.read(i) for i in chosen], objects=encoder.size.objects)
        frames = PosedFrames.from_worlds(batch)
        parts[0].append(encoder(frames))
        early = PosedFrames(**{k: v[:, :context] for k, v in vars(frames).items()})
        n, t, c = early.given.shape
        order = torch.stack([torch.randperm(c, generator=generator(seed, 21, i)) for i in chosen])
        for variant, count in enumerate((c, min(2, c), 1)):
            given = torch.zeros(n, c, dtype=torch.bool).scatter(1, order[:, :count], True)
            parts[1 + variant].append(encoder(early.only(given[:, None].expand(n, t, c))))
    joined = [_join(p) for p in parts]
    return joined[0], tuple(joined[1:])


def cached_worlds(
    worlds: WorldSet, encoder: Encoder, path: Path, *, context: int, seed: int
) -> CachedWorlds:
    """The cached slots at `path`, made first if they are not there or are of another encoder.

    Raises:
        ValueError: a damaged file.
    """
    key = _fingerprint(worlds, encoder, context, seed)
    words = tuple({**worlds.words(i), "scene": "", "hidden": None} for i in range(len(worlds)))
    if path.is_file():
        tensors, header = read_tensors(path)
        if header.get("format") == FORMAT and header.get("key") == key:
            parts = [_from(tensors, f"{k}.") for k in range(1 + VARIANTS)]
            return CachedWorlds(parts[0], tuple(parts[1:]), words)
    whole, contexts = encode_worlds(worlds, encoder, context=context, seed=seed)
    tensors = {
        f"{k}.{name}": value
        for k, slots in enumerate((whole, *contexts))
        for name, value in vars(slots).items()
    }
    write_tensors(path, tensors, {"format": FORMAT, "key": key})
    return CachedWorlds(whole, contexts, words)


def _fingerprint(worlds: WorldSet, encoder: Encoder, context: int, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([worlds.recipe, worlds.places, context, seed]).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _from(tensors: dict[str, Tensor], prefix: str) -> Slots:
    names = Slots.__dataclass_fields__
    return Slots(**{k: tensors[prefix + k] for k in names})


def _join(parts: list[Slots]) -> Slots:
    return Slots(**{k: torch.cat([getattr(p, k) for p in parts]) for k in vars(parts[0])})
