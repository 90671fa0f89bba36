"""How materials sound: elastic constants, and how fast a ring dies away.

Elastic constants and densities are handbook values of a typical kind, taken as the same in all
directions (wood's along the grain). A tone of f hertz decays as exp(−π·f·loss·t): the loss angle's
tangent is what listeners tell materials by, whatever the shape (Wildes and Richards 1988; Klatzky, Pai
and Krotkov 2000). To this comes `REST`, what a body loses to whatever it lies on.
"""

from __future__ import annotations

from dataclasses import dataclass

from clay4d.physics_baseline.spec import Material

REST = 12.0
"""Decay of every tone by what the body touches, 1/s."""


@dataclass(frozen=True)
class Timbre:
    """What decides the sound of a material."""

    young_modulus: float
    """Pascals."""
    poisson_ratio: float
    density: float
    """Of the solid, kilograms per cubic metre: a hollow ball's own is lower and says nothing of it."""
    loss: float
    """Tangent of the loss angle, no unit."""
    hiss: float
    """Roughness: how loud it is when something slides on it, no unit."""

    @property
    def shear_speed(self) -> float:
        """Of shear waves, metres per second."""
        shear = self.young_modulus / (2 * (1 + self.poisson_ratio))
        return float((shear / self.density) ** 0.5)


TIMBRES: dict[str, Timbre] = {
    "plastic": Timbre(2.5e9, 0.38, 1100.0, 0.03, 0.6),
    "wood": Timbre(1.0e10, 0.30, 650.0, 0.02, 1.0),
    "metal": Timbre(2.0e11, 0.29, 7800.0, 0.001, 0.5),
    "glass": Timbre(7.0e10, 0.22, 2500.0, 0.001, 0.3),
    "stone": Timbre(5.0e10, 0.25, 2600.0, 0.006, 1.5),
    "rubber": Timbre(2.0e7, 0.47, 1100.0, 0.25, 0.5),
    "soft": Timbre(1.0e6, 0.30, 100.0, 0.5, 0.4),
}


def timbre_of(material: Material) -> Timbre:
    """The timbre that a material names, or for `auto` the one that its density and look suggest.

    >>> timbre_of(Material(density=7800, metallic=1.0)) is TIMBRES["metal"]
    True
    """
    if material.sound != "auto":
        return TIMBRES[material.sound]
    if material.metallic > 0.5:
        return TIMBRES["metal"]
    if material.opacity < 0.8 and material.density > 1500:
        return TIMBRES["glass"]
    if material.density > 1600:
        return TIMBRES["stone"]
    if material.density < 120:
        return TIMBRES["soft"]
    return TIMBRES["wood" if material.density < 850 else "plastic"]
