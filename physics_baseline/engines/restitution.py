"""Restitution as a damped spring, for engines whose contacts are soft.

A contact of acceleration −2ζω·v − ω²·x (x the depth, v the closing speed, both of the pair, so masses
cancel) that cannot pull throws back with e = exp(−ζω·t*), t* being when its force returns to zero
(Schwager and Pöschel 2007). In steps of dt with ω·dt = `STIFFNESS` the discrete contact keeps to
this within 0.02, whatever the depth at which the first step finds it.
"""

from __future__ import annotations

import math
from functools import lru_cache

STIFFNESS = 0.2
"""ω·dt: a contact lasts π/0.2 ≈ 16 steps; depth of a blow is v/ω."""
MAX_RATIO = 2.0
"""Of damping: past 0.5/STIFFNESS a step would throw back by overshooting."""


def spring_restitution(ratio: float) -> float:
    """Speed after over speed before, of a damping ratio ζ ≥ 0.

    >>> round(spring_restitution(0.0), 9), round(spring_restitution(1.0), 4)
    (1.0, 0.1353)
    """
    if ratio < 1:
        root = math.sqrt(1 - ratio * ratio)
        if ratio == 0:
            return 1.0
        return math.exp(-ratio / root * math.atan2(2 * ratio * root, 2 * ratio * ratio - 1))
    if ratio == 1:
        return math.exp(-2.0)
    root = math.sqrt(ratio * ratio - 1)
    return math.exp(-ratio / root * math.log((ratio + root) / (ratio - root)))


@lru_cache(maxsize=4096)
def damping_ratio(restitution: float) -> float:
    """The damping ratio ζ that throws back with `restitution`, 0 to `MAX_RATIO`.

    >>> round(spring_restitution(damping_ratio(0.7)), 6)
    0.7
    """
    low, high = 0.0, MAX_RATIO
    if restitution <= spring_restitution(high):
        return high
    for _ in range(60):
        middle = 0.5 * (low + high)
        if spring_restitution(middle) > restitution:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
