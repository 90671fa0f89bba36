"""Rolling forward what was identified, with the uncertainty of what was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from clay4d.physics_baseline.engines import Engine, SimulationError, Trajectory, make_engine
from clay4d.physics_baseline.identify.fit import Identified
from clay4d.physics_baseline.identify.unknowns import write
from clay4d.physics_baseline.spec import SceneSpec


@dataclass(frozen=True)
class Forecast:
    """The future by the best values, and S futures by values drawn from their distribution."""

    trajectory: Trajectory
    draws: Float[np.ndarray, "S T B 3"]
    """Positions, metres."""

    def band(self, body: str, *, level: float = 0.95) -> Float[np.ndarray, "2 T 3"]:
        """Between which a body's coordinates lie in that share of the draws, metres."""
        k = self.trajectory.index(body)
        ends = [0.5 - level / 2, 0.5 + level / 2]
        band: Float[np.ndarray, "2 T 3"] = np.quantile(self.draws[:, :, k], ends, axis=0)
        return band


def forecast(
    found: Identified,
    scene: SceneSpec,
    *,
    draws: int = 32,
    seed: int = 0,
    engine: Engine | None = None,
) -> Forecast:
    """Simulate a scene, which may last longer than the one identified, by what was found.

    Draws whose simulation fails are left out.

    Raises:
        SimulationError: the best values' own simulation fails.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> from clay4d.physics_baseline.identify.unknowns import Unknown
    >>> scene = SceneSpec(bodies=(Sphere(name="a"),), floor=None, fields=(), duration=0.5)
    >>> u = Unknown("bodies.a.velocity.0", -5, 5)
    >>> found = Identified((u,), np.array([2.0]), np.array([[0.01]]), 1.0, np.array([False]))
    >>> forecast(found, scene, draws=8).trajectory.path("a")[-1].round(3).tolist()
    [0.917, 0.0, 0.0]
    """
    engine = engine or make_engine()
    best = engine.run(found.apply(scene, engine), check=False)
    paths, kept = [u.path for u in found.unknowns], []
    for values in found.draw(draws, seed=seed):
        try:
            drawn = write(scene, dict(zip(paths, values.tolist())), engine)
            kept.append(engine.run(drawn, check=False).positions)
        except SimulationError:
            continue
    found.apply(scene, engine)  # The engine keeps the best values of its own.
    shape = (0, *best.positions.shape)
    return Forecast(best, np.array(kept).reshape(-1, *shape[1:]))
