"""How far predictions are from what happened, against a straight line; truth is for scoring only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clay4d.training.metrics import masked_psnr, psnr
from clay4d.world_model.decoders import draw
from clay4d.world_model.decoders.radiance_field import all_pixels, draw_field
from clay4d.world_model.model.dynamics import straight_on
from clay4d.world_model.model.world_model import WorldModel, whole_segment
from clay4d.world_model.reasoners import MOST_THOUGHTS, Depth, Exit
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.worlds import WorldSet, stack_worlds

AT_ONCE = 16


@dataclass(frozen=True)
class Episodes:
    """Worlds that are predicted: what is given of them, and where their movers truly were."""

    prompts: tuple[str, ...]
    context: Slots
    truth: Float[Tensor, "N T B 3"]
    """Metres, all moments."""
    movers: Bool[Tensor, "N B"]
    hidden: tuple[str, ...]
    """Which force each world hides."""


@torch.no_grad()
def episodes(
    worlds: WorldSet, model: WorldModel, *, context: int = 6, cameras: Sequence[int] | None = None
) -> Episodes:
    """Encode the first `context` moments of worlds as seen by some cameras, all by default."""
    parts, truth, movers, prompts, hidden = [], [], [], [], []
    for start in range(0, len(worlds), AT_ONCE):
        read = [worlds.read(i) for i in range(start, min(start + AT_ONCE, len(worlds)))]
        batch = stack_worlds(read, objects=model.config.encoder.objects)
        frames = PosedFrames.from_worlds(batch)
        early = PosedFrames(**{k: v[:, :context] for k, v in vars(frames).items()})
        if cameras is not None:
            given = torch.zeros_like(early.given)
            given[:, :, list(cameras)] = True
            early = early.only(given)
        parts.append(model.encoder(early))
        truth.append(batch.positions)
        index = torch.arange(batch.present.shape[1])
        movers.append(torch.stack([index < w.movers for w in read]))
        prompts += [w.prompt for w in read]
        hidden += [w.hidden.kind for w in read]
    joined = Slots(**{k: torch.cat([getattr(p, k) for p in parts]) for k in vars(parts[0])})
    return Episodes(tuple(prompts), joined, torch.cat(truth), torch.cat(movers), tuple(hidden))


@torch.no_grad()
def forecast_errors(
    model: WorldModel, given: Episodes, *, thoughts: Sequence[int] = (4,), words: bool = True
) -> dict[str, Any]:
    """Mean distance of movers' centres from the truth over the moments after the context, metres.

    Movers that the context never saw are left out, for all alike. The likeliest future is scored.

    Returns:
        {"worlds", "constant_velocity", "thoughts": {K: error}, "at_end": {K: error of the last moment}}.
    """
    shown = given.context.positions.shape[1]
    frames = given.truth.shape[1]
    counted = (given.movers & given.context.present).float()[:, None]
    context = whole_segment(given.context, model.config.reasoning.segment)
    straight = straight_on(context, frames - shown)
    truth = given.truth[:, shown:]

    def error(positions: Tensor, moments: slice = slice(None)) -> float:
        off = (positions - truth).norm(dim=-1)[:, moments]
        weight = counted.expand_as(off)
        return float((off * weight).sum() / weight.sum().clamp_min(1))

    out: dict[str, Any] = {
        "worlds": len(given.prompts), "constant_velocity": error(straight),
        "constant_velocity_at_end": error(straight, slice(-1, None)), "thoughts": {}, "at_end": {},
    }  # fmt: skip
    prompts = given.prompts if words else [""] * len(given.prompts)
    for count in thoughts:
        slots, _ = model.imagine(
            prompts, context=given.context, frames=frames, thoughts=count, temperature=0.0
        )
        predicted = slots.positions[:, shown:]
        out["thoughts"][str(count)] = error(predicted)
        out["at_end"][str(count)] = error(predicted, slice(-1, None))
    return out


@torch.no_grad()
def exit_scores(
    model: WorldModel, given: Episodes, *, exits: Sequence[Exit]
) -> dict[str, dict[str, float]]:
    """What early exits of recurrent depth save and cost: mean thoughts before a segment, and the error.

    Raises:
        ValueError: another kind of reasoner.

    Returns:
        {"change 0.03": {"thoughts": 5.2, "error": 0.36}}, errors in metres as in `forecast_errors`.
    """
    reasoner, found = model.dynamics.reasoner, {}
    if not isinstance(reasoner, Depth):
        raise ValueError(f"exits got reasoner {reasoner.kind}; expected depth.")
    before = reasoner.exit
    try:
        for chosen in exits:
            reasoner.exit = chosen
            errors = forecast_errors(model, given, thoughts=(MOST_THOUGHTS,))["thoughts"]
            _, thinking = model.imagine(
                given.prompts, context=given.context, frames=given.truth.shape[1],
                thoughts=MOST_THOUGHTS, temperature=0.0,
            )  # fmt: skip
            steps = torch.stack([t.steps for t in thinking.thoughts if t.steps is not None])
            found[f"{chosen.kind} {chosen.below:g}"] = {
                "thoughts": float(steps.float().mean()), "error": errors[str(MOST_THOUGHTS)],
            }  # fmt: skip
    finally:
        reasoner.exit = before
    return found


@torch.no_grad()
def field_scores(model: WorldModel, worlds: WorldSet, *, moment: int = 12) -> dict[str, Any]:
    """PSNR of both decoders' pictures, from the slots that the encoder reads off one moment of each world.

    Returns:
        {"pictures", "gaussians": {"psnr", "objects"}, "field": {…}}: means over pictures in dB, of whole
        pictures and of the pixels that show an object, where there are any.
    """
    rows: dict[str, list[tuple[float, float]]] = {"gaussians": [], "field": []}
    for index in range(len(worlds)):
        read = worlds.read(
            index, frames=[min(moment, len(worlds.read(index, cameras=[0]).times) - 1)]
        )
        frames = PosedFrames.from_worlds(stack_worlds([read], objects=model.config.encoder.objects))
        for name, images in both_pictures(model, frames).items():
            for seen, truth, mask in zip(images, frames.images[0, 0], frames.masks[0, 0] > 0):
                whole = psnr(seen, truth)
                part = masked_psnr(seen, truth, mask) if bool(mask.any()) else torch.nan
                rows[name].append((whole, part))
    means = {name: torch.tensor(row).nanmean(0).tolist() for name, row in rows.items()}
    return {"pictures": len(rows["field"])} | {
        name: {"psnr": whole, "objects": part} for name, (whole, part) in means.items()
    }


@torch.no_grad()
def both_pictures(model: WorldModel, frames: PosedFrames) -> dict[str, Float[Tensor, "C H W 3"]]:
    """What both decoders make of a world's first moment, from the slots that the encoder reads off it."""
    slots = model.encoder(frames)
    height, width = frames.masks.shape[-2:]
    plain = draw(
        model.decoder, slots, frames.viewmats, frames.Ks, width=width, height=height
    ).images
    own = draw_field(model.field, model.decoder, slots, frames, all_pixels(frames)).colours
    own = own.unflatten(-2, (height, width))
    return {"gaussians": plain[0, 0].clamp(0, 1), "field": own[0, 0].clamp(0, 1)}
