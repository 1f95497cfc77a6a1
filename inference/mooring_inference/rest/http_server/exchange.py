"""One request and its response."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import orjson

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.errors import RequestError

JSON = b"application/json"

_REASONS = {
    200: b"OK",
    202: b"Accepted",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}

Header = tuple[bytes, bytes]

# What goes before the path where a caller writes the whole address, as to a proxy (RFC 9112, 3.2.2).
_AUTHORITY = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


class Exchange:
    """A request, and the one response to it.

    Attributes:
        method: such as ``POST``.
        path: as it was sent, before percent-decoding and without the query.
        query: what follows the question mark.
        headers: by lower-case name; of several with one name, the last.
        body: whole, once ``Handler.handle`` is called.
        started: when its first byte came, by ``perf_counter``.
        refusal: why its body is not for the handler; None where it is.
        is_gone: whether the caller has closed the connection.
        on_gone: called when it does so before the response.
    """

    __slots__ = (
        "_budget",
        "_held_bytes",
        "_respond",
        "body",
        "headers",
        "is_gone",
        "is_keep_alive",
        "method",
        "on_gone",
        "path",
        "query",
        "refusal",
        "started",
    )

    def __init__(
        self,
        respond: Callable[[Exchange, int, bytes, bytes, Sequence[Header]], None],
        budget: MemoryBudget,
    ) -> None:
        self.method = ""
        self.path = b""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.started = 0.0
        self.is_keep_alive = True
        self.is_gone = False
        self.on_gone: Callable[[], None] | None = None
        self.refusal: RequestError | None = None
        self._respond = respond
        self._budget = budget
        self._held_bytes = 0

    def hold(self, size: int) -> RequestError | None:
        """Count ``size`` more bytes that the request takes until it is answered; a refusal where there is no room."""
        if self.is_gone or not self._budget.take(size):
            return self._budget.refusal(size)
        self._held_bytes += size
        return None

    def release(self) -> None:
        """Free the memory that the request takes."""
        if self._held_bytes:
            self._budget.release(self._held_bytes)
            self._held_bytes = 0

    def leave(self) -> None:
        """Note that the caller has closed the connection."""
        self.is_gone = True
        if self.on_gone is not None:
            self.on_gone()
        self.release()

    def respond(
        self, status: int, body: bytes, headers: Sequence[Header] = (), *, content_type: bytes = JSON
    ) -> None:
        """Answer, once, on the event loop's thread."""
        self._respond(self, status, body, content_type, headers)

    def respond_json(self, status: int, document: object, headers: Sequence[Header] = ()) -> None:
        """Answer with a JSON document."""
        self.respond(status, orjson.dumps(document), headers)

    def respond_error(self, error: RequestError, headers: Sequence[Header] = ()) -> None:
        """Answer with what is wrong about the request."""
        self.respond(error.status, render_error(error), (*error.headers, *headers))


class Handler(Protocol):
    """What answers requests; it may do so later."""

    def admit(self, exchange: Exchange) -> RequestError | None:
        """Return why a request whose head has come is refused before its body is read; None where it is not."""
        ...

    def handle(self, exchange: Exchange) -> None:
        """Answer a whole request, now or later; it must not raise."""
        ...


def without_authority(target: bytes) -> bytes:
    """Return the path of a request line's target that names the whole address; another target as it is."""
    authority = _AUTHORITY.match(target)
    return target if authority is None else target[authority.end() :] or b"/"


def render_error(error: RequestError) -> bytes:
    """Return the body of a response that says what is wrong about a request."""
    return orjson.dumps(error.body(), default=str)


def render_head(
    status: int, content_type: bytes, length: int, common: bytes, headers: Sequence[Header], *, close: bool
) -> bytes:
    """Return a response's head; ``common`` are whole header lines."""
    extra = b"".join(b"%b: %b\r\n" % header for header in headers) if headers else b""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b%b\r\n" % (
        status,
        _REASONS.get(status, b"Unknown"),
        content_type,
        length,
        common,
        extra,
        b"connection: close\r\n" if close else b"",
    )
