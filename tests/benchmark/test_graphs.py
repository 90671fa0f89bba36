"""Puzzles of reachability and the experiment on them: schema, statistics, learning, resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clay4d.benchmark.graph_reasoners import (
    ARMS,
    GraphReasoner,
    GraphTraining,
    answers,
    events,
    stage_at,
    train_arm,
    writing_loss,
)
from clay4d.benchmark.graphs import (
    FILES,
    Puzzle,
    Puzzles,
    deeper_end,
    depths,
    distances,
    make_puzzle,
    read_puzzles,
)
from clay4d.benchmark.thoughts_graphs import DEEPER, GraphConfig, lines, run_graphs
from clay4d.cli import main
from clay4d.world_model.reasoners import Size

TINY = GraphConfig(
    arms=("none", "recycled"), seeds=(0, 1), held=20,
    training=GraphTraining(Size(16, 1, 2, 32), steps=4, batch=4, puzzles=30),
)  # fmt: skip


def made(count: int, *, level: bool = False) -> list[Puzzle]:
    """Some puzzles."""
    draws = np.random.default_rng(5)
    return [make_puzzle(draws, level=level) for _ in range(count)]


def test_made_puzzles_are_as_the_files_are() -> None:
    """Nodes 22.8, edges 36.3, 3 to 6 hops, ends without children, root's path whole; level ones are level."""
    puzzles = made(300)
    nodes = [len({n for e in p.edges for n in e}) for p in puzzles]
    assert np.mean(nodes) == pytest.approx(22.8, abs=0.7)
    assert np.mean([len(p.edges) for p in puzzles]) == pytest.approx(36.3, abs=1.5)
    for p in puzzles:
        assert 3 <= p.hops <= 6 and p.path[-1] == p.target
        assert all(e in p.edges for e in zip((p.root, *p.path), p.path))
        assert not {p.target, p.other} & {a for a, _ in p.edges}
    assert np.mean([deeper_end(p) for p in puzzles]) > 0.75
    for p in made(40, level=True):
        depth = depths(p.edges)
        assert depth[p.target] == depth[p.other] and p.other not in distances(p.edges, p.root)


def test_the_files_leak_their_answers(shared_data: Path) -> None:
    """The deeper end is right in 92.5 % and 92.2 % of the puzzles."""
    found = [
        np.mean([deeper_end(p) for p in read_puzzles(shared_data / "prosqa" / f"{f}.json")])
        for f in FILES
    ]
    assert found == pytest.approx([0.925, 0.9222], abs=1e-3)


def test_symbols_say_nothing(tmp_path: Path) -> None:
    """Two draws of symbols keep the graph and change the numbers."""
    puzzles = Puzzles.of(made(5))
    one, two = (puzzles.named(torch.Generator().manual_seed(s)) for s in (0, 1))
    assert not torch.equal(one.root, two.root)
    for named in (one, two):
        for i in range(5):
            edges = {tuple(e) for e in named.edges[i][named.real[i]].tolist()}
            assert len(edges) == int(puzzles.real[i].sum())
            way = [int(named.root[i]), *(n for n in named.path[i].tolist() if n >= 0)]
            assert all(step in edges for step in zip(way, way[1:]))
            assert way[-1] == int(named.ends[i, 0])


@pytest.mark.parametrize("arm", list(ARMS))
def test_every_arm_thinks_alike_from_outside(arm: str) -> None:
    """Same parts; two scores; nothing of the true way reaches an untaught model."""
    torch.manual_seed(0)
    model = GraphReasoner(ARMS[arm], Size(16, 1, 2, 32)).eval()
    asked = Puzzles.of(made(6))
    scores, _ = model(asked)
    blind, _ = model(replace(asked, path=torch.full_like(asked.path, -1)))
    assert scores.shape == (6, 2) and torch.equal(scores, blind)
    taught, had = model(asked, latent=0, taught=True)
    assert arm == "none" or not torch.equal(taught, scores)
    assert bool(writing_loss(had, asked.path) > 0) is (arm != "none")


def test_the_curriculum_takes_the_words_away() -> None:
    """From all written to none, in order."""
    training, draws = GraphTraining(mixed=0.0), torch.Generator().manual_seed(0)
    stages = [stage_at(p, training, draws) for p in np.linspace(0, 1, 50)]
    assert stages == sorted(stages) and set(stages) == set(range(7)) and stages[-1] == 6
    assert events(torch.tensor([[5, -1]])).tolist() == [[[1, 0, 6, 0], [0, 0, 0, 0]]]


def test_an_arm_learns_what_it_sees_again() -> None:
    """A few graphs with their true ways are learned by heart, but for their symbols: loss falls, bits repeat."""
    puzzles = Puzzles.of(made(8))
    training = GraphTraining(Size(32, 1, 2, 64), steps=30, batch=16, lr=3e-3, mixed=0.0)
    one, two = (train_arm("written chain", puzzles, training, seed=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    fresh = GraphReasoner("script", training.size)

    def loss(model: GraphReasoner) -> float:
        named = puzzles.named(torch.Generator().manual_seed(9))
        return float(writing_loss(model(named, taught=True)[1], named.path).detach())

    assert loss(one) < loss(fresh) - 0.5
    assert answers(one, puzzles).dtype == torch.bool


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A lost arm is trained again to the same answers; another config is refused."""
    out = tmp_path / "run"
    first = run_graphs(out, config=TINY, command="test")
    assert set(first["accuracy"]["made"]) == {DEEPER, "none", "recycled"}
    assert [c["verdict"] for c in first["claims"]] and "deeper end" in "\n".join(lines(first))
    lost = out / "arms" / "recycled-1.json"
    before = json.loads(lost.read_text())["right"]
    lost.unlink()
    again = run_graphs(out, config=TINY, resume=True, command="test")
    assert json.loads(lost.read_text())["right"] == before
    assert again["accuracy"] == first["accuracy"]
    with pytest.raises(ValueError, match="holds something"):
        run_graphs(out, config=TINY)
    with pytest.raises(ValueError, match="another config"):
        run_graphs(out, config=replace(TINY, held=21), resume=True)
    assert "<script" not in (out / "report.html").read_text()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without the files, an unknown arm, a damaged file."""
    args = ["benchmark", "thoughts-graphs", "--quick"]
    assert main([*args, "--out", str(tmp_path / "a"), "--data", str(tmp_path)]) == 2
    assert main([*args, "--out", str(tmp_path / "b"), "--systems", "telepathy"]) == 2
    (tmp_path / "prosqa_valid.json").write_text('[{"edges": [[0, 99]], "root": 0, "target": 99, "neg_target": 1}]')  # fmt: skip
    assert main([*args, "--out", str(tmp_path / "c"), "--data", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 3 and "telepathy" in err and "prosqa_valid.json" in err
