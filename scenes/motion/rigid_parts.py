"""Rigid parts on known paths: what physics engines and object-centred models produce.

Each Gaussian belongs to one part; each part has a pose at evenly spaced moments, between which it
moves in a straight line and turns along the shorter arc.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.motion.base import Moved, Raw
from clay4d.scenes.quaternions import multiply, normalise, rotate, slerp


class RigidParts:
    """Motion by the rigid paths of P parts, given at K moments.

    Canonical means and rotations are in the parts' own axes. Row added: `part` [N], which part.

    >>> motion = RigidParts(parts=1, moments=2)
    >>> with torch.no_grad():
    ...     motion.positions[1, 0, 0] = 2.0
    >>> raw = {"means": torch.zeros(1, 3), "quats": torch.tensor([[1.0, 0, 0, 0]])}
    >>> motion.move({**raw, "part": torch.zeros(1, dtype=torch.int32)}, 0.5).means.tolist()
    [[1.0, 0.0, 0.0]]
    """

    kind = "rigid-parts"

    def __init__(self, *, parts: int, moments: int) -> None:
        if parts < 1 or moments < 1:
            raise ValueError(f"parts, moments got {parts}, {moments}; expected at least 1 of each.")
        self._options = {"parts": parts, "moments": moments}
        self.positions = torch.zeros(moments, parts, 3)
        """[K, P, 3], metres."""
        self.quats = torch.zeros(moments, parts, 4)
        """[K, P, 4], part to world, wxyz."""
        self.quats[..., 0] = 1

    def options(self) -> dict[str, Any]:
        """What `__init__` was given."""
        return dict(self._options)

    def rows(self, means: Float[Tensor, "N 3"]) -> dict[str, Tensor]:
        """All in the first part."""
        return {"part": torch.zeros(len(means), dtype=torch.int32)}

    def tensors(self) -> dict[str, Tensor]:
        """The parts' paths."""
        return {"positions": self.positions, "quats": self.quats}

    def refresh(self, raw: Raw) -> None:
        """Nothing is derived."""

    def poses(self, time: float) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P 4"]]:
        """Positions and unit quaternions of the parts at a time; before and after they stand still."""
        last = len(self.positions) - 1
        place = min(max(time, 0.0), 1.0) * last
        below = min(int(place), max(last - 1, 0))
        above, share = min(below + 1, last), place - below
        positions = torch.lerp(self.positions[below], self.positions[above], share)
        a, b = normalise(self.quats[below]), normalise(self.quats[above])
        return positions, slerp(a, b, torch.full((len(a),), share))

    def move(self, raw: Raw, time: float) -> Moved:
        """Each Gaussian carried by its part; differentiable in means, rotations and paths."""
        positions, quats = self.poses(time)
        part = raw["part"].long()
        means = rotate(quats[part], raw["means"]) + positions[part]
        return Moved(means, multiply(quats[part], raw["quats"]))
