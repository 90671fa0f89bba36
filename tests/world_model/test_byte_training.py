"""The byte model's trainer: repeatable, learns, and writes what the patcher reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clay4d.world_model.patcher import corpus, load_byte_model, train
from clay4d.world_model.patcher.corpus import english_texts, prompt_texts

TEXT = b"a red ball hits a blue cube\n" * 40
SMALL = train.ByteTraining(width=8, units=24, steps=120, batch=8, length=40)


def test_training_repeats_and_the_kernel_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "build_corpus", lambda: (TEXT, TEXT, {}))
    bits = [
        train.train_byte_model(tmp_path / f"{k}.safetensors", SMALL, progress=False) for k in "ab"
    ]
    assert bits[0] == bits[1] < 3.5  # Of 8 without training.
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    model = load_byte_model(tmp_path / "a.safetensors")
    tokens, targets = train.Windows(TEXT, 40, seed=1).draw(64)
    read = [model.surprises(bytes(row.tolist())).mean() for row in targets]
    assert abs(float(np.mean(read)) - bits[0]) < 0.3  # The same text, other windows.


def test_windows_foretell_the_byte_after_each_token() -> None:
    tokens, targets = train.Windows(TEXT, 30, seed=0).draw(16)
    assert (tokens[:, 0] == 256).all() and (tokens[:, 1:] == targets[:, :-1]).all()
    starts = [bytes(row.tolist()).startswith(b"a red") for row in targets]
    assert sum(starts) >= 6


def test_prompt_texts_repeat_and_tell_scripts() -> None:
    texts = list(prompt_texts(5))
    assert texts == list(prompt_texts(5)) and texts != list(prompt_texts(5, seed=1))
    assert sum(" s: " in text for text in texts) == 5


def test_english_is_prose() -> None:
    texts = list(english_texts(packages=()))  # Python's own help.
    assert len(texts) > 300
    assert all(len(t) >= corpus.SHORTEST and t[0].isupper() and ">>>" not in t for t in texts)
    with pytest.raises(ValueError, match="no package nowhere_to_be_found"):
        list(english_texts(packages=("nowhere_to_be_found",)))
