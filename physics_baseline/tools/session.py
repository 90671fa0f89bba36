"""A session: the scene that the tools work on, what became of it, and the log of every call."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pydantic

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.output import Renderer, write_json
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.physics_baseline.spec.units import explain_errors

FORMAT = "clay4d-trace-1"
TRACE = "trace.json"


class ToolError(ValueError):
    """A tool was called wrongly; the message says what it wants."""


@dataclass
class Session:
    """State that tools share. Files go to `folder` alone.

    >>> Session(Path("somewhere")).scene is None
    True
    """

    folder: Path
    scene: SceneSpec | None = None
    trajectory: Trajectory | None = None
    renderer: Renderer | None = None
    rendered: dict[str, list[int]] = field(default_factory=dict)
    """Frames drawn by each camera, in `folder`/cameras/NAME."""
    calls: list[dict[str, Any]] = field(default_factory=list)
    progress: Callable[[str, float], None] | None = None
    """Told what is going on and the share done, 0 to 1."""

    def need_scene(self) -> SceneSpec:
        """The scene.

        Raises:
            ToolError: there is none yet.
        """
        if self.scene is None:
            raise ToolError("scene got none yet; expected one. Call make_scene first.")
        return self.scene

    def need_trajectory(self) -> Trajectory:
        """The simulated trajectory.

        Raises:
            ToolError: the scene was not simulated since it was last changed.
        """
        self.need_scene()
        if self.trajectory is None:
            raise ToolError("trajectory got none yet; expected one. Call simulate first.")
        return self.trajectory

    def change(self, scene: SceneSpec, *, physics: bool = True) -> None:
        """Put another scene in the place of this one; `physics`: it moves differently."""
        self.scene = scene
        self.renderer = None
        self.rendered = {}
        if physics:
            self.trajectory = None

    def camera_folder(self, name: str) -> Path:
        """Where a camera's pictures are.

        Raises:
            ToolError: that camera has not been rendered.
        """
        if name not in self.rendered:
            known = ", ".join(self.rendered) or "none"
            raise ToolError(f"camera got {name!r}; expected a rendered one ({known}). Call render.")
        return self.folder / "cameras" / name

    def file(self, name: str) -> Path:
        """A file of the session's folder.

        Raises:
            ToolError: a name that could lead out of it.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ToolError(f"name got {name!r}; expected letters, digits, '.', '_' or '-' alone.")
        return self.folder / name

    def tell(self, what: str, share: float) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(what, share)

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None, /, **more: Any) -> Any:
        """Call a tool by name with JSON values, and log the call, its result and its seconds.

        A call that fails is logged with its error and leaves the state as it was.

        Raises:
            ToolError: no such tool, or arguments that it does not take.
            ValueError, OSError, ImportError: what the tool itself raises.
        """
        from clay4d.physics_baseline.tools import TOOLS

        given = {**(arguments or {}), **more}
        if tool not in TOOLS:
            raise ToolError(f"tool got {tool!r}; expected one of {', '.join(TOOLS)}.")
        entry: dict[str, Any] = {"tool": tool, "arguments": json.loads(json.dumps(given))}
        began = time.perf_counter()
        before = self.scene, self.trajectory, self.renderer, dict(self.rendered)
        try:
            values = check_arguments(tool, TOOLS[tool], given)
            entry["result"] = json.loads(json.dumps(TOOLS[tool](self, **values)))
            return entry["result"]
        except Exception as error:
            self.scene, self.trajectory, self.renderer, self.rendered = before
            entry["error"] = str(error)
            raise
        finally:
            entry["seconds"] = round(time.perf_counter() - began, 4)
            self.calls.append(entry)
            self.save_trace()

    def save_trace(self) -> None:
        """Write trace.json as it stands."""
        from importlib.metadata import version

        self.folder.mkdir(parents=True, exist_ok=True)
        trace = {"format": FORMAT, "clay4d": version("clay4d"), "calls": self.calls}
        write_json(self.folder / TRACE, trace)


Tool = Callable[..., Any]


@cache
def arguments_model(name: str, tool: Tool) -> type[pydantic.BaseModel]:
    """A tool's arguments after the session, as a model that checks them and has a JSON Schema."""
    hints = get_type_hints(tool, include_extras=True)
    words = argument_words(tool)
    fields: dict[str, Any] = {}
    for k, parameter in enumerate(inspect.signature(tool).parameters.values()):
        if k:
            required = parameter.default is inspect.Parameter.empty
            default = ... if required else parameter.default
            about = pydantic.Field(default, description=words.get(parameter.name, ""))
            fields[parameter.name] = hints[parameter.name], about
    config = pydantic.ConfigDict(extra="forbid", title=name)
    made: type[pydantic.BaseModel] = pydantic.create_model(name, __config__=config, **fields)
    return made


def argument_words(tool: Tool) -> dict[str, str]:
    """What a tool's docstring says of each argument."""
    text = inspect.getdoc(tool) or ""
    block = re.search(r"^Args:\n(.*?)(?:\n\S|\Z)", text, re.S | re.M)
    found: dict[str, str] = {}
    for name, words in re.findall(r"^ {4}(\w+): (.*?)(?=^ {4}\w+:|\Z)", (block[1] + "\n") if block else "", re.S | re.M):  # fmt: skip
        found[name] = " ".join(words.split())
    return found


def check_arguments(name: str, tool: Tool, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the tool takes them.

    Raises:
        ToolError: naming the argument and what is wrong with it.
    """
    model = arguments_model(name, tool)
    try:
        checked = model(**given)
    except pydantic.ValidationError as error:
        lines = explain_errors(error, model).replace("\n", " ")
        takes = ", ".join(model.model_fields) or "none"
        raise ToolError(f"{name}: {lines} It takes {takes}.") from None
    return {k: getattr(checked, k) for k in model.model_fields}


def digest(*arrays: Any) -> str:
    """Twelve hexadecimal digits that tell whether arrays are the same to the bit.

    >>> digest(np.zeros(3)) == digest(np.zeros(3)), digest(np.zeros(3)) == digest(np.ones(3))
    (True, False)
    """
    sha = hashlib.sha256()
    for array in arrays:
        value = np.ascontiguousarray(array)
        sha.update(f"{value.dtype.str}{value.shape}".encode())
        sha.update(value.tobytes())
    return sha.hexdigest()[:12]
