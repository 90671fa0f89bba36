"""What linear probes read in the world model's states, before and after each thought, beside two controls.

    python benchmarks/thoughts.py WORLDS --out FILE.json [--weights RUN] [--train 1500]

Probes learn on `train` worlds and are scored on `test`; nothing is chosen on `test`. Prints a table in
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

from clay4d.benchmark.probes import probed, states
from clay4d.files import written_whole
from clay4d.world_model.generate import load_weights
from clay4d.world_model.training.score import episodes
from clay4d.world_model.worlds import WorldSet, open_worlds

FORCES = ("none", "drag", "wind", "magnus", "tether", "restitution")
SEEN = 5 / 12
"""Seconds of the last frame of the context."""


class First:
    """The first worlds of a split, as a set of its own."""

    def __init__(self, worlds: WorldSet, count: int) -> None:
        self._worlds, self._count = worlds, min(count, len(worlds))

    def __len__(self) -> int:
        return self._count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worlds, name)


def labels(worlds: Any) -> dict[str, tuple[np.ndarray, int]]:
    """Concepts of each world as numbers, and how many values each has."""
    told = [worlds.words(i) for i in range(len(worlds))]
    events = [
        sum(e["time"] > SEEN and " stops" not in e["words"] for e in w["events"]) for w in told
    ]
    touched = [
        sum(" hits " in e["words"] and e["time"] > SEEN for e in w["events"]) > 0 for w in told
    ]
    count = [sum(o["role"] == "mover" for o in w["objects"]) for w in told]
    return {
        "hidden force (6)": (np.array([FORCES.index(w["hidden"]["kind"]) for w in told]), 6),
        "is a force hidden (2)": (
            np.array([w["hidden"]["kind"] != "none" for w in told]).astype(int),
            2,
        ),
        "events to come: 0–1, 2–3, 4+ (3)": (np.digitize(events, (2, 4)), 3),
        "will something be hit (2)": (np.array(touched).astype(int), 2),
        "movers: 1, 2, 3+ (3)": (np.clip(count, 1, 3) - 1, 3),
    }


def main() -> None:
    """Encode, probe, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--train", type=int, default=1500)
    parser.add_argument("--thoughts", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_weights(given.weights)
    sets: list[Any] = [
        First(open_worlds(given.worlds, split="train"), given.train),
        open_worlds(given.worlds, split="test"),
    ]
    x = [states(model, episodes(s, model), thoughts=given.thoughts) for s in sets]
    y = [labels(s) for s in sets]
    found: dict[str, dict[str, Any]] = {}
    for concept, (train, classes) in y[0].items():
        test = y[1][concept][0]
        rows = {
            place: probed((x[0][place], train), (x[1][place], test), classes=classes)
            for place in x[0]
        }
        last = list(x[0])[-1]
        rows["shuffled"] = probed(
            (x[0][last], train), (x[1][last], test), classes=classes, shuffled=True
        )
        found[concept] = {k: asdict(v) for k, v in rows.items()} | {"chance": 1 / classes}
    print(table(found))
    result = {
        "kind": model.config.reasoning.kind, "train": len(sets[0]), "test": len(sets[1]), "balanced accuracy": found,
    }  # fmt: skip
    with written_whole(given.out) as place:
        place.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table(found: dict[str, dict[str, Any]]) -> str:
    """Balanced accuracies in per cent, 95 % intervals in brackets."""
    places = [k for k in next(iter(found.values())) if k != "chance"]
    rows = ["| concept | chance | " + " | ".join(places) + " |", "|---" * (len(places) + 2) + "|"]
    for concept, by in found.items():
        cells = [
            f"{100 * by[p]['mean']:.0f} ({100 * by[p]['low']:.0f}–{100 * by[p]['high']:.0f})"
            for p in places
        ]
        rows.append(f"| {concept} | {100 * by['chance']:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
