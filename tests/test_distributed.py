"""Tasks on a Ray cluster give the bytes of the local path, whatever is killed meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from on_disk import written

from clay4d.distributed import run_tasks, with_address
from clay4d.world_model.worlds.make import make_worlds
from clay4d.world_model.worlds.settings import WorldsConfig

TINY = WorldsConfig(size=32, frames=12, supersample=1, step=1 / 240, shard=1, cameras=1)


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, as two machines would be."""
    pytest.importorskip("ray", reason="the extra distributed is not installed: make distributed")
    pytest.importorskip("pybullet")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def test_alone_the_flag_means_this_computer() -> None:
    assert with_address(["a", "--distributed"]) == ["a", "--distributed", "local"]
    assert with_address(["a", "--distributed", "h:1"]) == ["a", "--distributed", "h:1"]


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'clay4d\[distributed\]'"):
        next(run_tasks(len, {1: ("a",)}, address="local"))


def mark(place: str, number: int) -> int:
    """Dies the first time that it is called with 2, as a machine that is switched off."""
    path = Path(place) / f"{number}-{os.getpid()}"
    path.touch()
    if number == 2 and len(list(Path(place).glob("2-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def wrong(number: int) -> None:
    raise ValueError(f"number got {number}; expected another. Choose one.")


def test_a_killed_worker_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    tasks = {k: (str(tmp_path), k) for k in range(5)}
    found = dict(run_tasks(mark, tasks, address=cluster.address))
    assert found == {k: k * k for k in range(5)}
    assert len(list(tmp_path.glob("2-*"))) == 2 and len(list(tmp_path.glob("*"))) == 6
    with pytest.raises(ValueError, match="number got 3; expected another"):
        list(run_tasks(wrong, {0: (3,)}, address=cluster.address))


def test_a_cluster_makes_the_same_worlds(cluster: Any, tmp_path: Path) -> None:
    make_worlds(TINY, tmp_path / "here", count=4, seed=3)
    make_worlds(TINY, tmp_path / "there", count=4, seed=3, distributed=cluster.address)
    assert files(tmp_path / "here") == files(tmp_path / "there")


DRIVER = """
import sys
from clay4d.world_model.worlds.make import make_worlds
from clay4d.world_model.worlds.settings import WorldsConfig
tiny = WorldsConfig(size=32, frames=12, supersample=1, step=1 / 240, shard=1, cameras=1)
make_worlds(tiny, sys.argv[1], count=6, seed=5, distributed=sys.argv[2])
"""


def test_a_killed_driver_goes_on_where_it_was(cluster: Any, tmp_path: Path) -> None:
    out = tmp_path / "there"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, out, cluster.address])
    end = time.monotonic() + 200
    while not list(out.glob("shard-*.json")) and time.monotonic() < end and driver.poll() is None:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    time.sleep(1.0)  # its workers are stopped by the cluster
    done = {p.name: p.stat().st_mtime_ns for p in out.glob("shard-*.json")}
    assert done
    make_worlds(TINY, out, count=6, seed=5, distributed=cluster.address)
    make_worlds(TINY, tmp_path / "here", count=6, seed=5)
    assert files(tmp_path / "here") == {k: v for k, v in files(out).items() if k[0] != "."}
    assert done == {k: v for k, v in ((p.name, p.stat().st_mtime_ns) for p in out.glob("shard-*.json")) if k in done}  # fmt: skip


def test_the_benchmark_measures_the_same_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    from clay4d.benchmark.run import run_suite

    make_worlds(TINY, tmp_path / "worlds", count=12, seed=1)
    systems = ("static", "constant-velocity")
    found = [
        run_suite("smoke", tmp_path / name, data=tmp_path / "worlds", systems=systems, **more)
        for name, more in (("here", {}), ("there", {"distributed": cluster.address}))
    ]  # fmt: skip
    values = [[(m.system, m.scene, m.metric, m.horizon, m.value) for m in f.measurements] for f in found]  # fmt: skip
    assert values[0] == values[1] and len(values[0]) > 4
    assert found[0].hypotheses == found[1].hypotheses


def test_a_cluster_simulates_the_same_suite(cluster: Any, tmp_path: Path) -> None:
    from clay4d.physics_baseline.suite import simulate_suite

    colours = ("red", "green", "blue")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"a {c} ball falls for 0.2 seconds at 10 fps" for c in colours))
    for name, more in (("here", {}), ("there", {"distributed": cluster.address})):
        simulate_suite(prompts, tmp_path / name, rig=1, **more)
    here, there = whole(tmp_path / "here"), whole(tmp_path / "there")
    assert here == there and "0002/scene.safetensors" in here
    # A rerun makes what is missing.
    shutil.rmtree(tmp_path / "there/0001")
    made = (tmp_path / "there/0000/scene.json").stat().st_mtime_ns
    simulate_suite(prompts, tmp_path / "there", rig=1, distributed=cluster.address)
    assert whole(tmp_path / "there") == here
    assert (tmp_path / "there/0000/scene.json").stat().st_mtime_ns == made


def whole(folder: Path) -> dict[str, bytes]:
    """All files but those that tell the time."""
    told = ("trace.json", "checkpoint.safetensors")
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in told and "tensorboard" not in p.parts
    }  # fmt: skip


SWEEP = """
import sys
from clay4d.cli import main
main(["sweep", sys.argv[1], "--out", sys.argv[2], "--split", "test", "--distributed", sys.argv[3]])
"""


def test_a_killed_sweep_goes_on_to_the_same_bits(
    cluster: Any, swinging: Any, tmp_path: Path
) -> None:
    import yaml

    from clay4d.cli import main

    written(swinging, tmp_path / "data")
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(yaml.safe_dump({"steps": 300, "checkpoint_every": 10, "start": {"count": 100}}))
    runs = tmp_path / "runs.txt"
    runs.write_text("\n".join(f"{tiny} --data {tmp_path}/data --seed {k}" for k in range(3)))
    assert main(["sweep", str(runs), "--out", str(tmp_path / "here"), "--split", "test"]) == 0
    there = tmp_path / "there"
    driver = subprocess.Popen([sys.executable, "-c", SWEEP, runs, there, cluster.address])
    end = time.monotonic() + 200
    while not list(there.glob("*/checkpoint.safetensors")):
        assert time.monotonic() < end and driver.poll() is None
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    time.sleep(1.0)  # its workers are stopped by the cluster
    again = ["sweep", str(runs), "--out", str(there), "--split", "test"]
    assert main([*again, "--distributed", cluster.address]) == 0
    assert whole(tmp_path / "here") == whole(there)


def test_a_node_that_is_switched_off_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    """The last test: the cluster has one node after it."""
    node = next(iter(cluster.worker_nodes))
    timer = threading.Timer(1.0, lambda: cluster.remove_node(node, allow_graceful=False))
    timer.start()
    make_worlds(TINY, tmp_path / "there", count=6, seed=7, distributed=cluster.address)
    timer.join()
    make_worlds(TINY, tmp_path / "here", count=6, seed=7)
    assert files(tmp_path / "here") == {k: v for k, v in files(tmp_path / "there").items() if k[0] != "."}  # fmt: skip
