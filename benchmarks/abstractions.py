"""Concepts in the reasoner's layers and thoughts, over training, and what patching them does.

    python benchmarks/abstractions.py WORLDS --runs RUN... --out FILE.json [--train 1500]

A run trained with --keep-checkpoints is also probed at each kept step. Probes learn on `train` worlds and
are scored on `test`, as in benchmarks/thoughts.py; nothing is chosen on `test`: the layer that is patched is the one whose
state before any thought is decoded best on held-back training worlds, the last layer left out. Prints tables in
Markdown and leaves the numbers in FILE.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from clay4d.benchmark.abstractions import Place, direction, layer_states, load_step, patch_effects
from clay4d.benchmark.probes import probed
from clay4d.files import written_whole
from clay4d.world_model.generate import load_weights
from clay4d.world_model.training.score import Episodes, episodes
from clay4d.world_model.worlds import WorldSet, open_worlds

SEEN = 5 / 12
"""Seconds of the last frame of the context."""
MATCH = {"hit": "touches", "drag": "way", "wind": "aside", "fast": "way"}
"""The outcome that goes with each concept."""
STRENGTHS = (1.0, 4.0)
PLACES: dict[Place, str] = {"think": "0", "read": "read"}
"""Where states are moved, and whose states' means say which way."""


def labels(worlds: WorldSet, given: Episodes, count: int) -> dict[str, np.ndarray]:
    """Two classes of worlds for each concept; −1 where a world is of neither."""
    told = [worlds.words(i) for i in range(count)]
    force = [w["hidden"]["kind"] for w in told]
    hit = [any(" hits " in e["words"] and e["time"] > SEEN for e in w["events"]) for w in told]
    speed = (given.truth[:, 5] - given.truth[:, 0]).norm(dim=-1) * given.movers
    pace = (speed.sum(1) / given.movers.sum(1).clamp_min(1)).numpy()
    forces = {
        k: np.array([1 if f == k else 0 if f == "none" else -1 for f in force])
        for k in ("drag", "wind")
    }
    return {
        "hit": np.array(hit).astype(int),
        **forces,
        "fast": (pace > np.median(pace)).astype(int),
    }


def first(worlds: WorldSet, count: int) -> Any:
    """The first worlds of a split."""
    return worlds[: min(count, len(worlds))]


def grid(
    x: list[dict[str, np.ndarray]], y: list[dict[str, np.ndarray]]
) -> dict[str, dict[str, Any]]:
    """Balanced accuracy of each concept at each place, and the shuffled control at the last."""
    found: dict[str, dict[str, Any]] = {}
    for concept in y[0]:
        rows = [labels[concept] >= 0 for labels in y]
        pair = [labels[concept][r] for labels, r in zip(y, rows)]

        def at(place: str, shuffled: bool = False, rows: Any = rows, pair: Any = pair) -> Any:
            sets = [(values[place][r], p) for values, r, p in zip(x, rows, pair)]
            return asdict(probed(sets[0], sets[1], classes=2, shuffled=shuffled))

        found[concept] = {place: at(place) for place in x[0]}
        found[concept]["shuffled"] = at(list(x[0])[-1], True)
    return found


def best_layer(x: dict[str, np.ndarray], labels: np.ndarray, layers: int) -> int:
    """The layer whose first state tells most on the last fifth of the training worlds; not the last
    one, which no other token looks at."""
    rows = np.flatnonzero(labels >= 0)
    cut = len(rows) * 4 // 5
    a, b = rows[:cut], rows[cut:]
    scores = []
    for k in range(max(layers - 1, 1)):
        z = x[f"{k + 1}/0"]
        scores.append(probed((z[a], labels[a]), (z[b], labels[b]), classes=2).mean)
    return int(np.argmax(scores)) + 1


def measured(run: Path, data: Path, *, train: int, thoughts: int) -> dict[str, Any]:
    """Everything about one run."""
    model = load_weights(run)
    sets = [first(open_worlds(data, split=s), n) for s, n in (("train", train), ("test", 10**6))]
    given = [episodes(s, model) for s in sets]
    y = [labels(s, g, len(s)) for s, g in zip(sets, given)]
    x = [layer_states(model, g, thoughts=thoughts) for g in given]
    result: dict[str, Any] = {
        "kind": model.config.reasoning.kind, "train": len(sets[0]), "test": len(sets[1]),
        "grid": grid(x, y), "effects": {}, "over_training": {},
    }  # fmt: skip
    layers = len(list(model.dynamics.reasoner.body.blocks))
    chosen = {c: best_layer(x[0], y[0][c], layers) for c in y[0]}
    for strength in STRENGTHS:
        rows = []
        for concept, layer in chosen.items():
            for place, name in PLACES.items():
                away = direction(x[0][f"{layer}/{name}"], y[0][concept])
                found = patch_effects(
                    model, given[1], {concept: away}, layer=layer, thoughts=thoughts, strength=strength,
                    place=place,
                )  # fmt: skip
                rows += [asdict(e) | {"layer": layer, "place": place} for e in found]
        result["effects"][str(strength)] = rows
    steps = sorted((run / "steps").glob("reasoning.*.safetensors")) if run.is_dir() else []
    for path in track(steps, "steps of training", transient=True):
        step = load_step(model, path)
        x = [layer_states(model, g, thoughts=thoughts) for g in given]
        x = [{k: v for k, v in s.items() if k.endswith(("/0", f"/{thoughts}"))} for s in x]
        result["over_training"][str(step)] = grid(x, y)
    return result


def tables(result: dict[str, Any]) -> str:
    """Accuracies by layer and thought, by step, and effects, as Markdown."""
    lines = [f"**{result['kind']}**, balanced accuracy in per cent\n"]
    for concept, cells in result["grid"].items():
        places = [k for k in cells if "/" in k and not k.endswith("/read")]
        thoughts = sorted({int(p.split("/")[1]) for p in places})
        lines.append(f"| {concept} | " + " | ".join(f"thought {t}" for t in thoughts) + " |")
        lines.append("|---" * (len(thoughts) + 1) + "|")
        for layer in sorted({p.split("/")[0] for p in places}):
            row = [f"{100 * cells[f'{layer}/{t}']['mean']:.0f}" for t in thoughts]
            lines.append(f"| layer {layer} | " + " | ".join(row) + " |")
        told = [
            f"{k} {100 * cells[k]['mean']:.0f}" for k in cells if "read" in k or k == "shuffled"
        ]
        lines.append("\n" + ", ".join(told) + "\n")
    for concept in MATCH if result["over_training"] else ():
        row = []
        for step, cells in result["over_training"].items():
            best = max((v["mean"] for k, v in cells[concept].items() if k.endswith("/0")))
            row.append(f"{step}: {100 * best:.0f}")
        lines.append(f"{concept}, best layer before any thought, by step: " + ", ".join(row) + "\n")
    for strength, rows in result["effects"].items():
        lines.append(
            f"| patch × {strength} | layer | where | outcome | effect | at random |\n|---|---|---|---|---|---|"
        )
        for e in rows:
            told = [
                f"{e[k]['mean']:+.3f} ({e[k]['low']:+.3f} to {e[k]['high']:+.3f})"
                for k in ("patched", "random")
            ]
            name = f"**{e['outcome']}**" if MATCH[e["concept"]] == e["outcome"] else e["outcome"]
            lines.append(
                f"| {e['concept']} | {e['layer']} | {e['place']} | {name} | "
                + " | ".join(told)
                + " |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure runs one after the other; print and write after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", type=Path)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=1500)
    parser.add_argument("--thoughts", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for run in given.runs:
        results.append(measured(run, given.worlds, train=given.train, thoughts=given.thoughts))
        print(tables(results[-1]), flush=True)
        with written_whole(given.out) as place:
            place.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
