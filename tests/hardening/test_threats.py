"""What docs/security.md promises: a test for each way in that it names."""

from __future__ import annotations

import ast
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats import borrowed

from clay4d.config import load_config
from clay4d.physics_baseline.spec import SceneSpec, SpecError
from clay4d.physics_baseline.tools import Session
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.loaders.images import inside, read_image, read_npz
from clay4d.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("scenes", "renderers", "training", "physics_baseline", "world_model", "benchmark", "src/clay4d")  # fmt: skip
NEVER = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "subprocess.getoutput", "joblib.load",
    "subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "os.startfile", "np.fromregex",
}  # fmt: skip
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "xml", "tarfile"}  # fmt: skip
PATHS = [
    "/etc/passwd", "../x.png", "a/../../x.png", "C:\\x.png", "C:x.png", "..\\x.png", "\\\\host\\x",
    "a\0.png", "a/..", "", "//etc/passwd", "a\\..\\..\\x",
]  # fmt: skip


def dangers(text: str) -> list[str]:
    """Calls and imports by which what was read could be run."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]  # fmt: skip
            found += [n for n in names if n.split(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name in NEVER or options.get("shell", "False") != "False":
                found.append(name)
            if options.get("allow_pickle", "False") != "False" or "Loader" in options:
                found.append(name)
            if name in ("np.load", "numpy.load") and options.get("allow_pickle") != "False":
                found.append(f"{name} without allow_pickle=False")
    return found


def sources() -> Iterator[Path]:
    for layer in LAYERS:
        yield from sorted((ROOT / layer).rglob("*.py"))


def test_nothing_that_is_read_can_be_run() -> None:
    assert {str(p): d for p in sources() if (d := dangers(p.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import load", "eval(x)", "exec(x)", "yaml.load(x, Loader=L)",
        "torch.load(p)", "np.load(p)", "np.load(p, allow_pickle=True)", "os.system(x)",
        "subprocess.run(x, shell=True)", "open_memmap(p, allow_pickle=True)",
    ],
)  # fmt: skip
def test_the_guard_itself_sees(code: str) -> None:
    assert dangers(code)


@pytest.mark.parametrize("name", PATHS)
def test_no_path_leads_out_of_a_data_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="path got .* inside the data folder"):
        inside(tmp_path, name)
    posed = borrowed("scenes/conftest")
    meta = posed.single(tmp_path, 3)
    meta["frames"][0]["file_path"] = name
    posed.put(tmp_path, meta)
    with pytest.raises((ValueError, FileNotFoundError), match="path got|file_path"):
        load_dataset(tmp_path)


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    borrowed("scenes/conftest").save(secret)
    data = tmp_path / "data"
    borrowed("scenes/conftest").single(data, 3)
    picture = data / "images/0001.jpg"
    picture.unlink()
    picture.symlink_to(secret)
    with pytest.raises(ValueError, match="path got .* inside the data folder"):
        load_dataset(data).train[1]
    (data / "more").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="path got"):
        read_image(data, "more/secret.png")


def test_worlds_and_reports_name_no_file_outside(tmp_path: Path) -> None:
    from clay4d.benchmark.results import Pane
    from clay4d.world_model.worlds import open_worlds

    folder = borrowed("world_model/synthetic").write_worlds(tmp_path / "w", 2, size=16, held=1)
    index = json.loads((folder / "worlds.json").read_text())
    for name in ("../w/shard-00000", "/etc/passwd", "shard-00000/../x"):
        index["shards"][0]["name"] = name
        (folder / "worlds.json").write_text(json.dumps(index))
        with pytest.raises(ValueError, match="got shard .* expected a name"):
            open_worlds(folder)
    for name in ("../a.mp4", "/a.mp4", "javascript:alert(1)", "C:\\a.mp4"):
        with pytest.raises(ValueError, match="expected a path relative to results.json"):
            Pane("a", name)


@pytest.mark.parametrize("name", [*PATHS, "a/b", "..", ".hidden", "a b", "$(x)"])
def test_tools_write_into_their_folder_alone(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name got"):
        Session(tmp_path).file(name)
    with pytest.raises(SpecError):
        SceneSpec.from_json(json.dumps({"bodies": [{"kind": "sphere", "name": name, "radius": 1}]}))
    with pytest.raises(SpecError):
        SceneSpec.from_json(json.dumps({"cameras": [{"kind": "fixed", "name": name, "position": [1, 1, 1]}]}))  # fmt: skip


def test_a_config_is_data(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    for text in (
        "!!python/object/apply:os.system ['touch x']", "steps: !!python/name:os.system", "steps: !!python/object/new:os.system [x]",
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match="c.yaml is not YAML"):
            load_config(TrainConfig, path)
    rows = [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9) if k else 'x'}]" for k in range(12)]
    path.write_text("\n".join(rows))  # 9¹¹ words if they were written out
    with pytest.raises(ValueError, match="unknown key 'a0'"):
        load_config(TrainConfig, path)
    path.write_text("\n".join(["steps:", *(f"- {row.partition(': ')[2]}" for row in rows)]))
    with pytest.raises(ValueError) as caught:
        load_config(TrainConfig, path)
    assert len(str(caught.value)) < 2000


def test_a_language_model_only_ever_gives_a_scene() -> None:
    from clay4d.physics_baseline.planner import PlanError
    from clay4d.physics_baseline.planner.language_model import MAX_ANSWER, _Client, _scene

    for answer in ("__import__('os').system('x')", '{"bodies": [{"kind": "mesh", "file": "/etc/passwd", "name": "a"}]}', "[" * 10**5):  # fmt: skip
        with pytest.raises(SpecError):
            _scene(answer, "a ball", 0)
    client = _Client("http://localhost", "secret", 1.0)
    for raw in (b"<html>", b"{}", b"[" * 10**5, b'{"choices": 3}'):
        with pytest.raises(PlanError) as caught:
            client._content(raw)
        assert "secret" not in str(caught.value)
    assert client.opener.handlers and MAX_ANSWER < 1 << 23
    redirects = [h for h in client.opener.handlers if "redirect" in type(h).__name__.lower()]
    assert [h.redirect_request() for h in redirects] == [None]  # type: ignore[attr-defined]


def test_a_picture_that_unfolds_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # fmt: skip

    head = struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")  # fmt: skip
    (tmp_path / "a.png").write_bytes(png)
    with pytest.raises(ValueError, match="a.png got a picture that does not decode"):
        read_image(tmp_path, "a.png")


def test_arrays_that_unfold_are_refused(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 28,)})  # fmt: skip
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as bundle:
        with bundle.open("data.npy", "w", force_zip64=True) as file:
            file.write(head.getvalue())
            for _ in range(1025):
                file.write(bytes(1 << 20))
    assert (tmp_path / "a.npz").stat().st_size < 2 << 20
    with pytest.raises(ValueError, match="a.npz got no readable arrays .1074.* at most 1024 MB"):
        read_npz(tmp_path / "a.npz", "data")
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 42,)})  # fmt: skip
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as bundle:
        bundle.writestr("data.npy", head.getvalue() + bytes(80))
    with pytest.raises(ValueError, match="c.npz got no readable arrays .a claim of"):
        read_npz(tmp_path / "c.npz", "data")
    np.savez(tmp_path / "b.npz", data=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="b.npz got no readable arrays"):
        read_npz(tmp_path / "b.npz", "data")


def test_pictures_of_worlds_are_not_inflated_beyond_their_size(tmp_path: Path) -> None:
    from clay4d.world_model.worlds import open_worlds, store

    with pytest.raises(ValueError, match="a picture of other than 8 bytes"):
        store._inflated(zlib.compress(bytes(1 << 26)), 8)
    synthetic = borrowed("world_model/synthetic")
    world = synthetic.make_world(0, size=16)
    tensors = store._tensors(world)
    tensors["shape"] = np.array([1 << 20, 1 << 10, 1 << 10, 1 << 10])
    from safetensors.numpy import save

    folder = synthetic.write_worlds(tmp_path / "w", 2, size=16, held=1)
    data = save({f"000000.{k}": v for k, v in tensors.items()})
    (folder / "shard-00000.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match="pictures of shape"):
        open_worlds(folder).read(0)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Host": "localhost:8080", "Origin": "http://localhost:8080"}, True),
        ({"Host": "localhost:8080"}, True), ({"Host": "evil.example:8080"}, False),
        ({"Host": "localhost:8080", "Origin": "http://evil.example"}, False),
        ({"Host": "localhost:8080", "Origin": "http://localhost:9"}, False),
        ({"Host": "localhost:8080", "Origin": "null"}, False), ({}, False),
        ({"Host": "127.0.0.1.evil.example", "Origin": "http://127.0.0.1.evil.example"}, False),
    ],
)  # fmt: skip
def test_the_viewer_answers_to_its_own_page_alone(headers: dict[str, str], allowed: bool) -> None:
    import inspect

    from websockets.datastructures import Headers

    from clay4d.renderers.viewer.server import permitted
    from clay4d.renderers.viewer.viewer import Viewer

    assert permitted(Headers(headers), host="127.0.0.1") is allowed
    assert inspect.signature(Viewer).parameters["host"].default == "127.0.0.1"


SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_pages_escape_what_they_show(tmp_path: Path) -> None:
    from formats_made import _results

    from clay4d.benchmark.report import write_report
    from clay4d.benchmark.results import load_results

    (seed,) = _results(tmp_path)
    raw: dict[str, Any] = json.loads(seed["results.json"])

    def soiled(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: soiled(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [soiled(v, key) for v in value]
        safe = key in (
            "metric",
            "name",
            "protocol",
            "better",
            "status",
            "verdict",
            "video",
            "scene",
        )
        return value + SCRIPT if isinstance(value, str) and not safe else value

    protocols = raw["protocols"]
    dirty = soiled(raw) | {"protocols": [[p, SCRIPT] for p, _ in protocols]}
    (tmp_path / "results.json").write_text(json.dumps(dirty))
    results = load_results(tmp_path / "results.json")
    write_report(replace(results, shown=()), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page and "<img src=x" not in page


def test_the_page_names_every_test_of_this_file() -> None:
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]  # fmt: skip
    assert [n for n in names[:-1] if n not in ("test_the_guard_itself_sees",) and n not in text] == []  # fmt: skip
