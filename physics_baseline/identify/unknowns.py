"""Unknowns: numbers of a scene (or of its engine), each named by its path, with bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from clay4d.physics_baseline.spec import SceneSpec


@dataclass(frozen=True)
class Unknown:
    """A number to be found, between bounds.

    Paths go through a scene's parts by their names (`bodies.ball.velocity.0`, `floor.height`,
    `bodies.cube.material.friction`) and fields by their kinds (`fields.gravity.acceleration.2`,
    `fields.drag.coefficient`, `fields.wind.velocity.1`). `bodies.NAME.turn.K` turns a body's start
    about the world's axis K, radians from the scene's own. `engine.contact_rate` is MuJoCo's. Paths joined
    by + are all given the same value.
    Where only a ratio can be found, as of masses in collisions, leave one of the two fixed.

    Raises:
        ValueError: bounds in the wrong order, a guess outside them, a spread that is not above 0.

    >>> Unknown("bodies.ball.mass", 0.1, 2.0).low
    0.1
    """

    path: str
    low: float
    """In the unit of the field."""
    high: float
    guess: float | None = None
    """Where the search begins; None: the scene's own value."""
    prior: tuple[float, float] | None = None
    """What was known before: mean and standard deviation, in the unit of the field."""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(
                f"{self.path} got bounds {self.low:g} to {self.high:g}; expected the lower first."
            )
        if self.guess is not None and not self.low <= self.guess <= self.high:
            raise ValueError(
                f"{self.path} got the guess {self.guess:g}; expected {self.low:g} to {self.high:g}."
            )
        if self.prior is not None and not self.prior[1] > 0:
            raise ValueError(
                f"{self.path} got a prior's deviation of {self.prior[1]:g}; expected above 0."
            )


def start_unknowns(
    scene: SceneSpec, body: str, *, reach: float, speed: float, turn: float = 0.0, spin: float = 0.0
) -> list[Unknown]:
    """Unknowns of a body's start around the scene's own: position ± `reach` metres, velocity ± `speed`
    metres per second and, where above 0, rotation ± `turn` radians, spin ± `spin` radians per second.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> scene = SceneSpec(bodies=(Sphere(name="a"),))
    >>> [u.path for u in start_unknowns(scene, "a", reach=0.1, speed=1)][::3]
    ['bodies.a.position.0', 'bodies.a.velocity.0']
    """
    ranges = {"position": reach, "velocity": speed, "turn": turn, "angular_velocity": spin}
    made = []
    for field, width in ranges.items():
        for k in range(3 if width > 0 else 0):
            path = f"bodies.{body}.{field}.{k}"
            here = read(scene, path)
            made.append(Unknown(path, here - width, here + width))
    return made


def read(scene: SceneSpec, path: str, engine: Any = None) -> float:
    """The number at a path.

    Raises:
        ValueError: there is no number at that path; the message says what there is.
    """
    path = path.partition("+")[0]
    words = path.split(".")
    if words[0] == "engine":
        return _number(getattr(engine, words[1], None) if len(words) == 2 else None, path)
    if words[0] == "bodies" and words[2:3] == ["turn"]:
        _step(scene.bodies, words[1], path)
        return 0.0
    here: Any = scene
    for word in words:
        here = _step(here, word, path)
    return _number(here, path)


def write(scene: SceneSpec, values: Mapping[str, float], engine: Any = None) -> SceneSpec:
    """The scene with other numbers at some paths; those of the engine are set in it.

    Raises:
        ValueError: no such path, or a value that the spec refuses.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> scene = SceneSpec(bodies=(Sphere(name="a"),))
    >>> write(scene, {"bodies.a.velocity.0": 2.0, "floor.height": -1.0}).bodies[0].velocity
    (2.0, 0.0, 0.0)
    """
    tree: dict[str, Any] = {}
    for path, value in [(p, v) for paths, v in values.items() for p in paths.split("+")]:
        words = path.split(".")
        if words[0] == "engine":
            if len(words) != 2 or not hasattr(engine, words[1]):
                raise ValueError(f"path got {path}; expected a number of the engine.")
            setattr(engine, words[1], float(value))
            continue
        here = tree
        for word in words[:-1]:
            here = here.setdefault(word, {})
        here[words[-1]] = float(value)
    written: SceneSpec = _written(scene, tree, "")
    return written


def _written(here: Any, tree: dict[str, Any], path: str) -> Any:
    """A copy of a part with the tree's values in it, made and checked once."""
    if isinstance(here, tuple):
        parts = list(here)
        for word, value in tree.items():
            k = _index(here, word, f"{path}.{word}")
            simple = isinstance(value, float)
            parts[k] = value if simple else _written(here[k], value, f"{path}.{word}")
        return tuple(parts)
    changes: dict[str, Any] = {}
    for word, value in tree.items():
        at = f"{path}.{word}".lstrip(".")
        if word == "turn" and hasattr(here, "quat"):
            changes["quat"] = _turned(here.quat, value)
        elif isinstance(value, float):
            _step(here, word, at)
            changes[word] = value
        else:
            changes[word] = _written(_step(here, word, at), value, at)
    return dataclasses.replace(here, **changes)


def _turned(quat: Sequence[float], turns: Mapping[str, float]) -> tuple[float, ...]:
    start = Rotation.from_quat(quat, scalar_first=True)
    turned = Rotation.from_rotvec([turns.get(str(k), 0.0) for k in range(3)]) * start
    return tuple(float(x) for x in turned.as_quat(scalar_first=True))


def _step(here: Any, word: str, path: str) -> Any:
    if isinstance(here, tuple):
        return here[_index(here, word, path)]
    if here is None or not hasattr(here, word):
        known = [f.name for f in dataclasses.fields(here)] if dataclasses.is_dataclass(here) else []
        raise ValueError(
            f"path got {path}, but there is no {word}; expected one of {', '.join(known) or 'nothing'}."
        )
    return getattr(here, word)


def _index(parts: tuple[Any, ...], word: str, path: str) -> int:
    """By number in a vector, by name or kind among parts."""
    names = [str(getattr(p, "name", getattr(p, "kind", k))) for k, p in enumerate(parts)]
    if word not in names:
        raise ValueError(
            f"path got {path}, but there is no {word}; expected one of {', '.join(names) or 'nothing'}."
        )
    return names.index(word)


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"path got {path}, which is {value!r}; expected a number. Set it first.")
    return float(value)


def guesses(
    scene: SceneSpec, unknowns: Sequence[Unknown], engine: Any = None
) -> Float[np.ndarray, " U"]:
    """Where the search begins, inside the bounds."""
    start = [read(scene, u.path, engine) if u.guess is None else u.guess for u in unknowns]
    return np.clip(start, [u.low for u in unknowns], [u.high for u in unknowns])
