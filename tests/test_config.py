"""Configs: what is written is read back, and what is wrong is said in one line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml

from clay4d.config import (
    from_dict,
    kind_name,
    load_config,
    preset_folder,
    presets,
    save_config,
    to_dict,
)
from clay4d.training.config import TrainConfig


@dataclass(frozen=True)
class Still:
    """Nothing."""


@dataclass(frozen=True)
class HexPlane:
    size: int = 4
    lr: float = 1e-3


@dataclass(frozen=True)
class Polynomial4D:
    degree: int = 3


@dataclass(frozen=True)
class Optimiser:
    betas: tuple[float, float] = (0.9, 0.999)
    mode: Literal["adam", "sgd"] = "adam"
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.betas[0] >= 1:
            raise ValueError(f"betas got {self.betas[0]}; expected less than 1.")


@dataclass(frozen=True)
class Run:
    steps: int
    motion: Still | HexPlane | Polynomial4D = field(default_factory=Still)
    extra: HexPlane | Still | None = None
    optimiser: Optimiser = field(default_factory=Optimiser)
    folder: Path = Path("runs")
    sizes: tuple[int, ...] = ()
    names: list[str] = field(default_factory=list)
    white: bool = True


FULL = Run(
    7,
    HexPlane(9, 1.25e-5),
    Still(),
    Optimiser((0.5, 1e-12), "sgd", 1.0),
    Path("a/b"),
    (1, 2),
    ["ü", "no"],
    False,
)


@pytest.mark.parametrize("config", [Run(1), FULL, Run(2, Polynomial4D(1))])
def test_round_trip_is_exact(config: Run, tmp_path: Path) -> None:
    save_config(tmp_path / "config.yaml", config)
    assert load_config(Run, tmp_path / "config.yaml") == config
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]
    assert from_dict(Run, to_dict(config)) == config


def test_left_out_keys_keep_their_defaults() -> None:
    raw = yaml.safe_load("steps: 3\nmotion: {kind: hex-plane, lr: 1e-4}\nextra: null")
    assert from_dict(Run, raw) == Run(3, HexPlane(4, 1e-4))


def test_paths_beside_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_config("config.yaml", Run(3), data=Path("a/b"), note="a/b", none=None)
    said = load_config(dict, tmp_path / "config.yaml")
    assert said["data"] == str(tmp_path / "a" / "b") and said["note"] == "a/b"
    assert said["none"] is None


def test_keys_of_others_stand_beside(tmp_path: Path) -> None:
    path = tmp_path / "run" / "config.yaml"
    save_config(path, Run(3), data="a/b")
    assert load_config(Run, path, but=("data",)) == Run(3)
    assert load_config(dict, path)["data"] == "a/b"
    with pytest.raises(ValueError, match="unknown key 'data'"):
        load_config(Run, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", "f.yaml: unknown key 'stepz'; expected one of steps, motion, extra,"),
        ("{}", "f.yaml: steps is missing; expected a value."),
        ("steps: 3.5", "f.yaml: steps got 3.5; expected a whole number."),
        ("steps: true", "f.yaml: steps got True; expected a whole number."),
        ("steps: '3'", "f.yaml: steps got '3'; expected a whole number."),
        ("{steps: 3, white: 1}", "f.yaml: white got 1; expected true or false."),
        ("{steps: 3, motion: {kind: hex}}", "f.yaml: motion got kind 'hex'; expected {kind: one"),
        ("{steps: 3, motion: {size: 1}}", "f.yaml: motion got no kind; expected {kind: one of s"),
        ("{steps: 3, motion: hex-plane}", "expected {kind: one of still, hex-plane, polynomial4-d"),
        (
            "{steps: 3, motion: {kind: hex-plane, lrr: 1}}",
            "motion got unknown key 'lrr'; expected one of size, lr.",
        ),
        (
            "{steps: 3, motion: {kind: hex-plane, lr: .nan}}",
            "f.yaml: motion.lr got nan; expected a number.",
        ),
        (
            "{steps: 3, motion: {kind: still, a: 1}}",
            "motion got unknown key 'a'; expected one of nothing",
        ),
        (
            "{steps: 3, optimiser: {mode: lion}}",
            "optimiser.mode got 'lion'; expected one of adam, sgd.",
        ),
        (
            "{steps: 3, optimiser: {betas: [1]}}",
            "optimiser.betas got [1]; expected a list of 2 values, each a number",
        ),
        (
            "{steps: 3, optimiser: {betas: [2, 1]}}",
            "f.yaml: optimiser: betas got 2.0; expected less than 1.",
        ),
        ("{steps: 3, optimiser: 4}", "f.yaml: optimiser got 4; expected a mapping of Optimiser."),
        (
            "{steps: 3, optimiser: {clip: x}}",
            "optimiser.clip got 'x'; expected a number or null.",
        ),
        ("- steps", "f.yaml got ['steps']; expected a mapping of Run."),
        ("a: [", "f.yaml is not YAML (while parsing"),
    ],
)
def test_mistakes_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(ValueError) as caught:
        load_config(Run, tmp_path / "f.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.yaml; expected a YAML file"):
        load_config(Run, tmp_path / "none.yaml")


def test_yaml_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("steps: !!python/object/apply:os.getpid []")
    with pytest.raises(ValueError, match="is not YAML"):
        load_config(Run, tmp_path / "f.yaml")


def test_presets_are_read_by_prefix(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("# Large.\nsteps: 9\n")
    (tmp_path / "worlds.small.yaml").write_text("anything: at all\n")
    (tmp_path / "plain.yaml").write_text("steps: 1\n")
    found = presets(Run, tmp_path)
    assert found == {"big": ("Large.", Run(9)), "plain": ("", Run(1))}
    with pytest.raises(ValueError, match="worlds.small.yaml: unknown key 'anything'"):
        presets(Run, tmp_path, prefix="worlds")


def test_kinds_are_kebab_case() -> None:
    names = [kind_name(type(n, (), {})) for n in ("HexPlane", "Static", "SE3Bases", "KPlanes")]
    assert names == ["hex-plane", "static", "se3-bases", "k-planes"]


def test_presets_that_ship_are_sound() -> None:
    found = presets(TrainConfig, preset_folder())
    assert {"quick", "static"} <= found.keys()
    for name, (note, config) in found.items():
        assert note, f"{name}.yaml: its first line must say what it is for"
        assert from_dict(TrainConfig, to_dict(config)) == config


@dataclass(frozen=True)
class Leg:
    length: float = 1.0


@dataclass(frozen=True)
class Table:
    legs: tuple[Leg, ...] = ()


def test_a_tuple_of_dataclasses_is_read_back() -> None:
    table = Table((Leg(2.0), Leg()))
    assert to_dict(table) == {"legs": [{"length": 2.0}, {"length": 1.0}]}
    assert from_dict(Table, to_dict(table)) == table
    assert from_dict(Table, {"legs": []}) == Table()


def test_a_fault_in_a_tuple_of_dataclasses_names_its_place() -> None:
    with pytest.raises(ValueError, match=r"legs\[1\].*unknown key 'width'"):
        from_dict(Table, {"legs": [{}, {"width": 1}]})
    with pytest.raises(ValueError, match="legs got 3; expected a list of mappings, each of Leg"):
        from_dict(Table, {"legs": 3})
