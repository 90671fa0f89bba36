"""The constants of alpha blending, which differ between releases of gsplat and INRIA's rasteriser."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Blending:
    """Constants of front-to-back blending; the defaults are gsplat 1.5.3's.

    >>> Blending(max_alpha=0.99).t_min
    0.0001
    """

    max_alpha: float = 0.999
    """Largest alpha of one Gaussian in one pixel (gsplat 1.5.3: 0.999; later and INRIA: 0.99)."""
    alpha_min: float = 1.0 / 255.0
    """Smaller alphas are skipped."""
    t_min: float = 1e-4
    """A pixel stops at the first Gaussian that would bring its transmittance to this."""

    def __post_init__(self) -> None:
        if not 0 < self.max_alpha < 1:
            raise ValueError(f"max_alpha got {self.max_alpha}; expected a number in (0, 1).")
        if not 1 / 255 <= self.alpha_min < self.max_alpha:
            raise ValueError(
                f"alpha_min got {self.alpha_min}; expected 1/255 or more, below max_alpha. "
                "Tile lists hold what reaches 1/255."
            )
        if not 0 < self.t_min < 1:
            raise ValueError(f"t_min got {self.t_min}; expected a number in (0, 1).")
