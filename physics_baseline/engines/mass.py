"""Mass, centre of mass and inertia of the spec's shapes, so that every engine has the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.spec import Rigid, body_mass


@dataclass(frozen=True)
class MassProperties:
    """Of a solid of even density."""

    mass: float
    """Kilograms."""
    centre: Float[np.ndarray, " 3"]
    """Of mass, in the body's axes, metres."""
    inertia: Float[np.ndarray, "3 3"]
    """About the centre of mass, in the body's axes, kilogram square metres."""

    def principal(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, "3 3"]]:
        """Moments of inertia and the rotation whose columns are their axes."""
        if np.count_nonzero(self.inertia - np.diag(np.diag(self.inertia))) == 0:
            return np.diag(self.inertia).copy(), np.eye(3)
        moments, axes = np.linalg.eigh(self.inertia)
        if np.linalg.det(axes) < 0:
            axes[:, 2] *= -1
        return moments, axes


def mass_properties(body: Rigid) -> MassProperties:
    """Mass properties of a rigid body.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> round(float(mass_properties(Sphere(name="a", radius=1, mass=5)).inertia[0, 0]), 9)
    2.0
    """
    mass = body_mass(body)
    if body.kind == "mesh":
        return _mesh(body.vertices, body.faces, mass)
    if body.kind == "sphere":
        moments = np.full(3, 0.4 * mass * body.radius**2)
    elif body.kind == "box":
        squares = np.square(body.size)
        moments = mass / 12 * (squares.sum() - squares)
    elif body.kind == "cylinder":
        across = mass * (3 * body.radius**2 + body.height**2) / 12
        moments = np.array([across, across, mass * body.radius**2 / 2])
    else:
        moments = _capsule(body.radius, body.height, mass)
    return MassProperties(mass, np.zeros(3), np.diag(moments))


def _capsule(radius: float, height: float, mass: float) -> Float[np.ndarray, " 3"]:
    tube = height / (height + 4 / 3 * radius) * mass
    caps = mass - tube
    along = tube * radius**2 / 2 + caps * 0.4 * radius**2
    # A half ball's centre is 3/8 of the radius from its flat side (parallel axes, Huygens).
    offset = height / 2 + 3 / 8 * radius
    across = tube * (3 * radius**2 + height**2) / 12
    across += caps * (0.4 * radius**2 - (3 / 8 * radius) ** 2 + offset**2)
    return np.array([across, across, along])


def _mesh(vertices: object, faces: object, mass: float) -> MassProperties:
    """By the signed tetrahedra between the origin and the faces (Tonon 2004)."""
    corners = np.array(vertices, float)[np.array(faces)]
    signed = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    volume = signed.sum()
    centre = (signed[:, None] * corners.sum(1)).sum(0) / (4 * volume)
    sums = corners.sum(1)
    products = np.einsum("fki,fkj->fij", corners, corners) + np.einsum("fi,fj->fij", sums, sums)
    second = (signed[:, None, None] * products).sum(0) / (20 * volume) * mass
    second -= mass * np.outer(centre, centre)
    return MassProperties(mass, centre, np.trace(second) * np.eye(3) - second)
