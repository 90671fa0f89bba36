"""A scene as the player's header and bytes; docs/player.md says what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.around import OneMoment
from clay4d.renderers.player.sampling import Progress, Sampled, moments_of, sampled
from clay4d.renderers.player.streams import Streams
from clay4d.renderers.player.tracks import add_track, moments_at
from clay4d.renderers.render import raster_options
from clay4d.scenes import Scene
from clay4d.scenes.exchange.parts import refuse_fields
from clay4d.scenes.exchange.sequence import SplatSequence

PLACE = 1 / 4
"""Step of means, in standard deviations of the usual Gaussian."""
ROTATION = 1 / 64
"""Step of a unit quaternion's three smallest components."""
TURN = 1 / 128
"""Step of the components of turns over time."""
STEPS = {"log_scales": 1 / 12, "opacities": 1 / 12, "colours": 1 / 24, "harmonics": 1 / 16}
"""Steps of logarithms, of logits, of constant and of higher harmonics."""
LOGITS = 6.0
"""Beyond ±6 a logit changes an opacity by less than 1/400."""
SHARE = 1 / 255
"""Step of opacities that change over time, which are kept as they are and not as logits."""


def add_scene(
    streams: Streams, scene: Scene, *, frames: int | None, progress: Progress = iter
) -> dict[str, Any]:
    """Keep a scene in `streams`; gives its header.

    Files in a folder have nothing to do with each other: each is a clip of one moment. Other scenes are
    one clip.

    Raises:
        ValueError: as `sampled` does; a radiance field.
    """
    refuse_fields(scene)
    drawn = raster_options(scene)
    if isinstance(scene, SplatSequence):
        times = _of_files(scene.times, frames)
        clips = [_clip(streams, OneMoment(scene, t), t, 1, iter) for t in progress(times)]
    else:
        moments = moments_of(scene.duration, frames)
        clips = [_clip(streams, scene, 0.0, moments, progress)]
    return {
        "near": drawn["near_plane"], "eps2d": drawn["eps2d"],
        "antialiased": drawn["rasterize_mode"] == "antialiased", "duration": float(scene.duration),
        "background": [float(c) for c in scene.background], "clips": clips,
        "count": max(clip["count"] for clip in clips), "moments": sum(clip["moments"] for clip in clips),
    }  # fmt: skip


def _of_files(times: Sequence[float], frames: int | None) -> list[float]:
    """The times of all files, or of as many, evenly chosen."""
    if frames is None or frames >= len(times):
        return list(times)
    return [times[round(k * (len(times) - 1) / (frames - 1))] for k in range(frames)]


def _clip(
    streams: Streams, scene: Scene, start: float, moments: int, progress: Progress
) -> dict[str, Any]:
    parts = sampled(scene, moments, progress=progress)
    return {
        "time": start, "count": parts.means.shape[1], "moments": moments,
        "degree": math.isqrt(parts.sh.shape[2]) - 1, "smooth": _is_smooth(scene, parts, moments),
        **add_parts(streams, parts),
    }  # fmt: skip


def add_parts(streams: Streams, parts: Sampled) -> dict[str, Any]:
    """Keep what was sampled; gives the entries of its tracks."""
    usual = float(parts.log_scales[0].median(-1).values.median().exp())
    place = 2.0 ** math.floor(math.log2(max(PLACE * usual, 1e-9)))
    still = torch.zeros(1, 1, 4)
    still[..., 0] = 1
    opacities, fixed = parts.opacities, len(parts.opacities) == 1
    if fixed:
        opacities = torch.logit(opacities.double(), eps=1e-9).clamp(-LOGITS, LOGITS).float()
    return {
        "means": add_track(streams, parts.means, place),
        "quats": {"step": ROTATION, "base": streams.add_whole(_smallest(parts.quats))},
        "turns": add_track(streams, parts.turns, TURN, base=still),
        "log_scales": add_track(streams, parts.log_scales, STEPS["log_scales"]),
        "opacities": {
            "logits": fixed,
            **add_track(streams, opacities, STEPS["opacities"] if fixed else SHARE),
        },
        "colours": add_track(streams, parts.sh[:, :, 0], STEPS["colours"]),
        "harmonics": add_track(streams, parts.sh[:, :, 1:].flatten(2), STEPS["harmonics"]),
    }  # fmt: skip


def _smallest(quats: Float[Tensor, "N 4"]) -> Any:
    """Whole numbers [N, 4]: the largest component's place, then the next three, wrapping round."""
    largest = quats.abs().argmax(1, keepdim=True)
    signed = quats * torch.where(quats.gather(1, largest) < 0, -1.0, 1.0)
    three = signed.gather(1, (largest + torch.tensor([1, 2, 3])) % 4)
    return np.concatenate([largest.numpy(), np.rint(three.numpy() / ROTATION)], 1).astype(np.int64)


@torch.no_grad()
def _is_smooth(scene: Scene, parts: Sampled, moments: int) -> bool:
    """Whether a spline through the moments meets the places between them better than lines do."""
    if len(parts.means) < 4:
        return False
    some = parts.means[:, ::16]
    errors = {True: 0.0, False: 0.0}
    for place in (torch.linspace(0.5, moments - 1.5, 7).floor() + 0.5).tolist():
        truth = scene.at(scene.duration * place / (moments - 1)).means.detach().float().cpu()
        for smooth in errors:
            rows = torch.from_numpy(moments_at(place, moments, smooth=smooth)).float()
            guess = torch.einsum("t,tnc->nc", rows, some)
            errors[smooth] += float((guess - truth[parts.order[::16]]).square().sum())
    return errors[True] < errors[False]
