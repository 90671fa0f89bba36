"""The viewer while a scene is trained: turns between steps, pages that follow, and the same bits."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from on_disk import written

import clay4d
from clay4d.config import from_dict
from clay4d.renderers.viewer.turns import Turns
from clay4d.scenes import Dataset, Gaussians
from clay4d.training.config import TrainConfig
from clay4d.training.run import train

TINY = {
    "motion": {"kind": "polynomial"}, "start": {"count": 60}, "steps": 150, "checkpoint_every": 150,
    "density": {"kind": "mcmc-density", "cap": 80, "begin": 10, "every": 10},
    "schedule": {"coarse": [[0.0, 0.5], [0.3, 1.0]], "sh_degree": 1},
}  # fmt: skip


def test_others_have_turns_between_steps_and_never_during_one() -> None:
    turns, inside, seen = Turns(), threading.Event(), []

    def ask() -> None:
        for _ in range(20):
            with turns.taken():
                seen.append(inside.is_set())

    askers = [threading.Thread(target=ask) for _ in range(3)]
    with turns.looping():
        for asker in askers:
            asker.start()
        until, steps = time.monotonic() + 30, 0
        while any(a.is_alive() for a in askers) and time.monotonic() < until:
            inside.set()
            time.sleep(0.001)
            inside.clear()
            turns.offer()
            steps += 1
    assert len(seen) == 60 and not any(seen)
    assert steps > 10, "those who ask on and on do not hold up the loop"


def test_a_turn_is_free_again_after_a_failure() -> None:
    turns = Turns()
    with pytest.raises(RuntimeError), turns.looping():
        raise RuntimeError
    with turns.taken():
        pass


@pytest.fixture
def data(swinging: Dataset, tmp_path: Path) -> Path:
    return written(swinging, tmp_path / "data")


def test_watching_changes_no_bit(data: Path, tmp_path: Path) -> None:
    """Pictures are asked for all through the training; they change as it goes on."""
    config = from_dict(TrainConfig, TINY, where="test")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pictures: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        address = f"http://127.0.0.1:{port}/frame.jpg?azimuth=0&elevation=0&zoom=1&time=0"
        while not over.is_set():
            try:
                with urllib.request.urlopen(address, timeout=30) as answer:
                    pictures.append(answer.read())
            except OSError:
                time.sleep(0.02)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    train(config, data, tmp_path / "seen", view=port)
    over.set()
    watcher.join(timeout=60)
    train(config, data, tmp_path / "alone")
    name = "scene.safetensors"
    assert (tmp_path / "seen" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert len(pictures) >= 2 and len(set(pictures)) >= 2
    assert all(p.startswith(b"\xff\xd8") for p in pictures)


class Still:
    duration = 0.0
    background = (0.0, 0.0, 0.0)
    shade = 0.9

    def at(self, time: float) -> Gaussians:
        size = {"scales": torch.full((1, 3), 0.4), "opacities": torch.ones(1)}
        return Gaussians.from_points(torch.zeros(1, 3), torch.full((1, 3), self.shade), **size)


@pytest.fixture
def scene() -> Iterator[Still]:
    yield Still()


def test_view_takes_scenes_runs_and_files(scene: Still, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="port got 70000"):
        clay4d.view(scene, port=70000)
    with pytest.raises(FileNotFoundError):
        clay4d.view(tmp_path / "nowhere")
    config = from_dict(TrainConfig, {**TINY, "steps": 2}, where="test")
    train(config, data, tmp_path / "run")
    for what in (scene, tmp_path / "run", tmp_path / "run" / "scene.safetensors"):
        viewer = clay4d.view(what, port=0, backend="reference")
        try:
            with urllib.request.urlopen(f"{viewer.url}/frames", timeout=30) as answer:
                assert b"<!doctype html>" in answer.read()
            assert hasattr(viewer, "_cameras") is (what == tmp_path / "run")
        finally:
            viewer.close()
