"""Compiled kernels are used again only while all that went into them is the same."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clay4d import jit

FILES = {
    "clay4d.caller": "from clay4d.jit import kernel\nfrom clay4d.callee import (\n    f,\n)\n",
    "clay4d.callee": "from clay4d.jit import device\nfrom clay4d.constants import C\n",
    "clay4d.constants": "from clay4d.far import Z\nC = 1\n",
    "clay4d.far": "Z = 1\n",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / f"{name.rpartition('.')[2]}.py"
        path.write_text(text)
        module = ModuleType(name)
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, name, module)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "differs"),
    [("caller", True), ("callee", True), ("constants", True), ("far", False)],
)
def test_the_key_follows_what_kernels_can_take(modules: Path, changed: str, differs: bool) -> None:
    before = jit.source_key("clay4d.caller")
    path = modules / f"{changed}.py"
    path.write_text(path.read_text() + "# changed\n")
    jit._source.cache_clear()
    assert (jit.source_key("clay4d.caller") != before) is differs


def test_modules_that_import_each_other_have_a_key(modules: Path) -> None:
    (modules / "callee.py").write_text(
        "from clay4d.jit import device\nfrom clay4d.caller import g\n"
    )
    jit._source.cache_clear()
    assert len(jit.source_key("clay4d.caller")) == 16


TWIN = "from clay4d.jit import device\n@device\ndef double(x):\n    return 2 * x\n"


def twin(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str = TWIN) -> Any:
    """The kernel of a module that lies in `folder`, as another process would import it."""
    folder.mkdir()
    (folder / "twin_of_jit.py").write_text(text)
    spec = importlib.util.spec_from_file_location("twin_of_jit", folder / "twin_of_jit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "twin_of_jit", module)
    jit._settled_key.cache_clear()
    spec.loader.exec_module(module)
    return module.double


def test_copies_of_a_source_share_their_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    hits = []
    for name, text in (("a", TWIN), ("b", TWIN), ("c", TWIN.replace("2 * x", "3 * x"))):
        double = twin(tmp_path / name, monkeypatch, text)
        assert double(2.0) == (6.0 if name == "c" else 4.0)
        hits.append(sum(double.stats.cache_hits.values()))
    assert hits == [0, 1, 0]


def test_kernels_of_a_function_are_saved_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba loses one of two kernels that two processes save at the same time."""
    pytest.importorskip("fcntl")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    double = twin(tmp_path / "a", monkeypatch)
    place = Path(double._cache.cache_path)
    saves = threading.Thread(target=double, args=(2.0,))
    with jit._alone(place):
        saves.start()
        saves.join(1.0)
        assert saves.is_alive() and not list(place.glob("*.nbc"))
    saves.join(60.0)
    assert len(list(place.glob("*.nbc"))) == 1


BITS = """
import hashlib, sys, torch
from clay4d.jit import one_torch_thread
one_torch_thread()
sys.path.insert(0, {tests!r})
from conftest import swinging_dataset
from clay4d.training.config import ControlNodes, Schedule, TrainConfig
from clay4d.training.trainer import Trainer
config = TrainConfig(motion=ControlNodes(nodes=32, settle=5), steps=40, schedule=Schedule(coarse=((0.0, 1.0),)))
trainer = Trainer(config, swinging_dataset(8))
for _ in range(config.steps):
    trainer.step()
print(torch.get_num_threads())
tensors = [*trainer.scene.raw.values(), *trainer.scene.motion.tensors().values()]
print(hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest())
"""


def test_numbas_threads_do_not_become_torchs_nor_decide_a_trained_bit() -> None:
    """Numba's pool sets OpenMP's number of threads when it starts, and with it torch's sums."""
    told = []
    for threads in ("1", "2"):
        code = BITS.format(tests=str(Path(__file__).parent))
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
            env={**os.environ, "NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        told.append(done.stdout.split())
    assert told[0] == told[1] and told[0][0] == "1"


DRAWN = """
import hashlib
import numpy as np
from clay4d.renderers.cpu import blend, packing
draws = np.random.default_rng(0)
n = 400
def drawn(low, high, *shape):
    return draws.uniform(low, high, (n, *shape)).astype(np.float32)
means, spread, turn = drawn(0, 16, 2), drawn(0.5, 3, 2) ** 2, drawn(-0.6, 0.6)
xy = turn * np.sqrt(spread.prod(1))
covars = np.stack([spread[:, 0], xy, spread[:, 1]], 1)
conics = np.stack([spread[:, 1], -xy, spread[:, 0]], 1) / (spread.prod(1) - xy * xy)[:, None]
reaches, colors, opacities = np.full(n, 11, np.float32), drawn(0, 1, 3), drawn(0.01, 0.6)
packed = packing.pack(means, conics.astype(np.float32), covars, reaches, colors, opacities)
starts, ids = np.array([0, n], np.int64), np.arange(n, dtype=np.int32)
limits = (np.float32(0.999), np.float32(1 / 255), np.float32(1e-4))
image, left, *_ = blend.forward(
    starts, ids, packed, np.zeros((1, 3), np.float32), 1, 16, 16, *limits, 1
)
print(hashlib.sha256(image.tobytes() + left.tobytes()).hexdigest())
"""


def test_the_process_that_compiles_has_the_bits_of_those_that_load(tmp_path: Path) -> None:
    # Numba runs another machine code there than it keeps, which rounded otherwise (clay4d.jit._AsKept).
    given = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", DRAWN]
    said = [
        subprocess.run(command, env=given, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]
