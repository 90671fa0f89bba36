"""The page of `clay4d generate --explain`: one HTML file without scripts or requests."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from clay4d.files import written_whole
from clay4d.pages import html_page
from clay4d.renderers.render import render
from clay4d.scenes import Cameras
from clay4d.scenes.fields import AnyScene
from clay4d.world_model.decoders.gaussians import GaussianDecoder
from clay4d.world_model.decoders.scene import scene_from_slots
from clay4d.world_model.explain import Belief, Patch, Stretch
from clay4d.world_model.slots import Slots

SIDE = 180
"""Side of a picture, pixels."""
MOMENTS = 6
"""Pictures of the finished scene."""
NEARER = 1.25
"""How much longer the lens is than the worlds' own."""
_STYLE = """\
:root { --heat: 180, 83, 42; }
@media (prefers-color-scheme: dark) { :root { --heat: 234, 148, 104; } }
main { max-width: 1180px; margin: 0 auto; padding: 36px 20px 64px; }
h2 { font-size: 1.15rem; margin: 34px 0 4px; }
p { margin: 0 0 12px; color: var(--soft); max-width: 78ch; }
.patches { display: flex; flex-wrap: wrap; gap: 4px; margin: 10px 0; }
.patches span { border: 1px solid var(--line); border-radius: 6px; padding: 4px 7px 2px; white-space: pre;
 text-align: center; line-height: 1.25; }
.patches small { display: block; color: var(--soft); font-size: .72rem; }
.strip { display: flex; gap: 10px; overflow-x: auto; padding: 8px 0 12px; }
figure { margin: 0; flex: 0 0 SIDEpx; background: var(--card); border: 1px solid var(--line);
 border-radius: 10px; overflow: hidden; }
.pic { position: relative; }
img, svg { display: block; width: 100%; height: auto; aspect-ratio: 1; background: #fff; }
.pic svg { position: absolute; inset: 0; background: none; }
polyline { fill: none; stroke: #111; stroke-width: 1.6; stroke-linejoin: round; opacity: .75; }
figcaption { padding: 8px 10px 10px; font-size: .84rem; line-height: 1.4; color: var(--soft); }
figcaption b { color: var(--text); display: block; }
figcaption ul { margin: 4px 0 0; padding-left: 16px; }
figcaption q { quotes: none; color: var(--accent); }
ol { margin: 4px 0 0; padding: 0; list-style: none; font-variant-numeric: tabular-nums; }
"""
_BODY = Template(
    """\
<main>
<h1>$prompt</h1>
<p>$lead</p>
<h2>What was read</h2>
<p>The prompt's patches. Each begins where the byte model was least sure what comes next: bits of entropy below.</p>
<div class="patches">$patches</div>
<h2>What came of it</h2>
<div class="strip">$film</div>
<ol>$script</ol>
$stretches
</main>"""
)


def write_explanation(
    path: Path,
    *,
    prompt: str,
    kind: str,
    patches: Sequence[Patch],
    stretches: Sequence[Stretch],
    scene: AnyScene,
    decoder: GaussianDecoder,
    camera: Cameras,
    script: Sequence[str],
) -> Path:
    """Write the page, whole or not at all; every text is escaped.

    Args:
        kind: of the reasoner. camera: one, whose time does not matter.
        scene: what was made in the end. script: what happens in it, a line an event.
    """
    count = max((len(s.beliefs) - 1 for s in stretches), default=0)
    view = camera[0].resized(SIDE / camera.width)
    lens = view.Ks * torch.tensor([[NEARER, 1, 1], [1, NEARER, 1], [1, 1, 1]])
    view = dataclasses.replace(view, Ks=lens)
    lead = (
        f"How the world model ({kind}, {count} thoughts before each half second) came to its scene. It was "
        "asked after each thought what it would answer then, with the same draws, so what differs between two "
        "pictures of a row is that thought's doing. Lines are the ways of things in that half second."
    )
    moments = [scene.duration * k / (MOMENTS - 1) for k in range(MOMENTS)]
    film = "".join(
        f'<figure><img alt="the scene at {t:.2f} s" src="{_png(_draw(scene, view, t))}">'
        f"<figcaption>{t:.2f} s</figcaption></figure>"
        for t in moments
    )
    body = _BODY.substitute(
        prompt=escape(prompt or "(no prompt)"), lead=escape(lead), film=film,
        patches="".join(_patch(p, patches) for p in patches) or "<p>There was no prompt.</p>",
        script="".join(f"<li>{escape(line)}</li>" for line in script) or "<li>Nothing touches.</li>",
        stretches="".join(_stretch(s, decoder, view, scene) for s in stretches),
    )  # fmt: skip
    style = _STYLE.replace("SIDE", str(SIDE))
    text = html_page(title=prompt or "(no prompt)", body=body, style=style)
    with written_whole(path) as place:
        place.write_text(text, encoding="utf-8")
    return path


def _patch(patch: Patch, all_of_them: Sequence[Patch]) -> str:
    most = max(p.bits for p in all_of_them) or 1.0
    heat = 0.55 * max(patch.bits, 0.0) / most
    shown = escape(patch.text.replace("\n", "⏎")).replace(" ", "␣")
    return (
        f'<span style="background: rgba(var(--heat), {heat:.2f})">{shown}'
        f"<small>{patch.bits:.1f}</small></span>"
    )


def _stretch(stretch: Stretch, decoder: GaussianDecoder, view: Cameras, scene: AnyScene) -> str:
    slots = stretch.beliefs[-1].slots
    first, last = float(slots.times[0, 0]), float(slots.times[0, -1])
    title = f"Thoughts before {first:.2f} to {last:.2f} s"
    if stretch.beliefs[0].chance is None:
        title = f"Thoughts before the beginning, 0 to {last:.2f} s"
    cards = "".join(_card(b, decoder, view, scene) for b in stretch.beliefs)
    return f'<h2>{escape(title)}</h2><div class="strip">{cards}</div>'


def _card(belief: Belief, decoder: GaussianDecoder, view: Cameras, scene: AnyScene) -> str:
    """What the model believes after so many thoughts: a picture of the half second's end, and words."""
    moving = scene_from_slots(decoder, belief.slots)
    picture = _png(_draw(moving, view, moving.duration))
    name = "before any thought" if belief.thoughts == 0 else f"after thought {belief.thoughts}"
    lines = []
    if belief.chance is not None:
        lines.append(f"{100 * belief.chance:.0f} % sure of this future")
    read = "nothing happens" if belief.event is None else belief.event
    lines.append(f"lens: <q>{escape(read)}</q> ({100 * belief.sure:.0f} %)")
    if belief.thoughts > 0:
        told = [f"<li>{escape(c)}</li>" for c in belief.changes[:3]]
        lines.append(f"<ul>{''.join(told) or '<li>nothing changed</li>'}</ul>")
    return (
        f'<figure><div class="pic"><img alt="{name}" src="{picture}">{_ways(belief.slots, view)}</div>'
        f"<figcaption><b>{name}</b>{'<br>'.join(lines)}</figcaption></figure>"
    )


def _ways(slots: Slots, view: Cameras) -> str:
    """The ways of all things that are there, as lines over the picture."""
    there = slots.present[0].nonzero()[:, 0]
    world = slots.positions[0][:, there].double()
    seen = world @ view.viewmats[0, :3, :3].double().T + view.viewmats[0, :3, 3].double()
    pixel = seen @ view.Ks[0].double().T
    flat = (pixel[..., :2] / pixel[..., 2:].clamp_min(1e-6)).transpose(0, 1)
    front = (seen[..., 2] > 0.05).all(0)
    lines = "".join(
        '<polyline points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in way.tolist()) + '"/>'
        for way, ok in zip(flat, front)
        if bool(ok)
    )
    return f'<svg viewBox="0 0 {view.width} {view.height}" aria-hidden="true">{lines}</svg>'


def _draw(scene: AnyScene, view: Cameras, time: float) -> UInt8[np.ndarray, "H W 3"]:
    at = dataclasses.replace(view, times=torch.tensor([time]))
    drawn = render(scene, at, depth=False).images[0].clamp(0, 1)
    return np.asarray((drawn * 255 + 0.5).byte().numpy())


def _png(pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, format="PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")
