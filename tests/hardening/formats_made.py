"""More formats to fuzz: what clay4d itself makes and reads again, and what agents and models send it."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

from formats import Format, Seed, borrowed, collected


@cache
def _trainer() -> Any:
    """One small trainer, a few steps on its way; loading into it again and again does not wear it out."""
    from clay4d.training.config import ControlNodes, McmcDensity, Schedule, Start, TrainConfig
    from clay4d.training.trainer import Trainer

    config = TrainConfig(
        motion=ControlNodes(nodes=8, width=8, depth=1, start=0.0), start=Start(count=30),
        density=McmcDensity(cap=40, begin=2, every=2), schedule=Schedule(((0.0, 1.0),), 1), steps=20,
    )  # fmt: skip
    trainer = Trainer(config, borrowed("conftest").swinging_dataset(6, size=16))
    for _ in range(5):
        trainer.step()
    return trainer


def _checkpoint(folder: Path) -> list[Seed]:
    from clay4d.training.checkpoints import save_checkpoint

    save_checkpoint(folder / "c.safetensors", _trainer(), seconds=1.0)
    return [collected(folder)]


def _read_checkpoint(folder: Path) -> None:
    from clay4d.training.checkpoints import load_checkpoint

    load_checkpoint(folder / "c.safetensors", _trainer())


@cache
def _small_worlds() -> tuple[Any, Any]:
    """Two worlds, and a model that was never trained."""
    import tempfile

    from clay4d.world_model.training.run import new_model
    from clay4d.world_model.worlds import open_worlds

    world_tests = borrowed("world_model/conftest")
    synthetic = borrowed("world_model/synthetic")
    folder = synthetic.write_worlds(Path(tempfile.mkdtemp()), 3, size=16, held=1)
    config = world_tests.small_config.__wrapped__() if hasattr(world_tests.small_config, "__wrapped__") else world_tests.small_config.__pytest_wrapped__.obj()  # fmt: skip
    seed = collected(folder)
    return seed, new_model(config, open_worlds(folder, split="train"))


def _worlds(folder: Path) -> list[Seed]:
    return [_small_worlds()[0]]


def _read_worlds(folder: Path) -> None:
    from clay4d.world_model.worlds import open_worlds
    from clay4d.world_model.worlds.store import _shard_words, check_worlds, read_shard

    _shard_words.cache_clear()
    worlds = open_worlds(folder)
    for k in range(min(len(worlds), 2)):
        worlds.read(k, frames=[0], cameras=[0])
    read_shard(folder, 0)
    check_worlds(folder)


def _weights(folder: Path) -> list[Seed]:
    _small_worlds()[1].save(folder / "m.safetensors", recipe={})
    return [collected(folder)]


def _read_weights(folder: Path) -> None:
    from clay4d.world_model.model import WorldModel

    WorldModel.load(folder / "m.safetensors")


@cache
def _stage() -> Any:
    from torch import nn

    from clay4d.world_model.training.stage import Run

    @dataclasses.dataclass
    class Small:
        modules: Any
        name: str = "small"
        steps: int = 10
        lr: float = 0.01

        def losses(self, step: int) -> Any:
            return {"loss": sum(p.square().sum() for p in self.modules["net"].parameters())}

        def preview(self, folder: Path, step: int) -> None:
            pass

    run = Run(Small({"net": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))}))
    run.step()
    return run


def _world_checkpoint(folder: Path) -> list[Seed]:
    _stage().save(folder / "c.safetensors")
    return [collected(folder)]


def _read_world_checkpoint(folder: Path) -> None:
    _stage().load(folder / "c.safetensors")


def _world_config(folder: Path) -> list[Seed]:
    from clay4d.config import preset_folder

    return [{"c.yaml": p.read_bytes()} for p in sorted(preset_folder().glob("train-world.*.yaml"))]


def _read_world_config(folder: Path) -> None:
    from clay4d.config import load_config
    from clay4d.world_model.training.config import WorldModelConfig

    load_config(WorldModelConfig, folder / "c.yaml", but=("data",))


def _trajectory(folder: Path) -> list[Seed]:
    from clay4d.physics_baseline.engines.mujoco_engine import MujocoEngine
    from clay4d.physics_baseline.engines.trajectory_file import save_trajectory
    from clay4d.physics_baseline.planner import plan

    scene = dataclasses.replace(plan("a red ball falls onto a blue box"), duration=0.4, fps=10)
    save_trajectory(folder / "t.safetensors", MujocoEngine().run(scene))
    return [collected(folder)]


def _read_trajectory(folder: Path) -> None:
    from clay4d.physics_baseline.engines.trajectory_file import load_trajectory

    load_trajectory(folder / "t.safetensors")


def _results(folder: Path) -> list[Seed]:
    from clay4d.benchmark.results import Hypothesis, Measurement, Pane, Results, Shown, save_results
    from clay4d.benchmark.suites import METRICS

    metric = next(iter(METRICS.values()))
    row = {"suite": "s", "task": "t", "system": "a", "scene": "0", "seed": 0, "protocol": "p", "metric": metric.name}  # fmt: skip
    names = {f.name for f in dataclasses.fields(Measurement)}
    one = Measurement(**{k: v for k, v in row.items() if k in names}, value=1.0)  # type: ignore[arg-type]
    save_results(folder / "results.json", Results(
        "s", "0", "name: s", "cmd", "today", "here", (("torch", "2"),), (metric,), (("p", "words"),), (one,),
        (Hypothesis("h", "t", metric.name, "a", "b", 0.1),), (Shown("x", (Pane("a", "a.mp4"),)),),
    ))  # fmt: skip
    return [collected(folder)]


def _read_results(folder: Path) -> None:
    from clay4d.benchmark.report import write_report
    from clay4d.benchmark.results import load_results

    write_report(load_results(folder / "results.json"), folder.parent / "report.html")


CALLS: list[dict[str, Any]] = [
    {"tool": "make_scene", "arguments": {"prompt": "a red ball rolls towards two blue cubes", "seed": 1}},
    {"tool": "describe_scene", "arguments": {}},
    {"tool": "add_body", "arguments": {"body": {"kind": "box", "name": "crate", "size": [1, 1, 1], "position": [3, 3, 0.5]}}},
    {"tool": "set_body", "arguments": {"name": "crate", "changes": {"position": [4, 3, 0.5]}}},
    {"tool": "set_scene", "arguments": {"changes": {"duration": 0.5}}},
    {"tool": "add_camera", "arguments": {"camera": {"kind": "fixed", "name": "side", "position": [0, -5, 1], "target": [0, 0, 0]}}},
    {"tool": "add_rig", "arguments": {"kind": "orbit", "count": 3}},
    {"tool": "add_text", "arguments": {"camera": "side", "text": "hello"}},
    {"tool": "export", "arguments": {"name": "out.glb"}},
    {"tool": "measure", "arguments": {"what": "speed", "body": "crate"}},
    {"tool": "remove", "arguments": {"name": "crate"}},
    {"tool": "get_scene", "arguments": {}},
]  # fmt: skip
SLOW = ("simulate", "render", "look", "composite", "add_sound")
"""Their time is the scene's; what they check is checked by the others too."""


def _messages(folder: Path) -> list[Seed]:
    return [{"calls.json": json.dumps(CALLS[:1] + CALLS[k : k + 3]).encode()} for k in (1, 3, 5, 8)]


def _read_messages(folder: Path) -> None:
    """As the server does: whatever a client sends, an answer comes back and nothing is raised."""
    from clay4d.physics_baseline.tools import Session
    from clay4d.physics_baseline.tools.server import _answer

    try:
        calls = json.loads((folder / "calls.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError):  # the package mcp parses what comes in
        return
    session = Session(folder / "out")
    for call in calls if isinstance(calls, list) else []:
        if not isinstance(call, dict) or call.get("tool") in SLOW:
            continue
        if isinstance(call.get("tool"), str) and isinstance(call.get("arguments"), dict):
            text, wrong, value = _answer(session, call["tool"], call["arguments"])
            assert isinstance(text, str) and (value is None) == wrong
    inside = {p.resolve() for p in folder.rglob("*")}
    assert all(p.is_relative_to(folder.resolve()) for p in inside)


def _trace(folder: Path) -> list[Seed]:
    from clay4d.physics_baseline.tools import Session

    session = Session(folder / "s")
    for call in CALLS[:3]:
        session.call(call["tool"], call["arguments"])
    return [{"trace.json": (folder / "s/trace.json").read_bytes()}]


def _read_trace(folder: Path) -> None:
    from clay4d.physics_baseline.tools import read_trace

    read_trace(folder / "trace.json")


def _answers(folder: Path) -> list[Seed]:
    from clay4d.physics_baseline.planner import plan

    scene = plan("a red ball rolls down a ramp and hits two blue cubes").to_json()
    return [
        {"answer.json": json.dumps({"choices": [{"message": {"content": text}}]}).encode(), "scene.json": text.encode()}
        for text in (scene, f"```json\n{scene}\n```")
    ]  # fmt: skip


def _read_answer(folder: Path) -> None:
    from clay4d.physics_baseline.planner.language_model import _Client, _scene

    if not all((folder / name).is_file() for name in ("answer.json", "scene.json")):
        return  # answers come over the network, not from files
    text = _Client("http://localhost", None, 1.0)._content((folder / "answer.json").read_bytes())
    _scene(text, "a ball", 0)
    _scene((folder / "scene.json").read_text(encoding="utf-8", errors="replace"), "a ball", 0)


def _list(folder: Path) -> list[Seed]:
    from clay4d.lists import begin_list

    (folder / "runs.txt").write_text("# two\ndnerf --data a\nquick --data 'b c' --seed 3\n")
    begin_list(folder / "out", ["dnerf --data a", "quick"], split="val")
    (folder / "out/0000").mkdir()
    (folder / "out/0000/there").touch()
    return [collected(folder)]


def _read_list(folder: Path) -> None:
    from clay4d.lists import begin_list, read_list

    begin_list(folder / "out", read_list(folder / "runs.txt"), split="val")


MADE_FORMATS = (
    Format("checkpoint", _checkpoint, _read_checkpoint),
    Format("worlds", _worlds, _read_worlds),
    Format("world-weights", _weights, _read_weights),
    Format("world-checkpoint", _world_checkpoint, _read_world_checkpoint),
    Format("world-config", _world_config, _read_world_config),
    Format("trajectory", _trajectory, _read_trajectory),
    Format("results", _results, _read_results),
    Format("mcp", _messages, _read_messages),
    Format("trace", _trace, _read_trace),
    Format("llm-answer", _answers, _read_answer),
    Format("list", _list, _read_list),
)
