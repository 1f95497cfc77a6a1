"""The server's side of HTTP: the socket, its connections, their end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable
from time import perf_counter

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.errors import RequestError
from mooring_inference.rest.http_server.connection import FIRST_REQUEST_SECONDS, Connection, is_readable
from mooring_inference.rest.http_server.connection_table import ConnectionTable
from mooring_inference.rest.http_server.exchange import Handler, Header
from mooring_inference.rest.http_server.limits import HttpLimits
from mooring_inference.rest.http_server.turns import Turns, TurnTaker
from mooring_inference.running_clock import RunningClock

_SWEEP_SECONDS = 1.0
# Between two looks for connections that have nothing more to do, when the server stops.
_LOOK_SECONDS = 0.02
_LOOKS_FOR_JOINING = round(FIRST_REQUEST_SECONDS / _LOOK_SECONDS)
_BACKLOG = 2048


class HttpServer:
    """Serves a handler on a socket.

    Attributes:
        is_draining: whether callers are told, with their next answer, to leave their connections.
        late_calls: requests, other than to look at something, that have come while the server drains.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        limits: HttpLimits,
        headers: tuple[Header, ...] = (),
        budget: MemoryBudget | None = None,
        on_refusal: Callable[[RequestError], None] | None = None,
        turns: Turns | None = None,
    ) -> None:
        """Make one that does not listen yet.

        Args:
            handler: answers requests.
            limits: what callers may ask for.
            headers: come with every response.
            budget: what all requests may hold; None for one of its own.
            on_refusal: is told of requests that are refused before the handler could see them.
            turns: where other processes listen on the same socket; None where none does.
        """
        self.handler = handler
        self.limits = limits
        self.budget = budget or MemoryBudget()
        self.common_headers = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.connections = ConnectionTable(limits.max_connections)
        self.is_draining = False
        self.late_calls = 0
        self._on_refusal = on_refusal
        self._turns = turns
        # Connections that were taken and are not made yet, as with TLS. Nobody tells of a handshake that has failed.
        self._joining: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._socket: socket.socket | None = None
        self._listener: asyncio.Server | TurnTaker | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._clock = RunningClock(2 * _SWEEP_SECONDS)

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections."""
        self._socket = listener
        handshake_seconds = self.limits.head_seconds
        if (turns := self._turns) is not None:
            self._note_connections()
            self._listener = TurnTaker(
                listener,
                self._join,
                lambda: turns.is_mine(self._count()),
                backlog=_BACKLOG,
                tls=tls,
                handshake_seconds=handshake_seconds,
            )
        else:
            self._listener = await asyncio.get_running_loop().create_server(
                self._join,
                sock=listener,
                backlog=_BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else handshake_seconds,
            )
        self._sweep()

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more, let requests that have begun finish, for ``grace_seconds`` at most."""
        self.is_draining = True
        await self._stop_listening()
        deadline = perf_counter() + grace_seconds
        looks = 0
        # What has come already is read first: to close a connection with a request in it would lose that.
        while (left := deadline - perf_counter()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            looks += 1
            for connection in self.connections:
                connection.close_if_idle()
            # Looks and not seconds: while the process stands still nobody joins.
            if not self.connections and not (self.is_joined and looks < _LOOKS_FOR_JOINING):
                break
        for connection in self.connections:
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def admit(self, connection: Connection) -> bool:
        """Take a new connection; whether there was room for it."""
        self._joining.discard(connection)
        is_admitted = self.connections.add(connection)
        self._note_connections()
        return is_admitted

    def forget(self, connection: Connection) -> None:
        """Note that the connection is gone."""
        self.connections.remove(connection)
        self._note_connections()

    def note_refusal(self, error: RequestError) -> None:
        """Note that a request was refused before the handler could see it."""
        if self._on_refusal is not None:
            self._on_refusal(error)

    @property
    def is_joined(self) -> bool:
        """Whether a connection was taken that is not made yet."""
        return bool(self._joining)

    async def _stop_listening(self) -> None:
        """Accept what has come already, and no more: what waits would be reset."""
        if self._listener is None or self._socket is None:
            return
        # More than once, as others may come meanwhile, and not for ever, as they may go on to.
        for _ in range(_LOOKS_FOR_JOINING):
            if not is_readable(self._socket):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self._listener.close()
        if self._turns is not None:
            self._turns.withdraw()
            self._turns = None

    def _join(self) -> Connection:
        connection = Connection(self)
        self._joining.add(connection)
        self._note_connections()
        return connection

    def _count(self) -> int:
        return len(self.connections) + len(self._joining)

    def _note_connections(self) -> None:
        if self._turns is not None:
            self._turns.note(self._count())

    def _sweep(self) -> None:
        stood_still = self._clock.tick()
        now = perf_counter()
        for connection in self.connections:
            if stood_still:
                connection.allow(stood_still)
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
