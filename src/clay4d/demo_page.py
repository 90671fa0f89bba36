"""The demo's page: one HTML file that holds its videos and asks nothing of the network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

from clay4d.files import written_whole
from clay4d.pages import html_page

VIDEO_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska"}

_STYLE = """\
main { max-width: 1040px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: 1.9rem; }
.lead { margin: 0 0 24px; color: var(--soft); max-width: 66ch; }
dl { display: grid; grid-template-columns: repeat(4, 1fr); margin: 0 0 24px; overflow: hidden;
 background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
dl div { padding: 12px 16px; box-shadow: 0 0 0 .5px var(--line); }
dt { font-size: .8rem; color: var(--soft); }
dd { margin: 2px 0 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.films { display: grid; grid-template-columns: 1fr 2fr; gap: 20px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px;
 overflow: hidden; }
figure.wide { grid-column: 1 / -1; }
video { display: block; width: 100%; background: #fff; }
figcaption { padding: 10px 16px 14px; color: var(--soft); border-top: 1px solid var(--line); }
figcaption b { color: var(--text); }
.names { display: flex; justify-content: space-around; padding: 8px 0 6px; font-size: .85rem;
 color: var(--soft); border-bottom: 1px solid var(--line); }
details { margin-top: 24px; background: var(--card); border: 1px solid var(--line);
 border-radius: 12px; padding: 12px 16px; }
summary { cursor: pointer; font-weight: 600; color: var(--accent); }
pre { overflow-x: auto; font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 700px) { dl { grid-template-columns: repeat(2, 1fr); }
 .films { grid-template-columns: 1fr; } }
"""
_BODY = Template(
    """\
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
<dl>
$facts
</dl>
<div class="films">
$films
</div>
<details><summary>The run's config</summary><pre>$config</pre></details>
</main>"""
)


def write_page(
    path: str | Path,
    facts: Mapping[str, str],
    films: Mapping[str, tuple[Path, str]],
    config: str,
    *,
    title: str = "clay4d demo",
    lead: str = "",
) -> Path:
    """Write the page, whole or not at all; every text is escaped and every video is inside.

    Args:
        facts: what was measured, by its name.
        films: a video and what it shows, by its name; a name with " | " in it names the halves of
            a video that is twice as wide.
        config: the run's config, shown as it is.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: a video that is not there.
        ValueError: a video of a type that browsers do not know.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_page(Path(folder, "i.html"), {"PSNR": "<30 dB>"}, {}, "steps: 1")
    ...     "&lt;30 dB&gt;" in page.read_text()
    True
    """
    path = Path(path)
    body = _BODY.substitute(
        title=escape(title),
        lead=escape(lead),
        facts="\n".join(
            f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items()
        ),
        films="\n".join(_film(name, *film) for name, film in films.items()),
        config=escape(config),
    )
    text = html_page(title=title, body=body, style=_STYLE)
    with written_whole(path) as place:
        place.write_text(text, encoding="utf-8")
    return path


def _film(name: str, video: Path, note: str) -> str:
    kind = VIDEO_TYPES.get(video.suffix.lower())
    if kind is None:
        raise ValueError(f"video got {video.name}; expected a name in {', '.join(VIDEO_TYPES)}.")
    data = base64.b64encode(video.read_bytes()).decode("ascii")
    halves = name.split(" | ")
    names = "".join(f"<span>{escape(half)}</span>" for half in halves)
    above = f'<div class="names">{names}</div>' if len(halves) > 1 else ""
    label = escape(name.replace(" | ", " and "), quote=True)
    caption = escape(note) if above else f"<b>{escape(name)}.</b> {escape(note)}"
    return (
        f"<figure{' class=wide' if above else ''}>{above}"
        f'<video src="data:{kind};base64,{data}" aria-label="{label}" autoplay loop muted '
        f"playsinline controls></video><figcaption>{caption}</figcaption></figure>"
    )
