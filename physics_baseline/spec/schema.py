"""Writes the published JSON Schema: `python -m clay4d.physics_baseline.spec.schema FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from clay4d.physics_baseline.spec.scene import scene_schema


def write_schema(path: str | Path) -> None:
    """Write `scene_schema()` as JSON text, the way docs/scene_spec.schema.json holds it."""
    Path(path).write_text(json.dumps(scene_schema(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write_schema(sys.argv[1])
