"""Chromium with GL in software, for benchmarks of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOFTWARE_GL = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright; None where it or Chromium (`CHROMIUM`, /usr/bin/chromium) is missing."""
    path = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield None
        return
    if not path.exists():
        yield None
        return
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(path), args=SOFTWARE_GL)
        try:
            yield browser
        finally:
            browser.close()
