"""Scenes generated from prompts alone, judged: are all things there, as they were said, doing it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clay4d.world_model.decoders import draw
from clay4d.world_model.judge.acts import acts_right, read_acts
from clay4d.world_model.judge.looks import LooksJudge
from clay4d.world_model.script import mention_order
from clay4d.world_model.slots import Slots
from clay4d.world_model.worlds import WorldSet
from clay4d.world_model.worlds.format import World

if TYPE_CHECKING:
    from clay4d.world_model.model.world_model import WorldModel

AT_ONCE = 16
FRAMES = slice(0, 24, 3)
"""Moments whose pictures are judged."""


@torch.no_grad()
def prompt_scores(
    model: WorldModel,
    judge: LooksJudge,
    worlds: WorldSet,
    *,
    thoughts: int = 4,
    seed: int = 0,
    temperature: float = 0.5,
) -> dict[str, Any]:
    """Shares of prompts whose generated scene is right, beside those of the true scenes.

    count: as many things as the prompt names. looks: these, and every shape and colour. acts: every
    clause holds of the paths. `things` and `clauses` are the shares of single ones. The same is asked
    of the true worlds, so that the judge's own errors are known.

    Returns:
        {"prompts", "generated": {"count", "looks", "acts", "things", "clauses"}, "true": {…}}.
    """
    rows: dict[str, list[dict[str, float]]] = {"generated": [], "true": []}
    for start in range(0, len(worlds), AT_ONCE):
        chosen = [worlds.read(i) for i in range(start, min(start + AT_ONCE, len(worlds)))]
        slots, _ = model.imagine(
            [w.prompt for w in chosen],
            thoughts=thoughts,
            seed=seed + start,
            temperature=temperature,
        )
        for n, world in enumerate(chosen):
            rows["true"].append(_truth(judge, world))
            rows["generated"].append(judge_scene(model, judge, world, slots.of([n])))
    return {"prompts": len(worlds)} | {k: _shares(v) for k, v in rows.items()}


def _truth(judge: LooksJudge, world: World) -> dict[str, float]:
    images = torch.from_numpy(world.images[FRAMES]).float() / 255
    said = _looks(judge, images, torch.from_numpy(world.masks[FRAMES]), len(world.objects))
    # What no camera sees is not the judge's to find.
    named = [_name(o.shape, o.colour) for o, s in zip(world.objects, said) if s is not None]
    acts = acts_right(read_acts(world.prompt, world.objects), world.objects, world.tracks.positions)
    return _row(named, [s for s in said if s is not None], acts, count=True)


def judge_scene(
    model: WorldModel, judge: LooksJudge, world: World, slots: Slots
) -> dict[str, float]:
    """What is right of one generated scene: 1 or 0 for count, looks and acts, and counts of single ones."""
    shown = slots.at(FRAMES)
    frames, (height, width) = shown.positions.shape[1], world.masks.shape[2:]
    views, Ks = (
        torch.from_numpy(x).expand(1, frames, *x.shape) for x in (world.viewmats, world.Ks)
    )
    drawn = draw(model.decoder, shown, views, Ks, width=width, height=height)
    digits = (drawn.labels[0] > 0.5).long()
    masks = (digits << torch.arange(digits.shape[-1])).sum(-1).to(torch.uint8)
    there = [k for k in range(slots.present.shape[1]) if bool(slots.present[0, k])]
    found = _looks(judge, drawn.images[0].clamp(0, 1), masks, max(there) + 1)
    order = mention_order(world.prompt, [(o.colour, o.shape) for o in world.objects])
    objects = [world.objects[k] for k in order]
    count = there == list(range(len(objects)))
    path = slots.positions[0].double().numpy()
    clauses = read_acts(world.prompt, objects)
    acts = [False] * len(clauses)
    if len(there) >= len(objects):
        acts = acts_right(clauses, objects, path)
    named = [_name(o.shape, o.colour) for o in objects]
    return _row(named, [found[k] or "nothing" for k in there], acts, count=count)


def _row(named: Sequence[str], found: Sequence[str], acts: Sequence[bool], *, count: bool) -> dict[str, float]:  # fmt: skip
    both = Counter(named) & Counter(found)
    return {
        "count": float(count), "looks": float(count and Counter(named) == Counter(found)),
        "acts": float(all(acts)), "things_right": float(both.total()), "things": float(len(named)),
        "clauses_right": float(sum(acts)), "clauses": float(len(acts)),
    }  # fmt: skip


def _looks(judge: LooksJudge, images: Tensor, masks: Tensor, count: int) -> list[str | None]:
    said = judge.look(images.flatten(0, 1), masks.flatten(0, 1), count)
    return [None if s is None else _name(s["shape"], s["colour"]) for s in said]


def _name(shape: str, colour: str) -> str:
    """Colour and shape of what moves; of fixtures the shape alone, which says the colour."""
    from clay4d.world_model.worlds.things import FIXTURES

    return shape if shape in FIXTURES else f"{colour} {shape}"


def _shares(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    total = {k: sum(r[k] for r in rows) for k in rows[0]} if rows else {}
    if not total:
        return {}
    count = len(rows)
    return {k: round(total[k] / count, 4) for k in ("count", "looks", "acts")} | {
        "things": round(total["things_right"] / max(total["things"], 1), 4),
        "clauses": round(total["clauses_right"] / max(total["clauses"], 1), 4),
    }
