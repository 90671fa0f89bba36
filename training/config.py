"""What a training run is: frozen dataclasses, one for each part; presets in configs/ override the defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Static:
    """Nothing moves."""


@dataclass(frozen=True)
class ControlNodes:
    """Sparse control nodes with learned rigid motion that carry the Gaussians near them."""

    nodes: int = 512
    """Nodes, spread over the Gaussians by farthest-point sampling."""
    neighbours: int = 3
    """Nodes that carry each Gaussian."""
    width: int = 192
    """Width of the network that moves the nodes."""
    depth: int = 4
    """Hidden layers of the network."""
    codes: int = 2
    """Learned coordinates by which parts that touch can still move apart."""
    lr: float = 8e-4
    """Learning rate of the network."""
    nodes_lr: float = 1e-4
    """Learning rate of the nodes' places, radii and codes."""
    start: float = 0.06
    """Share of the steps before which nothing moves."""
    settle: int = 200
    """Steps, a tenth of all at the most, before which nothing moves even so: a network that moves
    Gaussians without shape or colour learns to throw them out of the pictures."""


@dataclass(frozen=True)
class HexPlane:
    """Six feature planes over space and time and a small network."""

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
    start: float = 0.06
    """Share of the steps before which nothing moves."""


@dataclass(frozen=True)
class Polynomial:
    """Per-Gaussian polynomial and Fourier motion with temporal opacity."""

    degree: int = 3
    """Degree of the polynomial of each centre."""
    harmonics: int = 2
    """Sine and cosine pairs of each centre."""
    temporal_opacity: bool = True
    """Whether each Gaussian also has a moment and a span of life."""
    path_lr: float = 1.6e-4
    """Learning rate of the path, per scene extent."""
    time_lr: float = 1e-2
    """Learning rate of the span; a tenth of it for the moment and the spin."""
    start: float = 0.0
    """Share of the steps before which nothing moves."""


@dataclass(frozen=True)
class MotionBases:
    """A few shared trajectories of rotation and translation, and for each Gaussian a mixture of them."""

    bases: int = 20
    """Trajectories, spread over the Gaussians at the start."""
    keys: int = 20
    """Control points of each trajectory over the scene's time."""
    lr: float = 1e-2
    """Learning rate of the trajectories, per scene extent, and of their turns."""
    coefficients_lr: float = 1e-2
    """Learning rate of each Gaussian's mixture."""
    start: float = 0.06
    """Share of the steps before which nothing moves."""


@dataclass(frozen=True)
class Deformation:
    """A network that moves, turns and stretches each Gaussian, given its place and the time."""

    width: int = 64
    """Width of the network."""
    depth: int = 4
    """Hidden layers of the network."""
    octaves: int = 8
    """Octaves of sines of the place."""
    time_octaves: int = 6
    """Octaves of sines of the time."""
    lr: float = 8e-4
    """Learning rate of the network."""
    start: float = 0.06
    """Share of the steps before which nothing moves."""


@dataclass(frozen=True)
class SpaceTime:
    """Native 4D Gaussians, cut at a moment."""

    span: float = 0.5
    """Deviation of each Gaussian along time at the start, as a share of the scene's time."""
    lean_lr: float = 2e-3
    """Learning rate of the turn from time into space, which is velocity."""
    time_lr: float = 1e-2
    """Learning rate of the span; a tenth of it for the moment."""
    start: float = 0.0
    """Share of the steps before which nothing moves."""


@dataclass(frozen=True)
class OwnMotion:
    """A motion model of one's own, put into `clay4d.scenes.store.MOTIONS` under a name."""

    model: str = "static"
    """Its name there; it is made without options."""
    lr: float = 1e-3
    """Learning rate of what it adds: rows of each Gaussian and shared parameters alike."""
    start: float = 0.0
    """Share of the steps before which nothing moves."""


Motion = (
    Static
    | ControlNodes
    | HexPlane
    | Polynomial
    | MotionBases
    | Deformation
    | SpaceTime
    | OwnMotion
)


@dataclass(frozen=True)
class KPlanes:
    """A radiance field of six feature planes and two small networks, in the part of the data's box in
    which masks allow something."""

    resolution: int = 192
    """Cells along each axis of space in the finest level."""
    time_resolution: int = 64
    """Cells along time."""
    features: int = 16
    """Channels of each plane, a multiple of 16."""
    levels: int = 3
    """Levels, each with half the cells of the next."""
    width: int = 64
    """Width of the networks."""
    geometry: int = 15
    """What the density's network tells the colour's."""
    tight: bool = True
    """Whether the box shrinks to where masks, where there are any, show something for a while; not for
    things that fly through."""
    along: int = 192
    """Steps of a ray along the box's longest side."""
    cells: int = 80
    """Cells of the occupancy along each axis of space."""
    moments: int = 12
    """Cells of the occupancy along time."""
    places: int = 24_576
    """Places on rays that a step of training looks at; rays are as many as need them."""
    lr: float = 2e-2
    """Learning rate of the planes."""
    network_lr: float = 3e-3
    """Learning rate of the networks."""
    warm: int = 200
    """Steps over which the rates rise, a tenth of all at the most; then they fall as a cosine."""
    final: float = 0.02
    """Share of the rates left at the last step."""
    plane_tv: float = 1e-3
    """Weight of the squared differences of neighbouring cells in space."""
    time_smoothness: float = 1.0
    """Weight of the squared second differences of cells along time."""
    time_l1: float = 1e-3
    """Weight of how far the planes with time are from 1, where nothing moves."""
    random_background: bool = True
    """Whether pictures with alpha are seen before a new colour with every ray."""


@dataclass(frozen=True)
class Start:
    """Where the Gaussians come from."""

    count: int = 20_000
    """Random points in the scene's box, where the data has no points of its own."""
    triangulate: bool = False
    """Whether to triangulate points from the pictures, where the data has no points of its own."""
    limit: int = 30_000
    """Triangulated points that stand still, at the most."""
    moments: int = 8
    """Moments at which points that move are triangulated, given masks."""
    opacity: float = 0.1
    """Opacity of each Gaussian at the start."""


@dataclass(frozen=True)
class DefaultDensity:
    """gsplat's DefaultStrategy: clone and split by image gradient, prune, reset opacities."""

    cap: int = 60_000
    """Gaussians at the most."""
    grow_grad2d: float = 0.0002
    """Mean image gradient from which a Gaussian is cloned or split."""
    every: int = 100
    """Steps between refinements, a thirtieth of all at the most."""
    begin: int = 500
    """Step of the first refinement, a tenth of all at the most."""
    stop: float = 0.5
    """Share of the steps after which the set stays as it is."""
    reset_every: int = 3000
    """Steps between resets of the opacities."""
    trim: float = 0.0
    """Share of the Gaussians, those that add least to the training pictures, that is removed when
    nothing is added any more."""


@dataclass(frozen=True)
class McmcDensity:
    """Relocation, growth to a cap and noise (3DGS as Markov chain Monte Carlo)."""

    cap: int = 60_000
    """Gaussians at the most."""
    growth: float = 0.05
    """Share added at each refinement until the cap."""
    every: int = 100
    """Steps between refinements, a thirtieth of all at the most."""
    begin: int = 500
    """Step of the first refinement, a tenth of all at the most."""
    stop: float = 0.8
    """Share of the steps after which nothing is relocated and nothing shaken."""
    noise: float = 5e5
    """Strength of the noise, per learning rate of the means."""
    by_error: float = 0.5
    """Power of each Gaussian's image gradient in the weights by which new places are drawn."""
    opacity_weight: float = 0.01
    """Weight of the mean opacity in the loss."""
    scale_weight: float = 0.01
    """Weight of the mean scale in the loss, per scene extent."""


Density = DefaultDensity | McmcDensity


@dataclass(frozen=True)
class Rates:
    """Learning rates of Adam at the start, and what is left of them at the end."""

    means: float = 1.6e-4
    """Centres, per scene extent."""
    scales: float = 5e-3
    quats: float = 1e-3
    opacities: float = 5e-2
    sh: float = 2.5e-3
    """Constant colour."""
    higher_sh: float = 0.05
    """Rate of the higher harmonics beside that of the constant colour; 3DGS has a twentieth."""
    codes: float = 1e-3
    """Per-Gaussian coordinates of control nodes."""
    poses: float = 5e-4
    """Turns of the cameras, radians, and their shifts, per scene extent, where they are refined."""
    final_means: float = 0.01
    """Share of the rate of centres and motion left at the last step; the decay is exponential."""
    final: float = 0.1
    """Share of all other rates left at the last step."""
    fall: float = 0.0
    """Share of the steps after which those others begin to fall."""


@dataclass(frozen=True)
class Schedule:
    """What changes over the steps."""

    coarse: tuple[tuple[float, float], ...] = ((0.0, 0.25), (0.04, 0.5), (0.12, 1.0))
    """(share of the steps, picture size): from each share on, pictures are that size."""
    sh_degree: int = 3
    """Degree of the spherical harmonics at the end."""
    sh_every: float = 0.04
    """Share of the steps after which the degree rises by one."""


@dataclass(frozen=True)
class Losses:
    """Weights of the loss."""

    ssim: float = 0.2
    """Share of D-SSIM; the rest is L1."""
    squared: float = 0.0
    """Weight of the mean squared difference, which is what PSNR counts, beside the two."""
    exposure: bool = False
    """Whether each camera has a gain and an offset of its own for each colour."""
    mask: float = 0.0
    """Weight of the difference between the masks and what moves, where motion knows what does not."""
    cover: float | None = None
    """Weight of the difference between the masks and how much of each pixel is covered; None for 0.3 where
    pictures are laid over a background by their own transparency, and 0 elsewhere."""
    depth: float = 0.0
    """Weight of how badly drawn depth correlates with the data's, whose scale and shift are free."""
    inverse_depth: bool = False
    """Whether the data's depth is inverse, as monocular networks give it."""
    tracks: float = 0.0
    """Weight of how far what a pixel shows is, at another moment, from where the data's tracks see it."""
    rigidity: float = 0.0
    """Weight of how far neighbours are from turning as one (Luiten et al. 2024)."""
    isometry: float = 0.0
    """Weight of how much distances to neighbours change over time."""
    smoothness: float = 0.0
    """Weight of how much centres bend off a straight path within a thirtieth of the time."""
    motion_every: int = 1
    """Steps from one with the last three terms to the next, which has them as many times over: cheaper, and alike in
    what long runs learn."""
    poses: bool = False
    """Whether a small motion of each training camera is learned; test cameras stay as they are."""
    random_background: bool = False
    """Whether pictures with alpha are trained on a new random background at each step."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a dynamic scene from posed pictures."""

    motion: Motion = dataclasses.field(default_factory=Static)
    """How the scene moves."""
    field: KPlanes | None = None
    """A radiance field in the place of Gaussians: only steps, seed and checkpoint_every count beside it,
    and other settings that are not as by default are refused."""
    start: Start = dataclasses.field(default_factory=Start)
    """Where the Gaussians come from."""
    density: Density = dataclasses.field(default_factory=McmcDensity)
    """How Gaussians are added and removed."""
    rates: Rates = dataclasses.field(default_factory=Rates)
    """Learning rates."""
    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    """What changes over the steps."""
    losses: Losses = dataclasses.field(default_factory=Losses)
    """Weights of the loss."""
    near: float = 0.01
    """Cameras see no Gaussian whose centre is nearer than this, metres; keeps walls that cameras are
    built into out of pictures from new places."""
    antialiased: bool = False
    """Whether Gaussians smaller than a pixel grow fainter instead of larger."""
    eps2d: float = 0.3
    """Variance that each Gaussian's picture is widened by, pixels²; a pixel itself has 1/12."""
    largest: float = 1e6
    """Standard deviation that no Gaussian exceeds, metres."""
    steps: int = 30_000
    """Optimiser steps."""
    seed: int = 0
    """Seed of everything that is drawn."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
