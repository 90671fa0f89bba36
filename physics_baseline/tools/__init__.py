"""The baseline's tools: typed functions on a session, every call logged, replayable, served by MCP."""

from __future__ import annotations

from clay4d.physics_baseline.tools.export_tools import add_sound, export
from clay4d.physics_baseline.tools.physics_tools import measure, simulate
from clay4d.physics_baseline.tools.picture_tools import (
    add_rig,
    add_text,
    composite,
    look,
    render,
)
from clay4d.physics_baseline.tools.scene_tools import (
    add_body,
    add_camera,
    add_event,
    add_joint,
    add_light,
    describe_scene,
    get_scene,
    get_schema,
    make_scene,
    plan_scene,
    remove,
    set_body,
    set_field,
    set_scene,
)
from clay4d.physics_baseline.tools.session import Session, Tool, ToolError
from clay4d.physics_baseline.tools.trace import read_trace, replay

TOOLS: dict[str, Tool] = {
    tool.__name__: tool
    for tool in (
        make_scene, plan_scene, describe_scene, get_scene, get_schema, add_body, set_body, add_joint, set_field, add_event,
        add_camera, add_light, set_scene, remove, simulate, measure, add_rig, look, render, composite,
        add_text, export, add_sound,
    )
}  # fmt: skip
"""All tools by name; each takes a `Session` and JSON values, and gives JSON."""

__all__ = ["TOOLS", "Session", "Tool", "ToolError", "read_trace", "replay"]
