"""viser's server, held to this computer: other pages of the browser cannot reach it."""

from __future__ import annotations

import asyncio
import http
import logging
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import rich
import viser
import websockets.asyncio.server
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage
from websockets.http11 import Request, Response

LOCAL = {"localhost", "127.0.0.1", "::1"}
Page = Callable[[str], tuple[str, bytes] | None]
"""From a path with its query to a media type and a body; None for a page of viser's own."""
PATIENCE = 120.0
"""Seconds that a page or a picture may take."""
_opening = threading.Lock()


def _of_a_request(record: logging.LogRecord) -> bool:
    """False of connections that ask nothing, as browsers open some in advance and let them go."""
    return record.exc_info is None or not isinstance(record.exc_info[1], InvalidMessage)


_told = logging.getLogger(__name__)
_told.addFilter(_of_a_request)


def open_server(*, host: str, port: int, page: Page) -> viser.ViserServer:
    """viser's server with two checks of each request, and pages of our own beside viser's.

    A server on this computer answers only to its own names, so no other name can be pointed at it,
    and a websocket opened by a page of another origin is refused. viser 1.1.1 has no option for
    either, so its call of `websockets` gets them while it starts. Nor does `verbose` stop its frame of
    addresses.

    Raises:
        OSError: no port is free.
    """
    serve = websockets.asyncio.server.serve

    def checked(*args: Any, process_request: Any, **options: Any) -> Any:
        async def process(connection: Any, request: Request) -> Response | None:
            if not permitted(request.headers, host=host):
                return _response(http.HTTPStatus.FORBIDDEN, "text/plain", b"not from this page\n")
            if request.headers.get("Upgrade", "").lower() != "websocket":
                # Drawing takes a while, and the others' messages go on meanwhile.
                own = await asyncio.to_thread(page, request.path)
                if own is not None:
                    return _response(http.HTTPStatus.OK, *own)
            answer: Response | None = process_request(connection, request)
            return answer

        # A picture is drawn within what `websockets` takes for the opening of a connection: 10 seconds, else.
        ours = {"open_timeout": PATIENCE, "logger": _told}
        return serve(*args, process_request=process, **{**options, **ours})

    serving = mock.patch.object(websockets.asyncio.server, "serve", checked)
    with _opening, serving, mock.patch.object(rich, "print"):
        return viser.ViserServer(host=host, port=port, label="clay4d", verbose=False)


def close_server(server: viser.ViserServer) -> None:
    """Stop a server, without viser's words about it."""
    with _opening, mock.patch.object(rich, "print"):
        server.stop()


def permitted(headers: Headers, *, host: str) -> bool:
    """Whether a request comes from the server's own page, or from no page at all.

    >>> permitted(Headers({"Host": "localhost:8080", "Origin": "null"}), host="localhost")
    False
    """
    asked, origin = headers.get("Host", ""), headers.get("Origin")
    if host in LOCAL and urlsplit(f"//{asked}").hostname not in LOCAL:
        return False
    return origin is None or urlsplit(origin).netloc == asked


def _response(status: http.HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body))})
    headers["Cache-Control"] = "no-store"
    return Response(status.value, status.phrase, headers, body)
