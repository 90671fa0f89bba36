"""Rotations without a teacher: of several that are tried, the one whose picture fits best teaches the others.

A round blob looks the same from everywhere, so pictures give a rotation no gradient until there is a
shape, and a shape none until there are rotations. Trying several breaks the tie: what is drawn learns
from the rotation that fits best, and the encoder is pulled towards it.

Source: Insafutdinov & Dosovitskiy 2018 (an ensemble of poses, of which the best is kept); the search
over random rotations is that of cryo-microscopy (Punjani et al. 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers import rasterization
from clay4d.scenes.quaternions import from_rotation_vector, multiply, normalise, rotate
from clay4d.world_model.decoders import GaussianDecoder
from clay4d.world_model.decoders.gaussians import Splats
from clay4d.world_model.encoder.crops import SIDE, Crops
from clay4d.world_model.encoder.encoder import Proposed
from clay4d.world_model.slots import PosedFrames, Slots

NEAR, LEVEL, ANY = 3, 2, 2
"""Rotations that are tried: near the encoder's, about the vertical, anywhere."""
QUARTER = 0.25 * math.pi
"""Radians about the vertical to either side: what squares need."""
FAR = 0.1
"""What half a turn away from the encoder's rotation costs, as a share of the error: of rotations in which
a shape looks the same the nearest one is taken, or the encoder would be pulled to all of them at once."""


@dataclass(frozen=True)
class Turned:
    """What trying rotations gave."""

    slots: Slots
    """With the better rotations, which have no gradient; the encoder's where none was better."""
    crops: Float[Tensor, ""]
    """L1 of colours and coverage over the crops of single objects, drawn with these rotations."""
    turn: Float[Tensor, ""]
    """1 − cos² of half the angle between the encoder's rotation and the better one."""
    score: Float[Tensor, ""]
    """Cross entropy of which proposal fits best."""
    share: Float[Tensor, ""]
    """Of objects for which there was a better one."""


def try_turns(
    decoder: GaussianDecoder,
    slots: Slots,
    proposed: Proposed,
    truth: PosedFrames,
    crops: Crops,
    draws: torch.Generator,
) -> Turned:
    """Draw each object alone in several rotations, in its crops of all cameras, and keep the best."""
    seen = crops.windows[..., 2] > 0
    n, t, b = (seen.any(2) & slots.present[:, None]).nonzero(as_tuple=True)
    target = crops.pixels[n, t, :, b]
    # Cameras come between two index tensors, so they stay behind objects in the result.
    views, Ks = truth.viewmats[n, t], crops.intrinsics(truth.Ks)[n, t, :, b]
    weight = seen[n, t, :, b].float()
    splats = decoder.objects(slots.looks)
    row = n * slots.looks.shape[1] + b
    shape = Splats(**{k: v[row] for k, v in vars(splats).items()})
    places, own, scores = (
        slots.positions[n, t, b],
        proposed.quats[n, t, b],
        proposed.scores[n, t, b],
    )

    def errors(turns: Float[Tensor, "M K 4"]) -> Float[Tensor, "M K"]:
        return crop_errors(shape, places, turns, views, Ks, target, weight)

    with torch.no_grad():
        found = errors(own)
        first = found.argmin(1)
        rows = torch.arange(len(own))
        tries = _tries(own[rows, first], draws)
        away = 1 - (tries * own[rows, first][:, None]).sum(-1).square()
        others = errors(tries) * (1 + FAR * away)
        better, place = others.min(1)
        better = better < found[rows, first]
        taken = torch.where(better[:, None], tries[rows, place], own[rows, first])
        # Of the proposals the one nearest to what fits best is pulled there.
        nearest = (own * taken[:, None]).sum(-1).abs().argmax(1)
    mine = own[rows, first]
    chosen = torch.where(better[:, None], taken, mine)
    quats = slots.quats.index_put((n, t, b), chosen)
    off = 1 - (own[rows, nearest] * taken).sum(-1).square()
    count = max(len(own), 1)
    return Turned(
        replace(slots, quats=quats), errors(chosen[:, None]).mean(), (off * better).sum() / count,
        F.cross_entropy(scores, first) if len(own) else scores.sum(), better.float().sum() / count,
    )  # fmt: skip


def crop_errors(
    shape: Splats,
    places: Float[Tensor, "M 3"],
    turns: Float[Tensor, "M K 4"],
    viewmats: Float[Tensor, "M C 4 4"],
    Ks: Float[Tensor, "M C 3 3"],
    target: Float[Tensor, "M C 5 S S"],
    weight: Float[Tensor, "M C"],
) -> Float[Tensor, "M K"]:
    """How far each object, drawn alone in each rotation, is from its crops; others' pixels do not count."""
    m, k = turns.shape[:2]
    c, each = viewmats.shape[1], shape.means.shape[1]

    def spread(x: Tensor) -> Tensor:
        return x[:, None].expand(m, k, *x.shape[1:]).flatten(0, 1)

    turn = turns[:, :, None].expand(m, k, each, 4).flatten(0, 1)
    means = rotate(turn, spread(shape.means)) + spread(places)[:, None]
    seen, alphas, _ = rasterization(
        means, multiply(turn, spread(shape.quats)), spread(shape.scales), spread(shape.opacities),
        spread(shape.colors), spread(viewmats), spread(Ks), SIDE, SIDE,
    )  # fmt: skip
    drawn = torch.cat([seen, alphas], -1).unflatten(0, (m, k))
    wanted = target[:, None, :, :4].permute(0, 1, 2, 4, 5, 3)
    off = (drawn - wanted).abs().sum(-1) * target[:, None, :, 4]
    share = weight / weight.sum(1, keepdim=True).clamp_min(1)
    error: Tensor = (off.mean((-1, -2)) * share[:, None].expand(m, k, c)).sum(-1)
    return error


def _tries(own: Float[Tensor, "M 4"], draws: torch.Generator) -> Float[Tensor, "M K 4"]:
    m = len(own)
    near = from_rotation_vector(0.3 * torch.randn(m, NEAR, 3, generator=draws))
    half = QUARTER * (torch.rand(m, LEVEL, generator=draws) - 0.5)
    level = torch.stack([torch.cos(half), 0 * half, 0 * half, torch.sin(half)], -1)
    moved = multiply(torch.cat([near, level], 1), own[:, None].expand(m, NEAR + LEVEL, 4))
    return torch.cat([moved, normalise(torch.randn(m, ANY, 4, generator=draws))], 1)
