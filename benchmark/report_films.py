"""Films of a report, side by side, with one scrubber for all of a scene."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from clay4d.benchmark.results import Shown
from clay4d.benchmark.scenes4d import links

STYLE = (
    ".panes{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.6rem}"
    ".panes figure{margin:0}.panes video{width:100%;display:block;background:#888;border-radius:4px}"
    ".panes figcaption{font-size:.85rem;overflow-wrap:anywhere}"
    ".bar{display:flex;gap:.6rem;align-items:center;margin:.4rem 0 1.6rem}.bar input{flex:1}"
    ".bar button{font:inherit;padding:.1rem .8rem}.pairs{margin:-1rem 0 1.6rem}.pairs a{display:inline-block;padding:.15rem .8rem .15rem 0}h3{font-size:1rem;margin:1.2rem 0 .4rem;font-weight:600}"
)
SCRIPT = """
for (const film of document.querySelectorAll('.film')) {
  const videos = [...film.querySelectorAll('video')], bar = film.querySelector('input');
  const button = film.querySelector('button'), first = videos[0];
  const length = () => first.duration || 1;
  const show = t => videos.forEach(v => { v.currentTime = Math.min(t, length() - 0.01); });
  let playing = false, began = 0, from = 0;
  const tick = now => {
    if (!playing) return;
    const t = (from + (now - began) / 1000) % length();
    bar.value = t / length();
    show(t);
    setTimeout(() => requestAnimationFrame(tick), 60);
  };
  bar.oninput = () => { playing = false; button.textContent = 'Play'; show(bar.value * length()); };
  button.onclick = () => {
    playing = !playing;
    button.textContent = playing ? 'Pause' : 'Play';
    from = bar.value * length();
    began = performance.now();
    requestAnimationFrame(tick);
  };
  first.addEventListener('loadedmetadata', () => show(bar.value * length()));
}
"""
"""What the page of `films` runs."""


def films(shown: Sequence[Shown], folder: Path) -> str:
    """The comparisons as HTML, their films inside; those whose files are gone are left out.

    Args:
        folder: of results.json, which the films' paths start from.
    """
    parts = []
    for one in shown:
        panes = [p for p in one.panes if (folder / p.video).is_file()]
        if not panes:
            continue
        figures = "".join(
            f'<figure><video muted playsinline preload="auto" src="data:video/mp4;base64,'
            f'{base64.b64encode((folder / p.video).read_bytes()).decode()}"></video>'
            f"<figcaption>{escape(p.label)}</figcaption></figure>"
            for p in panes
        )
        parts.append(
            f'<div class="film"><h3>{escape(one.title)}</h3><div class="panes">{figures}</div>'
            '<div class="bar"><button>Play</button><input type="range" min="0" max="1" step="0.001" '
            f'value="0.5" aria-label="moment"></div>{links(one.pairs, folder)}</div>'
        )
    if not parts:
        return ""
    note = f'<p class="soft">{escape(shown[0].note)}</p>'
    return f"<h2>To look at</h2>{note}{''.join(parts)}"
