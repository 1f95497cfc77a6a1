"""The little of ASGI that the front needs: read a body within a limit, write a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from mooring_inference.errors import RequestError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# An oversized body is read and thrown away up to this much, so that the client gets to read the 413.
_DISCARD_LIMIT = 256 << 20


class ClientDisconnectedError(Exception):
    """The caller went away before its request was complete."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


def json_response(status: int, document: object) -> Response:
    """A JSON response."""
    return Response(status, orjson.dumps(document))


def error_response(error: RequestError) -> Response:
    """What a caller reads about a refused request."""
    close = [(b"connection", b"close")] if error.status == 413 else []
    return Response(error.status, orjson.dumps(error.body(), default=str), headers=close)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body.

    Raises:
        RequestError: 413, more than ``limit`` bytes.
        ClientDisconnectedError: the caller went away.
    """
    declared = header(scope, b"content-length")
    size = int(declared) if declared and declared.isdigit() else 0
    chunks: list[bytes] = []
    received = 0
    while received <= _DISCARD_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        chunk = message.get("body", b"")
        received += len(chunk)
        if size <= limit and received <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body", False):
            break
    if max(size, received) > limit:
        raise RequestError(
            f"body: expected at most {limit} bytes, got {max(size, received)}",
            status=413,
            field="body",
            expected=limit,
            got=max(size, received),
        )
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header called ``name`` (lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def write(send: Send, response: Response, extra: list[tuple[bytes, bytes]]) -> None:
    """Send a response with its length and ``extra`` headers."""
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        *response.headers,
        *extra,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
