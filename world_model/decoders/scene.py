"""From slots to scenes that every renderer, viewer and exporter takes."""

from __future__ import annotations

import torch

from clay4d.scenes.fields import ObjectField, ObjectFields
from clay4d.scenes.gaussians import C0, Gaussians
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
    one = _present(slots, world)
    paths, duration = _paths(one)
    shape = decoder.objects(one.looks)
    floor, behind = decoder.stage(one.stage)
    parts = {k: torch.cat([v.flatten(0, 1), getattr(floor, k)[0]]) for k, v in vars(shape).items()}
    each = shape.means.shape[1]
    owner = torch.arange(one.looks.shape[1]).repeat_interleave(each)
    raw = {
        "means": parts["means"], "quats": parts["quats"], "scales": parts["scales"].log(),
        "opacities": torch.logit(parts["opacities"].clamp(1e-6, 1 - 1e-6)),
        "sh": ((parts["colors"] - 0.5) / C0)[:, None],
        "object": torch.cat([owner, torch.full((floor.means.shape[1],), -1)]),
    }  # fmt: skip
    red, green, blue = (float(x) for x in behind[0])
    return SplatScene(raw, paths, duration, (red, green, blue))


@torch.no_grad()
def fields_from_slots(
    field: ObjectField, decoder: GaussianDecoder, slots: Slots, *, world: int = 0
) -> ObjectFields:
    """The scene of one world: radiance fields of the objects that are present, before the decoder's stage.

    Raises:
        ValueError: fewer than one moment.
    """
    one = _present(slots, world)
    paths, duration = _paths(one)
    floor, behind = decoder.stage(one.stage)
    sh = ((floor.colors[0] - 0.5) / C0)[:, None]
    stage = Gaussians(floor.means[0], floor.quats[0], floor.scales[0], floor.opacities[0], sh)
    red, green, blue = (float(x) for x in behind[0])
    return ObjectFields(field, one.looks[0], paths, stage, duration, (red, green, blue))


def _present(slots: Slots, world: int) -> Slots:
    """One world's slots, without those of no object."""
    one = slots.of([world])
    there = one.present[0].nonzero()[:, 0]
    return Slots(
        one.looks[:, there], one.stage, one.positions[:, :, there], one.quats[:, :, there],
        one.seen[:, :, there], one.present[:, there], one.times,
    )  # fmt: skip


def _paths(one: Slots) -> tuple[RigidPaths, float]:
    """The paths of one world's objects, and their seconds."""
    objects, moments = one.looks.shape[1], one.positions.shape[1]
    if moments < 1:
        raise ValueError("slots got no moments; expected at least one.")
    times = one.times[0] - one.times[0, 0]
    duration = float(times[-1])
    paths = RigidPaths(objects=objects, knots=moments)
    paths.times = times / duration if duration > 0 else times
    paths.positions = one.positions[0].transpose(0, 1).contiguous()
    paths.quats = one.quats[0].transpose(0, 1).contiguous()
    return paths, duration
