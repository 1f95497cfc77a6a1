"""The server's side of HTTP: the socket, its connections, their end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from time import perf_counter

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.rest.http_server.connection import Connection
from mooring_inference.rest.http_server.connection_table import ConnectionTable
from mooring_inference.rest.http_server.exchange import Handler, Header
from mooring_inference.rest.http_server.limits import HttpLimits

_SWEEP_SECONDS = 1.0
# Between two looks for connections that have nothing more to do, when the server stops.
_LOOK_SECONDS = 0.02
_BACKLOG = 2048


class HttpServer:
    """Serves a handler on a socket.

    Attributes:
        is_draining: whether callers are told, with their next answer, to leave their connections.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: HttpLimits,
        headers: tuple[Header, ...] = (),
        budget: MemoryBudget | None = None,
    ) -> None:
        """``headers`` come with every response; ``budget`` is what all requests may hold, None for one of its own."""
        self.handler = handler
        self.limits = limits
        self.budget = budget or MemoryBudget()
        self.common_headers = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.connections = ConnectionTable(limits.max_connections)
        self.is_draining = False
        self._listener: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Connection(self),
            sock=listener,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else self.limits.head_seconds,
        )
        self._sweep()

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more, let requests that have begun finish, for ``grace_seconds`` at most."""
        if self._listener is not None:
            self._listener.close()
        self.is_draining = True
        deadline = perf_counter() + grace_seconds
        # What has come already is read first: to close a connection with a request in it would lose that.
        while (left := deadline - perf_counter()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            for connection in self.connections:
                connection.close_if_idle()
            if not self.connections:
                break
        for connection in self.connections:
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def admit(self, connection: Connection) -> bool:
        """Take a new connection; whether there was room for it."""
        return self.connections.add(connection)

    def forget(self, connection: Connection) -> None:
        """Note that the connection is gone."""
        self.connections.remove(connection)

    def _sweep(self) -> None:
        now = perf_counter()
        for connection in self.connections:
            connection.sweep(now, _SWEEP_SECONDS)
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes a free one.

    Raises:
        OSError: the address is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
