"""Concepts by codes: a thought is the likeliest sum of code vectors from four frozen books.

Source: Barrault et al. 2024 (Quant-LCM-d): residual vector quantisation of concepts, and
a choice from each book; theirs chooses one book after the other, this all at once from one state.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from clay4d.world_model.reasoners.concept import NUMBERS, WEIGHT, Conceptual
from clay4d.world_model.reasoners.events import EventSizes
from clay4d.world_model.reasoners.thinker import Guide, Mind, Step
from clay4d.world_model.reasoners.transformer import Size

BOOKS, UNITS, RANK = 4, 64, 24
ROUNDS = 12
"""Of Lloyd's, for each book."""


def residual_codes(
    concepts: Float[Tensor, "N C"], books: Float[Tensor, "Q U C"]
) -> Int[Tensor, "N Q"]:
    """The nearest unit of the first book, then of the next for what is left, and so on.

    >>> books = torch.tensor([[[0.0], [4.0]], [[-1.0], [1.0]]])
    >>> residual_codes(torch.tensor([[3.2], [0.7]]), books).tolist()
    [[1, 0], [0, 1]]
    """
    left, codes = concepts, []
    for book in books:
        codes.append((book.square().sum(1) - 2 * left @ book.T).argmin(1))
        left = left - book[codes[-1]]
    return torch.stack(codes, 1)


@torch.no_grad()
def fit_books(
    concepts: Float[Tensor, "N C"], *, books: int = BOOKS, units: int = UNITS
) -> Float[Tensor, "Q U C"]:
    """Books of units, each by k-means on what the ones before leave.

    Without a draw: the first centres are evenly spaced along the way of the greatest variance, and a
    centre that loses all its points moves to the point that is farthest from its own.
    Source: Lloyd 1982; Juang & Gray 1982 (residual quantisation).

    Raises:
        ValueError: fewer than two concepts.
    """
    if len(concepts) < 2:
        raise ValueError(f"concepts got {len(concepts)}; expected at least 2. Make more worlds.")
    left, found = concepts, []
    for _ in range(books):
        axis = torch.linalg.eigh(torch.cov(left.T).reshape(left.shape[1], -1)).eigenvectors[:, -1]
        order = (left @ axis).argsort(stable=True)
        book = left[order[torch.linspace(0, len(left) - 1, units).long()]].clone()
        for _ in range(ROUNDS):
            index = (book.square().sum(1) - 2 * left @ book.T).argmin(1)
            count = torch.bincount(index, minlength=units)
            sums = torch.zeros_like(book).index_add_(0, index, left)
            far = (left - book[index]).square().sum(1).argsort(descending=True, stable=True)
            empty = (count == 0).nonzero()[:, 0]
            book = sums / count.clamp_min(1)[:, None]
            book[empty[: len(far)]] = left[far[: len(empty)]]
        index = (book.square().sum(1) - 2 * left @ book.T).argmin(1)
        left = left - book[index]
        found.append(book)
    return torch.stack(found)


class ConceptQuantised(Conceptual):
    """Every thought is the concept of the likeliest codes."""

    kind = "concept-quantised"
    books: Tensor

    def __init__(self, size: Size, events: EventSizes) -> None:
        super().__init__(size, events)
        self.head = nn.Sequential(nn.Linear(size.width, RANK), nn.Linear(RANK, BOOKS * UNITS))
        self.register_buffer("books", torch.randn(BOOKS, UNITS, NUMBERS))

    def advance(self, mind: Mind, guide: Guide) -> Step:
        """The likeliest code of each book; and the cross entropy of what follows, if it is known."""
        scores: Tensor = self.head(mind.ready).unflatten(-1, (BOOKS, UNITS))
        codes = scores.argmax(-1)
        concept = self.books[torch.arange(BOOKS), codes].sum(1)
        loss = None
        if guide.following is not None:
            right = residual_codes(guide.following, self.books)
            loss = WEIGHT * F.cross_entropy(scores.flatten(0, 1), right.flatten())
        return Step(self.enter(concept), codes, mind.state, loss, concept=concept)
