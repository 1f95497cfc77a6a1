"""A small HTTP/1.1 client for one backend: keep-alive, whole bodies, no surprises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import httptools

Headers = Iterable[tuple[bytes, bytes]]

_MAX_IDLE = 64


class BackendError(Exception):
    """No complete response came back; inference is pure, so another backend may be asked."""


@dataclass
class BackendResponse:
    """A complete response; header names in lower case."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time; also the callbacks of its parser."""

    def __init__(self) -> None:
        self.reusable = True
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[BackendResponse] | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._response = BackendResponse()
        self._chunks: list[bytes] = []

    async def exchange(self, request: bytes) -> BackendResponse:
        """Send a request, wait for its response; raises BackendError where the connection ends before."""
        if self._transport is None or self._transport.is_closing():
            raise BackendError("connection is closed")
        self._begin()
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._reply

    def close(self) -> None:
        """Close the connection."""
        self.reusable = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._fail(f"not HTTP: {exc}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._fail(f"connection lost: {exc or 'closed by the backend'}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        self._response.status = self._parser.get_status_code()
        self._response.body = b"".join(self._chunks)
        self.reusable = self.reusable and self._parser.should_keep_alive()
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(self._response)

    def _fail(self, reason: str) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(BackendError(reason))


class Backend:
    """Requests to one address over as many connections as are needed at once."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._idle: list[_Connection] = []

    async def request(
        self, method: str, target: str, headers: Headers = (), body: bytes = b""
    ) -> BackendResponse:
        """One request and its response.

        Raises:
            BackendError: it could not be sent or the response did not come.
        """
        message = _render(method, target, self.host, headers, body)
        self.in_flight += 1
        self._quiet.clear()
        try:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._exchange(connection, message)
                except BackendError:
                    # An idle connection may have been closed from the other side at any time.
                    continue
            return await self._exchange(await self._connect(), message)
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._quiet.set()

    async def quiet(self) -> None:
        """Wait until no request is in flight."""
        await self._quiet.wait()

    def close(self) -> None:
        """Close the connections that are not in use."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _exchange(self, connection: _Connection, message: bytes) -> BackendResponse:
        try:
            response = await connection.exchange(message)
        except BaseException:
            connection.close()
            raise
        if connection.reusable and len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(_Connection, self.host, self.port)
        except OSError as exc:
            raise BackendError(f"cannot connect: {exc}") from None
        return connection


def _render(method: str, target: str, host: str, headers: Headers, body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1"), b"host: " + host.encode()]
    lines += [name + b": " + value for name, value in headers]
    lines.append(b"content-length: " + str(len(body)).encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
