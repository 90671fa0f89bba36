"""Which OpenGL works without a window here: EGL or OSMesa on Linux, the system's elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib import import_module
from typing import Any

PROBE = "from mujoco.{0} import GLContext; c = GLContext(8, 8); c.make_current(); print('works')"
HELP = (
    "On Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri (EGL) or libosmesa6 (OSMesa). "
    "The renderer raycast needs none of it."
)


def candidates() -> tuple[str, ...]:
    """What to try, in order; MUJOCO_GL alone if it names one."""
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted in ("egl", "osmesa", "glfw", "cgl"):
        return (wanted,)
    if sys.platform == "darwin":
        return ("cgl", "glfw")
    return ("glfw",) if sys.platform == "win32" else ("egl", "osmesa")


@cache
def working_platform() -> str:
    """The first that makes a picture in a process of its own, since a failure may end the process.

    Raises:
        ImportError: none does; the message says which packages help.
    """
    reasons = []
    for name in candidates():
        environment = {**os.environ, "MUJOCO_GL": name, "PYOPENGL_PLATFORM": name}
        try:
            tried = subprocess.run(
                [sys.executable, "-c", PROBE.format(name)], env=environment, capture_output=True,
                text=True, timeout=60, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            reasons.append(f"{name}: no answer")
            continue
        if "works" in tried.stdout:
            return name
        lines = tried.stderr.strip().splitlines()
        reasons.append(f"{name}: {lines[-1] if lines else 'it failed'}")
    raise ImportError(
        f"renderer got mujoco-gl, but no OpenGL works here ({'; '.join(reasons)}); expected EGL or "
        f"OSMesa. {HELP}"
    )


def make_context(width: int, height: int) -> Any:
    """A current OpenGL context without a window.

    Raises:
        ImportError: as `working_platform`.
    """
    name = working_platform()
    if name in ("egl", "osmesa"):
        os.environ.setdefault("PYOPENGL_PLATFORM", name)
    context = import_module(f"mujoco.{name}").GLContext(width, height)
    context.make_current()
    return context
