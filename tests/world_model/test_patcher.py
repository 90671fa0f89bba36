"""Patches: causal to the bit, whole, limited; the kernel is PyTorch's GRU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from clay4d.world_model.patcher import (
    ByteModel,
    FixedSize,
    GlobalThreshold,
    Monotonic,
    Rule,
    SingleBytes,
    Whitespace,
    load_byte_model,
    patch_starts,
    split_patches,
)
from clay4d.world_model.patcher.byte_model import START, WEIGHTS
from clay4d.world_model.patcher.train import ByteGRU

RULES: tuple[Rule, ...] = (
    GlobalThreshold(), GlobalThreshold(0.3, max_length=3), Monotonic(), Monotonic(1.0, max_length=5),
    FixedSize(4), Whitespace(), Whitespace(max_length=4), SingleBytes(),
)  # fmt: skip
WORDS = ["a red ball", " rolls into", "the blue cube", ".", "\n", "0.42 s: ", "größer", "  "]
TEXTS = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from(WORDS), max_size=8).map(lambda w: "".join(w).encode())
)  # fmt: skip


def make_model(seed: int) -> tuple[ByteModel, ByteGRU]:
    torch.manual_seed(seed)
    twin = ByteGRU(8, 24)
    with torch.no_grad():
        for p in twin.parameters():
            p.mul_(3)  # So that entropies differ from byte to byte.
    return ByteModel(**{k: v.detach().numpy() for k, v in twin.arrays().items()}), twin


@pytest.mark.parametrize("rule", RULES, ids=str)
@given(text=TEXTS, more=TEXTS)
@settings(max_examples=40, deadline=None)
def test_patches_never_change_when_the_text_goes_on(rule: Rule, text: bytes, more: bytes) -> None:
    """Nor does a byte itself decide whether it starts a patch: a decoder must know before."""
    short, long = patch_starts(text, rule), patch_starts(text + more, rule)
    np.testing.assert_array_equal(short, long[: len(text)])
    for other in (b"\0", b" "):
        changed = patch_starts(text + other + more, rule)
        assert not more or changed[len(text)] == long[len(text)]


@pytest.mark.parametrize("rule", RULES, ids=str)
@given(text=TEXTS)
@settings(max_examples=40, deadline=None)
def test_patches_are_the_text_and_not_too_long(rule: Rule, text: bytes) -> None:
    patches = split_patches(text, rule)
    assert b"".join(patches) == text
    longest = getattr(rule, "max_length", getattr(rule, "size", 1))
    assert all(1 <= len(p) <= longest for p in patches)


def test_the_rules_of_the_paper() -> None:
    """Against the definitions, written out byte by byte for entropies of a model with random weights."""
    model, _ = make_model(0)
    text = b"a red ball rolls into two blue cubes, and a green cone falls."
    entropy = model.entropies(text)
    high = float(np.quantile(entropy, 0.7))
    got = patch_starts(text, GlobalThreshold(high, max_length=1000), model=model)
    assert got.tolist() == [t == 0 or bool(entropy[t] > high) for t in range(len(text))]
    rise = float(np.quantile(np.diff(entropy), 0.7))
    got = patch_starts(text, Monotonic(rise, max_length=1000), model=model)
    wanted = [t == 0 or bool(entropy[t] - entropy[t - 1] > rise) for t in range(len(text))]
    assert got.tolist() == wanted and 5 < sum(wanted) < len(text) - 5


def test_longest_patch_is_cut_and_counted_anew() -> None:
    assert split_patches(b"abcdefgh ij", Whitespace(max_length=3)) == (
        b"abc",
        b"def",
        b"gh ",
        b"ij",
    )
    assert split_patches(b"a  b\n c", Whitespace()) == (b"a ", b" b\n", b" c")
    assert split_patches(b"", Whitespace()) == ()


@given(text=st.binary(min_size=1, max_size=50))
@settings(max_examples=15, deadline=None)
def test_the_kernel_is_pytorchs_gru(text: bytes) -> None:
    model, twin = make_model(1)
    tokens = torch.tensor([[START, *text[:-1]]])
    with torch.no_grad():
        logits = twin(tokens)[0].double()
    log_p = F.log_softmax(logits, -1)
    entropy = -(log_p.exp() * log_p).sum(-1) / np.log(2)
    surprise = -log_p.gather(1, torch.tensor(list(text))[:, None])[:, 0] / np.log(2)
    np.testing.assert_allclose(model.entropies(text), entropy, atol=2e-5)
    np.testing.assert_allclose(model.surprises(text), surprise, atol=2e-5, rtol=1e-5)


def test_released_weights() -> None:
    model = load_byte_model()
    assert WEIGHTS.stat().st_size < 1_000_000
    prompt = b"A large red rubber ball rolls into a small blue cube."
    assert model.surprises(prompt).mean() < 1.2  # It knows the prompts' grammar.
    assert model.surprises(b"The function returns an array of the same shape.").mean() < 3.5
    patches = split_patches(prompt, GlobalThreshold())
    assert 3 < len(prompt) / len(patches) < 12


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="patcher.train"):
        load_byte_model(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="expected a byte model"):
        load_byte_model(tmp_path / "bad.safetensors")
    model, _ = make_model(0)
    with pytest.raises(ValueError, match="head got float32 of shape"):
        dataclasses.replace(model, head=model.head[:-1])
    with pytest.raises(ValueError, match="head_bias got NaN"):
        dataclasses.replace(model, head_bias=model.head_bias * np.float32("nan"))
    for make in (FixedSize, lambda n: Whitespace(max_length=n), lambda n: Monotonic(max_length=n)):
        with pytest.raises(ValueError, match="expected 1 or more bytes"):
            make(0)
