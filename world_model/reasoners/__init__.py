"""Reasoners: what happens between reading and answering. One file each, behind one protocol."""

from __future__ import annotations

from clay4d.world_model.reasoners.base import MOST_THOUGHTS, Disturbance, Reasoner, Thoughts
from clay4d.world_model.reasoners.concept import Concept
from clay4d.world_model.reasoners.concept_diffusion import ConceptDiffusion
from clay4d.world_model.reasoners.concept_quantised import ConceptQuantised
from clay4d.world_model.reasoners.depth import Depth, Exit
from clay4d.world_model.reasoners.discrete import Discrete
from clay4d.world_model.reasoners.events import EventSizes, EventWriter
from clay4d.world_model.reasoners.gru import Gated
from clay4d.world_model.reasoners.none import NoThoughts
from clay4d.world_model.reasoners.pause import Pause
from clay4d.world_model.reasoners.pause_single import PauseSingle
from clay4d.world_model.reasoners.recycled import Recycled
from clay4d.world_model.reasoners.script import Script
from clay4d.world_model.reasoners.ssm import Selective
from clay4d.world_model.reasoners.thinker import Thinker
from clay4d.world_model.reasoners.transformer import Size
from clay4d.world_model.reasoners.vq import VectorQuantised

REASONERS: dict[str, type[Thinker]] = {
    r.kind: r
    for r in (
        NoThoughts, Pause, PauseSingle, Recycled, Discrete, VectorQuantised, Script, Gated, Selective,
        Depth, Concept, ConceptDiffusion, ConceptQuantised,
    )
}  # fmt: skip

__all__ = [
    "MOST_THOUGHTS", "REASONERS", "Concept", "ConceptDiffusion", "ConceptQuantised", "Depth", "Discrete",
    "Disturbance", "EventSizes", "EventWriter", "Exit", "Gated", "NoThoughts", "Pause", "PauseSingle", "Reasoner",
    "Recycled", "Script", "Selective", "Size", "Thinker", "Thoughts", "VectorQuantised", "build_reasoner",
]  # fmt: skip


def build_reasoner(kind: str, size: Size, events: EventSizes) -> Thinker:
    """A reasoner by its kind.

    Raises:
        ValueError: an unknown kind.

    >>> build_reasoner("pause", Size(16, 1, 2, 32), EventSizes()).kind
    'pause'
    """
    if kind not in REASONERS:
        raise ValueError(f"reasoner got {kind!r}; expected one of {', '.join(REASONERS)}.")
    return REASONERS[kind](size, events)
