"""What a training run of the world model is; presets `configs/train-world.NAME.yaml` override it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from clay4d.scenes.fields.objects import FieldSize
from clay4d.world_model.decoders.gaussians import DecoderSize
from clay4d.world_model.encoder.encoder import EncoderSize
from clay4d.world_model.reasoners.transformer import Size


@dataclass(frozen=True)
class PerceptionConfig:
    """Pixels → slots → pixels: encoder and decoder."""

    steps: int = 20_000
    batch: int = 8
    """Worlds a step."""
    frames: int = 4
    """Moments in a row that the encoder sees of each, at the most."""
    drawn: int = 2
    """Of these, moments that are drawn from all cameras and compared."""
    lr: float = 1e-3
    """Adam's rate at the start; it falls to a hundredth along a half cosine."""
    geometry: float = 0.1
    """Share of the steps in which centroids are the main thing, before pictures count in full."""
    mask_weight: float = 0.1
    centroid_weight: float = 3.0
    crop_weight: float = 0.3
    """Of single objects' crops, drawn in the rotation that fits best."""
    turn_weight: float = 0.3
    """Of the pull towards that rotation."""
    supervision: Literal["pixels", "states"] = "pixels"
    """States: the labelled twin that also sees the simulator's poses, an upper bound."""


@dataclass(frozen=True)
class BeginningsConfig:
    """Prompts alone → how scenes begin: what all reasoners start from."""

    steps: int = 1500
    batch: int = 64
    lr: float = 1e-3


@dataclass(frozen=True)
class ConceptConfig:
    """Segments → concepts → segments: the frozen space that the concept reasoners think in."""

    steps: int = 4000
    batch: int = 128
    lr: float = 2e-3


@dataclass(frozen=True)
class ReasoningConfig:
    """Prompt and early slots → thoughts → later slots, on cached slots."""

    kind: Literal[
        "none", "pause", "pause-single", "recycled", "discrete", "vq", "script", "gru", "ssm", "depth",
        "concept", "concept-diffusion", "concept-quantised",
    ] = "recycled"  # fmt: skip
    size: Size = field(default_factory=Size)
    steps: int = 1800
    batch: int = 32
    lr: float = 1e-3
    patches: Literal["entropy", "monotonic", "whitespace"] = "entropy"
    """Where the prompt's bytes are cut into patches."""
    segment: int = 6
    """Frames that one answer gives; also the most that are read as context."""
    modes: int = 6
    """Ways in which the future can go, of which one is drawn."""
    thoughts: tuple[int, int] = (1, 6)
    """Fewest and most thoughts before an answer in training."""
    curriculum: float = 0.6
    """Share of the steps over which written events give way to latent thoughts; 0 for none."""
    mixed: float = 0.1
    """Share of steps of a random earlier stage, so that no stage is forgotten."""
    blind: float = 0.4
    """Share of worlds of which only the prompt is given."""
    event_weight: float = 0.1
    birth_weight: float = 3.0
    """Of the flow that draws beginnings."""


@dataclass(frozen=True)
class SegmentConfig:
    """Which pixels are objects, for contexts without masks."""

    steps: int = 1500
    batch: int = 16
    """Pictures a step."""
    lr: float = 3e-3


@dataclass(frozen=True)
class JudgeConfig:
    """What reads shape and colour off pictures, to score generated scenes."""

    steps: int = 3000
    batch: int = 8
    """Moments a step."""
    lr: float = 2e-3


@dataclass(frozen=True)
class TuneConfig:
    """The whole model through the pixels, from the reasoner that did best."""

    steps: int = 0
    batch: int = 4
    lr: float = 1e-4


@dataclass(frozen=True)
class FieldConfig:
    """Radiance fields of objects, beside the Gaussians."""

    size: FieldSize = field(default_factory=FieldSize)
    steps: int = 0
    batch: int = 4
    rays: int = 128
    """Of each picture."""
    lr: float = 2e-3


@dataclass(frozen=True)
class WorldModelConfig:
    """Train a world model on worlds that `make-worlds` made."""

    encoder: EncoderSize = field(default_factory=EncoderSize)
    decoder: DecoderSize = field(default_factory=DecoderSize)
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    beginnings: BeginningsConfig = field(default_factory=BeginningsConfig)
    reasoning: ReasoningConfig = field(default_factory=ReasoningConfig)
    concepts: ConceptConfig = field(default_factory=ConceptConfig)
    tune: TuneConfig = field(default_factory=TuneConfig)
    fields: FieldConfig = field(default_factory=FieldConfig)
    seed: int = 0
    """Seed of everything that is drawn."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    keep_checkpoints: bool = False
    """Keep reasoning's checkpoints, as steps/reasoning.STEP.safetensors, to see what is learned when."""

    def __post_init__(self) -> None:
        for name, value in (
            ("perception.steps", self.perception.steps), ("reasoning.steps", self.reasoning.steps),
            ("tune.steps", self.tune.steps), ("segment.steps", self.segment.steps), ("fields.steps", self.fields.steps),
            ("judge.steps", self.judge.steps), ("beginnings.steps", self.beginnings.steps), ("seed", self.seed),
            ("concepts.steps", self.concepts.steps),
        ):  # fmt: skip
            if value < 0:
                raise ValueError(f"{name} got {value}; expected 0 or more.")
        for name, value in (
            ("perception.batch", self.perception.batch), ("perception.frames", self.perception.frames),
            ("perception.drawn", self.perception.drawn), ("reasoning.batch", self.reasoning.batch),
            ("reasoning.segment", self.reasoning.segment), ("reasoning.modes", self.reasoning.modes),
            ("tune.batch", self.tune.batch), ("segment.batch", self.segment.batch), ("fields.batch", self.fields.batch),
            ("judge.batch", self.judge.batch), ("beginnings.batch", self.beginnings.batch), ("checkpoint_every", self.checkpoint_every),
            ("concepts.batch", self.concepts.batch),
        ):  # fmt: skip
            if value < 1:
                raise ValueError(f"{name} got {value}; expected at least 1.")
        low, high = self.reasoning.thoughts
        if not 0 <= low <= high <= 16:
            raise ValueError(f"thoughts got {low} to {high}; expected a range within 0 to 16.")
        if not 1 <= self.encoder.turns <= 8:
            raise ValueError(f"encoder.turns got {self.encoder.turns}; expected 1 to 8.")
        if self.encoder.objects > 15:
            raise ValueError(f"objects got {self.encoder.objects}; expected at most 15.")
