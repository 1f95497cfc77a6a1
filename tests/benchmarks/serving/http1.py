"""The client's side of one HTTP/1.1 connection with one request at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Http1Exchange:
    """Sends the same bytes again and again and finds the end of the answers; knows no sockets."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.reset()

    def reset(self) -> None:
        """Begin a new connection."""
        self._buffer = b""
        self.status = b""
        self.failed = False
        self.closes = False

    def opening(self) -> bytes:
        return b""

    def request(self) -> bytes:
        return self._request

    def receive(self, data: bytes) -> tuple[bytes | None, bytes]:
        """The answer's body if it is complete, and nothing to send; `status`, `failed` and `closes` tell of it."""
        buffer = self._buffer + data if self._buffer else data
        head_end = buffer.find(b"\r\n\r\n")
        if head_end < 0:
            self._buffer = buffer
            return None, b""
        head = buffer[: head_end + 2]
        body = _complete_body(head, buffer[head_end + 4 :])
        if body is None:
            self._buffer = buffer
            return None, b""
        self._buffer = b""
        self.status = head[9:12]
        self.failed = self.status != b"200"
        self.closes = _CLOSE.search(head) is not None
        return body, b""


def post(host: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The bytes of one POST request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(host: str, path: str) -> bytes:
    """The bytes of one GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def _complete_body(head: bytes, rest: bytes) -> bytes | None:
    length = _LENGTH.search(head)
    if length is not None:
        return rest if len(rest) >= int(length[1]) else None
    if _CHUNKED.search(head) is None:
        return rest
    if not rest.endswith(b"0\r\n\r\n"):
        return None
    body = b""
    while (line_end := rest.index(b"\r\n")) and (size := int(rest[:line_end], 16)):
        body += rest[line_end + 2 : line_end + 2 + size]
        rest = rest[line_end + 4 + size :]
    return body
