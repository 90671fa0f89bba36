"""Layers are watched as they are, patches touch thinking alone, outcomes are what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from clay4d.benchmark.abstractions import direction, outcomes, patch_effects, patched, watched
from clay4d.world_model.reasoners import EventSizes, Size, build_reasoner
from clay4d.world_model.slots import Slots


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def real(count: int) -> Tensor:
    return torch.ones(2, count, dtype=torch.bool)


@pytest.mark.parametrize("kind", ["recycled", "gru", "pause-single"])
def test_layers_are_watched_while_it_is_open(kind: str) -> None:
    torch.manual_seed(0)
    r = build_reasoner(kind, Size(16, 3, 2, 32), EventSizes(4, 3, 3)).eval()
    memory = r.read(draw(2, 5, 16), real(5))
    with watched(r) as seen:
        had, mind = r.think(memory, 3)
    r.think(memory, 3)
    assert len(seen) == 3 and {len(s) for s in seen} == {2 if kind == "pause-single" else 4}
    # What the last layer gives is the state that the next thought is made from, but for its norm.
    assert mind.ready is not None
    torch.testing.assert_close(r.body.last(seen[2][-1]), mind.ready)
    torch.testing.assert_close(r.body.last(seen[2][0]), had.hidden[:, 0])


def test_patches_touch_thinking_alone() -> None:
    torch.manual_seed(0)
    r = build_reasoner("recycled", Size(16, 3, 2, 32), EventSizes(4, 3, 3)).eval()
    memory = r.read(draw(2, 5, 16), real(5))
    queries = draw(2, 4, 16, seed=1)
    plain, after = r.think(memory, 2)
    with patched(r, 1, torch.ones(16)):
        again = r.read(draw(2, 5, 16), real(5))
        assert all(
            torch.equal(a.keys(0), b.keys(0))
            for a, b in zip(memory.cache.layers, again.cache.layers)
        )
        moved, _ = r.think(memory, 2)
        assert torch.equal(r.answer(after, queries, real(4)), r.answer(after, queries, real(4)))
        with watched(r) as seen:
            r.think(memory, 0)
    with watched(r) as before:
        r.think(memory, 0)
    torch.testing.assert_close(seen[0][0], before[0][0])
    assert not torch.allclose(moved.hidden, plain.hidden)
    assert torch.equal(r.think(memory, 2)[0].hidden, plain.hidden)


def test_patches_of_reading_leave_thinking_alone() -> None:
    torch.manual_seed(0)
    r = build_reasoner("recycled", Size(16, 3, 2, 32), EventSizes(4, 3, 3)).eval()
    memory = r.read(draw(2, 5, 16), real(5))
    plain, _ = r.think(memory, 2)
    with patched(r, 1, torch.ones(16), place="read"):
        assert torch.equal(r.think(memory, 2)[0].hidden, plain.hidden)
        other = r.read(draw(2, 5, 16), real(5))
    assert torch.equal(other.cache.layers[1].keys(0), memory.cache.layers[1].keys(0))
    assert not torch.allclose(other.cache.layers[2].keys(0), memory.cache.layers[2].keys(0))


def scene(positions: Tensor) -> Slots:
    n, t, b = positions.shape[:3]
    looks = torch.zeros(n, b, 4)
    looks[..., 0] = np.log(0.1)
    turns = torch.zeros(n, t, b, 4)
    turns[..., 0] = 1
    ones = torch.ones(n, t, b, dtype=torch.bool)
    return Slots(looks, torch.zeros(n, 2), positions, turns, ones, ones[:, 0], torch.zeros(n, t))


def test_outcomes_are_lengths_touches_and_turns() -> None:
    positions = torch.zeros(2, 13, 2, 3)
    positions[:, :, 0, 0] = torch.arange(13.0) / 12  # a metre in a second, straight
    positions[0, :, 1, 1] = 5.0  # nowhere near
    positions[1, :, 1] = torch.tensor([0.5, 0.15, 0.0])  # beside the way
    movers = torch.tensor([[True, False], [True, False]])
    said = outcomes(scene(positions), movers, shown=1)
    np.testing.assert_allclose(said["way"], 1.0, rtol=1e-5)
    np.testing.assert_allclose(said["aside"], 0.0, atol=1e-3)
    assert said["touches"].tolist() == [0.0, 1.0]
    fall = positions.clone()
    fall[:, :, 0, 1] = 0.5 * 3.0 * (torch.arange(13.0) / 12) ** 2
    np.testing.assert_allclose(outcomes(scene(fall), movers, shown=1)["aside"], 3.0, rtol=1e-3)


class Following:
    """A model whose movers go as far as the first number of a layer's state says."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.dynamics = self
        self.reasoner = build_reasoner("recycled", Size(16, 3, 2, 32), EventSizes(4, 3, 3)).eval()
        self.memory = self.reasoner.read(draw(2, 5, 16), real(5))

    def imagine(self, prompts: object, **given: object) -> tuple[Slots, None]:
        with watched(self.reasoner) as seen:
            self.reasoner.think(self.memory, 1)
        # The layer after the one that is patched sees the shift in what it is given.
        far = seen[2][0][:, 0]
        positions = torch.zeros(2, 13, 2, 3)
        positions[:, :, 0, 0] = far[:, None].exp() * torch.arange(13.0) / 12
        positions[:, :, 1, 1] = 50.0
        return scene(positions), None


def test_effects_are_on_the_outcome_that_goes_with_the_concept() -> None:
    model = Following()
    positions = torch.zeros(2, 1, 2, 3)
    context = scene(positions)
    given = type("Given", (), {})()
    given.prompts, given.context = ("", ""), context
    given.truth, given.movers = torch.zeros(2, 13, 2, 3), torch.tensor([[True, False]] * 2)
    way, nothing = np.zeros(16), np.zeros(16)
    way[0], nothing[5] = 1.0, 1e-6
    found = patch_effects(model, given, {"far": way, "nothing": nothing}, layer=2)  # type: ignore[arg-type]
    by = {(e.concept, e.outcome): e for e in found}
    assert by["far", "way"].patched.low > 0.05
    assert abs(by["far", "way"].random.mean) < by["far", "way"].patched.mean
    assert abs(by["far", "touches"].patched.mean) < 1e-3
    assert abs(by["nothing", "way"].patched.mean) < 1e-3
    with pytest.raises(ValueError, match="layer got 9; expected 1 to 3."):
        patch_effects(model, given, {"far": way}, layer=9)  # type: ignore[arg-type]


def test_directions_need_both_classes() -> None:
    with pytest.raises(ValueError, match="labels got one class alone"):
        direction(np.zeros((3, 2)), np.zeros(3, int))
