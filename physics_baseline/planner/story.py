"""A story: which things there are, how they relate, and the path of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from clay4d.physics_baseline.planner.things import Thing


@dataclass
class Path:
    """How a thing moves: its kind, and what it meets on the way, in order."""

    kind: str = ""
    speed: float | None = None
    factor: float = 1.0
    heading: float = 1.0
    way: float = 0.0
    """The heading if the prompt says it, else 0."""
    height: float | None = None
    ramp: Thing | None = None
    surface: Thing | None = None
    off: bool = False
    upwards: bool = False
    down: bool = False
    """Whether it goes down, for which it needs a slope."""
    stations: list[tuple[str, Thing]] = field(default_factory=list)
    partners: list[Thing] = field(default_factory=list)
    release: float | None = None
    stagger: float = 0.0
    """Seconds between one and the next, where things fall one after another."""
    turning: float | None = None
    """Radians per second about the vertical."""
    blow: float | None = None
    texts: list[str] = field(default_factory=list)

    def meet(self, how: str, thing: Thing) -> None:
        """Add a station, once."""
        if all(thing is not t for _, t in self.stations):
            self.stations.append((how, thing))


@dataclass
class Story:
    """All things, relations between them, and paths by thing."""

    things: list[Thing] = field(default_factory=list)
    relations: list[tuple[str, Thing, list[Thing]]] = field(default_factory=list)
    paths: list[tuple[Thing, Path]] = field(default_factory=list)
    spinning: list[Thing] = field(default_factory=list)
    watched: dict[int, Thing] = field(default_factory=dict)
    """What each camera of the prompt is about."""
    lines: list[tuple[str, str]] = field(default_factory=list)

    def path(self, thing: Thing) -> Path:
        """The thing's path, made when first asked for."""
        for other, path in self.paths:
            if other is thing:
                return path
        self.paths.append((thing, Path(factor=thing.speed)))
        return self.paths[-1][1]

    def has_path(self, thing: Thing) -> bool:
        return any(other is thing and path.kind for other, path in self.paths)
