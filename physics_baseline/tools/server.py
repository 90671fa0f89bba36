"""The tools over the Model Context Protocol (extra `mcp`), on standard input and output."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from clay4d.physics_baseline.tools import TOOLS, Session
from clay4d.physics_baseline.tools.session import arguments_model

INSTRUCTIONS = (
    "Make a scene (make_scene with a prompt, or empty and then add_body …; plan_scene tries a prompt out, get_schema has the parts), simulate it, add_rig or "
    "add_camera, render, export. Metres, kilograms, seconds, z up. Every call is logged in trace.json."
)
MISTAKES = (ValueError, OSError, ImportError, ArithmeticError, NotImplementedError)


def list_tools() -> list[dict[str, Any]]:
    """Each tool's name, its words, and the JSON Schema of its arguments.

    >>> list_tools()[0]["name"]
    'make_scene'
    """
    return [
        {
            "name": name,
            "description": (inspect.getdoc(tool) or "").split("\n\nArgs:")[0],
            "input_schema": arguments_model(name, tool).model_json_schema(),
        }
        for name, tool in TOOLS.items()
    ]


def serve(folder: str | Path) -> None:
    """Serve the tools on standard input and output until the client leaves; files go to `folder`.

    A user's mistake is an answer marked as an error, with the message.

    Raises:
        ImportError: the extra `mcp` is missing.
    """
    try:
        import anyio
        from mcp import types
        from mcp.server.lowlevel import Server
        from mcp.server.stdio import stdio_server
    except ModuleNotFoundError as error:
        raise ImportError(
            "tools --serve got no package mcp; expected the extra mcp. Run: pip install 'clay4d[mcp]'"
        ) from error
    session = Session(Path(folder))

    async def on_list(context: Any, params: Any) -> Any:
        return types.ListToolsResult(tools=[types.Tool(**tool) for tool in list_tools()])

    async def on_call(context: Any, params: Any) -> Any:
        # One call at a time, since they share the session; away from the loop, since they are long.
        async with lock:
            text, wrong, value = await anyio.to_thread.run_sync(
                _answer, session, params.name, params.arguments or {}
            )
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], structured_content=value,
            is_error=wrong,
        )  # fmt: skip

    async def run() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    lock = anyio.Lock()
    server: Any = Server(
        "clay4d", instructions=INSTRUCTIONS, on_list_tools=on_list, on_call_tool=on_call
    )
    anyio.run(run)


def _answer(session: Session, tool: str, arguments: dict[str, Any]) -> tuple[str, bool, Any]:
    try:
        value = session.call(tool, arguments)
    except MISTAKES as error:
        return str(error), True, None
    return json.dumps(value), False, value if isinstance(value, dict) else {"result": value}
