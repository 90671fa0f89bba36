"""Prompts alone, before any reasoner: which things there are, how they look, where they begin.

Words are bound to slots by counting mentions, which a transformer learns slowly, and one step of this
costs a quarter of a reasoner's. So it is learned once, without thoughts, and every reasoner goes on
from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from clay4d.world_model.model.dynamics import Dynamics
from clay4d.world_model.model.world_model import WorldModel
from clay4d.world_model.training.cache import CachedWorlds
from clay4d.world_model.training.reasoning import ReasoningStage


class BeginningsStage:
    """The stage that trains what all reasoners have in common on prompts alone."""

    name = "beginnings"
    shards = 1

    def __init__(self, model: WorldModel, cached: CachedWorlds, *, seed: int) -> None:
        config = model.config.beginnings
        self.model, self.steps, self.lr = model, config.steps, config.lr
        asked = replace(
            model.config.reasoning,
            blind=1.0,
            batch=config.batch,
            steps=config.steps,
            curriculum=0.0,
        )
        self.asks = ReasoningStage(asked, model, cached, seed=seed)
        self.modules: Mapping[str, nn.Module] = {"dynamics": model.dynamics}

    def losses(self, step: int) -> dict[str, Tensor]:
        """Which things, their looks, and the flow of their first frames."""
        lesson = self.asks.lesson(step)
        mind = self.model.dynamics.begin(lesson.prompts)
        loss, said = self.asks.birth(mind, lesson, step)
        return {"loss": loss} | said

    def preview(self, folder: Path, step: int) -> None:
        """Nothing to draw: slots are numbers."""


def take_over(dynamics: Dynamics, other: Dynamics) -> None:
    """Copy what two models have in common; a reasoner's own parts stay as they are."""
    theirs = other.state_dict()
    for name, value in dynamics.state_dict().items():
        if name in theirs and theirs[name].shape == value.shape:
            value.copy_(theirs[name])
