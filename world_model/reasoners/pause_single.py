"""Pause tokens in one pass: thoughts without content, all taken in at once.

The control for the number of passes. With a fixed embedding and a causal mask, several passes with a
cache compute what one pass computes; so here the tokens of the pass see each other, both ways, as
the tokens of everything that is read do. Source: Goyal et al. 2024 (pause tokens).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from clay4d.world_model.reasoners.pause import Pause
from clay4d.world_model.reasoners.thinker import Guide, Had, Mind, Step
from clay4d.world_model.reasoners.transformer import positions


class PauseSingle(Pause):
    """Every thought is one learned embedding; all of a stretch share a pass.

    A second stretch without a reading between is one with the first: all of it passes again.
    """

    kind = "pause-single"

    def muse(self, mind: Mind, count: int, had: Had, guide: Guide) -> Mind:
        """Have all `count` thoughts in one pass."""
        if count == 0:
            return mind
        assert mind.ready is not None
        first = mind.thoughts
        pause = self.pause.expand(len(mind.ready), -1)
        new = torch.stack([guide.disturbed(pause, first + k) for k in range(count)], 1)
        again = mind.state if mind.loose else None
        vectors: Tensor = new if again is None else torch.cat([again, new], 1)
        place = first - (vectors.shape[1] - count) + 1
        tokens = vectors + positions(vectors.shape[1], self.size.width, first=place)
        cache = mind.cache.head(len(mind.cache) - mind.loose)
        real = torch.ones(tokens.shape[:2], dtype=torch.bool)
        hidden, cache = self.body(tokens, real, cache)
        made_from = torch.cat([mind.ready[:, None], hidden[:, -count:-1]], 1)
        for k in range(count):
            had.add(new[:, k], made_from[:, k], Step(new[:, k]))
        return replace(
            mind, cache=cache, ready=hidden[:, -1], thoughts=first + count,
            state=vectors, loose=vectors.shape[1],
        )  # fmt: skip
