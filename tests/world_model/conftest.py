"""A few small worlds on disk and a small model that was never trained."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from clay4d.jit import one_torch_thread
from clay4d.world_model.decoders import DecoderSize
from clay4d.world_model.encoder import EncoderSize
from clay4d.world_model.model import WorldModel
from clay4d.world_model.reasoners import Size
from clay4d.world_model.training.config import (
    BeginningsConfig,
    ConceptConfig,
    JudgeConfig,
    PerceptionConfig,
    ReasoningConfig,
    SegmentConfig,
    WorldModelConfig,
)
from clay4d.world_model.training.run import new_model
from clay4d.world_model.worlds import open_worlds


def _synthetic() -> ModuleType:
    path = Path(__file__).with_name("synthetic.py")
    spec = importlib.util.spec_from_file_location("synthetic_worlds", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The maker of small worlds."""
    return _synthetic()


@pytest.fixture(scope="session")
def small_worlds(tmp_path_factory: pytest.TempPathFactory, synthetic: ModuleType) -> Path:
    """Ten worlds of bouncing balls at 32×32; the last two are for validation."""
    folder: Path = synthetic.write_worlds(tmp_path_factory.mktemp("worlds"), 10, held=2)
    return folder


@pytest.fixture(scope="session")
def small_config() -> WorldModelConfig:
    """Everything as small as it goes."""
    return WorldModelConfig(
        encoder=EncoderSize(features=16, looks=12, stage=4, objects=4),
        decoder=DecoderSize(gaussians=6, stage=16, hidden=16),
        perception=PerceptionConfig(steps=6, batch=2, frames=2, drawn=1),
        segment=SegmentConfig(steps=4, batch=2),
        judge=JudgeConfig(steps=4, batch=2),
        beginnings=BeginningsConfig(steps=4, batch=3),
        concepts=ConceptConfig(steps=4, batch=3),
        reasoning=ReasoningConfig(size=Size(16, 1, 2, 32), steps=6, batch=3, modes=2),
        checkpoint_every=3,
    )


@pytest.fixture
def small_model(small_config: WorldModelConfig, small_worlds: Path) -> WorldModel:
    """A model with random weights that knows the small worlds' words."""
    one_torch_thread()
    return new_model(small_config, open_worlds(small_worlds, split="train")).eval()
