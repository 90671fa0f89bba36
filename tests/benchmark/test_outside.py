"""Videos of outside models: what they are given, how answers are scored, and what becomes of bad ones."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from clay4d.benchmark.outside import (
    RATE,
    SEEN,
    SIDE,
    Question,
    questions,
    read_answer,
    run_outside,
    write_questions,
)
from clay4d.renderers.video import write_video


@pytest.fixture(scope="module")
def worlds(standard_worlds: Path) -> Path:
    return standard_worlds


@pytest.fixture(scope="module")
def asked(worlds: Path) -> list[Question]:
    return list(questions(worlds, split="train", limit=2))


def test_the_second_take_starts_alike_and_parts_by_little(asked: list[Question]) -> None:
    for question in asked:
        assert question.given.shape == (SEEN, SIDE, SIDE, 3) and len(question.truth) == 18
        off = np.abs(question.truth.astype(int) - question.second).mean((1, 2, 3))
        assert off[0] < 2 and off.max() > 0
        assert off.mean() < 3


def test_questions_hold_nothing_that_comes_later(
    worlds: Path, asked: list[Question], tmp_path: Path
) -> None:
    names = write_questions(worlds, tmp_path / "q", split="train", limit=2)
    assert names == [q.name for q in asked]
    for question in asked:
        place = tmp_path / "q" / question.name
        assert (place / "prompt.txt").read_text() == question.prompt + "\n"
        assert len(list(place.glob("given_*.png"))) == SEEN
        with av.open(str(place / "given.mp4")) as film:
            assert len(list(film.decode(video=0))) == SEEN
        assert len(list(place.iterdir())) == SEEN + 2
    with pytest.raises(ValueError, match="holds something"):
        write_questions(worlds, tmp_path / "q", split="train")


def test_answers_are_scored_at_any_rate_and_bad_ones_are_listed(
    worlds: Path, asked: list[Question], tmp_path: Path
) -> None:
    good, bad = tmp_path / "v/good", tmp_path / "v/bad"
    for question in asked:
        write_video(good / f"{question.name}.mp4", np.repeat(question.truth, 2, 0), fps=2 * RATE)
    write_video(bad / f"{asked[0].name}.mp4", asked[0].truth[:4], fps=RATE)
    (bad / f"{asked[1].name}.mp4").write_bytes(b"no film")
    found = run_outside(worlds, tmp_path / "v", tmp_path / "out", split="train", limit=2)
    by = {(m.system, m.scene, m.metric): m for m in found.measurements}
    for question in asked:
        score = {s: by[s, question.name, "psnr"].value for s in ("good", "frozen", "second-take")}
        assert (score["good"] or 0) > 32 > (score["frozen"] or 99)
    failed = [m for m in found.measurements if m.status == "failed"]
    assert {m.system for m in failed} == {"bad"} and len(failed) == 2
    assert "expected 1.50 s" in failed[0].reason or "expected 1.50 s" in failed[1].reason
    assert len(found.shown) == 2 and all(
        (tmp_path / "out" / p.video).is_file() for s in found.shown for p in s.panes
    )


def test_what_is_not_there_is_said(worlds: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a folder with a folder"):
        run_outside(worlds, tmp_path / "none", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="not there"):
        read_answer(tmp_path / "a.mp4", 18)
