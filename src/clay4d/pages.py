"""The shell of every HTML page that clay4d writes: one head, one policy, one set of colours; nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from html import escape

STYLE = """\
:root { --page: #f6f5f2; --card: #fff; --text: #22252b; --soft: #636a76; --line: #dfdcd5; --accent: #b4532a; }
@media (prefers-color-scheme: dark) {
 :root { --page: #16181c; --card: #1f2227; --text: #e9e7e2; --soft: #a0a6b0; --line: #343941; --accent: #ea9468; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
 font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 6px; letter-spacing: -.01em; }
"""
"""Colours by day and by night, and letters; a page's own style comes after it."""


def policy(script: str = "", *, workers: bool = False, served: bool = False) -> str:
    """What a page may load: its own styles, pictures and films inside it, and one script, by its hash.

    It holds even if a text should ever slip through unescaped: no other script runs, and nothing is asked
    of the network.

    Args:
        script: the page's; without one, none runs.
        workers: whether the script makes workers of its own text.
        served: whether pictures come from the server that the page came from.

    >>> policy()
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
    """
    pictures = "img-src data:" + " 'self'" * served
    parts = ["default-src 'none'", "style-src 'unsafe-inline'", pictures, "media-src data:"]
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        parts.append(f"script-src 'sha256-{digest}'" + " blob:" * workers)
    if workers:
        parts.append("worker-src blob:")
    return "; ".join(parts)


def html_page(
    *,
    title: str,
    body: str,
    style: str = "",
    script: str = "",
    workers: bool = False,
    served: bool = False,
) -> str:
    """A whole page as text.

    Args:
        title: plain text; it is escaped here.
        body: HTML, whose texts are escaped already.
        style: CSS after `STYLE`. script: JavaScript, run once the body is there.
        workers, served: as in `policy`.

    >>> "<title>&lt;b&gt;</title>" in html_page(title="<b>", body="<p>Here.</p>")
    True
    """
    run = f"<script>{script}</script>\n" if script else ""
    allowed = policy(script, workers=workers, served=served)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="generator" content="clay4d">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>\n{STYLE}{style}</style>\n'
        f"{body}\n{run}</html>\n"
    )
