"""A scene as the player's header and bytes; docs/player.md says what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.around import OneMoment
from clay4d.renderers.player.sampling import Moments, Progress, moments_of
from clay4d.renderers.player.streams import Streams
from clay4d.renderers.player.tracks import add_tracks, moments_at
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
        ValueError: as `Moments` does; a radiance field.
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
    streams: Streams, scene: Scene, start: float, count: int, progress: Progress
) -> dict[str, Any]:
    moments = Moments(scene, count, progress=progress)
    made = {
        "time": start, "count": len(moments.order), "moments": count,
        "degree": math.isqrt(moments.means["harmonics"].shape[1] // 3 + 1) - 1,
        "smooth": _is_smooth(moments), **add_moments(streams, moments),
    }  # fmt: skip
    moments.finish()
    return made


def add_moments(streams: Streams, moments: Moments) -> dict[str, Any]:
    """Keep a scene's moments; gives the entries of its tracks."""
    usual = float(moments.means["log_scales"].median(-1).values.median().exp())
    fixed = "opacities" not in moments.moving
    steps = STEPS | {"means": 2.0 ** math.floor(math.log2(max(PLACE * usual, 1e-9))), "turns": TURN}
    means = dict(moments.means)
    if fixed:
        means["opacities"] = torch.logit(means["opacities"], eps=1e-9).clamp(-LOGITS, LOGITS)
    else:
        steps["opacities"] = SHARE
    bases = {"turns": torch.tensor([[1.0, 0, 0, 0]])}
    tracks: dict[str, dict[str, Any]] = {}
    for name, step in steps.items():
        tracks[name] = {"step": step, "columns": means[name].shape[1]}
        if name not in bases:
            whole = np.rint(means[name].numpy() / step).astype(np.int64)
            tracks[name]["base"] = streams.add_whole(whole)
            bases[name] = torch.from_numpy(whole * step).float()
    for name, moved in add_tracks(streams, moments, bases, steps).items():
        tracks[name] |= moved
    tracks["opacities"]["logits"] = fixed
    quats = {"step": ROTATION, "base": streams.add_whole(_smallest(moments.quats))}
    return {"quats": quats, **tracks}


def _smallest(quats: Float[Tensor, "N 4"]) -> Any:
    """Whole numbers [N, 4]: the largest component's place, then the next three, wrapping round."""
    largest = quats.abs().argmax(1, keepdim=True)
    signed = quats * torch.where(quats.gather(1, largest) < 0, -1.0, 1.0)
    three = signed.gather(1, (largest + torch.tensor([1, 2, 3])) % 4)
    return np.concatenate([largest.numpy(), np.rint(three.numpy() / ROTATION)], 1).astype(np.int64)


@torch.no_grad()
def _is_smooth(moments: Moments) -> bool:
    """Whether a spline through the moments meets the places between them better than lines do."""
    if "means" not in moments.moving or moments.count < 4:
        return False
    scene, some, last = moments.scene, moments.order[::16], moments.count - 1

    @lru_cache(maxsize=6)
    def means(place: float) -> Tensor:
        return scene.at(scene.duration * place / last).means.detach().float().cpu()[some]

    errors = {True: 0.0, False: 0.0}
    for place in (torch.linspace(0.5, last - 0.5, 7).floor() + 0.5).tolist():
        truth = means(place)
        for smooth in errors:
            guess = sum(
                share * means(k)
                for k, share in enumerate(moments_at(place, moments.count, smooth=smooth).tolist())
                if share
            )
            errors[smooth] += float((guess - truth).square().sum())
    return errors[True] < errors[False]
