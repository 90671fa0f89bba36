"""From slots to a scene that every renderer, viewer and exporter takes."""

from __future__ import annotations

import torch

from clay4d.scenes.gaussians import C0
from clay4d.scenes.motion import RigidPaths
from clay4d.scenes.splat_scene import SplatScene
from clay4d.world_model.decoders.gaussians import GaussianDecoder
from clay4d.world_model.slots import Slots


@torch.no_grad()
def scene_from_slots(decoder: GaussianDecoder, slots: Slots, *, world: int = 0) -> SplatScene:
    """The scene of one world: canonical Gaussians of the objects that are present, on their paths.

    Raises:
        ValueError: fewer than one moment.
    """
    one = slots.of([world])
    present = one.present[0].nonzero()[:, 0]
    moments = one.positions.shape[1]
    if moments < 1:
        raise ValueError("slots got no moments; expected at least one.")
    shape = decoder.objects(one.looks[:, present])
    floor, behind = decoder.stage(one.stage)
    parts = {k: torch.cat([v.flatten(0, 1), getattr(floor, k)[0]]) for k, v in vars(shape).items()}
    each = shape.means.shape[1]
    owner = torch.arange(len(present)).repeat_interleave(each)
    raw = {
        "means": parts["means"], "quats": parts["quats"], "scales": parts["scales"].log(),
        "opacities": torch.logit(parts["opacities"].clamp(1e-6, 1 - 1e-6)),
        "sh": ((parts["colors"] - 0.5) / C0)[:, None],
        "object": torch.cat([owner, torch.full((floor.means.shape[1],), -1)]),
    }  # fmt: skip
    times = one.times[0] - one.times[0, 0]
    duration = float(times[-1])
    motion = RigidPaths(objects=len(present), knots=moments)
    motion.times = times / duration if duration > 0 else times
    motion.positions = one.positions[0, :, present].transpose(0, 1).contiguous()
    motion.quats = one.quats[0, :, present].transpose(0, 1).contiguous()
    red, green, blue = (float(x) for x in behind[0])
    return SplatScene(raw, motion, duration, (red, green, blue))
