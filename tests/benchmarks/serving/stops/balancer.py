"""A load balancer as a Service is one: new connections go to what was ready when it was last asked, open ones stay."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable

_ASK_SECONDS = 0.05


class Balancer:
    """Joins each connection to one of the servers; it knows no protocol.

    Attributes:
        port: where callers connect.
    """

    def __init__(self, notice_seconds: float) -> None:
        """``notice_seconds``: how long after its readiness has failed a server still gets new connections."""
        self._notice_seconds = notice_seconds
        self._open: set[int] = set()
        self.port = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take connections while the context lasts."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _CallerSide(self._choose), "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def follow(self, port: int, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Send connections to ``port`` from when it is ready until some time after it is not; returns then."""
        while not await is_ready():
            await asyncio.sleep(_ASK_SECONDS)
        self._open.add(port)
        while await is_ready():
            await asyncio.sleep(_ASK_SECONDS)
        await asyncio.sleep(self._notice_seconds)
        self._open.discard(port)

    async def until_open(self, port: int, is_given_up: Callable[[], bool] = lambda: False) -> bool:
        """Wait until connections go to ``port``, or it ``is_given_up``; gives whether they do."""
        while port not in self._open:
            if is_given_up():
                return False
            await asyncio.sleep(_ASK_SECONDS)
        return True

    def _choose(self) -> int | None:
        return random.choice(sorted(self._open)) if self._open else None


class _Side(asyncio.Protocol):
    """One end of a pair: gives on what comes, its end and its rate."""

    def __init__(self, other: _Side | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        if (
            self.other is not None
            and self.other.transport is not None
            and self.other.transport.can_write_eof()
        ):
            with contextlib.suppress(OSError):
                self.other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        transport, self.transport = self.transport, None
        if transport is not None and self.other is not None and self.other.transport is not None:
            self.other.transport.close() if exc is None else self.other.transport.abort()


class _CallerSide(_Side):
    def __init__(self, choose: Callable[[], int | None]) -> None:
        super().__init__()
        self._choose = choose
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            super().data_received(data)

    async def _connect(self) -> None:
        port = self._choose()
        try:
            assert port is not None, "no server is ready"
            # Which may send first.
            _, other = await asyncio.get_running_loop().create_connection(
                lambda: _Side(self), "127.0.0.1", port
            )
        except (OSError, AssertionError):
            if self.transport is not None:
                self.transport.abort()
            return
        if self.transport is None:
            assert other.transport is not None
            other.transport.close()
        self.other = other
        for data in self._early:
            super().data_received(data)
        self._early.clear()
