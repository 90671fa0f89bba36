"""Fields of objects on disk: they come back as they were, and false claims are one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import writer_for
from clay4d.scenes.fields import FieldSize, ObjectField, ObjectFields
from clay4d.scenes.motion import RigidPaths
from clay4d.scenes.store import load_scene, read_tensors, save_scene, write_tensors


def made() -> ObjectFields:
    torch.manual_seed(0)
    field = ObjectField(FieldSize(hidden=8, octaves=2, samples=4), looks=6)
    paths = RigidPaths(objects=2, knots=3)
    paths.positions.normal_()
    stage = Gaussians.from_points(torch.rand(5, 3), torch.rand(5, 3))
    return ObjectFields(field, torch.randn(2, 6), paths, stage, 1.5, (0.2, 0.4, 0.6))


def test_a_file_gives_the_scene_back(tmp_path: Path) -> None:
    scene, path = made(), tmp_path / "a.safetensors"
    save_scene(path, scene)
    back = load_scene(path)
    assert isinstance(back, ObjectFields)
    assert (back.duration, back.background, back.bounds) == (1.5, (0.2, 0.4, 0.6), None)
    points = torch.rand(50, 3)
    assert torch.equal(back.at(0.4).density(points), scene.at(0.4).density(points))
    assert torch.equal(back.stage.means, scene.stage.means)
    save_scene(tmp_path / "b.safetensors", back)
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()
    cut = scene.within((0.0, 0, 0), (1.0, 1, 1))
    save_scene(path, cut)
    again = load_scene(path)
    assert isinstance(again, ObjectFields) and again.bounds == cut.bounds


OPTIONS = {"hidden": 8, "octaves": 2, "samples": 4, "looks": 6}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": OPTIONS | {"hidden": 9}}, r"field.point.weight got float32 \[8, 15\]"),
        ({"options": OPTIONS | {"hidden": 1 << 40}}, "hidden got"),
        ({"options": OPTIONS | {"samples": 0}}, "samples got 0; expected 1 to 256"),
        ({"options": OPTIONS | {"looks": 1 << 40}}, "got"),
        ({"options": OPTIONS | {"looks": "six"}}, "looks got 'six'"),
        ({"options": OPTIONS | {"width": 3}}, "expected its options"),
        ({"paths": {"objects": 3, "knots": 3}}, r"paths.positions got float32 \[2, 3, 3\]"),
        ({"paths": {"objects": 1 << 40, "knots": 1 << 20}}, "got"),
        ({"paths": {"knots": 0, "objects": 2}}, "expected at least 0 and 1"),
        ({"background": [1.0]}, "background got"),
        ({"bounds": [[0, 0, 0]]}, "bounds got"),
        ({"bounds": [[0, 0, 0], [1, 1, "x"]]}, "bounds got"),
        ({"duration": None}, "duration"),
        ({"field": "voxels", "steps": 1, "occupied": [1]}, "'k-planes' or 'objects'"),
    ],
)
def test_a_file_that_claims_something_else_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    save_scene(tmp_path / "a.safetensors", made())
    tensors, header = read_tensors(tmp_path / "a.safetensors")
    write_tensors(tmp_path / "b.safetensors", tensors, header | change)
    with pytest.raises(ValueError, match=said) as caught:
        load_scene(tmp_path / "b.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("looks", torch.full((2, 6), torch.nan), "looks got NaN"),
        ("looks", torch.zeros(2, 6, dtype=torch.float64), "looks got float64"),
        ("stage.means", torch.zeros(4, 3), "stage.quats got"),
        ("stage.opacities", torch.full((5,), 2.0), "opacities outside 0 to 1"),
        ("field.out.bias", None, "field.out.bias got nothing"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, value: torch.Tensor | None, said: str
) -> None:
    save_scene(tmp_path / "a.safetensors", made())
    tensors, header = read_tensors(tmp_path / "a.safetensors")
    tensors.pop(name)
    more = {} if value is None else {name: value}
    write_tensors(tmp_path / "b.safetensors", tensors | more, header)
    with pytest.raises(ValueError, match=said):
        load_scene(tmp_path / "b.safetensors")


@pytest.mark.parametrize("name", ["a.ply", "a.glb", "a.clay4d"])
def test_formats_of_gaussians_refuse_it_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"radiance field; expected Gaussians.*\.mp4"):
        writer_for(name)(made(), tmp_path / name, times=[0.0])
    assert not list(tmp_path.iterdir())
