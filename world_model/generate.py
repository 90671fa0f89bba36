"""A prompt, and frames if there are any, become a dynamic scene in a folder like any other run's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import yaml
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from clay4d.jit import one_torch_thread
from clay4d.renderers.paths import look_at
from clay4d.renderers.render import render
from clay4d.scenes import Cameras
from clay4d.scenes.fields import ObjectFields
from clay4d.scenes.loaders.write import write_transforms
from clay4d.scenes.splat_scene import SplatScene
from clay4d.scenes.store import save_scene, write_tensors
from clay4d.world_model.context import Context, read_context
from clay4d.world_model.decoders.scene import fields_from_slots, scene_from_slots
from clay4d.world_model.explain import Watcher, prompt_patches
from clay4d.world_model.explain_page import write_explanation
from clay4d.world_model.judge import touch_script
from clay4d.world_model.model import Thinking, WorldModel
from clay4d.world_model.model.world_model import FPS
from clay4d.world_model.prompts import check_prompt
from clay4d.world_model.reasoners import MOST_THOUGHTS, Depth, Exit
from clay4d.world_model.script import things_of
from clay4d.world_model.slots import Slots

Decoder = Literal["gaussians", "field"]
"""What makes a scene of slots: Gaussians on rigid paths, or a radiance field of each object."""
FRAMES = 24
TEMPERATURE = 0.5
"""Of held-out prompts' clauses 90 % hold at 0.5, 84 % at 0 and 85 % at 1, on `val`."""
WEIGHTS = Path(__file__).parent / "weights" / "world_model.safetensors"
"""The released weights."""


@dataclass(frozen=True)
class Generated:
    """A scene, and how the model came to it."""

    scene: SplatScene | ObjectFields
    slots: Slots
    thinking: Thinking
    cameras: Cameras
    """Four cameras at each of the frames' times."""


def generate(
    prompt: str,
    out: str | Path | None = None,
    *,
    context: str | Path | None = None,
    thoughts: int = 4,
    seed: int = 0,
    weights: str | Path | None = None,
    allow_unknown: bool = False,
    temperature: float = TEMPERATURE,
    explain: bool = False,
    exit_below: float = 0.0,
    decoder: Decoder = "gaussians",
) -> Generated:
    """Generate a dynamic scene of 24 frames, two seconds, and leave it in a folder if one is given.

    Args:
        prompt: English. context: worlds (`DIR` or `DIR/000012`) or posed pictures with masks, whose
            first frames the scene begins with.
        thoughts: before each quarter of the scene, 0 to 16.
        seed: of the draw among the ways in which things can go. temperature: 0 for the likeliest.
        weights: a model file or a run of `train_world`; the released ones by default.
        allow_unknown: leave out words that training never saw.
        explain: leave OUT/explain.html too: what the model believes after each thought.
        exit_below: of weights of kind depth: stop at the thought that changes the state by less than this
            share of its length, 0 for never.
        decoder: gaussians, or field for a scene whose objects are radiance fields.

    Raises:
        ValueError: a prompt or a context that cannot be read, thoughts outside 0 to 16, a folder that
            holds something, weights of another version, a decoder that the weights never trained.
        FileNotFoundError: no such context or weights.
    """
    if not 0 <= thoughts <= MOST_THOUGHTS:
        raise ValueError(f"thoughts got {thoughts}; expected 0 to {MOST_THOUGHTS}.")
    target = None if out is None else Path(out)
    if target is not None and target.exists() and (target.is_file() or any(target.iterdir())):
        raise ValueError(f"out got {target}, which holds something; expected a new folder.")
    if explain and target is None:
        raise ValueError("explain got no folder; expected one for its page. Give out.")
    one_torch_thread()  # torch's sums depend on its threads
    model = load_weights(weights)
    _check_decoder(model, decoder)
    if exit_below:
        _stop_early(model, exit_below)
    said = check_prompt(
        prompt, model.vocabulary, allow_unknown=allow_unknown, empty=context is not None
    )
    given = None if context is None else read_context(context, model)
    names = things_of(said, model.config.encoder.objects)
    watcher = Watcher(model, names, count=thoughts) if explain else None
    slots, thinking = model.imagine(
        [said], context=None if given is None else given.slots, frames=FRAMES, thoughts=thoughts,
        seed=seed, temperature=temperature, watch=watcher,
    )  # fmt: skip
    scene = _scene(model, slots, decoder)
    cameras = _cameras(given)
    made = Generated(scene, slots, thinking, cameras)
    if target is not None:
        _write(
            target, made, given, model, prompt=said, thoughts=thoughts, seed=seed, decoder=decoder
        )
        if watcher is not None:
            script = (target / "script.txt").read_text(encoding="utf-8").splitlines()
            write_explanation(
                target / "explain.html", prompt=said, kind=model.config.reasoning.kind,
                patches=prompt_patches(model, said), stretches=watcher.stretches, scene=scene,
                decoder=model.decoder, camera=cameras, script=script,
            )  # fmt: skip
    return made


def _check_decoder(model: WorldModel, decoder: Decoder) -> None:
    """Refuse a decoder that there is not.

    Raises:
        ValueError: another word, or weights whose field was never trained.
    """
    if decoder not in get_args(Decoder):
        raise ValueError(f"decoder got {decoder!r}; expected {' or '.join(get_args(Decoder))}.")
    if decoder == "field" and not model.config.fields.steps:
        raise ValueError(
            "decoder got field for weights without a trained one (fields.steps is 0 in their config); "
            "expected weights of a run that trained it. Train it with: clay4d train-world standard --data "
            "WORLDS --field-of RUN --out NEW; or leave --decoder out."
        )


def _scene(model: WorldModel, slots: Slots, decoder: Decoder) -> SplatScene | ObjectFields:
    """The first world's slots as a scene."""
    if decoder == "field":
        return fields_from_slots(model.field, model.decoder, slots)
    return scene_from_slots(model.decoder, slots)


def _stop_early(model: WorldModel, below: float) -> None:
    """Let a model of recurrent depth stop where it holds still.

    Raises:
        ValueError: another kind of reasoner, or a negative bound.
    """
    reasoner = model.dynamics.reasoner
    if not isinstance(reasoner, Depth):
        raise ValueError(
            f"exit-below got weights of reasoner {reasoner.kind}; expected depth. Leave it out, or choose "
            "how many with --thoughts."
        )
    reasoner.exit = Exit("change", below)


def load_weights(weights: str | Path | None = None) -> WorldModel:
    """A trained model: the released one, a file's, or a run's.

    Raises:
        FileNotFoundError: there is none.
        ValueError: damaged, or of another version.
    """
    path = WEIGHTS if weights is None else Path(weights)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"weights got {path}, which is not there; expected a trained model. Train one with: "
            "clay4d train-world, and give its folder with --weights"
        )
    return WorldModel.load(path)


def _cameras(given: Context | None) -> Cameras:
    """The context's cameras, or four like those of the worlds, at all frames' times."""
    if given is not None:
        return given.cameras
    angles = torch.arange(4) * torch.pi / 2 - torch.pi / 2
    eyes = torch.stack([2.8 * angles.cos(), 2.8 * angles.sin(), 1.4 + 0 * angles], -1)
    views = look_at(eyes.double(), torch.tensor([0.0, 0.0, 0.3], dtype=torch.float64)).float()
    K = torch.tensor([[88.0, 0, 32], [0, 88.0, 32], [0, 0, 1]])
    return at_all_times(views, K.expand(4, 3, 3), 64, 64, FRAMES)


def at_all_times(
    viewmats: Float[Tensor, "C 4 4"],
    Ks: Float[Tensor, "C 3 3"],
    width: int,
    height: int,
    frames: int,
) -> Cameras:
    """Each of C cameras at each of the frames' times, frame after frame."""
    count = len(viewmats)
    times = (torch.arange(frames) / FPS).repeat_interleave(count)
    return Cameras(viewmats.repeat(frames, 1, 1), Ks.repeat(frames, 1, 1), width, height, times)


def _write(
    target: Path, made: Generated, given: Context | None, model: WorldModel, **asked: Any
) -> None:
    """RUN: scene, config, thoughts, pictures of the four cameras; the scene comes last."""
    target.mkdir(parents=True, exist_ok=True)
    drawn = render(made.scene, made.cameras, depth=False).images.clamp(0, 1)
    pictures = (drawn * 255 + 0.5).byte().numpy()
    splits: dict[str, Any] = {"train": (made.cameras, pictures)}
    if given is not None:
        splits |= given.splits()
    bounds = torch.tensor([[-2.0, -2.0, 0.0], [2.0, 2.0, 1.5]])
    write_transforms(target / "views", splits, duration=made.scene.duration, bounds=bounds)
    count = len(pictures) // FRAMES
    sheet = np.concatenate(
        [
            np.concatenate(list(pictures[t * count : (t + 1) * count]), 1)
            for t in range(0, FRAMES, 4)
        ]
    )
    Image.fromarray(sheet).save(target / "sheet.png")
    write_thoughts(target / "thoughts.safetensors", made.thinking, model)
    events = touch_script(
        model.decoder, made.slots, things_of(asked["prompt"], int(made.slots.present.sum()))
    )
    script = "".join(f"{event.line}\n" for event in events)
    (target / "script.txt").write_text(script, encoding="utf-8")
    config = {"generated": asked, "data": str(target / "views")}
    (target / "config.yaml").write_text(
        yaml.safe_dump(config, allow_unicode=True), encoding="utf-8"
    )
    save_scene(target / "scene.safetensors", made.scene)


def write_thoughts(path: Path, thinking: Thinking, model: WorldModel) -> None:
    """The thoughts before each segment, and beside them in JSON what can be read of them."""
    tensors: dict[str, Tensor] = {}
    rows = []
    kind = model.config.reasoning.kind
    seconds = model.config.reasoning.segment / FPS
    for k, (had, start) in enumerate(zip(thinking.thoughts, thinking.starts)):
        tensors |= {f"{k}.vectors": had.vectors, f"{k}.hidden": had.hidden}
        row: dict[str, Any] = {"before_seconds": round(start, 3), "count": len(had)}
        if had.codes is not None:
            row["codes"] = had.codes[0].tolist()
        if kind == "script" and had.codes is not None:
            words = [f"thing {b + 1}" for b in range(model.config.encoder.objects)]
            told = [
                model.codec.decode(c, words, start=start, end=start + seconds) for c in row["codes"]
            ]
            row["script"] = [e.line for e in told if e is not None]
        rows.append(row)
    write_tensors(path, tensors, {"format": "clay4d-thoughts-1", "kind": kind})
    text = json.dumps({"kind": kind, "segments": rows}, indent=1)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
