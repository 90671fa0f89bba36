"""From a config's motion to the model, and how a model comes to its place among the Gaussians."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from clay4d.scenes import motion as models
from clay4d.scenes import store
from clay4d.scenes.motion import Motion
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training import config as options

TRAINING = ("start", "settle", "lr", "nodes_lr", "path_lr", "time_lr", "lean_lr", "coefficients_lr")
"""Fields of a config's motion that are the trainer's business and not the model's."""


def build_motion(motion: options.Motion, extent: float) -> Motion:
    """The motion model that a config names, for a scene of `extent` metres.

    >>> build_motion(options.SpaceTime(span=0.25), 2.0).options()
    {'span': 0.25, 'extent': 2.0}
    """
    given: dict[str, Any] = {
        f.name: getattr(motion, f.name)
        for f in dataclasses.fields(motion)
        if f.name not in TRAINING
    }
    match motion:
        case options.Static():
            return models.Static()
        case options.ControlNodes():
            return models.ControlNodes(**given, extent=extent)
        case options.HexPlane():
            return models.HexPlane(**given, extent=extent)
        case options.Polynomial():
            return models.Polynomial(**given)
        case options.MotionBases():
            return models.MotionBases(**given, extent=extent)
        case options.Deformation():
            return models.Deformation(**given, extent=extent)
        case options.SpaceTime():
            return models.SpaceTime(**given, extent=extent)
        case options.OwnMotion(model=kind):
            return store.build_motion(kind, {})


def place_motion(scene: SplatScene) -> None:
    """Spread nodes and bases over the Gaussians that can be seen, before anything moves."""
    motion, raw = scene.motion, scene.raw
    means = raw["means"].detach()
    strong = means[torch.sigmoid(raw["opacities"].detach()) > 0.1]
    if isinstance(motion, models.ControlNodes | models.MotionBases):
        if len(strong) < 4 * len(motion.centres):
            strong = means
        if isinstance(motion, models.ControlNodes):
            motion.place(strong)
        else:
            motion.place(raw, strong)
    motion.refresh(raw)
