"""What fuzzing and soaking found, each kept: these once left as another error, or took memory without end."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from formats import still
from fuzz import house_style

from clay4d.config import load_config
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.renderers.paths import read_path
from clay4d.scenes.exchange import read_ply_sequence, read_spz, write_clay4d, write_ply_sequence
from clay4d.scenes.motion import ControlNodes, Polynomial
from clay4d.scenes.store import load_scene, read_tensors, save_scene, write_tensors
from clay4d.training.config import TrainConfig


def refused(read: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read()
    assert house_style(caught.value), repr(caught.value)[:500]


def resaved(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A scene's file with another header."""
    tensors, header = read_tensors(path)
    change(header)
    write_tensors(path, tensors, header)
    return path


@pytest.mark.parametrize(
    ("motion", "options"),
    [
        (Polynomial(), {"degree": []}), (Polynomial(), {"é\u202e": 1}),
        (ControlNodes(nodes=6, width=8, depth=1), {"codes": 2.0}),
        (ControlNodes(nodes=6, width=8, depth=1), {"depth": 0}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".safetensors", ".clay4d"])
def test_options_that_no_motion_has(
    motion: Any, options: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    path, scene = tmp_path / f"a{suffix}", still(motion)
    write_clay4d(scene, path) if suffix == ".clay4d" else save_scene(path, scene)
    resaved(path, lambda header: header["options"].update(options))
    refused(lambda: load_scene(path).at(0.5))


def test_a_header_without_a_degree_is_one_of_the_highest(tmp_path: Path) -> None:
    save_scene(tmp_path / "a.safetensors", still())
    resaved(tmp_path / "a.safetensors", lambda header: header.pop("sh_degree"))
    assert len(load_scene(tmp_path / "a.safetensors").at(0.0)) == 12


@pytest.mark.parametrize("change", [{"kind": ["steps"]}, {"dtype": []}, {"shape": [3.0]}])
def test_codings_of_other_types(change: dict[str, Any], tmp_path: Path) -> None:
    write_clay4d(still(), tmp_path / "a.clay4d")
    resaved(tmp_path / "a.clay4d", lambda h: next(iter(h["tensors"].values())).update(change))
    refused(lambda: load_scene(tmp_path / "a.clay4d"))


def test_headers_nested_without_end(tmp_path: Path) -> None:
    text = json.dumps({"__metadata__": {"clay4d": "[" * 200_000}}).encode()
    (tmp_path / "a.clay4d").write_bytes(struct.pack("<Q", len(text)) + text)
    refused(lambda: load_scene(tmp_path / "a.clay4d"))
    (tmp_path / "p.json").write_text("[" * 200_000)
    refused(lambda: read_path(tmp_path / "p.json"))
    (tmp_path / "c.yaml").write_text("[" * 3000)
    refused(lambda: load_config(TrainConfig, tmp_path / "c.yaml"))


def test_an_empty_spz(tmp_path: Path) -> None:
    head = struct.pack("<3I4B", 0x5053474E, 4, 0, 0, 12, 0, 0)[:15]
    (tmp_path / "a.spz").write_bytes(head + struct.pack("<BI12x", 0, 32))
    refused(lambda: read_spz(tmp_path / "a.spz"))


def test_a_folder_that_is_named_like_a_file(tmp_path: Path) -> None:
    write_ply_sequence(still(Polynomial()), tmp_path, times=[0.0, 0.5])
    (tmp_path / "frame_0002.ply").mkdir()
    assert len(read_ply_sequence(tmp_path).paths) == 2


@pytest.mark.parametrize(
    "data", [b"steps: \xff", b"steps: 2001-99-99", b"{[x]: 1}", b"a: !!binary =="]
)
def test_configs_that_yaml_itself_stumbles_over(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(data)
    refused(lambda: load_config(TrainConfig, tmp_path / "c.yaml"))
    refused(lambda: load_config(TrainConfig, tmp_path))


def test_values_of_data_sets_do_not_control_the_terminal(tmp_path: Path) -> None:
    from formats import borrowed

    from clay4d.scenes.loaders import load_dataset

    posed = borrowed("scenes/conftest")
    meta = posed.single(tmp_path, 3)
    posed.put(tmp_path, meta | {"k1": "a\0b\x1b[2J"})
    refused(lambda: load_dataset(tmp_path))


def test_names_of_fields_do_not_control_the_terminal() -> None:
    refused(lambda: SceneSpec.from_json(json.dumps({"a\x1b[2J\u202e" + "x" * 9000: 1})))


def test_a_trajectory_of_other_shapes(tmp_path: Path) -> None:
    import torch

    from clay4d.physics_baseline.engines.trajectory_file import FORMAT, load_trajectory

    header = {"format": FORMAT, "engine": "x", "step": 0.1, "names": ["a"], "contacts": []}
    for change in ({"names": 3}, {"contacts": [{}]}, {"step": None}, {}):
        write_tensors(tmp_path / "t.safetensors", {"times": torch.zeros(3)}, header | change)
        refused(lambda: load_trajectory(tmp_path / "t.safetensors"))


def test_weights_that_claim_networks_too_large(tmp_path: Path) -> None:
    from formats_made import _small_worlds

    from clay4d.world_model.model import WorldModel

    path = tmp_path / "m.safetensors"
    for key, value in (("width", 1 << 40), ("layers", 10**9), ("heads", 0), ("hidden", -1)):
        _small_worlds()[1].save(path)
        resaved(path, lambda h: h["config"]["reasoning"]["size"].update({key: value}))  # noqa: B023
        refused(lambda: WorldModel.load(path))
    for key, wrong in (("config", None), ("templates", [3]), ("vocabulary", "abc")):
        _small_worlds()[1].save(path)
        resaved(path, lambda h: h.update({key: wrong}))  # noqa: B023
        refused(lambda: WorldModel.load(path))


def test_ctrl_c_within_a_kernel_is_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The soak test's find: Numba's C code turns it into a SystemError, and training left a traceback."""
    from clay4d import cli

    def kernel() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise SystemError("skin returned a result with an exception set") from error

    def broken() -> None:
        raise SystemError("of another kind")

    monkeypatch.setitem(cli.COMMANDS, "demo", kernel)
    assert cli.main(["demo"]) == 130
    assert "clay4d: stopped; a training run goes on" in capsys.readouterr().err
    monkeypatch.setitem(cli.COMMANDS, "demo", broken)
    with pytest.raises(SystemError, match="of another kind"):
        cli.main(["demo"])


def test_options_of_a_list_do_not_control_the_terminal(tmp_path: Path) -> None:
    from clay4d.lists import NAME, begin_list

    (tmp_path / NAME).write_text('{"lines": [], "options": "\\u202e\\u001b[2J"}')
    refused(lambda: begin_list(tmp_path, ["a"], seed=0))
