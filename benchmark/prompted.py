"""The suite `generate`: a prompt alone in, a moving scene out; is all of it there, and does it do what was said?

The world model's scenes stand beside those of the planner and its engine. A judge that learned from pictures of
training worlds names what it sees; clauses are checked on the paths (`clay4d.world_model.judge`). The true worlds
are judged, too, so the judge's own errors are known.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from clay4d.benchmark.cases import Case, Measured, Place
from clay4d.benchmark.suites import SuiteConfig
from clay4d.jit import one_torch_thread
from clay4d.physics_baseline.engines import SimulationError, make_engine
from clay4d.physics_baseline.planner import PlanError, plan
from clay4d.physics_baseline.spec import FixedCamera, SunLight
from clay4d.world_model.judge import LooksJudge, acts_right, read_acts
from clay4d.world_model.script import mention_order
from clay4d.world_model.worlds import open_worlds
from clay4d.world_model.worlds.format import World, WorldObject
from clay4d.world_model.worlds.pictures import draw_scene
from clay4d.world_model.worlds.things import FIXTURES

RATE, FRAMES, JUDGED = 12.0, 24, slice(0, 24, 3)
"""Frames a second and in all, and those whose pictures are judged."""
SIDE, AWAY, UP, FOV = 64, 2.8, 1.4, 40.0
"""Pictures' side in pixels; cameras' distance and height in metres and angle of view in degrees, as worlds have them."""
OWN_SIDE = 128
"""Of the planner's pictures: its things have their usual sizes, some of which 64 pixels hardly show."""
REACH = 1.3
"""Metres from the middle that such cameras see well; larger scenes are seen from farther away."""
JUDGE = "judge.safetensors"


@dataclass(frozen=True)
class Prompt:
    """The question: words and nothing else."""

    text: str

    @property
    def key(self) -> str:
        """SHA-256 of the words."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Made:
    """A scene as the judge meets it: B things in the order of their first mention."""

    positions: Float[np.ndarray, "T B 3"]
    """Centres at 12 moments a second, metres."""
    images: UInt8[np.ndarray, "F C H W 3"]
    """Pictures of every third moment from cameras of the system's own choice."""
    masks: UInt8[np.ndarray, "F C H W"]
    """Which thing each pixel shows, from 1 on; 0 for none."""
    sizes: Float[np.ndarray, "B 3"] | None = None
    """Whole extents, metres, where the system knows them."""


NOTHING = Made(np.zeros((FRAMES, 0, 3)), np.zeros((8, 1, 8, 8, 3), np.uint8), np.zeros((8, 1, 8, 8), np.uint8))  # fmt: skip
"""A system that refuses a prompt has made none of it."""


@dataclass(frozen=True)
class ToldScene:
    """The prompt and its true world, for the ceiling alone."""

    prompt: Prompt
    made: Made


class TrueWorld:
    """The world that the prompt was written about: what the judge thinks of a scene without fault."""

    name = "true-world"
    needs_truth = True

    def predict(self, told: ToldScene, _times: Any) -> Made:
        """The truth."""
        return told.made


class PlannerEngine:
    """The grammar's scene, simulated by MuJoCo and drawn as worlds are."""

    name = "planner-engine"

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._engine = make_engine("mujoco")

    def predict(self, prompt: Prompt, _times: Any) -> Made:
        """The scene; nothing, where the grammar or the engine refuses it."""
        try:
            scene = plan(prompt.text, seed=self._seed)
            scene = dataclasses.replace(scene, duration=FRAMES / RATE, fps=RATE)
            path = self._engine.run(scene, check=False)
        except (PlanError, SimulationError):
            return NOTHING
        positions = path.positions[:FRAMES]
        scene = dataclasses.replace(
            scene, cameras=_cameras(positions, side=OWN_SIDE), lights=(SunLight(),)
        )
        images, masks = draw_scene(scene, path, supersample=1)
        sizes = np.stack([_extent(body) for body in scene.bodies])
        return Made(positions, images[JUDGED], masks[JUDGED], sizes)


class PromptedModel:
    """A world model from a prompt alone, by its first draw of a seed."""

    name = "world-model-prompted"

    def __init__(self, weights: str | Path | None = None, *, seed: int = 0) -> None:
        from clay4d.world_model.generate import TEMPERATURE, load_weights

        one_torch_thread()
        self._model, self._seed, self._temperature = load_weights(weights), seed, TEMPERATURE

    def predict(self, prompt: Prompt, _times: Any) -> Made:
        """The scene, drawn by the model's decoder from the cameras that `clay4d generate` has."""
        from clay4d.world_model.decoders import draw
        from clay4d.world_model.worlds.pictures import camera_matrices

        with torch.no_grad():
            slots, _ = self._model.imagine(
                [prompt.text], thoughts=4, seed=self._seed, temperature=self._temperature
            )
            shown = slots.at(JUDGED)
            matrices = [camera_matrices(c) for c in _cameras(np.zeros((1, 0, 3)))]
            views, Ks = (
                torch.from_numpy(np.stack(m)).float().expand(1, shown.positions.shape[1], len(matrices), -1, -1)
                for m in zip(*matrices)
            )  # fmt: skip
            drawn = draw(self._model.decoder, shown, views, Ks, width=SIDE, height=SIDE)
        there = slots.present[0].nonzero()[:, 0].tolist()
        labels = (drawn.labels[0] > 0.5).long()
        digits = (labels << torch.arange(labels.shape[-1])).sum(-1).numpy()
        masks = np.zeros(digits.shape, np.uint8)
        for k, slot in enumerate(there):
            masks[digits == slot + 1] = k + 1
        images = (drawn.images[0].clamp(0, 1) * 255).round().byte().numpy()
        return Made(slots.positions[0, :, there].double().numpy(), images, masks)


class PromptCases:
    """Prompts of held-out worlds, the first ones.

    Raises:
        FileNotFoundError, ValueError: no worlds.
    """

    protocols: tuple[tuple[str, str], ...] = (
        (
            "*",
            "a prompt in; paths and pictures of a scene of two seconds out, cameras of the system's own choice. "
            "Right is what has as many things as the prompt names, of the shapes and colours that it names "
            "(judged from pictures), each doing what it says (judged from paths)",
        ),
    )

    def __init__(self, config: SuiteConfig, folder: Path) -> None:
        import clay4d.world_model.generate as released

        self._config = config
        self._worlds = open_worlds(folder, split=config.splits[0])
        self._judge = LooksJudge.load(released.WEIGHTS.with_name(JUDGE))

    def places(self) -> list[Place]:
        """The first `limit` worlds; tasks are how many things the prompt names."""
        split = self._config.splits[0]
        found = []
        for k in range(min(len(self._worlds), self._config.limit or len(self._worlds))):
            words = self._worlds.words(k)
            things = len(words["objects"])
            task = f"{things}-things" if things < 4 else "4+-things"
            found.append(Place(f"{split}/{words['name']}", task, split, k))
        return found

    def read(self, place: Place) -> Case:
        """One prompt."""
        world = self._worlds.read(place.index)
        order = mention_order(world.prompt, [(o.colour, o.shape) for o in world.objects])
        question = Prompt(world.prompt)
        told = ToldScene(question, _true(world, order))
        objects = [world.objects[k] for k in order]
        judge = PromptJudge(self._judge, world.prompt, objects)
        return Case(question, np.zeros(0), judge, told, film=lambda made: made.images[:, 0])


@dataclass(frozen=True)
class PromptJudge:
    """What is right of a scene made from a prompt that names `objects`, in this order."""

    looks: LooksJudge
    prompt: str
    objects: Sequence[WorldObject]

    def __call__(self, made: Made) -> Measured:
        """1 or 0 for count, looks, acts and all of them; shares of single things and clauses."""
        count = made.positions.shape[1]
        images = torch.from_numpy(made.images).flatten(0, 1).float() / 255
        said = self.looks.look(images, torch.from_numpy(made.masks).flatten(0, 1), count)
        found = Counter("nothing" if s is None else _name(s["shape"], s["colour"]) for s in said)
        named = Counter(_name(o.shape, o.colour) for o in self.objects)
        own = [
            o if made.sizes is None or k >= count else dataclasses.replace(o, size=tuple(made.sizes[k]))
            for k, o in enumerate(self.objects)
        ]  # fmt: skip
        clauses = read_acts(self.prompt, own)
        acts = [False] * len(clauses)
        if count >= len(own):
            acts = acts_right(clauses, own, made.positions, fps=RATE)
        right = {
            "count_right": count == len(self.objects), "looks_right": named == found,
            "acts_right": all(acts),
        }  # fmt: skip
        return Measured(
            {"prompt_right": float(all(right.values()))} | {k: float(v) for k, v in right.items()}
            | {
                "things_right": (named & found).total() / len(self.objects),
                "clauses_right": sum(acts) / max(len(acts), 1) if acts else 1.0,
            }
        )  # fmt: skip


def _true(world: World, order: Sequence[int]) -> Made:
    """A world's things in the order of their mention."""
    digits = np.zeros(256, np.uint8)
    for k, thing in enumerate(order):
        digits[thing + 1] = k + 1
    path = world.tracks.positions[:, list(order)]
    return Made(path, world.images[JUDGED], digits[world.masks[JUDGED]])


def _cameras(positions: Float[np.ndarray, "T B 3"], *, side: int = SIDE) -> tuple[FixedCamera, ...]:
    """Four around, from as far away as it takes to see the first half second."""
    flat = positions[:7].reshape(-1, 3)
    middle = (flat[:, :2].min(0) + flat[:, :2].max(0)) / 2 if len(flat) else np.zeros(2)
    reach = float(np.hypot(*(flat[:, :2] - middle).T).max()) if len(flat) else 0.0
    more = max(reach / REACH, 1.0)
    x, y = (float(v) for v in middle)
    return tuple(
        FixedCamera(
            name=f"camera-{k}", width=side, height=side, fov=FOV, look_at=(x, y, 0.3),
            position=(
                x + more * AWAY * math.cos(k * math.pi / 2), y + more * AWAY * math.sin(k * math.pi / 2),
                0.3 + more * (UP - 0.3),
            ),
        )
        for k in range(4)
    )  # fmt: skip


def _extent(body: Any) -> Float[np.ndarray, " 3"]:
    """Whole extents of a body along its axes, metres."""
    from clay4d.world_model.worlds.shapes import shape_mesh

    vertices = np.asarray(shape_mesh(body)[0])
    extent: np.ndarray = vertices.max(0) - vertices.min(0)
    return extent


def _name(shape: str, colour: str) -> str:
    """Colour and shape of what moves; of fixtures the shape alone, which says the colour."""
    return shape if shape in FIXTURES else f"{colour} {shape}"
