"""`generate --explain`: beliefs lead to what is made, watching changes nothing, the page is safe and whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clay4d.cli import main
from clay4d.world_model.explain import Watcher, changed, prompt_patches
from clay4d.world_model.generate import generate
from clay4d.world_model.model import WorldModel

PROMPT = "a red ball and a blue ball fall onto the floor"


@pytest.fixture
def model(small_model: WorldModel) -> WorldModel:
    """A model in which thoughts matter: its answers' weights are large."""
    torch.nn.init.normal_(small_model.dynamics.future.out.weight, std=0.2)
    return small_model


def test_the_last_belief_is_what_is_made(model: WorldModel) -> None:
    """Of each half second; and the scene is the same as without anybody watching."""
    watcher = Watcher(model, ["the red ball", "the blue ball"], count=3)
    slots, _ = model.imagine([PROMPT], thoughts=3, seed=4, temperature=0.7, watch=watcher)
    alone, _ = model.imagine([PROMPT], thoughts=3, seed=4, temperature=0.7)
    assert torch.equal(slots.positions, alone.positions)
    assert [s.start for s in watcher.stretches] == [0.0, 0.5, 1.0, 1.5]
    for k, stretch in enumerate(watcher.stretches):
        assert [b.thoughts for b in stretch.beliefs] == [0, 1, 2, 3]
        last = stretch.beliefs[-1].slots
        made = slots.positions[:, 6 * k : 6 * k + 6]
        torch.testing.assert_close(last.positions, made)
        torch.testing.assert_close(last.times, slots.times[:, 6 * k : 6 * k + 6])
    assert not torch.equal(
        watcher.stretches[1].beliefs[0].slots.positions,
        watcher.stretches[1].beliefs[3].slots.positions,
    )


def test_what_changed_is_told_largest_first(model: WorldModel) -> None:
    """Things that come and go before those that end elsewhere; what hardly moves is left out."""
    slots, _ = model.imagine([PROMPT], thoughts=0)
    one = replace(slots, present=torch.tensor([[True, True, True, False]]))
    places = one.positions.clone()
    places[0, -1, 0, 0] += 0.12
    places[0, -1, 1, 2] -= 0.4
    places[0, -1, 2] += 0.001
    two = replace(one, positions=places, present=torch.tensor([[True, True, True, True]]))
    names = ["red", "blue", "green", "grey"]
    assert changed(one, two, names.__getitem__) == (
        "grey appears", "blue ends 40 cm elsewhere", "red ends 12 cm elsewhere",
    )  # fmt: skip


def test_patches_are_the_prompt(model: WorldModel) -> None:
    """Joined they are the text, and each begins where its first byte was least expected."""
    patches = prompt_patches(model, PROMPT)
    assert "".join(p.text for p in patches) == PROMPT
    assert all(0 <= p.bits <= 8 for p in patches) and prompt_patches(model, "") == ()


def test_the_command_writes_a_page(model: WorldModel, tmp_path: Path) -> None:
    """One file that asks nothing of anybody; a picture for each belief, 6 of the scene."""
    model.save(tmp_path / "model.safetensors")
    args = ["generate", PROMPT, "--weights", str(tmp_path / "model.safetensors"), "--thoughts", "2"]
    assert main([*args, "--out", str(tmp_path / "run"), "--explain"]) == 0
    page = (tmp_path / "run" / "explain.html").read_text("utf-8")
    assert page.count("<img") == 6 + 4 * 3 and "<script" not in page and "$" not in page
    assert "default-src 'none'" in page and 'src="http' not in page
    assert main([*args, "--out", str(tmp_path / "plain")]) == 0
    assert not (tmp_path / "plain" / "explain.html").exists()
    same = [(tmp_path / r / "scene.safetensors").read_bytes() for r in ("run", "plain")]
    assert same[0] == same[1]


def test_a_context_is_explained_too(model: WorldModel, small_worlds: Path, tmp_path: Path) -> None:
    """Without a prompt, and with things that the prompt does not name."""
    model.save(tmp_path / "model.safetensors")
    generate(
        "", tmp_path / "run", context=small_worlds / "000003", explain=True, thoughts=1,
        weights=tmp_path / "model.safetensors",
    )  # fmt: skip
    page = (tmp_path / "run" / "explain.html").read_text("utf-8")
    assert "(no prompt)" in page and page.count("<img") == 6 + 3 * 2


def test_a_page_needs_a_folder() -> None:
    """One clear line."""
    with pytest.raises(ValueError, match="explain got no folder"):
        generate(PROMPT, explain=True)
