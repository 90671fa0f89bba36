"""Contact points of every step made into touches: one for each time that two bodies meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from clay4d.jit import device
from clay4d.physics_baseline.engines.trajectory import BLOW, GAP, Contact

TIME, END, FIRST, SECOND, PLACE, NORMAL, SPEED, IMPULSE, COLUMNS = 0, 1, 2, 3, 4, 7, 10, 11, 12


class Touches:
    """Collects touches between E things while a simulation runs."""

    def __init__(self, things: int) -> None:
        self.rows = np.full((things, things), -1, np.int64)
        self.table = np.zeros((256, COLUMNS))
        self.count = 0

    def add(
        self,
        time: float,
        step: float,
        pairs: Int[np.ndarray, "N 2"],
        places: Float[np.ndarray, "N 3"],
        normals: Float[np.ndarray, "N 3"],
        speeds: Float[np.ndarray, " N"],
        forces: Float[np.ndarray, " N"],
    ) -> None:
        """Note the contact points of one step: things, place, normal from first to second, closing
        speed (metres per second) and normal force (newtons)."""
        self.reserve(len(pairs))
        for k in range(len(pairs)):
            self.count = note(
                time, step, int(pairs[k, 0]), int(pairs[k, 1]), places[k], normals[k],
                float(speeds[k]), float(forces[k]), self.rows, self.table, self.count,
            )  # fmt: skip

    def reserve(self, points: int) -> None:
        """Make room for so many new touches."""
        while self.count + points > len(self.table):
            self.table = np.concatenate([self.table, np.zeros_like(self.table)])

    def contacts(self, names: Sequence[str]) -> tuple[Contact, ...]:
        """All touches so far, in order; `names` are the things'. Those without a force are left out."""
        out = []
        for row in self.table[: self.count].tolist():
            if row[IMPULSE] > 0:
                out.append(
                    Contact(
                        row[TIME], row[END], (names[int(row[FIRST])], names[int(row[SECOND])]),
                        (row[PLACE], row[PLACE + 1], row[PLACE + 2]),
                        (row[NORMAL], row[NORMAL + 1], row[NORMAL + 2]), row[SPEED], row[IMPULSE],
                    )
                )  # fmt: skip
        return tuple(out)


@device
def note(time, step, a, b, place, normal, speed, force, rows, table, count):  # type: ignore[no-untyped-def]
    """Add one contact point to the table; gives the new number of touches."""
    sign = 1.0
    if a < 0 or b < 0 or a == b:
        return count
    if a > b:
        a, b, sign = b, a, -1.0
    row = rows[a, b]
    if row < 0 or time - table[row, END] > GAP:
        row = count
        count += 1
        rows[a, b] = row
        table[row, TIME] = time
        table[row, FIRST], table[row, SECOND] = a, b
        table[row, SPEED], table[row, IMPULSE] = 0.0, 0.0
        # A touch of many points has the place and the normal of the first.
        for k in range(3):
            table[row, PLACE + k] = place[k]
            table[row, NORMAL + k] = sign * normal[k]
    table[row, END] = time
    since = time - table[row, TIME]
    if since <= 1.5 * step:
        table[row, SPEED] = max(table[row, SPEED], speed)
    if since <= BLOW:
        table[row, IMPULSE] += force * step
    return count
