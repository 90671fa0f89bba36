"""4D scenes from video on any computer: no GPU needed, repeatable to the bit.

The public names are looked up when they are first used, so `import clay4d` takes no time.

>>> import clay4d
>>> clay4d.Gaussians.__name__
'Gaussians'
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clay4d.physics_baseline.simulate import simulate
    from clay4d.physics_baseline.spec import SceneSpec
    from clay4d.renderers import Rendering, rasterization, render
    from clay4d.renderers.paths import camera_path
    from clay4d.renderers.player import write_player
    from clay4d.renderers.video import render_video, write_video
    from clay4d.scenes import Cameras, Dataset, Gaussians, Scene
    from clay4d.scenes.loaders import load_dataset
    from clay4d.scenes.prepare import prepare
    from clay4d.scenes.store import load_scene as load
    from clay4d.scenes.store import save_scene as save
    from clay4d.training.config import TrainConfig
    from clay4d.training.evaluate import evaluate
    from clay4d.training.run import load_run, train
    from clay4d.training.view import view
    from clay4d.world_model.generate import generate
    from clay4d.world_model.training.run import train_world
    from clay4d.world_model.worlds.make import make_worlds

# Threads that wait for work sleep. GNU OpenMP lets them spin, and where other processes want the cores
# a parallel region then takes 20 ms instead of 0.01 (2 cores, 8 busy processes). Read when OpenMP is
# loaded, so it holds for the command line and wherever clay4d is imported before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__ = [
    "Cameras",
    "Dataset",
    "Gaussians",
    "Rendering",
    "Scene",
    "SceneSpec",
    "TrainConfig",
    "camera_path",
    "evaluate",
    "generate",
    "load",
    "load_dataset",
    "load_run",
    "make_worlds",
    "prepare",
    "rasterization",
    "render",
    "render_video",
    "save",
    "simulate",
    "train",
    "train_world",
    "view",
    "write_player",
    "write_video",
]

_HOMES = {
    "Cameras": "scenes.Cameras",
    "Dataset": "scenes.Dataset",
    "Gaussians": "scenes.Gaussians",
    "Rendering": "renderers.Rendering",
    "Scene": "scenes.Scene",
    "SceneSpec": "physics_baseline.spec.SceneSpec",
    "TrainConfig": "training.config.TrainConfig",
    "camera_path": "renderers.paths.camera_path",
    "evaluate": "training.evaluate.evaluate",
    "generate": "world_model.generate.generate",
    "load": "scenes.store.load_scene",
    "load_dataset": "scenes.loaders.load_dataset",
    "load_run": "training.run.load_run",
    "make_worlds": "world_model.worlds.make.make_worlds",
    "prepare": "scenes.prepare.prepare",
    "rasterization": "renderers.rasterization",
    "render": "renderers.render",
    "render_video": "renderers.video.render_video",
    "save": "scenes.store.save_scene",
    "simulate": "physics_baseline.simulate.simulate",
    "train": "training.run.train",
    "train_world": "world_model.training.run.train_world",
    "view": "training.view.view",
    "write_player": "renderers.player.write_player",
    "write_video": "renderers.video.write_video",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].rpartition(".")
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
