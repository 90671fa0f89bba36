"""What a training run is: frozen dataclasses, one for each part; presets in configs/ override the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Static:
    """Nothing moves."""


@dataclass(frozen=True)
class ControlNodes:
    """Sparse control nodes with learned SE(3) motion that carry the Gaussians near them (SC-GS)."""

    nodes: int = 512
    """Nodes, spread over the Gaussians by farthest-point sampling."""
    neighbours: int = 3
    """Nodes that carry each Gaussian."""
    width: int = 192
    """Width of the network that moves the nodes."""
    depth: int = 4
    """Hidden layers of the network."""
    lr: float = 8e-4
    """Learning rate of the network."""
    start: float = 0.08
    """Share of the steps before which nothing moves."""


@dataclass(frozen=True)
class HexPlane:
    """Six feature planes over space and time and a small network (4DGaussians)."""

    resolution: int = 64
    """Cells along each axis of space in the finest level."""
    time_resolution: int = 25
    """Cells along time."""
    features: int = 16
    """Channels of each plane."""
    levels: int = 2
    """Levels, each with half the cells of the next."""
    width: int = 64
    """Width of the network."""
    lr: float = 1.6e-3
    """Learning rate of planes and network."""
    start: float = 0.08
    """Share of the steps before which nothing moves."""


@dataclass(frozen=True)
class Polynomial:
    """Per-Gaussian polynomial and Fourier motion with temporal opacity (SpacetimeGaussians)."""

    degree: int = 3
    """Degree of the polynomial of each centre."""
    harmonics: int = 2
    """Sine and cosine pairs of each centre."""
    temporal_opacity: bool = True
    """Whether each Gaussian also has a moment and a span of life."""
    lr: float = 1.6e-4
    """Learning rate of the motion coefficients, per scene extent."""


Motion = Static | ControlNodes | HexPlane | Polynomial


@dataclass(frozen=True)
class TrainConfig:
    """Train a dynamic scene from posed pictures."""

    motion: Motion = field(default_factory=Static)
    """How the scene moves."""
    steps: int = 30_000
    """Optimiser steps."""
    seed: int = 0
    """Seed of everything that is drawn."""
