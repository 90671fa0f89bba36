"""Text to learn bytes from: prompts, scripts and questions of worlds, and ordinary English.

The English is the reference text of Python's own help (`pydoc_data`, PSF licence) and the prose of docstrings of
numpy, scipy and scikit-image (BSD-3-Clause) as they are installed; none of it is copied into clay4d.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.world_model.worlds.format import HIDDEN, Split, WorldEvent
from clay4d.world_model.worlds.layout import Crowded
from clay4d.world_model.worlds.sample import Story, draw_story
from clay4d.world_model.worlds.settings import WorldsConfig
from clay4d.world_model.worlds.words import write_paraphrases, write_prompt

PACKAGES = ("numpy", "scipy", "skimage")
SHORTEST = 60
"""Bytes of a paragraph that counts as prose."""
SEED = 982_451
"""Of the prompts, apart from every seed that people give to worlds."""
HELD = 10
"""One text of so many is held out."""


def prompt_texts(count: int, *, seed: int = SEED) -> Iterator[str]:
    """Prompts, paraphrases, script lines and questions of so many worlds that are not simulated."""
    config = WorldsConfig()
    for index in range(count):
        story = None
        for tries in range(100):
            rng = np.random.default_rng([seed, index, tries])
            try:
                split: Split = "ood-count" if index % 5 == 0 else "train"
                story = draw_story(rng, config, split, HIDDEN[index % len(HIDDEN)])
                break
            except Crowded:
                continue
        if story is not None:
            texts = [write_prompt(story.placed), *write_paraphrases(story.placed, 2, rng)]
            yield from texts
            yield _script(story, rng)


def _script(story: Story, rng: np.random.Generator) -> str:
    """Lines that a script could have: the grammar of scripts, not what would happen."""
    names = [thing.words for thing in story.objects]
    lines, time = [], 0.0
    for _ in range(int(rng.integers(1, 8))):
        time += float(rng.exponential(0.25))
        a = names[int(rng.integers(len(names)))]
        b = names[int(rng.integers(len(names)))]
        verb = ("hits {b}", "hits {b} again", "lands on {b}", "lands on the floor", "stops", "bounces on the floor")[int(rng.integers(6))]  # fmt: skip
        lines.append(WorldEvent(round(time, 2), f"{a} {verb.format(b=b)}").line)
    a, b = names[int(rng.integers(len(names)))], names[int(rng.integers(len(names)))]
    asks = (f"Which is heavier, {a} or {b}?", f"Will {a} and {b} touch?", "Which force is hidden?")
    return "\n".join([*lines, asks[int(rng.integers(3))]])


def english_texts(packages: Sequence[str] = PACKAGES) -> Iterator[str]:
    """Paragraphs of prose from installed packages, in the order of their files."""
    from pydoc_data import topics

    for name in sorted(topics.topics):
        yield from _paragraphs(topics.topics[name])
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(
                f"text got no package {package}; expected it to be installed. Run: make .venv/ready"
            )
        for path in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
            if "tests" in path.parts:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    yield from _paragraphs(ast.get_docstring(node) or "")


def _paragraphs(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        words = " ".join(block.split())
        letters = sum(c.isalpha() or c == " " for c in words)
        if (
            len(words) >= SHORTEST
            and letters > 0.9 * len(words)
            and words[0].isupper()
            and ">>>" not in words
            and "---" not in words
        ):
            yield words


def build_corpus(*, worlds: int = 4800) -> tuple[bytes, bytes, dict[str, Any]]:
    """Training and held-out text, half prompts and half English by bytes, and where it came from.

    Texts are held out by the hash of their content, so the same text is never on both sides.
    """
    sides: dict[str, list[list[bytes]]] = {"prompts": [[], []], "english": [[], []]}
    sources = {"prompts": prompt_texts(worlds), "english": english_texts()}
    for name, texts in sources.items():
        for text in dict.fromkeys(texts):
            data = text.encode() + b"\n"
            side = int(hashlib.sha256(data).hexdigest()[:8], 16)
            sides[name][side % HELD == 0].append(data)
    out = []
    for side in (0, 1):
        both = [b"".join(sides[name][side]) for name in ("prompts", "english")]
        length = min(map(len, both))
        out.append(b"".join(b[:length] for b in both))
    about: dict[str, Any] = {
        "prompts": f"{worlds} worlds, seed {SEED}",
        "english": ["pydoc_data.topics (PSF-2.0)", *(f"{p} docstrings (BSD-3-Clause)" for p in PACKAGES)],
        "bytes": [len(b) for b in out],
        "sha256": [hashlib.sha256(b).hexdigest() for b in out],
    }  # fmt: skip
    return out[0], out[1], about
