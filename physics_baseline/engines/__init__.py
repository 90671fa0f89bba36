"""Engines: a scene in, its trajectory out. MuJoCo by default; each engine is one class with `run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from clay4d.physics_baseline.engines.trajectory import Contact, SimulationError, Trajectory
from clay4d.physics_baseline.spec import SceneSpec

Progress = Callable[[float], None]

__all__ = [
    "ENGINES",
    "Contact",
    "Engine",
    "SimulationError",
    "Trajectory",
    "make_engine",
    "simulate",
]


class Engine(Protocol):
    """Anything that simulates scenes; one object may be run many times, which is cheaper."""

    name: str

    def run(
        self, scene: SceneSpec, *, check: bool = True, progress: Progress | None = None
    ) -> Trajectory:
        """Simulate a scene; see `MujocoEngine.run`."""
        ...


def _mujoco(step: float | None) -> Any:
    try:
        from clay4d.physics_baseline.engines.mujoco_engine import MujocoEngine
    except ModuleNotFoundError as error:
        if error.name != "mujoco":
            raise
        raise ImportError("engine got mujoco, which is missing here; expected it. Run: pip install mujoco==4.0.0") from error  # fmt: skip
    return MujocoEngine(step=step)


def _bullet(step: float | None) -> Any:
    from clay4d.physics_baseline.engines.bullet_engine import BulletEngine

    return BulletEngine(step=step)


def _genesis(step: float | None) -> Any:
    from clay4d.physics_baseline.engines.genesis_engine import GenesisEngine

    return GenesisEngine(step=step)


ENGINES: dict[str, Callable[[float | None], Any]] = {
    "mujoco": _mujoco, "bullet": _bullet, "genesis": _genesis,
}  # fmt: skip


def make_engine(name: str = "mujoco", *, step: float | None = None) -> Engine:
    """An engine by its name; `step` is the longest step in seconds, None to let it choose.

    Raises:
        ValueError: no engine of that name, or a step that is not above 0.
        ImportError: the engine's package is not installed; the message names the extra.
    """
    if name not in ENGINES:
        raise ValueError(f"engine got {name!r}; expected one of {', '.join(ENGINES)}.")
    if step is not None and not 0 < step < float("inf"):
        raise ValueError(f"step got {step}; expected seconds above 0.")
    engine: Engine = ENGINES[name](step)
    return engine


def simulate(
    scene: SceneSpec,
    *,
    engine: str = "mujoco",
    step: float | None = None,
    check: bool = True,
    progress: Progress | None = None,
) -> Trajectory:
    """Simulate a scene from its start to its last frame.

    For many runs of scenes that differ in numbers only, make the engine once and call its `run`.

    Raises:
        SimulationError: overlapping starts, absurd speeds or a blow-up, each with its name and time.
        ValueError, ImportError: as `make_engine`.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> scene = SceneSpec(bodies=(Sphere(name="a", position=(0, 0, 1)),), duration=1.0)
    >>> simulate(scene).contacts[0].bodies
    ('floor', 'a')
    """
    return make_engine(engine, step=step).run(scene, check=check, progress=progress)
