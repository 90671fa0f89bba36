"""System identification: from what was seen of bodies to the numbers of a scene, and on into the future."""

from __future__ import annotations

from clay4d.physics_baseline.identify.fit import (
    Experiment,
    Identified,
    identify,
    profile_interval,
)
from clay4d.physics_baseline.identify.forecast import Forecast, forecast
from clay4d.physics_baseline.identify.search import Searched, identify_by_search, search
from clay4d.physics_baseline.identify.tracks import Track
from clay4d.physics_baseline.identify.unknowns import Unknown, read, start_unknowns, write

__all__ = [
    "Experiment",
    "Forecast",
    "Identified",
    "Searched",
    "Track",
    "Unknown",
    "forecast",
    "identify",
    "identify_by_search",
    "profile_interval",
    "read",
    "search",
    "start_unknowns",
    "write",
]
